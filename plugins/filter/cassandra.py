# Copyright: (c) 2026, The zerospof.temporal maintainers
# Apache License 2.0 (see LICENSE or https://www.apache.org/licenses/LICENSE-2.0)
"""Filters about the ring of Cassandra; the arithmetic is in ``module_utils``."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from ansible.errors import AnsibleFilterError
from ansible_collections.zerospof.temporal.plugins.module_utils import _cassandra, _ring_safety, _ring_safety_text


def ring_safety(*args: Any, **options: Any) -> dict[str, Any]:  # noqa: ANN401
    """Let what is no ring end the play with its reason alone."""
    try:
        return _ring_safety.ring_safety(*args, **options)
    except ValueError as error:
        raise AnsibleFilterError(f"ring_safety: {error}") from error


class FilterModule:
    """Filters about Cassandra."""

    def filters(self) -> dict[str, Callable[..., Any]]:
        """Filter names and their functions."""
        return {
            "cassandra_down": _cassandra.down_addresses,
            "cassandra_founding_tokens": _cassandra.founding_tokens,
            "cassandra_heap": _cassandra.heap_megabytes,
            "cassandra_racks": _cassandra.with_racks,
            "cassandra_seeds": _cassandra.seeds,
            "ring_safety": ring_safety,
            "ring_safety_text": _ring_safety_text.ring_safety_text,
        }
