"""Which member of a PostgreSQL cluster is copied, what the copy says of itself, and where it may become the database.

Pure functions; nothing here talks to a host or touches a file.

A *manifest* says what a backup is of: ``{tag, cluster, name, version, system_identifier, timeline, start_lsn, stop_lsn,
bytes}``; ``version`` is the major one of PostgreSQL, ``bytes`` the size of all files.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from ansible_collections.zerospof.temporal.plugins.module_utils import _backup, _patroni

Manifest = Mapping[str, Any]

# What changes while it is copied, and the log of that time.
MARGIN = 1.1


def source(cluster: _patroni.Cluster, version: str, candidates: Sequence[str]) -> str | None:
    """Return which of the hosts ``candidates`` is copied, ``None`` when none can be.

    A replica that streams, so that the copy costs the leader nothing; the leader where there is none. ``version``: the
    one of Patroni.
    """
    replicas = [
        member["name"]
        for member in cluster["members"]
        if member["role"] not in _patroni.LEADERS and _patroni.follows(member, version)
    ]
    leader = _patroni.leader_of(cluster)
    fit = [name for name in candidates if name in replicas] + [name for name in candidates if name == leader]
    return fit[0] if fit else None


def position(status: Mapping[str, Any]) -> int:
    """Return up to which byte of the log a member has all changes, of its answer to ``GET /patroni``."""
    log = status.get("xlog") or {}
    return log.get("location") or log.get("replayed_location") or 0


def log_range(backup_manifest: Mapping[str, Any]) -> dict[str, Any]:
    """Return timeline and positions between which a copy is whole, of the manifest that PostgreSQL writes."""
    ranges = backup_manifest["WAL-Ranges"]
    return {
        "timeline": ranges[-1]["Timeline"],
        "start_lsn": ranges[0]["Start-LSN"],
        "stop_lsn": ranges[-1]["End-LSN"],
    }


def system_identifier(controldata: str) -> str:
    """Return the number that a database has for life, of the text of ``pg_controldata``."""
    for line in controldata.splitlines():
        name, _, value = line.partition(":")
        if name == "Database system identifier":
            return value.strip()
    raise ValueError("pg_controldata names no system identifier")


def restore_problems(
    manifest: Manifest,
    *,
    cluster: str,
    version: str,
    members: Sequence[str],
    present: Sequence[str],
    data: str,
    is_forced: bool,
) -> Iterator[str]:
    """Yield why the backup of ``manifest`` must not become the database.

    ``version``: major version of PostgreSQL of the hosts. ``members``: those of the inventory. ``present``: hosts of
    this run. ``data``: when the host last wrote what it holds, as words; empty when it holds nothing.
    """
    if manifest["cluster"] != cluster:
        yield f"the backup is of the cluster {manifest['cluster']}, and this one is {cluster}"
    if manifest["version"] != version:
        yield (
            f"the backup is of PostgreSQL {manifest['version']}, which {version} cannot read; set "
            f'patroni_postgresql_version: "{manifest["version"]}"'
        )
    problems = (
        _backup.missing_members(members, present),
        _backup.data_problem("patroni_restore_over_data", data, is_forced),
    )
    yield from filter(None, problems)


def needed(size: int) -> int:
    """Return the room that a copy of ``size`` bytes takes."""
    return int(size * MARGIN)
