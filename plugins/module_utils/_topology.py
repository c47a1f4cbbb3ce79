"""What an inventory says: which host stands in which availability zone and in which tier.

Pure functions over the two magic variables ``groups`` and ``hostvars``; nothing here talks to a host.

* ``groups``: mapping of group name to host names, both in inventory order.
* ``hostvars``: mapping of host name to that host's variables.
* ``tiers``: mapping of tier to the group that plays it; a tier that is not named there is the group of its own name.
* A *zone* is a group whose name starts with ``az_``. A *member* is ``{name, address, zone}``.
"""

from __future__ import annotations

import difflib
from collections.abc import Mapping, Sequence
from ipaddress import IPv4Network, IPv6Network, ip_network
from typing import Any, NotRequired, TypedDict

ZONE_PREFIX = "az_"
TIERS = (
    "load_balancers",
    "temporal_servers",
    "temporal_ui",
    "temporal_workers",
    "postgresql",
    "etcd",
    "cassandra",
    "monitoring",
)
REQUIRED_TIERS = {
    "basic": ("load_balancers", "temporal_servers", "postgresql", "etcd"),
    "ha_postgresql": ("load_balancers", "temporal_servers", "postgresql", "etcd"),
    "ha_cassandra": ("load_balancers", "temporal_servers", "cassandra", "postgresql", "etcd"),
}
CLIENTS = "clients"
# A slip of a letter or two, but not new_load_balancers, which belongs to another cluster.
SIMILARITY_OF_GROUPS = 0.9

Groups = Mapping[str, Sequence[str]]
HostVars = Mapping[str, Mapping[str, Any]]
Tiers = Mapping[str, str]


class Member(TypedDict):
    """One host of a tier as roles see it."""

    name: str
    address: str
    zone: str


class Opening(TypedDict):
    """One line of the firewall matrix: the ports, or the IP protocol, of tier ``to`` are reached from ``sources``."""

    to: str
    sources: Sequence[str]
    ports: NotRequired[Sequence[str]]
    protocol: NotRequired[str]
    at: NotRequired[str]


class TopologyError(ValueError):
    """The inventory does not answer the question; the message says where and what to do."""


def zone_names(groups: Groups) -> list[str]:
    """Names of the zones in inventory order, the order in which Ansible expands ``az_*``."""
    return [name for name in groups if name.startswith(ZONE_PREFIX)]


def zones_by_host(groups: Groups) -> dict[str, list[str]]:
    """Every zone that each host is in; a sound inventory has exactly one per host."""
    zones: dict[str, list[str]] = {}
    for zone in zone_names(groups):
        for host in groups[zone]:
            zones.setdefault(host, []).append(zone)
    return zones


def tier_group(tier: str, tiers: Tiers | None = None) -> str:
    """Name of the group that plays ``tier``."""
    return (tiers or {}).get(tier, tier)


def tier_hosts(tier: str, groups: Groups, tiers: Tiers | None = None) -> list[str]:
    """Hosts of ``tier`` in inventory order; none when the inventory has no such group."""
    return list(groups.get(tier_group(tier, tiers), ()))


def hosts_by_tier(groups: Groups, tiers: Tiers | None = None) -> dict[str, list[str]]:
    """Hosts of every tier that has any."""
    return {tier: hosts for tier in TIERS if (hosts := tier_hosts(tier, groups, tiers))}


def missing_tiers(groups: Groups, profile: str, tiers: Tiers | None = None) -> list[str]:
    """Say for each tier that ``profile`` requires and that has no host what is missing."""
    played = {tier_group(tier, tiers) for tier in TIERS}
    others = [name for name, hosts in groups.items() if hosts and name not in played]
    found = []
    for tier in REQUIRED_TIERS.get(profile, ()):
        if not tier_hosts(tier, groups, tiers):
            group = tier_group(tier, tiers)
            alike = difflib.get_close_matches(group, others, n=1, cutoff=SIMILARITY_OF_GROUPS)
            slip = f" or, if {alike[0]} is meant, correct that name" if alike else ""
            found.append(f"{group}: the group has no host, but profile {profile} needs one; add hosts to it{slip}")
    return found


