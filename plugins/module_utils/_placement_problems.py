"""What is wrong with the places and addresses of hosts, and with what a profile promises."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from ipaddress import ip_address, ip_network
from typing import Any

from ansible_collections.zerospof.temporal.plugins.module_utils import _patroni
from ansible_collections.zerospof.temporal.plugins.module_utils._cassandra import replication_problem
from ansible_collections.zerospof.temporal.plugins.module_utils._cluster import Cluster, Unresolved, nearest
from ansible_collections.zerospof.temporal.plugins.module_utils._spof import (
    HA_PROFILES,
    VARIABLES,
    spof_report,
)
from ansible_collections.zerospof.temporal.plugins.module_utils._text import listed
from ansible_collections.zerospof.temporal.plugins.module_utils._topology import (
    TIERS,
    ZONE_PREFIX,
    address_of,
    missing_tiers,
)

ZONES_OF_HA = 3
REPLICAS_OF_HA = 3
# What the nodes of one ring cannot have different values of: each computes the share of all others from its own.
OF_RING = ("cassandra_datacenter", "cassandra_replication_factor", "cassandra_tokens_per_node")
# After so many days Cassandra forgets that a row was deleted (gc_grace_seconds, 864000).
DAYS_OF_DELETIONS = 10
_HOST_NAME = re.compile(
    r"(?=.{1,253}$)[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?(\.[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?)*", re.IGNORECASE
)
# A rack or a data centre, between the blanks of a line of nodetool status.
_RING_NAME = re.compile(r"[\w.-]+", re.ASCII)

# az-c, AZ_C and azc, but not azure.
_ZONE_SLIP = re.compile(r"az(?:[^a-z0-9]+|(?=.$))(.+)", re.IGNORECASE)
# What lives only with a majority of its hosts, which one of two zones has.
TIERS_OF_MAJORITIES = ("postgresql", "etcd", "cassandra")


def placement_problems(cluster: Cluster) -> Iterator[str]:
    """Yield the problems of zones, tiers, promises and addresses; what follows from another of them is not told."""
    for check in (_zone_problems, _tier_problems, _claim_problems, _address_problems):
        yield from check(cluster)


def _used_zones(cluster: Cluster) -> list[str]:
    return sorted({zone for host in cluster.hosts for zone in cluster.zones_of.get(host, [])})


def _zone_problems(cluster: Cluster) -> Iterator[str]:
    unplaced = [host for host in cluster.tiers_of if host not in cluster.zones_of]
    slips = {
        group: (hint, hosts)
        for group, members in cluster.groups.items()
        if (hosts := [host for host in unplaced if host in members]) and (hint := _meant_zone(group, cluster.zones))
    }
    for group, (hint, hosts) in slips.items():
        yield (
            f"{group}: is no {ZONE_PREFIX}* group{hint}, so {listed(hosts)} {'stand' if hosts[1:] else 'stands'} in no "
            "zone; correct the name"
        )
    if not cluster.zones and not slips:
        yield f"inventory: has no {ZONE_PREFIX}* group; put every host into the group of its availability zone"
        return
    profile = cluster.value("temporal_profile")
    used = _used_zones(cluster)
    if profile in HA_PROFILES and len(used) < ZONES_OF_HA and not slips:
        yield (
            f"temporal_profile: {profile} needs hosts in {ZONES_OF_HA} {ZONE_PREFIX}* groups, but they are in "
            f"{len(used)} ({', '.join(used) or 'none'}): the loss of one of two zones takes every majority; "
            "add a third zone or set temporal_profile: basic"
        )
    told = {host for _, hosts in slips.values() for host in hosts}
    for host in unplaced:
        if host not in told:
            yield f"{host}: is in no {ZONE_PREFIX}* group; put it into the group of its availability zone"
    for host, zones in cluster.zones_of.items():
        if len(zones) > 1:
            yield f"{host}: is in {len(zones)} zones ({', '.join(zones)}); leave it in the one where it stands"


def _meant_zone(group: str, zones: Sequence[str]) -> str:
    """Return a hint at the zone that ``group`` was to be, if it looks like one; perhaps no host is in that yet."""
    slip = _ZONE_SLIP.fullmatch(group)
    return nearest(group.lower(), [*zones, *([ZONE_PREFIX + slip[1].lower()] if slip else [])])


def _tier_problems(cluster: Cluster) -> Iterator[str]:
    groups_of: dict[str, list[str]] = {}
    for group, hosts in cluster.groups.items():
        if group not in ("all", "ungrouped") and not group.startswith(ZONE_PREFIX):
            for host in hosts:
                groups_of.setdefault(host, []).append(group)
    names = [cluster.group(tier) for tier in TIERS]
    profile = cluster.value("temporal_profile")
    missing = missing_tiers(cluster.groups, profile, cluster.tiers)
    homeless: dict[str, list[str]] = {}
    # A group such as blue_etcd belongs to another cluster and is no slip of the pen.
    named_after = re.compile(rf"(^|.*_)({'|'.join(TIERS)})(_.*|$)").fullmatch
    for host in dict.fromkeys((*cluster.zones_of, *cluster.groups.get("ungrouped", ()))):
        if host in cluster.tiers_of or host == "localhost":
            continue
        others = groups_of.get(host, [])
        hints = [f"{other}{hint}" for other in others if not named_after(other) and (hint := nearest(other, names))]
        if hints or not others:
            homeless.setdefault(f" but in {', '.join(hints)}" if hints else "", []).append(host)
    without_hint = homeless.pop("", []) if missing else []
    candidates = f"; {listed(without_hint)} {'are' if without_hint[1:] else 'is'} in no tier" if without_hint else ""
    yield from (problem + candidates for problem in missing)
    for seen, hosts in homeless.items():
        for host in hosts:
            yield f"{host}: is in no tier{seen}; put it into one of the groups {', '.join(names)}, or take it out"
    if cluster.members("cassandra") and profile != "ha_cassandra":
        yield (
            f"{cluster.group('cassandra')}: the group has hosts, but profile {profile} uses none; "
            "set temporal_profile: ha_cassandra or take them out"
        )


def _claim_problems(cluster: Cluster) -> Iterator[str]:
    etcd = cluster.members("etcd")
    if etcd and len(etcd) % 2 == 0:
        yield (
            f"{cluster.group('etcd')}: has {len(etcd)} members ({listed(etcd)}); an even number survives no more than "
            f"{len(etcd) - 1} do: add or remove one"
        )
    profile = cluster.value("temporal_profile")
    told = list(_standby_problems(cluster, profile))
    yield from told
    groups = cluster.groups
    if profile == "ha_cassandra" and cluster.members("cassandra"):
        yield from _ring_problems(cluster)
        if copies := list(_copy_problems(cluster)):
            yield from copies
            groups = {**groups, cluster.group("cassandra"): []}
    if profile not in HA_PROFILES:
        return
    # Of what is told already, the claim is judged as if it were mended; a ring without nodes is no point of failure.
    variables: dict[str, dict[str, Any]] = {host: {} for host in cluster.hosts}
    for name in VARIABLES:
        if not (told and name in _patroni.VARIABLES):
            for host, value in cluster.by_host(name).items():
                variables[host][name] = value
    vip = cluster.value("temporal_vip") or "missing"
    report = spof_report(groups, variables, profile, vip=vip, tiers=cluster.tiers)
    few_zones = len(_used_zones(cluster)) < ZONES_OF_HA
    for point in report["single_points_of_failure"]:
        if few_zones and point["kind"] == "az" and set(TIERS_OF_MAJORITIES).issuperset(point["tiers"]):
            continue
        yield (
            f"{point['name']}: profile {profile} promises no single point of failure, but this {point['kind']} is one "
            f"({', '.join(point['tiers'])}): without it {point['effect']}; {point['remedy']}"
        )


def _standby_problems(cluster: Cluster, profile: str) -> Iterator[str]:
    """Yield what is wrong with the settings that decide how many standbys hold every acknowledged write."""
    members = cluster.members("postgresql")
    given = {name: cluster.by_host(name) for name in _patroni.VARIABLES}
    found: dict[tuple[str, str], list[str]] = {}
    for host in members:
        try:
            _, setting = _patroni.certain_standbys({name: of[host] for name, of in given.items() if host in of})
            fault = (
                f"profile {profile} promises that no acknowledged write is lost, but this lets the primary acknowledge "
                "writes that no standby has; take it out"
            )
        except _patroni.SettingError as error:
            setting, fault = error.setting, error.fault
        else:
            if profile not in HA_PROFILES:
                continue
        if setting:
            found.setdefault((setting, fault), []).append(host)
    for (setting, fault), hosts in found.items():
        yield f"{setting}{'' if len(hosts) == len(members) else f' on {listed(hosts)}'}: {fault}"


def _copy_problems(cluster: Cluster) -> Iterator[str]:
    """Yield why the nodes cannot hold as many copies of every row as it takes to lose a node, or a zone."""
    nodes = cluster.members("cassandra")
    racks = [rack for mine in _racks(cluster).values() for rack in mine]
    zones = len(_used_zones(cluster))
    factors = cluster.by_host("cassandra_replication_factor")
    for factor in dict.fromkeys(factors[node] for node in nodes if node in factors):
        if factor < REPLICAS_OF_HA:
            yield (
                f"cassandra_replication_factor: {factor} cannot keep a quorum without one node; profile ha_cassandra "
                f"needs at least {REPLICAS_OF_HA}"
            )
        elif problem := replication_problem(factor, nodes, racks, zones=zones):
            yield problem


def _ring_name_problems(cluster: Cluster) -> Iterator[str]:
    """Yield the names of racks and data centres that could not be read from what ``nodetool`` shows of the ring."""
    own = cluster.by_host("cassandra_rack")
    hosts_by_name: dict[tuple[str, str], list[str]] = {}
    for node, racks in _racks(cluster).items():
        for rack in racks:
            hosts_by_name.setdefault(("cassandra_rack" if own.get(node) else "zone", rack), []).append(node)
    for datacenter, hosts in cluster.values("cassandra_datacenter"):
        hosts_by_name.setdefault(("cassandra_datacenter", datacenter), []).extend(hosts)
    for (option, name), hosts in hosts_by_name.items():
        if not _RING_NAME.fullmatch(name):
            yield (
                f"{option} of {listed(hosts)}: {name!r} must be letters, digits, '_', '.' and '-', or the ring could "
                "not be read; rename it"
            )


def _racks(cluster: Cluster) -> dict[str, list[str]]:
    """The rack of each node of Cassandra: its own or its zone, of which it may wrongly have none or several."""
    own = cluster.by_host("cassandra_rack")
    return {
        node: [own[node]] if own.get(node) else cluster.zones_of.get(node, []) for node in cluster.members("cassandra")
    }


def _ring_problems(cluster: Cluster) -> Iterator[str]:
    nodes = cluster.members("cassandra")
    for option in OF_RING:
        nodes_by_value: dict[Any, list[str]] = {}
        values = cluster.by_host(option)
        for node in filter(values.__contains__, nodes):
            nodes_by_value.setdefault(values[node], []).append(node)
        if len(nodes_by_value) > 1:
            seen = "; ".join(f"{value} on {listed(those)}" for value, those in nodes_by_value.items())
            yield f"{option}: nodes differ ({seen}); set it once for the group {cluster.group('cassandra')}"
    yield from _ring_name_problems(cluster)
    for tokens, hosts in cluster.values("cassandra_tokens_per_node"):
        if tokens < 1:
            yield f"cassandra_tokens_per_node{cluster.where(hosts)}: {tokens} must be at least 1; 16 suits most rings"
    for days, hosts in cluster.values("cassandra_repair_interval_days"):
        if not 1 <= days < DAYS_OF_DELETIONS:
            yield (
                f"cassandra_repair_interval_days{cluster.where(hosts)}: {days} must be from 1 to "
                f"{DAYS_OF_DELETIONS - 1}, or rows come back whose deletion a node missed"
            )


def _address_problems(cluster: Cluster) -> Iterator[str]:
    addresses: dict[str, list[str]] = {}
    for host in cluster.hosts:
        variables = {k: v for k, v in cluster.hostvars[host].items() if not isinstance(v, Unresolved)}
        address = address_of(host, {host: variables})
        addresses.setdefault(address, []).append(host)
        if not _is_address(address):
            fault = "has no address" if address == host else f"{address} is no IP address, which the services need"
            yield f"{host}: {fault}; set {'ansible_host' if address == host else 'temporal_address'}"
        if not _HOST_NAME.fullmatch(host):
            yield f"{host}: is no host name, which its certificates need; rename the host in the inventory"
    for address, hosts in addresses.items():
        if len(hosts) > 1:
            yield f"{listed(hosts)}: have the same address {address}; give each its own ansible_host"
    vip = cluster.value("temporal_vip")
    balancers = cluster.members("load_balancers")
    if vip and not _is_address(vip):
        yield f"temporal_vip: {vip} is no IP address; give a free address of the network of the load balancers"
    elif vip in addresses:
        yield f"temporal_vip: {vip} is the address of {listed(addresses[vip])}; give an address that no host has"
    if balancers and vip == "":
        yield (
            f"temporal_vip: is empty, but there are load balancers ({listed(balancers)}); "
            "give a free address of their network"
        )
    for networks, hosts in cluster.values("temporal_client_networks"):
        for network in networks:
            if not _is_network(network):
                yield f"temporal_client_networks{cluster.where(hosts)}: {network} is no network such as 192.0.2.0/24"
    if balancers and cluster.value("temporal_firewall_enabled") and cluster.value("temporal_client_networks") == []:
        yield (
            "temporal_client_networks: is empty, so the firewall would let no client reach the load balancers; "
            "name the networks of the clients"
        )


def _is_address(text: str) -> bool:
    try:
        ip_address(text)
    except ValueError:
        return False
    return True


def _is_network(text: str) -> bool:
    try:
        ip_network(text, strict=False)
    except ValueError:
        return False
    return True
