"""What an inventory survives, and its single points of failure.

*Survives* means: after the loss the tier goes on by itself, within the time of an automatic failover; no acknowledged
write is lost; and what is left still fails over. Capacity is not judged: the hosts that remain must be able to carry
the load.

Every tier is a set of *requirements*, each of which says which losses it bears. A tier survives a loss when all of its
requirements do, so tiers that share a host are each judged on the loss of that host.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from ansible_collections.zerospof.temporal.plugins.module_utils._topology import (
    REQUIRED_TIERS,
    Groups,
    HostVars,
    Tiers,
    tier_group,
    tier_hosts,
    zone_names,
    zones_by_host,
)

SCHEMA_VERSION = 1
HA_PROFILES = ("ha_postgresql", "ha_cassandra")
OPTIONAL_TIERS = ("temporal_ui", "temporal_workers")
DEFAULT_REPLICATION_FACTOR = 3
SYNCHRONOUS_STANDBYS = 1
"""Standbys that hold every acknowledged write: ``synchronous_node_count`` of the role patroni."""
NO_WORKFLOW = "no workflow starts or goes on"
VARIABLES = (
    "temporal_worker_deployments",
    "patroni_config_overrides",
    "cassandra_rack",
    "cassandra_replication_factor",
)
DATABASE_ZONES = 3
LOSSES = {"any_one_host": "any 1 host", "any_one_az": "any 1 AZ", "any_two_hosts": "any 2 hosts"}
ASSUMPTIONS = (
    "Every az_* group fails by itself: no two of them share power, network or storage.",
    "The virtual address can move to every balancer: the zones share a layer 2 network.",
    "The hosts that remain can carry the load.",
    "Networks between the zones, DNS, clocks and the clients themselves are not judged.",
)


@dataclass(frozen=True, kw_only=True)
class Requirement:
    """Something that a tier needs of ``hosts``, the members of the inventory group ``group``.

    ``rule`` says what must live, ``broken`` what is left when it does not, ``effect`` what people see then, and
    ``remedy`` what makes it bear the loss of any host and of any zone; ``{groups}`` stands for the group there, so
    that equal remedies of several groups read as one sentence.
    """

    hosts: tuple[str, ...]
    group: str
    rule: str
    broken: str
    effect: str
    remedy: str

    def fails(self, lost: frozenset[str]) -> bool:
        """Tell whether the loss of exactly the hosts ``lost`` breaks the requirement."""
        raise NotImplementedError

    def breaking_set(self, size: int) -> tuple[str, ...] | None:
        """Return hosts, at most ``size`` of them, whose loss breaks the requirement; ``None`` when there are none."""
        raise NotImplementedError


@dataclass(frozen=True, kw_only=True)
class Threshold(Requirement):
    """A requirement that bears the loss of up to ``spare`` of its hosts, whichever they are.

    ``spare`` is -1 for a requirement that is not even met with all hosts up.
    """

    spare: int

    def fails(self, lost: frozenset[str]) -> bool:
        """See :meth:`Requirement.fails`."""
        return sum(host in lost for host in self.hosts) > self.spare

    def breaking_set(self, size: int) -> tuple[str, ...] | None:
        """See :meth:`Requirement.breaking_set`."""
        return self.hosts[: self.spare + 1] if self.spare < size else None


@dataclass(frozen=True, kw_only=True)
class Ring(Requirement):
    """Quorum on every token range of a Cassandra ring, by counting replicas over racks.

    NetworkTopologyStrategy puts a replica of a range on the next node of each new rack and, when there are fewer racks
    than replicas, ``replication_factor - racks`` more on nodes of racks that it has seen. So a loss costs some range at
    most one replica per rack that it touches, and one more for each further node of those racks up to that number of
    repeats. Which ranges lie on which nodes depends on the tokens; with virtual nodes nearly every combination occurs,
    so the worst case is taken as real. ``racks`` holds the rack of each of the ``hosts``.
    """

    racks: tuple[str, ...]
    replication_factor: int

    @property
    def repeats(self) -> int:
        """Replicas of a range that stand on racks which hold one already."""
        return max(0, self.replication_factor - len(set(self.racks)))

    @property
    def spare_replicas(self) -> int:
        """Replicas of a range that may be lost with a quorum left; negative when the nodes cannot hold a quorum."""
        return min(self.replication_factor, len(self.hosts)) - quorum(self.replication_factor)

    def fails(self, lost: frozenset[str]) -> bool:
        """See :meth:`Requirement.fails`."""
        racks = [rack for host, rack in zip(self.hosts, self.racks, strict=True) if host in lost]
        touched = len(set(racks))
        return touched + min(self.repeats, len(racks) - touched) > self.spare_replicas

    def breaking_set(self, size: int) -> tuple[str, ...] | None:
        """See :meth:`Requirement.breaking_set`."""
        first: dict[str, str] = {}
        for host, rack in zip(self.hosts, self.racks, strict=True):
            first.setdefault(rack, host)
        others = [host for host in self.hosts if host not in first.values()] if self.repeats else []
        worst = (*first.values(), *others[: self.repeats])[: max(0, self.spare_replicas + 1)]
        return worst if len(worst) <= size and self.fails(frozenset(worst)) else None


@dataclass(frozen=True)
class Tier:
    """A tier with all that it needs."""

    name: str
    group: str
    hosts: tuple[str, ...]
    requirements: tuple[Requirement, ...]


def quorum(replicas: int) -> int:
    """Return the smallest majority of ``replicas``."""
    return replicas // 2 + 1


class _Inventory:
    """The inventory with the questions that the tiers ask it."""

    def __init__(self, groups: Groups, hostvars: HostVars, profile: str, tiers: Tiers | None) -> None:
        self.groups = groups
        self.hostvars = hostvars
        self.profile = profile
        self.tiers = tiers
        self.zones = sorted(zone_names(groups))
        self.zones_by_host = zones_by_host(groups)

    def variable(self, host: str, name: str) -> Any:  # noqa: ANN401
        """Value of a variable of ``host``; ``None`` when it is not set."""
        return self.hostvars[host].get(name) if host in self.hostvars else None

    def hosts(self, tier: str) -> list[str]:
        """Hosts of ``tier``."""
        return tier_hosts(tier, self.groups, self.tiers)

    def rack(self, host: str) -> str:
        """Rack of a Cassandra node: its zone unless the host says otherwise."""
        return str(self.variable(host, "cassandra_rack") or ",".join(self.zones_by_host.get(host, [])))

    def replication_factor(self) -> int:
        """Replicas of each Cassandra range."""
        values = (self.variable(host, "cassandra_replication_factor") for host in self.hosts("cassandra"))
        return int(next((value for value in values if value is not None), DEFAULT_REPLICATION_FACTOR))

    def synchronous_standbys(self) -> int:
        """Standbys of PostgreSQL that hold every acknowledged write."""
        for host in self.hosts("postgresql"):
            overrides = self.variable(host, "patroni_config_overrides") or {}
            dynamic = overrides.get("bootstrap", {}).get("dcs", {})
            if "synchronous_node_count" in dynamic:
                return int(dynamic["synchronous_node_count"])
        return SYNCHRONOUS_STANDBYS

    def deployments(self) -> dict[str, list[str]]:
        """Hosts on which each worker deployment has instances."""
        found: dict[str, list[str]] = {}
        for host in self.hosts("temporal_workers"):
            for deployment in self.variable(host, "temporal_worker_deployments") or []:
                found.setdefault(str(deployment.get("name")), []).append(host)
        return found

    def spread(self, hosts: Sequence[str], zones: int, rule: str) -> str:
        """Return the remedy that brings ``hosts`` into ``zones`` zones; ``rule`` says what they must look like."""
        used = {zone for host in hosts for zone in self.zones_by_host.get(host, [])}
        free = [zone for zone in self.zones if zone not in used][: max(0, zones - len(used))]
        missing = zones - len(used) - len(free)
        free += ["a further az_* group"] * (missing == 1) + [f"{missing} further az_* groups"] * (missing > 1)
        return f"have in {{groups}} {rule}" + (f": add hosts of {_and(free)}" if free else "")


def _and(words: Iterable[str]) -> str:
    *most, last = words
    return f"{', '.join(most)} and {last}" if most else last


def _one_of(inventory: _Inventory, tier: str, hosts: Sequence[str], what: str, effect: str) -> Threshold:
    return Threshold(
        hosts=tuple(hosts),
        group=tier_group(tier, inventory.tiers),
        spare=len(hosts) - 1,
        rule=f"one {what} is enough",
        broken=f"no {what} is left",
        effect=effect,
        remedy=inventory.spread(hosts, 2, "hosts of at least two zones"),
    )


def _balancers(inventory: _Inventory, vip: str) -> Threshold:
    hosts = inventory.hosts("load_balancers")
    effect = "clients and workers do not reach the cluster"
    if vip or not hosts:
        return _one_of(inventory, "load_balancers", hosts, "balancer", effect)
    return Threshold(
        hosts=tuple(hosts),
        group=tier_group("load_balancers", inventory.tiers),
        spare=0,
        rule="there is no virtual address that moves to another balancer",
        broken="no virtual address moves to another balancer",
        effect="clients and workers that know the address of this balancer are cut off",
        remedy="set temporal_vip to a free address of the network of {groups}",
    )


def _workers(inventory: _Inventory) -> tuple[Threshold, ...]:
    hosts = inventory.hosts("temporal_workers")
    effect = "its tasks wait until a worker is back"
    deployments = inventory.deployments() or {"": hosts}
    return tuple(
        _one_of(inventory, "temporal_workers", on, f"worker host{' of ' * bool(name)}{name}", effect)
        for name, on in deployments.items()
    )


def _etcd(inventory: _Inventory) -> Threshold:
    hosts = inventory.hosts("etcd")
    needed = quorum(len(hosts))
    return Threshold(
        hosts=tuple(hosts),
        group=tier_group("etcd", inventory.tiers),
        spare=len(hosts) - needed,
        rule=f"a majority, {needed} of {len(hosts)} etcd members, must live",
        broken=f"fewer than {needed} of {len(hosts)} etcd members are left: failsafe mode keeps a PostgreSQL primary "
        "that still runs, but it no longer fails over",
        effect="PostgreSQL no longer fails over",
        remedy=_database_remedy(inventory, hosts),
    )


def _database_remedy(inventory: _Inventory, hosts: Sequence[str]) -> str:
    remedy = inventory.spread(hosts, DATABASE_ZONES, "three members in three zones")
    return f"{remedy}, and set temporal_profile: ha_postgresql" if inventory.profile == "basic" else remedy


def _postgresql(inventory: _Inventory) -> Threshold:
    """PostgreSQL under Patroni with synchronous replication.

    A single member stands alone. Otherwise a write is acknowledged only when a standby has it: two members must live,
    and no more may be lost together than hold every acknowledged write besides the primary.
    """
    hosts = inventory.hosts("postgresql")
    copies = inventory.synchronous_standbys()
    spare = max(0, min(copies, len(hosts) - 2)) if hosts else -1
    replicated = len(hosts) > 1
    remedy = _database_remedy(inventory, hosts)
    if len({zone for host in hosts for zone in inventory.zones_by_host.get(host, [])}) >= DATABASE_ZONES:
        remedy = f"have in {{groups}} at most {copies} in a zone, or a larger synchronous_node_count of Patroni"
    visibility = inventory.profile == "ha_cassandra"
    return Threshold(
        hosts=tuple(hosts),
        group=tier_group("postgresql", inventory.tiers),
        spare=spare,
        rule=f"2 of {len(hosts)} members must live, and {copies + 1} of them hold every acknowledged write"
        if replicated
        else "the only member must live",
        broken=f"more than {spare} of {len(hosts)} PostgreSQL members are gone: writes stop rather than be lost"
        if replicated
        else "no PostgreSQL member is left",
        effect="lists and searches of workflows fail; workflows run on" if visibility else NO_WORKFLOW,
        remedy=remedy,
    )


def cassandra_ring(inventory: _Inventory) -> Ring:
    """Return what the Cassandra ring of the inventory needs."""
    hosts = inventory.hosts("cassandra")
    factor = inventory.replication_factor()
    return Ring(
        hosts=tuple(hosts),
        group=tier_group("cassandra", inventory.tiers),
        racks=tuple(inventory.rack(host) for host in hosts),
        replication_factor=factor,
        rule=f"{quorum(factor)} of {factor} replicas of every range must live",
        broken=f"some ranges keep fewer than {quorum(factor)} of {factor} replicas",
        effect="workflows on the lost ranges stand still until a node is back",
        remedy=inventory.spread(hosts, 3, "cassandra_replication_factor: 3 and as many nodes in each of three zones"),
    )


def _tiers(inventory: _Inventory, vip: str) -> list[Tier]:
    requirements: dict[str, tuple[Requirement, ...]] = {
        "load_balancers": (_balancers(inventory, vip),),
        "temporal_servers": (
            _one_of(
                inventory,
                "temporal_servers",
                inventory.hosts("temporal_servers"),
                "Temporal server, which has its own PgBouncer and database proxy,",
                NO_WORKFLOW,
            ),
        ),
        "temporal_ui": (
            _one_of(
                inventory,
                "temporal_ui",
                inventory.hosts("temporal_ui"),
                "web UI",
                "people do not see the web UI; workflows run on",
            ),
        ),
        "temporal_workers": _workers(inventory),
        "cassandra": (cassandra_ring(inventory),),
        "postgresql": (_postgresql(inventory), _etcd(inventory)),
        "etcd": (_etcd(inventory),),
    }
    required = REQUIRED_TIERS.get(inventory.profile, REQUIRED_TIERS["ha_postgresql"])
    return [
        Tier(name, tier_group(name, inventory.tiers), tuple(hosts), needs)
        for name, needs in requirements.items()
        if (hosts := inventory.hosts(name)) or name in required
    ]


def _verdict_host_loss(tier: Tier, size: int) -> tuple[bool, str]:
    broken = [
        f"without {_and(example)}, {need.broken}" if example else need.broken
        for need in tier.requirements
        if (example := need.breaking_set(size)) is not None
    ]
    return not broken, "; ".join(broken or dict.fromkeys(need.rule for need in tier.requirements))


def _verdict_zone_loss(tier: Tier, inventory: _Inventory) -> tuple[bool, str]:
    broken = [f"{host} is in no az_* group" for host in tier.hosts if host not in inventory.zones_by_host]
    for need in tier.requirements:
        zones = [zone for zone in inventory.zones if need.fails(frozenset(inventory.groups[zone]))]
        if zones or need.fails(frozenset()):
            broken.append(f"without {_and(zones)}, {need.broken}" if zones else need.broken)
    return not broken, "; ".join(broken or dict.fromkeys(need.rule for need in tier.requirements))


def _verdicts(tier: Tier, inventory: _Inventory) -> dict[str, Any]:
    found = {
        "any_one_host": _verdict_host_loss(tier, 1),
        "any_one_az": _verdict_zone_loss(tier, inventory),
        "any_two_hosts": _verdict_host_loss(tier, 2),
    }
    return {
        **{f"survives_{loss}": survives for loss, (survives, _) in found.items()},
        "reasons": {loss: reason for loss, (_, reason) in found.items()},
    }


def _members(hosts: Sequence[str], inventory: _Inventory) -> dict[str, list[str]]:
    members: dict[str, list[str]] = {zone: [] for zone in inventory.zones}
    for host in hosts:
        for zone in inventory.zones_by_host.get(host, []):
            members[zone].append(host)
    return members


def _single_points_of_failure(tiers: Sequence[Tier], inventory: _Inventory) -> list[dict[str, Any]]:
    """Return the hosts, and the zones without such a host, whose loss alone breaks a requirement that is met."""
    broken: dict[tuple[str, str], list[tuple[Tier, Requirement]]] = {}
    for tier in tiers:
        for need in tier.requirements:
            if need.fails(frozenset()):
                continue
            one = need.breaking_set(1) is not None
            hosts = [host for host in need.hosts if one and need.fails(frozenset({host}))]
            for host in hosts:
                broken.setdefault(("host", host), []).append((tier, need))
            for zone in inventory.zones:
                lost = frozenset(inventory.groups[zone])
                if not lost.intersection(hosts) and need.fails(lost):
                    broken.setdefault(("az", zone), []).append((tier, need))
    return [
        {
            "name": name,
            "kind": kind,
            "zone": name if kind == "az" else ", ".join(inventory.zones_by_host.get(name, [])),
            "tiers": list(dict.fromkeys(tier.name for tier, _ in causes)),
            "effect": "; ".join(dict.fromkeys(need.effect for _, need in causes)),
            "remedy": _merged_remedy([need for _, need in causes]),
        }
        for (kind, name), causes in broken.items()
    ]


def _merged_remedy(needs: Sequence[Requirement]) -> str:
    groups: dict[str, dict[str, None]] = {}
    for need in needs:
        groups.setdefault(need.remedy, {})[need.group] = None
    return "; ".join(
        remedy.format(groups=f"group{'s' * (len(names) > 1)} {_and(names)}") for remedy, names in groups.items()
    )


def spof_report(
    groups: Groups, hostvars: HostVars, profile: str, vip: str = "", cluster: str = "", tiers: Tiers | None = None
) -> dict[str, Any]:
    """Return what the inventory survives, in the schema of ``docs/spof_report.md``.

    Reads of ``hostvars`` only what :data:`VARIABLES` names. An unknown ``profile`` is judged as ``ha_postgresql``.
    """
    inventory = _Inventory(groups, hostvars, profile, tiers)
    found = _tiers(inventory, vip)
    rows = [
        {
            "name": tier.name,
            "group": tier.group,
            "members": _members(tier.hosts, inventory),
            "unplaced": [host for host in tier.hosts if host not in inventory.zones_by_host],
            **_verdicts(tier, inventory),
        }
        for tier in found
    ]
    every_host = list(dict.fromkeys(host for tier in found for host in tier.hosts))
    return {
        "schema_version": SCHEMA_VERSION,
        "cluster": cluster,
        "profile": profile,
        "vip": vip,
        "zones": inventory.zones,
        "members": _members(every_host, inventory),
        **{f"survives_{loss}": all(row[f"survives_{loss}"] for row in rows) for loss in LOSSES},
        "tiers": rows,
        "single_points_of_failure": _single_points_of_failure(found, inventory),
        "assumptions": list(ASSUMPTIONS),
    }
