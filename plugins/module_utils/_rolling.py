"""In which order a live cluster is restarted: steps, batches, hosts, units and the reason of each.

Pure functions over what every host says of its units; nothing here talks to a host.

* A *tier* is one of the inventory; a *step* is a part of the plan: a tier, or the PostgreSQL primary by itself.
* A *batch* holds the hosts that restart side by side. It never holds hosts of two zones, with one exception: hosts on
  which nothing of the tier runs are started first and together, because nothing is lost by that and the gates after it
  need them. Hosts on which a part of it does not run, whose rest may serve, and those that an earlier run left half-way
  come next, zone by zone.
* ``states``: ``{host: {units: [{name, state, reasons}], interrupted: [tier], moves: {tier or unit: reason}, leader,
  holds_vip, rack, certificates}}`` of the hosts that the run may touch. ``interrupted`` are the tiers in which an
  earlier run left the host half-way, for example drained on the balancers. ``moves`` are the tiers whose release, or
  the units whose package, this run changes. ``leader``: the primary of PostgreSQL as this member of it sees it, empty
  when it sees none. ``rack``: the one of Cassandra. ``certificates``: those of ``certificates_info``.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import Any

from ansible_collections.zerospof.temporal.plugins.module_utils import _disk, _expiry, _topology, _units
from ansible_collections.zerospof.temporal.plugins.module_utils._text import counted

# The order of the steps and the units that each restarts. A unit of the database comes before what needs it.
UNITS: dict[str, tuple[str, ...]] = {
    "etcd": ("etcd.service",),
    "postgresql": ("patroni.service",),
    "cassandra": ("cassandra.service",),
    "temporal_servers": (
        "haproxy-database.service",
        "pgbouncer.service",
        "temporal-history.service",
        "temporal-matching.service",
        "temporal-worker.service",
        "temporal-frontend.service",
        "temporal-internal-frontend.service",
    ),
    "temporal_ui": ("temporal-ui.service",),
    "load_balancers": ("haproxy-edge.service", "keepalived.service"),
    "temporal_workers": ("temporal-sdk-worker@*.service", "temporal-sdk-worker-scaler.service"),
}
# Below these on a Temporal host nothing of it can work, so its services restart with them.
PATH_TO_DATABASE = UNITS["temporal_servers"][:2]
DATABASE_PROXY = PATH_TO_DATABASE[0]
PRIMARY = "postgresql_primary"
# Tiers in which the restart of one host moves something: it restarts after all others, so that it moves once.
LAST = frozenset({"postgresql", "load_balancers"})
TITLES = {
    "etcd": "etcd",
    "postgresql": "PostgreSQL replicas",
    PRIMARY: "PostgreSQL primary, after a switchover",
    "cassandra": "Cassandra",
    "temporal_servers": "Temporal",
    "temporal_ui": "web UI",
    "load_balancers": "balancers, the holder of the virtual address last",
    "temporal_workers": "workers",
}
DATABASES = ("etcd", "postgresql", "cassandra")
NOT_RUNNING = "it is not running"
FORCED = "asked for"
INTERRUPTED = "an earlier run was interrupted on this host"

States = Mapping[str, Mapping[str, Any]]


@dataclass(frozen=True)
class Wishes:
    """What the person asked for; ``batch_limit`` 0 is a whole zone.

    ``because``: only what waits for a file with this in its path; ``certificate_days``: how long every certificate of
    the cluster has to last; ``disk_free_percent``: how much of each disk of a database has to be free.
    """

    tiers: tuple[str, ...] = ()
    force: bool = False
    batch_limit: int = 0
    canary: bool = False
    accept_outage: bool = False
    because: str = ""
    certificate_days: int = 0
    disk_free_percent: float = 0.0


@dataclass(frozen=True)
class Due:
    """A host that restarts in a step, its units, and why; ``down``: nothing of the tier runs, ``ailing``: not all.

    ``missing``: what does not run.
    """

    name: str
    units: tuple[str, ...]
    reasons: tuple[str, ...]
    down: bool
    ailing: bool
    missing: tuple[str, ...] = ()


def due(host: str, tier: str, state: Mapping[str, Any], force: bool, because: str = "") -> Due | None:
    """Return what restarts on ``host`` in ``tier``, ``None`` when it runs with what is on disk."""
    units = [unit for unit in state["units"] if any(fnmatchcase(unit["name"], known) for known in UNITS[tier])]
    waiting = [
        unit
        for unit in units
        if unit["state"] == _units.PENDING and any(because in reason for reason in unit["reasons"])
    ]
    reasons = [f"{unit['name']}: {'; '.join(unit['reasons'])}" for unit in waiting]
    # What never ran, or ended because nobody needs it any more, is left alone.
    names = {unit["name"] for unit in (units if force else waiting) if unit["state"] != _units.NEW}
    moves = state.get("moves", {})
    changed = [unit["name"] for unit in units if unit["name"] in moves and unit["state"] != _units.NEW]
    reasons += [f"{unit}: {moves[unit]}" for unit in changed]
    names.update(changed)
    if move := moves.get(tier):
        reasons.append(move)
        # They are other software, which this run leaves as it is.
        names |= {unit["name"] for unit in units} - set(PATH_TO_DATABASE)
    if names.intersection(PATH_TO_DATABASE):
        # The pooler stops before the proxy below it and after the services above, if all restart together.
        names |= {unit["name"] for unit in units} - {DATABASE_PROXY}
    if force and not waiting and names:
        reasons.append(FORCED)
    if tier in state.get("interrupted", ()):
        reasons.append(INTERRUPTED)
    if not reasons:
        return None
    known = [unit["name"] for unit in units if unit["state"] != _units.NEW]
    missing = {unit["name"] for unit in units if unit["name"] in known and NOT_RUNNING in unit["reasons"]}
    # What nothing of this run restarts is brought back as what was drained is.
    down = bool(names) and bool(known) and len(missing) == len(known)
    return Due(host, _in_order(tier, names), tuple(reasons), down, bool(missing), _in_order(tier, missing))


def _in_order(tier: str, units: Collection[str]) -> tuple[str, ...]:
    """Return units of a tier as they rest on each other."""
    return tuple(name for known in UNITS[tier] for name in sorted(units) if fnmatchcase(name, known))


def largest_batch(tier: str, size: int, parts: int) -> int:
    """Return how many of ``size`` hosts of ``tier``, which stand in ``parts`` zones or racks, may restart at once.

    0 for a whole part, ``-1`` for none.
    """
    if tier == "etcd":
        return (size - 1) // 2 or -1
    if tier == "postgresql":
        # One standby is left to confirm writes.
        return size - 2 if size > 2 else -1
    if size > 1 and parts == 1:
        # The part is the whole tier.
        return size // 2
    return 0 if size > 1 else -1


def _cut(hosts: Sequence[Due], limit: int) -> list[list[Due]]:
    step = limit or max(len(hosts), 1)
    return [list(hosts[first : first + step]) for first in range(0, len(hosts), step)]


def _batches(hosts: Sequence[Due], parts: Mapping[str, tuple[str, str]], limit: int, canary: bool) -> list[list[Due]]:
    """Cut ``hosts``, in the order in which they restart, into batches of one part (a zone, or a rack of it) each."""
    down = [host for host in hosts if host.down]
    # What was left out of the traffic is back before others leave it.
    first = [host for host in hosts if not host.down and (host.ailing or INTERRUPTED in host.reasons)]
    batches = _by_part([host for host in hosts if not host.down and host not in first], parts, limit)
    if canary and batches and len(batches[0]) > 1:
        batches[0:1] = [batches[0][:1], batches[0][1:]]
    return [*([down] if down else []), *_by_part(first, parts, limit), *batches]


def _by_part(hosts: Sequence[Due], parts: Mapping[str, tuple[str, str]], limit: int) -> list[list[Due]]:
    by_part: dict[tuple[str, str], list[Due]] = {}
    for host in hosts:
        by_part.setdefault(parts[host.name], []).append(host)
    return [batch for part in by_part.values() for batch in _cut(part, limit)]


def names(value: object, variable: str = "tiers", example: str = "etcd,postgresql") -> list[str]:
    """Return a list of names from what ``-e`` gives: a list, or text such as ``[etcd,postgresql]`` or ``etcd``."""
    if isinstance(value, str):
        value = value.strip().strip("[]").split(",")
    if not isinstance(value, Sequence):
        raise _topology.TopologyError(f"{variable}: {value} is no list of names; write -e {variable}=[{example}]")
    return [name for name in (str(item).strip().strip("'\"") for item in value) if name]


def _understood(wishes: Mapping[str, Any]) -> tuple[Wishes, list[str]]:
    """Return what ``wishes`` mean, and why some of them mean nothing."""
    rest = dict(wishes)
    tiers = tuple(names(rest.pop("tiers", ())))
    days = int(rest.pop("certificate_days", 0))
    percent = float(rest.pop("disk_free_percent", 0))
    limit = str(rest.pop("batch_limit", 0)).strip()
    unknown = [name for name in tiers if name not in UNITS]
    problems = [f"tiers: {', '.join(unknown)}: not one of {', '.join(UNITS)}"] if unknown else []
    if not limit.isdecimal():
        problems.append(f"batch_limit: {limit} is no number of hosts; 0 is a whole zone")
    problems += [
        f"{name}: is no wish of a rolling restart; it knows tiers, force, batch_limit, canary and accept_outage"
        for name in rest.pop("misspelt", ())
    ]
    return Wishes(
        tiers=tiers,
        batch_limit=int(limit) if limit.isdecimal() else 0,
        certificate_days=days,
        disk_free_percent=percent,
        **rest,
    ), problems


def leaders(states: States, members: Sequence[str]) -> list[str]:
    """Return who leads PostgreSQL: one name, unless its ``members`` know none or do not agree."""
    told = [states[host].get("leader", "") for host in members if host in states]
    return sorted({leader for leader in told if leader})


def outage(group: str, size: int) -> str:
    """Say that a tier of ``size`` hosts does not serve while one of them restarts."""
    hosts = f"{size} host{'s' * (size > 1)}"
    return (
        f"{group}: {hosts} cannot serve while one of them restarts, so this is an outage; accept it with "
        "-e accept_outage=true"
    )


def _without_poolers(primary: str, missing: Sequence[str], group: str) -> str:
    return (
        f"{primary} leads PostgreSQL. While the leadership moves, the queries of every Temporal host have to wait, but "
        f"--limit leaves out {', '.join(missing)}: add {group} to it, or leave out {primary}"
    )


@dataclass(frozen=True)
class _Planner:
    """What every step of one plan rests on."""

    groups: _topology.Groups
    states: States
    asked: Wishes
    tiers: _topology.Tiers
    zones: Mapping[str, str]

    def members(self, tier: str) -> list[str]:
        """Hosts of ``tier`` zone by zone, in the order of the inventory."""
        hosts = set(_topology.tier_hosts(tier, self.groups, self.tiers))
        return [host for zone in _topology.zone_names(self.groups) for host in self.groups[zone] if host in hosts]

    def largest(self, tier: str) -> int:
        """See :func:`largest_batch`."""
        members = self.members(tier)
        return largest_batch(tier, len(members), len({self.part(tier, host) for host in members}))

    def part(self, tier: str, host: str) -> tuple[str, str]:
        """Return the zone and, of a tier that has racks, the rack of ``host``."""
        return self.zones[host], self.states.get(host, {}).get("rack", "") if tier == "cassandra" else ""

    def missing(self, tier: str) -> list[str]:
        """Hosts of ``tier`` that the run must not touch."""
        return [host for host in self.members(tier) if host not in self.states]

    def due(self, tier: str) -> list[Due]:
        """Hosts of ``tier`` that restart."""
        hosts = [host for host in self.members(tier) if host in self.states]
        return [
            found
            for host in hosts
            if (found := due(host, tier, self.states[host], self.asked.force, self.asked.because))
        ]

    def problem(self, tier: str, found: Sequence[Due]) -> str:
        """Say why ``tier`` must not restart; empty when it may."""
        size = len(self.members(tier))
        serves = any(not host.down for host in found)
        if serves and self.largest(tier) < 0 and not self.asked.accept_outage:
            return outage(_topology.tier_group(tier, self.tiers), size)
        return ""

    def leaders(self) -> list[str]:
        """See :func:`leaders`."""
        return leaders(self.states, self.members("postgresql"))

    def without_leader(self, found: Sequence[Due]) -> str:
        """Say why PostgreSQL must not restart as long as it is not known who leads it; empty when it may."""
        if len(self.members("postgresql")) == 1 or all(host.down for host in found) or len(self.leaders()) == 1:
            return ""
        group = _topology.tier_group("postgresql", self.tiers)
        told = f"its members name {' and '.join(self.leaders())}" if self.leaders() else "none of its members tells"
        return (
            f"{group}: {told} when asked who leads, and queries have to wait while the leader restarts; run"
            " patronictl list there, or mend what it rests on first, with -e tiers=[etcd]"
        )

    def is_last(self, tier: str, host: str) -> bool:
        """Tell whether the restart of ``host`` is the one that moves something."""
        moves = host in self.leaders() if tier == "postgresql" else bool(self.states[host].get("holds_vip"))
        return tier in LAST and moves

    def batches(self, tier: str, found: Sequence[Due]) -> tuple[list[list[Due]], list[list[Due]]]:
        """Return the batches of ``tier``, and those that must come after all of them."""
        size = len(self.members(tier))
        last = [host for host in found if size > 1 and not host.down and self.is_last(tier, host.name)]
        limits = [limit for limit in (self.asked.batch_limit, self.largest(tier)) if limit > 0]
        parts = {host: self.part(tier, host) for host in self.states}
        first = _batches([host for host in found if host not in last], parts, min(limits, default=0), self.asked.canary)
        return first, [[host] for host in last]

    def shown(self, name: str, tier: str, batches: Sequence[Sequence[Due]]) -> dict[str, Any]:
        """Return a step as the plan has it."""
        shown = [
            {
                "zone": ", ".join(dict.fromkeys(self.zones[host.name] for host in batch)),
                "hosts": [
                    {
                        "name": host.name,
                        "units": list(host.units),
                        "together": not set(PATH_TO_DATABASE).isdisjoint(host.units),
                        "reasons": list(host.reasons),
                        "down": host.down,
                        "ailing": host.ailing,
                        "missing": list(host.missing),
                        "interrupted": INTERRUPTED in host.reasons,
                    }
                    for host in batch
                ],
            }
            for batch in batches
        ]
        return {"step": name, "tier": tier, "title": TITLES[name], "batches": shown}


def rolling_plan(
    groups: _topology.Groups, states: States, wishes: Mapping[str, Any], tiers: _topology.Tiers | None = None
) -> dict[str, Any]:
    """Return ``{steps, left_out, problems}``.

    ``wishes`` has the keys of :class:`Wishes`, and in ``misspelt`` names that look like these. A step is ``{step, tier,
    title, batches: [{zone, hosts: [{name, units, together, reasons, down, ailing, missing, interrupted}]}]}``; that of
    the primary has the hosts whose queries are ``waiting`` meanwhile, too. Of units that restart ``together``, each
    rests on those before it. ``left_out``: hosts of the tiers that ``states`` does not tell of. With ``problems``
    nothing must be restarted.

    Raises:
        TopologyError: a host is not in exactly one zone, or ``tiers`` of the wishes is no list.
    """
    asked, problems = _understood(wishes)
    members = _topology.members(_topology.cluster_hosts(groups, tiers), defaultdict(dict), groups)
    planner = _Planner(groups, states, asked, tiers or {}, {member["name"]: member["zone"] for member in members})
    steps: list[dict[str, Any]] = []
    left_out: set[str] = set()
    for tier in [tier for tier in UNITS if tier in (asked.tiers or UNITS)]:
        left_out.update(planner.missing(tier))
        found = planner.due(tier)
        problems += filter(None, [planner.problem(tier, found)])
        if tier == "postgresql":
            problems += filter(None, [planner.without_leader(found)])
        first, last = planner.batches(tier, found)
        if tier != "postgresql":
            first, last = first + last, []
        if first:
            steps.append(planner.shown(tier, tier, first))
        if last:
            steps.append({**planner.shown(PRIMARY, tier, last), "waiting": planner.members("temporal_servers")})
            if missing := planner.missing("temporal_servers"):
                group = _topology.tier_group("temporal_servers", tiers)
                problems.append(_without_poolers(last[0][0].name, missing, group))
    if steps:
        # A service whose certificate has ended does not come back to its peers, and they will not be with it for long.
        found = {host: state.get("certificates", ()) for host, state in states.items()}
        problems += _expiry.certificate_problems(found, asked.certificate_days, authorities=False)
    if any(step["tier"] in DATABASES for step in steps):
        # What is down lets the log of those who stay grow, and who starts writes what it had in memory.
        disks = {host: state.get("disks", ()) for host, state in states.items()}
        problems += _disk.disk_problems(disks, asked.disk_free_percent)
    return {"steps": steps, "left_out": sorted(left_out), "problems": problems}


def rolling_groups(plan: Mapping[str, Any], observer: str = "") -> list[dict[str, Any]]:
    """Return the plan as groups of hosts, ``[{name, groups}]`` in the order in which the hosts restart.

    ``rolling_STEP`` holds the hosts of a step, ``rolling_STEP_batch_00001`` those of its first batch, and
    ``rolling_switchover`` the primary that hands over with the hosts whose queries wait meanwhile. ``rolling_watch`` is
    the ``observer`` on which a client watches, if anything is to be done.
    """
    watch = [{"name": observer, "groups": ["rolling_watch"]}] if observer and plan["steps"] else []
    switchover = [
        {"name": name, "groups": ["rolling_switchover"]}
        for step in plan["steps"]
        if step["step"] == PRIMARY
        for name in [*(host["name"] for batch in step["batches"] for host in batch["hosts"]), *step["waiting"]]
    ]
    batches = [
        {"name": host["name"], "groups": [f"rolling_{step['step']}", f"rolling_{step['step']}_batch_{number:05}"]}
        for step in plan["steps"]
        for number, batch in enumerate(step["batches"], start=1)
        for host in batch["hosts"]
    ]
    return [*watch, *switchover, *batches]


def rolling_serial(groups: _topology.Groups, step: str) -> list[int]:
    """Return the sizes of the batches of ``step`` from the groups that :func:`rolling_groups` made."""
    prefix = f"rolling_{step}_batch_"
    return [len(groups[name]) for name in sorted(groups) if name.startswith(prefix)]


def rolling_host(plan: Mapping[str, Any], step: str, host: str) -> dict[str, Any]:
    """Return what the plan says of ``host`` in ``step``.

    ``{name, units, together, reasons, down, ailing, missing, interrupted, tier, zone, batch, batches, hosts}``: batch
    ``batch`` of ``batches`` has ``hosts``.

    Raises:
        TopologyError: the plan has no such host in this step.
    """
    for found in plan["steps"]:
        for number, batch in enumerate(found["batches"], start=1):
            names = [one["name"] for one in batch["hosts"]]
            if found["step"] == step and host in names:
                mine = batch["hosts"][names.index(host)]
                count = len(found["batches"])
                place = {"zone": batch["zone"], "batch": number, "batches": count, "hosts": names}
                return {**mine, **place, "tier": found["tier"]}
    raise _topology.TopologyError(f"{host} is not in the plan of {step}")


def rolling_text(plan: Mapping[str, Any]) -> str:
    """Return the plan for people."""
    lines: list[str] = []
    if not plan["steps"]:
        lines.append("Nothing is to be restarted: every service that was looked at runs with what is on disk.")
    else:
        batches = sum(len(step["batches"]) for step in plan["steps"])
        hosts = {host["name"] for step in plan["steps"] for batch in step["batches"] for host in batch["hosts"]}
        lines.append(f"To be restarted: {counted(len(hosts), 'host')} in {counted(batches, 'batch', 'batches')}")
    for number, step in enumerate(plan["steps"], start=1):
        lines.append(f"{number}. {step['title']}: {counted(len(step['batches']), 'batch', 'batches')}")
        width = max(len(host["name"]) for batch in step["batches"] for host in batch["hosts"])
        for position, batch in enumerate(step["batches"], start=1):
            for host in batch["hosts"]:
                reasons = "; ".join(host["reasons"])
                lines.append(
                    f"   {position}/{len(step['batches'])}  {batch['zone']}  {host['name']:<{width}}  {reasons}"
                )
    if plan["left_out"]:
        lines.append(f"Not looked at, because --limit leaves them out: {', '.join(plan['left_out'])}")
    return "\n".join(lines)
