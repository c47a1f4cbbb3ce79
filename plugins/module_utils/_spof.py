"""What an inventory survives, and its single points of failure.

*Survives* means: after the loss the tier goes on by itself, within the time of an automatic failover; no acknowledged
write is lost; and what is left still fails over. Capacity is not judged: the hosts that remain must be able to carry
the load.

Every tier is a set of *requirements*, each of which says which losses it bears. A tier survives a loss when all of its
requirements do, so tiers that share a host are each judged on the loss of that host.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ansible.module_utils.common.validation import check_type_int
from ansible_collections.zerospof.temporal.plugins.module_utils import _patroni
from ansible_collections.zerospof.temporal.plugins.module_utils._ring_safety import (
    RingSafety,
    founding_ring,
    quorum,
)
from ansible_collections.zerospof.temporal.plugins.module_utils._text import joined, listed, percent
from ansible_collections.zerospof.temporal.plugins.module_utils._topology import (
    REQUIRED_TIERS,
    Groups,
    HostVars,
    Tiers,
    TopologyError,
    tier_group,
    tier_hosts,
    zone_names,
    zones_by_host,
)
from ansible_collections.zerospof.temporal.plugins.module_utils._workers import hosts_by_queue

SCHEMA_VERSION = 1
HA_PROFILES = ("ha_postgresql", "ha_cassandra")
OPTIONAL_TIERS = ("temporal_ui", "temporal_workers")
DEFAULT_REPLICATION_FACTOR = 3
REPLICATION_FACTOR_OF_ANY_PAIR = 5
DEFAULT_TOKENS_PER_NODE = 16
DEFAULT_HISTORY_SHARDS = 512
NO_WORKFLOW = "no workflow starts or goes on"
VARIABLES = (
    "temporal_worker_deployments",
    *_patroni.VARIABLES,
    "cassandra_rack",
    "cassandra_replication_factor",
    "cassandra_tokens_per_node",
    "temporal_history_shards",
)
DATABASE_ZONES = 3
UNEVEN = 2
"""A node that holds so many times the data of another is worth a hint."""
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

    def breakage(self, lost: frozenset[str]) -> str:
        """Return what is left without the hosts ``lost``, which break the requirement."""
        return self.broken

    def shares(self, size: int) -> str:
        """Return how many of the sets of ``size`` hosts may be lost, as words; empty when nobody counts them."""
        return ""


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
    """Quorum on every token range of a Cassandra ring, whatever tokens its nodes have.

    A ring gets other tokens whenever a node joins it, so a promise is one only when it holds for any.
    ``founded`` is the ring that the hosts found; it shows what a loss takes on the first day. ``None`` without hosts.
    """

    founded: RingSafety | None

    def fails(self, lost: frozenset[str]) -> bool:
        """See :meth:`Requirement.fails`."""
        return self.founded is None or not self.founded.is_guaranteed(lost)

    def breaking_set(self, size: int) -> tuple[str, ...] | None:
        """See :meth:`Requirement.breaking_set`: of the smallest sets, the one that takes most on the first day."""
        if self.founded is None:
            return ()
        worst = (names for smaller in range(size + 1) for names, _ in self.founded.worst(smaller))
        return next(worst, None)

    def breakage(self, lost: frozenset[str]) -> str:
        """See :meth:`Requirement.breakage`."""
        if self.founded is None:
            return self.broken
        loss, shards = self.founded.loss(lost), self.founded.history_shards
        short = f"keep fewer than {self.founded.quorum} of {self.founded.ring.replication_factor} replicas"
        if not loss.ranges:
            return f"ranges can {short} once a node has joined with tokens of its own"
        return f"{percent(loss.ranges)} of the ranges and {len(loss.shards)} of {shards} history shards {short}"

    def shares(self, size: int) -> str:
        """See :meth:`Requirement.shares`."""
        if self.founded is None:
            return ""
        told = self.founded.sets(size)
        always = f", {told['guaranteed']} whatever the tokens" if told["guaranteed"] != told["safe"] else ""
        return f"{told['safe']} of {told['total']} {'pairs' if size > 1 else 'nodes'} can be lost{always}"


@dataclass(frozen=True)
class Tier:
    """A tier with all that it needs."""

    name: str
    group: str
    hosts: tuple[str, ...]
    requirements: tuple[Requirement, ...]


class _Inventory:
    """The inventory with the questions that the tiers ask it."""

    def __init__(self, groups: Groups, hostvars: HostVars, profile: str, tiers: Tiers | None) -> None:
        self.groups = groups
        self.hostvars = hostvars
        self.profile = profile
        self.tiers = tiers
        self.zones = sorted(zone_names(groups))
        self.zones_by_host = zones_by_host(groups)
        # Ansible puts the variables of a host together anew at every access.
        self.variables: dict[str, Mapping[str, Any]] = {}

    def variable(self, host: str, name: str) -> Any:  # noqa: ANN401
        """Value of a variable of ``host``; ``None`` when it is not set."""
        if host not in self.hostvars:
            return None
        if host not in self.variables:
            self.variables[host] = self.hostvars[host]
        return self.variables[host].get(name)

    def hosts(self, tier: str) -> list[str]:
        """Hosts of ``tier``."""
        return tier_hosts(tier, self.groups, self.tiers)

    def rack(self, host: str) -> str:
        """Rack of a Cassandra node: its zone unless the host says otherwise."""
        return str(self.variable(host, "cassandra_rack") or ",".join(self.zones_by_host.get(host, [])))

    def of_ring(self, name: str, default: int) -> int:
        """Value of a number that all Cassandra nodes share."""
        for host in self.hosts("cassandra"):
            value = self.variable(host, name)
            if value is not None:
                try:
                    return int(check_type_int(value))
                except TypeError:
                    raise TopologyError(f"{name} of {host}: {value!r} must be a number; correct the value") from None
        return default

    def certain_standbys(self) -> tuple[int, str]:
        """Standbys of PostgreSQL that hold every acknowledged write, and the setting that lets there be none.

        The setting is that of the whole cluster, so where hosts differ, the one that promises least counts.
        """
        found = []
        for host in self.hosts("postgresql"):
            given = {name: value for name in _patroni.VARIABLES if (value := self.variable(host, name)) is not None}
            try:
                found.append(_patroni.certain_standbys(given))
            except _patroni.SettingError as error:
                raise TopologyError(f"{error.setting} of {host}: {error.fault}") from None
        return min(found, default=(_patroni.SYNCHRONOUS_STANDBYS, ""))

    def queues(self) -> dict[str, list[str]]:
        """Hosts that take the tasks of each task queue."""
        declared = []
        for host in self.hosts("temporal_workers"):
            deployments = self.variable(host, "temporal_worker_deployments") or []
            # What a wrong one holds may be secret.
            if not isinstance(deployments, list | tuple) or not all(isinstance(one, Mapping) for one in deployments):
                raise TopologyError(
                    f"temporal_worker_deployments of {host}: must be a list of dictionaries; see docs/variables.md"
                )
            declared += [(host, deployment) for deployment in deployments]
        return hosts_by_queue(declared)

    def spread(self, hosts: Sequence[str], zones: int, rule: str) -> str:
        """Return the remedy that brings ``hosts`` into ``zones`` zones; ``rule`` says what they must look like."""
        used = {zone for host in hosts for zone in self.zones_by_host.get(host, [])}
        free = [zone for zone in self.zones if zone not in used][: max(0, zones - len(used))]
        missing = zones - len(used) - len(free)
        free += ["a further az_* group"] * (missing == 1) + [f"{missing} further az_* groups"] * (missing > 1)
        return f"have in {{groups}} {rule}" + (f": add hosts of {joined(free)}" if free else "")


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
    return tuple(
        _one_of(inventory, "temporal_workers", on, f"worker host{' of ' * bool(queue)}{queue}", effect)
        for queue, on in (inventory.queues() or {"": hosts}).items()
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
    copies, without_copy = inventory.certain_standbys()
    spare = max(0, min(copies, len(hosts) - 2)) if hosts else -1
    zones = {zone for host in hosts for zone in inventory.zones_by_host.get(host, [])}
    rule = f"2 of {len(hosts)} members must live, and {copies + 1} of them hold every acknowledged write"
    broken = f"more than {spare} of {len(hosts)} PostgreSQL members are gone: writes stop rather than be lost"
    remedies = []
    if len(zones) < DATABASE_ZONES:
        remedies.append(_database_remedy(inventory, hosts))
    elif not without_copy:
        remedies.append(f"have in {{groups}} at most {copies} in a zone, or a larger synchronous_node_count of Patroni")
    if len(hosts) < 2:
        rule, broken = "the only member must live", "no PostgreSQL member is left"
    elif without_copy:
        rule = f"{without_copy} lets the primary acknowledge writes that no standby has"
        broken = f"acknowledged writes can be lost: {rule}"
        remedies.append(f"take {without_copy} out, so that a standby of {{groups}} holds every acknowledged write")
    visibility = inventory.profile == "ha_cassandra"
    effect = "lists and searches of workflows fail; workflows run on" if visibility else NO_WORKFLOW
    if len(hosts) > 1 and without_copy:
        effect = "acknowledged writes can be lost"
    return Threshold(
        hosts=tuple(hosts),
        group=tier_group("postgresql", inventory.tiers),
        spare=spare,
        rule=rule,
        broken=broken,
        effect=effect,
        remedy=", and ".join(remedies),
    )


def _founded(inventory: _Inventory, factor: int) -> RingSafety | None:
    nodes = [
        {"name": host, "zone": ",".join(inventory.zones_by_host.get(host, [])), "rack": inventory.rack(host)}
        for host in inventory.hosts("cassandra")
    ]
    if not nodes:
        return None
    # That a number cannot be is for preflight to say.
    tokens = max(1, inventory.of_ring("cassandra_tokens_per_node", DEFAULT_TOKENS_PER_NODE))
    return RingSafety(
        founding_ring(nodes, max(1, factor), tokens),
        inventory.of_ring("temporal_history_shards", DEFAULT_HISTORY_SHARDS),
    )


def _cassandra(inventory: _Inventory) -> Ring:
    hosts = inventory.hosts("cassandra")
    factor = inventory.of_ring("cassandra_replication_factor", DEFAULT_REPLICATION_FACTOR)
    remedy = inventory.spread(hosts, 3, "the same number of nodes in each of three zones")
    if factor != DEFAULT_REPLICATION_FACTOR:
        remedy += f", and set cassandra_replication_factor: {DEFAULT_REPLICATION_FACTOR}"
    if factor >= REPLICATION_FACTOR_OF_ANY_PAIR:
        remedy += f"; or at least {factor} racks (cassandra_rack) with at most {factor - quorum(factor)} in a zone"
    return Ring(
        hosts=tuple(hosts),
        group=tier_group("cassandra", inventory.tiers),
        founded=_founded(inventory, factor),
        rule=f"{quorum(factor)} of {factor} replicas of every range must live",
        broken="no Cassandra node is left",
        effect="workflows on the lost ranges stand still until a node is back",
        remedy=remedy,
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
        "cassandra": (_cassandra(inventory),),
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
    broken = []
    for need in tier.requirements:
        example = need.breaking_set(size)
        if example is not None:
            left = need.breakage(frozenset(example))
            broken += filter(None, (need.shares(size), f"without {joined(example)}, {left}" if example else left))
    return not broken, "; ".join(broken or dict.fromkeys(need.rule for need in tier.requirements))


def _verdict_zone_loss(tier: Tier, inventory: _Inventory) -> tuple[bool, str]:
    broken = [f"{host} is in no az_* group" for host in tier.hosts if host not in inventory.zones_by_host]
    for need in tier.requirements:
        if need.fails(frozenset()):
            broken.append(need.breakage(frozenset()))
            continue
        zones: dict[str, list[str]] = {}
        for zone in inventory.zones:
            lost = frozenset(inventory.groups[zone])
            if need.fails(lost):
                zones.setdefault(need.breakage(lost), []).append(zone)
        broken += [f"without {joined(names, 'or')}, {left}" for left, names in zones.items()]
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


def _ring_row(tier: Tier) -> dict[str, Any]:
    rings = [need.founded for need in tier.requirements if isinstance(need, Ring) and need.founded]
    return {"ring": rings[0].report()} if rings else {}


def _hints(rows: Iterable[Mapping[str, Any]]) -> list[str]:
    """Return a sentence on each ring whose nodes hold very different shares of the data, as unequal zones make them."""
    hints = []
    for row in rows:
        if "ring" not in row:
            continue
        shares = {name: held["ranges"] for name, held in row["ring"]["load"].items()}
        least, most = min(shares.values()), max(shares.values())
        # Founders of a rack have the same share but for some digits.
        heavy = [name for name, share in shares.items() if round(share / most, 2) == 1]
        if round(most / least, 2) >= UNEVEN:
            verb, each = ("hold", " each") if heavy[1:] else ("holds", "")
            hints.append(
                f"{row['name']}: {listed(heavy)} {verb} {percent(most)} of all data{each}, others down to "
                f"{percent(least)}; have in group {row['group']} the same number of nodes in every zone, or give more "
                "disk and processors to those with more data"
            )
    return hints


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
        remedy.format(groups=f"group{'s' * (len(names) > 1)} {joined(names)}") for remedy, names in groups.items()
    )


def without(
    groups: Groups,
    hostvars: HostVars,
    lost: Iterable[str],
    profile: str,
    vip: str = "",
    tiers: Tiers | None = None,
    only: Sequence[str] = (),
) -> list[str]:
    """Return what breaks when exactly the hosts ``lost`` go, one sentence each; empty when that is survived.

    With ``only``, the hosts lose nothing but what they have of these tiers.
    """
    inventory = _Inventory(groups, hostvars, profile, tiers)
    gone = frozenset(lost)
    return list(
        dict.fromkeys(
            f"without {joined([host for host in need.hosts if host in gone])}, {need.breakage(gone)}: {need.effect}"
            if gone.intersection(need.hosts)
            else f"{need.breakage(gone)}: {need.effect}"
            for tier in _tiers(inventory, vip)
            if not only or tier.name in only
            for need in tier.requirements
            if need.fails(gone)
        )
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
            **_ring_row(tier),
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
        "hints": _hints(rows),
        "assumptions": list(ASSUMPTIONS),
    }
