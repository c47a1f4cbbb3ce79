"""Which hosts leave a live cluster, in which order, and why they must not.

Pure functions over the inventory and what the leaving hosts say of their units; nothing here talks to a host.

A host leaves all of its tiers, one after the other. It *has left* a tier when none of the units of that tier is enabled
on it and it has no mark that says that it was about to leave; a run that was interrupted goes on with the others.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from fnmatch import fnmatchcase
from typing import Any

from ansible_collections.zerospof.temporal.plugins.module_utils import _rolling, _topology
from ansible_collections.zerospof.temporal.plugins.module_utils._spof import LOSSES
from ansible_collections.zerospof.temporal.plugins.module_utils._text import counted
from ansible_collections.zerospof.temporal.plugins.module_utils._workers import deployments_of, hosts_by_queue

# Who needs others leaves before them: nothing is taken away from a service that still runs.
ORDER = ("temporal_workers", "load_balancers", "temporal_ui", "temporal_servers", "postgresql", "etcd", "cassandra")
TITLES = {
    "temporal_workers": "workers, after their tasks have ended",
    "load_balancers": "balancers, after the virtual address has left them",
    "temporal_ui": "web UI",
    "temporal_servers": "Temporal, with its PgBouncer and database proxy",
    "postgresql": "PostgreSQL, after a switchover where the primary leaves",
    "etcd": "etcd",
    "cassandra": "Cassandra, after the others have the data",
}
# Losses that no service is to notice. That of any two hosts is shown, and promised by no profile.
PROMISED = ("any_one_host", "any_one_az")
ACCEPT = "accept it with -e accept_weaker=true"

Report = Mapping[str, Any]


def groups_without(groups: _topology.Groups, hosts: object) -> dict[str, list[str]]:
    """Return ``groups`` as they are when ``hosts`` are out of the inventory."""
    gone = set(_names(hosts))
    return {group: [host for host in members if host not in gone] for group, members in groups.items()}


def _names(hosts: object) -> list[str]:
    return list(dict.fromkeys(_rolling.names(hosts, "hosts_to_remove", "worker-c")))


def _emptied(before: _topology.Groups, after: _topology.Groups, tiers: _topology.Tiers) -> list[str]:
    """Groups of the tiers that nobody is left of."""
    return [
        _topology.tier_group(tier, tiers)
        for tier in _topology.hosts_by_tier(before, tiers)
        if not _topology.tier_hosts(tier, after, tiers)
    ]


def _orphans(
    groups: _topology.Groups, hostvars: _topology.HostVars, gone: Sequence[str], tiers: _topology.Tiers
) -> dict[str, list[str]]:
    """Task queues that only hosts of ``gone`` serve, with these hosts."""
    queues = hosts_by_queue(deployments_of(_topology.tier_hosts("temporal_workers", groups, tiers), hostvars))
    return {queue: hosts for queue, hosts in queues.items() if set(hosts) <= set(gone)}


def _lost(before: Report, after: Report, losses: Sequence[str]) -> list[str]:
    """Sentences about every loss of ``losses`` that a tier survives before, and not after."""
    rows = {row["name"]: row for row in before["tiers"]}
    return [
        f"{row['group']}: it would no longer survive the loss of {LOSSES[loss]}: {row['reasons'][loss]}"
        for row in after["tiers"]
        for loss in losses
        if rows[row["name"]][f"survives_{loss}"] and not row[f"survives_{loss}"]
    ]


def scale_in_plan(
    groups: _topology.Groups,
    hostvars: _topology.HostVars,
    wishes: Mapping[str, Any],
    enabled: Mapping[str, Sequence[str]],
    begun: Mapping[str, Sequence[str]],
    reports: Sequence[Report],
    refusals: Sequence[Sequence[str]],
    tiers: _topology.Tiers | None = None,
) -> dict[str, Any]:
    """Return ``{hosts, steps, left, notes, problems}``; with ``problems`` no host must leave.

    ``wishes``: ``hosts_to_remove`` and ``accept_weaker``. ``enabled``: the enabled units of each host that is to leave.
    ``begun``: the tiers that it has begun to leave, by the marks on it.
    ``reports``: what the inventory survives with and without the hosts. ``refusals``: what preflight has against it
    with and without them; nobody could run ``site.yml`` on an inventory that it refuses.
    A step is ``{tier, title, hosts: [{name, zone, begun}], staying: [name]}``; ``left``: by tier, who left it before.

    Raises:
        TopologyError: ``hosts_to_remove`` is no list.
    """
    tiers = tiers or {}
    leaving = _names(wishes.get("hosts_to_remove") or [])
    known = _topology.cluster_hosts(groups, tiers)
    problems = [] if leaving else ["hosts_to_remove: names no host; write -e hosts_to_remove=[worker-c]"]
    problems += [f"hosts_to_remove: {host}: is no host of this cluster" for host in leaving if host not in known]
    without = groups_without(groups, leaving)
    if not _topology.cluster_hosts(without, tiers):
        problems.append("hosts_to_remove: names every host; nothing would be left of the cluster")
    before, after = reports
    emptied = _emptied(groups, without, tiers)
    problems += [problem for problem in refusals[1] if problem not in refusals[0]]
    weaker = [
        f"{group}: nobody would be left of it"
        for group in emptied
        if not any(problem.startswith(f"{group}:") for problem in problems)
    ]
    weaker += [
        f"task queue {queue}: only {', '.join(hosts)} would have served it, so its tasks would wait for ever"
        for queue, hosts in _orphans(groups, hostvars, leaving, tiers).items()
    ]
    weaker += [
        lost for lost in _lost(before, after, PROMISED) if not any(lost.startswith(f"{group}:") for group in emptied)
    ]
    if not wishes.get("accept_weaker"):
        problems += [f"{sentence}; {ACCEPT}" for sentence in weaker]
        weaker = []
    steps, left = _steps(groups, leaving, enabled, begun, tiers)
    notes = weaker + _lost(before, after, [loss for loss in LOSSES if loss not in PROMISED])
    return {"hosts": leaving, "steps": steps, "left": left, "notes": notes, "problems": problems}


def _steps(
    groups: _topology.Groups,
    leaving: Sequence[str],
    enabled: Mapping[str, Sequence[str]],
    begun: Mapping[str, Sequence[str]],
    tiers: _topology.Tiers,
) -> tuple[list[dict[str, Any]], dict[str, list[str]]]:
    """Return the steps, and by tier the hosts that have left it."""
    zone_of = {host: zone for zone in _topology.zone_names(groups) for host in groups[zone]}
    steps: list[dict[str, Any]] = []
    left: dict[str, list[str]] = {}
    for tier in ORDER:
        members = _topology.tier_hosts(tier, groups, tiers)
        hosts = [host for host in zone_of if host in members and host in leaving]
        halfway = [host for host in hosts if tier in begun.get(host, ())]
        here = [host for host in hosts if host in halfway or _is_in(tier, enabled.get(host, ()))]
        if gone := [host for host in hosts if host not in here]:
            left[tier] = gone
        if here:
            steps.append(
                {
                    "tier": tier,
                    "title": TITLES[tier],
                    "hosts": [{"name": host, "zone": zone_of[host], "begun": host in halfway} for host in here],
                    "staying": [host for host in members if host not in leaving],
                }
            )
    return steps, left


def _is_in(tier: str, enabled: Sequence[str]) -> bool:
    return any(fnmatchcase(unit, known) for unit in enabled for known in _rolling.UNITS[tier])


def enabled_units(services: Mapping[str, Mapping[str, Mapping[str, Any]]]) -> dict[str, list[str]]:
    """Return by host the units that start by themselves, from what ``service_facts`` says of each."""
    return {
        host: [name for name, service in found.items() if service.get("status") == "enabled"]
        for host, found in services.items()
    }


def scale_in_groups(
    plan: Mapping[str, Any], groups: _topology.Groups, leader: str = "", tiers: _topology.Tiers | None = None
) -> list[dict[str, Any]]:
    """Return the plan as groups of hosts, ``[{name, groups}]`` in the order in which the hosts leave.

    * ``leaving_TIER``: who leaves; ``staying_TIER``: the others of a tier that somebody leaves; ``left_TIER``, of which
      the topology knows: who has left it before; ``halfway_TIER``: who was about to when an earlier run ended.
    * ``forgetting_edge``: balancers whose servers leave; ``forgetting_database``: Temporal hosts whose databases leave.
    * When ``leader``, the primary of PostgreSQL, leaves: it and the Temporal hosts that stay are in the groups of a
      switchover.
    """
    steps = {step["tier"]: step for step in plan["steps"]}
    fewer = {*steps, *plan["left"]}
    found = [(host, f"left_{tier}") for tier, hosts in plan["left"].items() for host in hosts]
    for tier, step in steps.items():
        found += [(host["name"], f"leaving_{tier}") for host in step["hosts"]]
        found += [(host["name"], f"halfway_{tier}") for host in step["hosts"] if host["begun"]]
        found += [(host, f"staying_{tier}") for host in step["staying"]]

    def staying(tier: str) -> list[str]:
        return [host for host in _topology.tier_hosts(tier, groups, tiers) if host not in plan["hosts"]]

    if not fewer.isdisjoint(("temporal_ui", "temporal_servers")):
        found += [(host, "forgetting_edge") for host in staying("load_balancers")]
    if "postgresql" in fewer:
        found += [(host, "forgetting_database") for host in staying("temporal_servers")]
    if (leader, "leaving_postgresql") in found:
        found += [(leader, "rolling_switchover"), (leader, "rolling_postgresql_primary")]
        found += [(host, "rolling_switchover") for host in staying("temporal_servers")]
    return [{"name": host, "groups": [group]} for host, group in found]


def scale_in_text(plan: Mapping[str, Any]) -> str:
    """Return the plan for people."""
    if not plan["steps"]:
        verb = "have" if len(plan["hosts"]) > 1 else "has"
        lines = [f"Nothing is to be removed: {', '.join(plan['hosts']) or 'no host'} {verb} left the cluster already."]
    else:
        hosts = dict.fromkeys(host["name"] for step in plan["steps"] for host in step["hosts"])
        lines = [f"To leave the cluster: {counted(len(hosts), 'host')} in {counted(len(plan['steps']), 'step')}"]
    for number, step in enumerate(plan["steps"], start=1):
        lines.append(f"{number}. {step['title']}")
        lines += [f"   {host['zone']}  {host['name']}{', half-way' * host['begun']}" for host in step["hosts"]]
        lines.append(f"   {counted(len(step['staying']), 'host')} left: {', '.join(step['staying']) or 'none'}")
    if plan["notes"]:
        lines += ["Afterwards:", *(f"  - {note}" for note in plan["notes"])]
    return "\n".join(lines)