def tiers_by_host(groups: Groups, tiers: Tiers | None = None) -> dict[str, list[str]]:
    """Every tier that each host is in, in the order of :data:`TIERS`."""
    found: dict[str, list[str]] = {}
    for tier in TIERS:
        for host in tier_hosts(tier, groups, tiers):
            found.setdefault(host, []).append(tier)
    return found


def tiers_of(host: str, groups: Groups, tiers: Tiers | None = None) -> list[str]:
    """Tiers of one host."""
    return [tier for tier in TIERS if host in groups.get(tier_group(tier, tiers), ())]


def cluster_hosts(groups: Groups, tiers: Tiers | None = None) -> list[str]:
    """Hosts of all tiers, each once."""
    return list(tiers_by_host(groups, tiers))


def cluster_inputs(
    groups: Groups, hostvars: HostVars, specs: Mapping[str, Mapping[str, Any]], tiers: Tiers | None = None
) -> dict[str, Any]:
    """Collection-wide inputs of the cluster: as its first host has them, else their default.

    ``specs`` maps the name of a role to its argument specification. Inputs without a value are left out, and so are
    templates, which mean something else on each host. That all hosts agree is for preflight to check.
    """
    options: Mapping[str, Any] = specs["temporal"]["main"]["options"]
    variables = next((hostvars[host] for host in cluster_hosts(groups, tiers) if host in hostvars), {})
    found = {name: option["default"] for name, option in options.items() if "default" in option}
    found = {name: value for name, value in found.items() if not (isinstance(value, str) and "{{" in value)}
    return {**found, **{name: variables[name] for name in found if name in variables}}


def address_of(host: str, hostvars: HostVars) -> str:
    """Address under which other hosts reach ``host``: ``temporal_address``, else ``ansible_host``, else its name."""
    variables = hostvars[host]
    return str(variables.get("temporal_address") or variables.get("ansible_host") or host)


def _only_zone(host: str, zones: Mapping[str, Sequence[str]]) -> str:
    found = zones.get(host, ())
    if len(found) != 1:
        raise TopologyError(f"{host}: must be in exactly one {ZONE_PREFIX}* group, is in: {', '.join(found) or 'none'}")
    return found[0]


def members(hosts: Sequence[str], hostvars: HostVars, groups: Groups) -> list[Member]:
    """Hosts of a tier with their addresses and zones, in inventory order.

    Raises:
        TopologyError: a host is in no zone or in more than one.
    """
    zones = zones_by_host(groups)
    return [Member(name=host, address=address_of(host, hostvars), zone=_only_zone(host, zones)) for host in hosts]


def zone_batches(hosts: Sequence[str], groups: Groups, limit: int = 0) -> list[int]:
    """Sizes of the batches in which a play over ``az_*:&hosts`` goes zone by zone; the value of its ``serial``.

    ``limit`` is the largest batch (0: a whole zone): a zone of 5 with a limit of 2 gives 2, 2, 1.

    Raises:
        TopologyError: a host is in no zone or in more than one, so that batches would mix zones.
    """
    zones = zones_by_host(groups)
    sizes = dict.fromkeys(zone_names(groups), 0)
    for host in hosts:
        sizes[_only_zone(host, zones)] += 1
    batches: list[int] = []
    for size in sizes.values():
        step = limit if limit > 0 else max(size, 1)
        batches += [min(step, size - done) for done in range(0, size, step)]
    return batches


def _source_key(source: str) -> tuple[int, Any]:
    network = _as_network(source)
    return (0, source) if network is None else (network.version, (int(network.network_address), network.prefixlen))


def _as_network(source: str) -> IPv4Network | IPv6Network | None:
    try:
        return ip_network(source, strict=False)
    except ValueError:
        return None


