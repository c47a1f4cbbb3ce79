"""Which certificates of a live cluster are renewed.

Pure functions over what every host says of its certificates; nothing here talks to a host.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from ansible_collections.zerospof.temporal.plugins.module_utils import _rolling, _topology
from ansible_collections.zerospof.temporal.plugins.module_utils._expiry import Found
from ansible_collections.zerospof.temporal.plugins.module_utils._text import counted, table

RELOADED = "the service is reloaded"
RESTARTED = "the service restarts, zone by zone"


@dataclass(frozen=True)
class Use:
    """The tiers whose services use a certificate, and how a running one comes to use another."""

    tiers: tuple[str, ...]
    taken: str


# By the name of the certificate. One that is not here belongs to no service of the cluster.
USES = {
    "etcd": Use(("etcd",), "read at each connection"),
    "patroni": Use(("postgresql",), RELOADED),
    "cassandra": Use(("cassandra",), RELOADED),
    "haproxy": Use(("temporal_servers", "load_balancers"), RELOADED),
    "pgbouncer": Use(("temporal_servers",), RELOADED),
    "temporal": Use(("temporal_servers",), "read every minute"),
    "temporal-schema": Use(("temporal_servers",), "read when it is used"),
    "temporal-ui": Use(("temporal_ui",), RESTARTED),
    "worker": Use(("temporal_workers",), "read within seconds"),
    "operator": Use((), "read when it is used"),
}
# The drivers of Cassandra keep the one with which Temporal started.
TEMPORAL_WITH_CASSANDRA = Use(("temporal_servers",), RESTARTED)


USED = {tier for use in USES.values() for tier in use.tiers}


def _use(name: str, groups: _topology.Groups, tiers: _topology.Tiers | None) -> Use:
    if name == "temporal" and _topology.tier_hosts("cassandra", groups, tiers or {}):
        return TEMPORAL_WITH_CASSANDRA
    return USES[name]


def renewal_plan(
    groups: _topology.Groups, found: Found, wishes: Mapping[str, Any], tiers: _topology.Tiers | None = None
) -> dict[str, Any]:
    """Return ``{due, kept, hosts, left_out, problems}``.

    ``wishes``: ``tiers`` (all when empty), ``issued_before`` (ISO 8601) and ``misspelt``. ``due``: ``[{host, path,
    issued, days, taken}]``. ``kept``: how many others were looked at. ``hosts``: by tier, those that the run goes
    through, whether anything is due on them or not: an earlier run may have ended between a file and its reload.
    With ``problems`` nothing must be renewed.
    """
    asked = tuple(_rolling.names(wishes.get("tiers") or ()))
    unknown = [name for name in asked if name not in _rolling.UNITS]
    problems = [f"tiers: {', '.join(unknown)}: not one of {', '.join(_rolling.UNITS)}"] if unknown else []
    problems += [
        f"{name}: is no wish of a rotation; it knows tiers and issued_before" for name in wishes.get("misspelt", ())
    ]
    moment = _moment(str(wishes["issued_before"]))
    if moment is None or moment > datetime.now(UTC):
        problems.append(
            f"issued_before: {wishes['issued_before']} is no moment of the past; write it as 2026-11-26T10:00:00Z"
        )
    members = {
        tier: _topology.tier_hosts(tier, groups, tiers or {}) for tier in _rolling.UNITS if tier in (asked or USED)
    }
    looked_at = [
        {"host": host, "taken": use.taken, **one}
        for host, certificates in found.items()
        for one in certificates
        if one["name"] in USES
        for use in [_use(one["name"], groups, tiers)]
        if any(host in members.get(tier, ()) for tier in use.tiers) or (not use.tiers and not asked)
    ]
    due = [one for one in looked_at if moment and datetime.fromisoformat(one["issued"]) < moment]
    return {
        "due": [{name: one[name] for name in ("host", "path", "issued", "days", "taken")} for one in due],
        "kept": len(looked_at) - len(due),
        "hosts": {tier: [host for host in hosts if host in found] for tier, hosts in members.items()},
        "left_out": sorted({host for hosts in members.values() for host in hosts if host not in found}),
        "problems": problems,
    }


def _moment(text: str) -> datetime | None:
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        return None
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)


def renewal_text(plan: Mapping[str, Any]) -> str:
    """Return the plan for people."""
    lines = []
    if plan["due"]:
        hosts = {one["host"] for one in plan["due"]}
        lines.append(
            f"To be renewed, with new keys: {counted(len(plan['due']), 'certificate')} on {counted(len(hosts), 'host')}"
        )
        lines += table(
            [(one["host"], one["path"], f"issued {one['issued'][:16]}", one["taken"]) for one in plan["due"]]
        )
    else:
        lines.append("Nothing is to be renewed.")
    if plan["kept"]:
        lines.append(f"Issued later, and kept: {counted(plan['kept'], 'certificate')}")
    if plan["left_out"]:
        lines.append(f"Not looked at, because --limit leaves them out: {', '.join(plan['left_out'])}")
    return "\n".join(lines)


def renewal_groups(plan: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Return the hosts of the plan, ``[{name, groups}]``: ``certificates_TIER`` holds those of a tier."""
    by_host: dict[str, list[str]] = {}
    for tier, hosts in plan["hosts"].items():
        for host in hosts:
            by_host.setdefault(host, []).append(f"certificates_{tier}")
    return [{"name": host, "groups": groups} for host, groups in by_host.items()]
