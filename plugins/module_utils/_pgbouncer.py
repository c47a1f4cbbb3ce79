"""What a PgBouncer can do and what its console says. Pure functions; nothing here runs a command."""

from __future__ import annotations

import re
from collections.abc import Mapping

# The execution modes of pgx, Temporal's PostgreSQL driver, as `default_query_exec_mode` takes them.
PREPARED = "cache_statement"
SIMPLE = "simple_protocol"

# From here on PgBouncer follows prepared statements of the protocol through transaction pooling.
_PREPARED_SINCE = (1, 21)

# Servers that encode enumerations and durations right without prepared statements: temporalio/temporal issues 9804
# and 10514. 1.31.0 has only the first fix. Later minor versions have both.
_SIMPLE_SINCE = {(1, 29): 7, (1, 30): 5, (1, 31): 1}


class UnsupportedError(ValueError):
    """The two versions cannot work together; the message says what to do."""


def version_tuple(version: str) -> tuple[int, int, int]:
    """Return ``(major, minor, patch)`` of ``version``; what follows the third number is ignored.

    Raises:
        UnsupportedError: it does not begin with two numbers.
    """
    found = re.match(r"v?(\d+)\.(\d+)(?:\.(\d+))?", version)
    if found is None:
        raise UnsupportedError(f"{version!r} is not a version such as 1.24.1")
    return int(found[1]), int(found[2]), int(found[3] or 0)


def exec_mode(pgbouncer_version: str, temporal_version: str) -> str:
    """Return how pgx must send queries through a PgBouncer that pools by transaction.

    Raises:
        UnsupportedError: this server cannot work behind this PgBouncer.
    """
    if version_tuple(pgbouncer_version)[:2] >= _PREPARED_SINCE:
        return PREPARED
    major, minor, patch = version_tuple(temporal_version)
    known = _SIMPLE_SINCE.get((major, minor))
    if (major, minor) > max(_SIMPLE_SINCE) or (known is not None and patch >= known):
        return SIMPLE
    fixed = ", ".join(f"{a}.{b}.{c}" for (a, b), c in _SIMPLE_SINCE.items())
    raise UnsupportedError(
        f"Temporal {temporal_version} cannot work behind PgBouncer {pgbouncer_version}: that one follows no prepared "
        f"statements (1.21 or newer does), and without them this server sends wrong values (fixed in {fixed}). "
        f"Install a newer PgBouncer or another Temporal version"
    )


def problems(pgbouncer_versions: Mapping[str, str], temporal_version: str) -> list[str]:
    """Return why hosts cannot run this server, by their PgBouncer; one whose version is empty is not judged."""
    found = []
    for host, version in pgbouncer_versions.items():
        try:
            if version:
                exec_mode(version, temporal_version)
        except UnsupportedError as error:
            found.append(f"{host}: {error}")
    return found


def reason(error: str) -> str:
    """Return the cause in what psql printed, without its prefix; the last line says most."""
    lines = [line.strip() for line in error.splitlines() if line.strip()]
    causes = [line for line in lines if re.search(r"FATAL|ERROR|error:", line)] or lines
    return re.sub(r"^psql: (error: )?", "", causes[-1]) if causes else "no reason given"
