"""Filters for the configuration of HAProxy; the work is done in ``module_utils``."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from ansible.errors import AnsibleFilterError
from ansible_collections.zerospof.temporal.plugins.module_utils import _grpc_health, _haproxy_config


def _as_filter(function: Callable[..., Any]) -> Callable[..., Any]:
    """Let a refusal end the play with its message alone."""

    def run(*args: Any, **options: Any) -> Any:  # noqa: ANN401
        try:
            return function(*args, **options)
        except (_haproxy_config.ConfigurationError, _grpc_health.ProtocolError) as error:
            raise AnsibleFilterError(str(error)) from error

    return run


def grpc_health_frame(service: str, authority: str = "temporal", tls: bool = True) -> str:
    """Return the health check request for ``service`` in hexadecimal."""
    return _grpc_health.health_check_request(service, authority, tls).hex()


class FilterModule:
    """HAProxy filters of the collection."""

    def filters(self) -> dict[str, Callable[..., Any]]:
        """Filter names and their functions."""
        return {
            "grpc_health_frame": _as_filter(grpc_health_frame),
            "haproxy_sections": _as_filter(_haproxy_config.sections),
        }
