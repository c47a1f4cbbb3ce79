"""Which certificates of a live cluster are renewed.

Pure functions over what every host says of its certificates; nothing here talks to a host.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from ansible_collections.zerospof.temporal.plugins.module_utils import _authority, _certificates, _rolling, _topology
from ansible_collections.zerospof.temporal.plugins.module_utils._expiry import Found
from ansible_collections.zerospof.temporal.plugins.module_utils._text import counted, table

RELOADED = "the service is reloaded"
RESTARTED = "the service restarts, zone by zone"


@dataclass(frozen=True)
class Use:
    """The tiers whose services use a certificate, and how a running one comes to use another.

    ``trusted``: how it comes to trust another authority, where that is something else.
    """

    tiers: tuple[str, ...]
    taken: str
    trusted: str = ""


# By the name of the certificate. One that is not here belongs to no service of the cluster.
USES = {
    "etcd": Use(("etcd",), "read at each connection", RESTARTED),
    "patroni": Use(("postgresql",), RELOADED),
    "cassandra": Use(("cassandra",), RELOADED),
    "haproxy": Use(("temporal_servers", "load_balancers"), RELOADED),
    "pgbouncer": Use(("temporal_servers",), RELOADED),
    "temporal": Use(("temporal_servers",), "read every minute", RESTARTED),
    "temporal-schema": Use(("temporal_servers",), "read when it is used"),
    "temporal-ui": Use(("temporal_ui",), RESTARTED),
    "worker": Use(("temporal_workers",), "read within seconds"),
    "operator": Use((), "read when it is used"),
}
# The drivers of Cassandra keep the one with which Temporal started.
TEMPORAL_WITH_CASSANDRA = Use(("temporal_servers",), RESTARTED)


STEPS = {
    "trust": "Step 1 of 3: every service trusts the new authority beside the one that signs. Afterwards give ca.crt to"
    " your own clients, then go on with rotate_authority=sign.",
    "sign": "Step 2 of 3: every certificate is signed by the new authority. Afterwards give your own clients"
    " certificates of it, then go on with rotate_authority=finish.",
    "finish": "Step 3 of 3: nobody trusts the former authority any more. Afterwards give ca.crt to your own clients.",
}
USED = {tier for use in USES.values() for tier in use.tiers}


def _use(name: str, groups: _topology.Groups, tiers: _topology.Tiers | None) -> Use:
    if name == "temporal" and _topology.tier_hosts("cassandra", groups, tiers or {}):
        return TEMPORAL_WITH_CASSANDRA
    return USES[name]


@dataclass(frozen=True)
class _Cluster:
    """The tiers that the run goes through, and what the hosts of it have."""

    groups: _topology.Groups
    found: Found
    tiers: _topology.Tiers
    asked: tuple[str, ...]
    trusts: bool = False

    @property
    def members(self) -> dict[str, list[str]]:
        """Hosts by tier."""
        tiers = [tier for tier in _rolling.UNITS if tier in (self.asked or USED)]
        return {tier: list(_topology.tier_hosts(tier, self.groups, self.tiers)) for tier in tiers}

    @property
    def left_out(self) -> list[str]:
        """Hosts of these tiers that the run must not touch."""
        return sorted({host for hosts in self.members.values() for host in hosts if host not in self.found})

    def certificates(self) -> list[dict[str, Any]]:
        """Return the certificates that services of these tiers use, and all others when no tier was asked for."""
        members = self.members
        return [
            {"host": host, "taken": (self.trusts and use.trusted) or use.taken, **one}
            for host, certificates in self.found.items()
            for one in certificates
            if one["name"] in USES
            for use in [_use(one["name"], self.groups, self.tiers)]
            if any(host in members.get(tier, ()) for tier in use.tiers) or (not use.tiers and not self.asked)
        ]

    def outages(self, due: Sequence[Mapping[str, Any]]) -> list[str]:
        """Return which tiers would not serve while one of their hosts restarts for what is ``due``."""
        members, zones, found = self.members, _topology.zones_by_host(self.groups), []
        restarted = [(one["host"], one["name"]) for one in due if one["taken"] == RESTARTED]
        for tier, hosts in members.items():
            parts = {zone for host in hosts for zone in zones.get(host, ())}
            if _rolling.largest_batch(tier, len(hosts), len(parts)) < 0 and any(
                host in hosts and tier in USES[name].tiers for host, name in restarted
            ):
                found.append(_rolling.outage(_topology.tier_group(tier, self.tiers), len(hosts)))
        return found

    def plan(self, due: Sequence[Mapping[str, Any]], problems: Sequence[str], accepted: bool) -> dict[str, Any]:
        """Return the plan as a playbook and people need it; ``accepted``: an outage is no problem."""
        shown = ("host", "path", "issued", "days", "taken")
        return {
            "due": [{name: one[name] for name in shown} for one in due],
            "kept": len(self.certificates()) - len(due),
            "hosts": {tier: [host for host in hosts if host in self.found] for tier, hosts in self.members.items()},
            "left_out": self.left_out,
            "problems": [*problems, *([] if accepted else self.outages(due))],
        }


def renewal_plan(
    groups: _topology.Groups, found: Found, wishes: Mapping[str, Any], tiers: _topology.Tiers | None = None
) -> dict[str, Any]:
    """Return ``{step, due, kept, hosts, left_out, problems}``.

    ``wishes``: ``tiers`` (all when empty), ``issued_before`` (ISO 8601), ``accept_outage`` and ``misspelt``. ``due``:
    ``[{host, path, issued, days, taken}]``. ``kept``: how many others were looked at. ``hosts``: by tier, those that
    the run goes through, whether anything is due on them or not: an earlier run may have ended between a file and its
    reload. With ``problems`` nothing must be renewed.
    """
    asked = tuple(_rolling.names(wishes.get("tiers") or ()))
    unknown = [name for name in asked if name not in _rolling.UNITS]
    problems = [f"tiers: {', '.join(unknown)}: not one of {', '.join(_rolling.UNITS)}"] if unknown else []
    problems += [_misspelt(name) for name in wishes.get("misspelt", ())]
    moment = _moment(str(wishes["issued_before"]))
    if moment is None or moment > datetime.now(UTC):
        problems.append(
            f"issued_before: {wishes['issued_before']} is no moment of the past; write it as 2026-11-26T10:00:00Z"
        )
    cluster = _Cluster(groups, found, tiers or {}, asked)
    due = [one for one in cluster.certificates() if moment and datetime.fromisoformat(one["issued"]) < moment]
    return {"step": "", **cluster.plan(due, problems, bool(wishes.get("accept_outage")))}


def authority_plan(
    groups: _topology.Groups,
    found: Found,
    wishes: Mapping[str, Any],
    goal: Mapping[str, Any],
    waiting: Mapping[str, Sequence[str]],
    tiers: _topology.Tiers | None = None,
) -> dict[str, Any]:
    """Return the plan of one step of another authority, as :func:`renewal_plan`.

    ``wishes``: ``step``, ``accept_outage``, and ``tiers`` and ``misspelt``, which must be empty. ``goal``: ``{signer,
    trusted}`` of ``authority_rotation``. ``waiting``: see :func:`_authority.problems`.
    """
    # The second step changes by whom certificates are signed, and nobody's trust.
    cluster = _Cluster(groups, found, tiers or {}, (), trusts=wishes["step"] != "sign")
    problems = [_misspelt(name) for name in wishes.get("misspelt", ())]
    if wishes.get("tiers"):
        problems.append("tiers: an authority is that of all tiers; leave them out")
    certificates = cluster.certificates()
    due = [one for one in certificates if _authority.wanting(one, goal["signer"], goal["trusted"])]
    by_host = {host: [one for one in certificates if one["host"] == host] for host in found}
    problems += _authority.problems(wishes["step"], goal, by_host, cluster.left_out, waiting)
    return {"step": wishes["step"], **cluster.plan(due, problems, bool(wishes.get("accept_outage")))}


def waiting(units: Mapping[str, Mapping[str, Any]]) -> dict[str, list[str]]:
    """Return by host the units that do not use the certificates on its disk; ``units``: of ``systemd_units_info``."""
    return {
        host: sorted(
            {
                *said["unread"],
                *(unit["name"] for unit in said["units"] if any("/tls/" in why for why in unit["reasons"])),
            }
        )
        for host, said in units.items()
    }


def _misspelt(name: str) -> str:
    return f"{name}: is no wish of a rotation; it knows tiers, issued_before and rotate_authority"


def _moment(text: str) -> datetime | None:
    try:
        return _certificates.moment_of(text)
    except ValueError:
        return None


def renewal_text(plan: Mapping[str, Any]) -> str:
    """Return the plan for people."""
    lines = [STEPS[plan["step"]]] if plan["step"] else []
    if plan["due"]:
        hosts = {one["host"] for one in plan["due"]}
        keys = "" if plan["step"] else ", with new keys"
        lines.append(
            f"To be renewed{keys}: {counted(len(plan['due']), 'certificate')} on {counted(len(hosts), 'host')}"
        )
        lines += table(
            [(one["host"], one["path"], f"issued {one['issued'][:16]}", one["taken"]) for one in plan["due"]]
        )
    else:
        lines.append("Nothing is to be renewed.")
    if plan["kept"]:
        lines.append(f"As they are to be, and kept: {counted(plan['kept'], 'certificate')}")
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
