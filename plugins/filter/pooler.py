"""Filters about the connection pooler; the decisions are in ``module_utils/_pgbouncer.py``."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from ansible.errors import AnsibleFilterError
from ansible_collections.zerospof.temporal.plugins.module_utils import _pgbouncer


def pgx_exec_mode(pgbouncer_version: str, temporal_version: str) -> str:
    """Return the execution mode of pgx; its refusal ends the play with the message alone."""
    try:
        return _pgbouncer.exec_mode(pgbouncer_version, temporal_version)
    except _pgbouncer.UnsupportedError as error:
        raise AnsibleFilterError(str(error)) from error


def pooler_problems(results: Mapping[str, Mapping[str, Any]], temporal_version: str) -> list[str]:
    """Return why hosts cannot run this server; ``results`` has the version of PgBouncer by host."""
    return _pgbouncer.problems({host: result.get("version", "") for host, result in results.items()}, temporal_version)


class FilterModule:
    """Filters about PgBouncer."""

    def filters(self) -> dict[str, Callable[..., Any]]:
        """Filter names and their functions."""
        return {"pgx_exec_mode": pgx_exec_mode, "pooler_problems": pooler_problems}