def _without_covered(sources: set[str]) -> list[str]:
    """Sources in order, less the addresses that a network of the list holds: nftables refuses overlapping intervals."""
    networks = {source: _as_network(source) for source in sources}
    wide = [network for network in networks.values() if network is not None and network.num_addresses > 1]

    def covered(network: IPv4Network | IPv6Network | None) -> bool:
        return network is not None and any(
            other != network and other.version == network.version and network.subnet_of(other)  # type: ignore[arg-type]
            for other in wide
        )

    return sorted((source for source, network in networks.items() if not covered(network)), key=_source_key)


def firewall_rules(
    host: str,
    matrix: Sequence[Opening],
    groups: Groups,
    hostvars: HostVars,
    ports: Mapping[str, int],
    client_networks: Sequence[str] = (),
    tiers: Tiers | None = None,
    vip: str = "",
) -> list[dict[str, Any]]:
    """Rules of ``host``: ``{port, sources}`` or ``{protocol, sources}``, one per port, ports in order.

    A port that is served on the virtual address alone has a rule of its own, ``{port, address, sources}``, before the
    one for all other addresses: whoever may reach the service at ``vip`` does not reach another one at the same port.

    A source is a tier or ``clients``, which stands for ``client_networks``. A port with an empty list of sources is
    reached from the host itself only. A tier that the inventory does not have opens nothing.

    Raises:
        TopologyError: the matrix names a tier or a port that does not exist.
    """
    on_host = tiers_of(host, groups, tiers)
    sources_by_tier: dict[str, list[str]] = {CLIENTS: list(client_networks)}
    opened: dict[tuple[str, Any, str], set[str]] = {}
    for opening in matrix:
        unknown = [name for name in (opening["to"], *opening["sources"]) if name not in (*TIERS, CLIENTS)]
        if unknown:
            raise TopologyError(f"firewall matrix: {', '.join(unknown)}: not one of {', '.join((*TIERS, CLIENTS))}")
        if opening["to"] not in on_host:
            continue
        at = vip if opening.get("at") == "vip" else ""
        keys: list[tuple[str, Any, str]] = [("port", port, at) for port in _port_numbers(opening, ports)]
        if "protocol" in opening:
            keys.append(("protocol", opening["protocol"], at))
        for tier in opening["sources"]:
            if tier not in sources_by_tier:
                sources_by_tier[tier] = [address_of(name, hostvars) for name in tier_hosts(tier, groups, tiers)]
        allowed = {address for tier in opening["sources"] for address in sources_by_tier[tier]}
        for key in keys:
            opened.setdefault(key, set()).update(allowed)
    return [
        {kind: value, **({"address": at} if at else {}), "sources": _without_covered(opened[kind, value, at])}
        for kind, value, at in sorted(opened, key=lambda key: (key[0], key[1], not key[2]))
    ]


def _port_numbers(opening: Opening, ports: Mapping[str, int]) -> list[int]:
    missing = [name for name in opening.get("ports", ()) if name not in ports]
    if missing:
        raise TopologyError(
            f"temporal_ports: {', '.join(missing)} of {opening['to']} is missing; give all ports when you change one"
        )
    return [int(ports[name]) for name in opening.get("ports", ())]


def tier_ports(on_host: Sequence[str], matrix: Sequence[Opening], ports: Mapping[str, int]) -> list[dict[str, Any]]:
    """Ports that a host with the tiers ``on_host`` listens on: ``{name, port, at}`` in the order of the matrix.

    ``at`` is ``host`` or, for a service that listens on the virtual address alone, ``vip``.
    """
    found: dict[tuple[str, str], dict[str, Any]] = {}
    for opening in matrix:
        if opening["to"] in on_host:
            at = opening.get("at", "host")
            for name, port in zip(opening.get("ports", ()), _port_numbers(opening, ports), strict=True):
                found.setdefault((name, at), {"name": name, "port": port, "at": at})
    return list(found.values())


def host_ports(
    host: str,
    matrix: Sequence[Opening],
    groups: Groups,
    ports: Mapping[str, int],
    tiers: Tiers | None = None,
) -> list[dict[str, Any]]:
    """Ports that the services of ``host`` listen on, as :func:`tier_ports` returns them."""
    return tier_ports(tiers_of(host, groups, tiers), matrix, ports)
