"""What makes a host unfit, as sentences that say what to do; the module ``host_check`` reads, this file judges."""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

_LISTENING = "0A"


@dataclass(frozen=True)
class Listener:
    """A process that listens on a TCP port; ``unit`` is its systemd unit, empty when it has none."""

    port: int
    process: str
    pid: int
    unit: str


@dataclass(frozen=True)
class Interface:
    """A network interface with its addresses as ``address/prefix``."""

    name: str
    addresses: tuple[str, ...]


@dataclass(frozen=True)
class Host:
    """What the module saw: ``system`` is for example ``debian 13``; ``managed_units`` are those of the collection."""

    system: str
    architecture: str
    systemd: bool
    root: bool
    interfaces: tuple[Interface, ...] = ()
    listeners: tuple[Listener, ...] = ()
    managed_units: frozenset[str] = field(default_factory=frozenset)


def parse_os_release(text: str) -> str:
    """Return ``<id> <version>`` from the text of ``/etc/os-release``."""
    pairs = dict(line.split("=", 1) for line in text.splitlines() if "=" in line)
    return " ".join(pairs.get(key, "").strip("\"'") for key in ("ID", "VERSION_ID")).strip()


def parse_listening(text: str) -> dict[str, int]:
    """Return socket inode -> port of the listening sockets in the text of ``/proc/net/tcp`` or ``tcp6``."""
    rows = (line.split() for line in text.splitlines()[1:])
    return {row[9]: int(row[1].rpartition(":")[2], 16) for row in rows if row[3] == _LISTENING}


def parse_unit(cgroup: str) -> str:
    """Return the systemd unit that the text of ``/proc/<pid>/cgroup`` names, empty when there is none."""
    for line in cgroup.splitlines():
        for part in reversed(line.rpartition(":")[2].split("/")):
            if part.endswith((".service", ".socket")):
                return part
    return ""


def parse_addresses(links: Iterable[Mapping[str, Any]]) -> tuple[Interface, ...]:
    """Return the interfaces in the output of ``ip -json address``."""
    return tuple(
        Interface(link["ifname"], tuple(f"{item['local']}/{item['prefixlen']}" for item in link.get("addr_info", [])))
        for link in links
        if link.get("ifname")
    )


def has_address(host: Host, address: str) -> bool:
    """Tell whether an interface of the host carries ``address``."""
    return any(
        ipaddress.ip_interface(known).ip == ipaddress.ip_address(address)
        for interface in host.interfaces
        for known in interface.addresses
    )


def _shown(interface: Interface) -> list[str]:
    """Addresses of an interface that another machine can be told: not those of the link itself."""
    return [known for known in interface.addresses if not ipaddress.ip_interface(known).ip.is_link_local]


def machine_problems(host: Host, systems: Sequence[str], architecture: str) -> Iterator[str]:
    """Yield why the collection cannot work on the machine at all."""
    if host.system not in systems:
        yield f"runs {host.system or 'an unknown system'}; supported are {', '.join(systems)}"
    if host.architecture != architecture:
        yield f"runs on {host.architecture}; the artifacts are for {architecture}"
    if not host.systemd:
        yield "does not run systemd, which all services need"
    if not host.root:
        yield "is not entered as root; set ansible_become: true or ansible_user: root"


def address_problems(host: Host, address: str, vip: str, interface: str) -> Iterator[str]:
    """Yield what is wrong with the addresses; ``vip`` is empty on a host that does not carry the virtual address."""
    if not host.interfaces:
        return
    carried = [known for link in host.interfaces for known in _shown(link) if link.name != "lo"]
    if not has_address(host, address):
        yield f"does not have its address {address} (it has {', '.join(carried) or 'none'}); set temporal_address"
    if not vip:
        return
    link = next((link for link in host.interfaces if link.name == interface), None)
    if link is None:
        names = ", ".join(link.name for link in host.interfaces if link.name != "lo")
        yield f"has no interface {interface or 'with a default route'} (it has {names}); set temporal_vip_interface"
        return
    others = [known for known in _shown(link) if ipaddress.ip_interface(known).ip != ipaddress.ip_address(vip)]
    if others and not any(ipaddress.ip_address(vip) in ipaddress.ip_interface(known).network for known in others):
        yield f"cannot carry temporal_vip {vip}: {interface} is in {', '.join(others)}; give an address of that network"


def port_problems(host: Host, ports: Sequence[Mapping[str, Any]]) -> Iterator[str]:
    """Yield the ports (``{name, port}``) that a process which is not a unit of the collection listens on."""
    for port, names in _by_number(ports).items():
        foreign = [
            listener for listener in host.listeners if listener.port == port and listener.unit not in host.managed_units
        ]
        for listener in foreign[:1]:
            unit = f", unit {listener.unit}" if listener.unit else ""
            yield (
                f"port {port} (temporal_ports.{', temporal_ports.'.join(names)}) is taken by {listener.process} "
                f"(pid {listener.pid}{unit}); stop it or choose another port"
            )


def _by_number(ports: Sequence[Mapping[str, Any]]) -> dict[int, list[str]]:
    names: dict[int, list[str]] = {}
    for entry in ports:
        same = names.setdefault(entry["port"], [])
        if entry["name"] not in same:
            same.append(entry["name"])
    return names


def clock_skew(host_time: float, before: float, after: float) -> float:
    """Return by how many seconds at least the clock of a host is ahead of the control node (negative: behind).

    The control node's clock read ``before`` when it asked and ``after`` when it had the answer, so a clock that
    agrees reads something between; how long the way takes makes no false alarm.
    """
    if host_time < before:
        return host_time - before
    return max(0.0, host_time - after)


def fleet_verdict(
    results: Mapping[str, Mapping[str, Any]],
    tiers: Mapping[str, Sequence[str]],
    vip: str,
    uniform: Sequence[str] = (),
    cassandra_release: str = "",
) -> dict[str, list[str]]:
    """Return the ``problems`` of all hosts, and ``notes`` about what works but should not stay so.

    Args:
        results: result of the module ``host_check`` by host.
        tiers: hosts of each tier; those of ``load_balancers`` carry the virtual address.
        vip: virtual address, empty for none.
        uniform: tiers whose hosts must run the same system, because packages of another one do not work with it.
        cassandra_release: the one that every node of Cassandra is to have.
    """
    problems = [f"{host}: {problem}" for host, result in results.items() for problem in result["problems"]]
    problems += _vip_problems(results, tiers.get("load_balancers", ()), vip)
    tiers_by_mixture: dict[str, list[str]] = {}
    for tier, hosts in tiers.items():
        systems: dict[str, list[str]] = {}
        for host in hosts:
            if results.get(host, {}).get("system"):
                systems.setdefault(results[host]["system"], []).append(host)
        if len(systems) > 1:
            seen = "; ".join(f"{system} on {', '.join(on)}" for system, on in sorted(systems.items()))
            if tier in uniform:
                problems.append(f"{tier}: its hosts run different systems ({seen}); install the same on all")
            else:
                tiers_by_mixture.setdefault(seen, []).append(tier)
    hosts_by_note: dict[str, list[str]] = {}
    for host, result in results.items():
        for note in result.get("notes", ()):
            hosts_by_note.setdefault(note, []).append(host)
    notes = [f"{', '.join(hosts)}: {note}" for note, hosts in hosts_by_note.items()]
    release_problems, release_notes = _releases(results, tiers.get("cassandra", ()), cassandra_release)
    problems += release_problems
    notes += release_notes
    notes += [
        f"{', '.join(mixed)}: hosts run different systems ({seen}); install the same on all when you can"
        for seen, mixed in tiers_by_mixture.items()
    ]
    return {"problems": problems, "notes": notes}


def _releases(
    results: Mapping[str, Mapping[str, Any]], nodes: Sequence[str], wanted: str
) -> tuple[list[str], list[str]]:
    """Return the problems and the notes about the releases of the nodes of Cassandra.

    Releases of which one is ``wanted`` are those of an upgrade that was interrupted; it goes on. A node that comes
    copies its data from the others: between bug fix releases it may, or a node that dies meanwhile stays dead.
    """
    hosts_by_release: dict[str, list[str]] = {}
    for host in nodes:
        if results.get(host, {}).get("system"):
            hosts_by_release.setdefault(results[host].get("cassandra_release", ""), []).append(host)
    new = hosts_by_release.pop("", [])
    seen = "; ".join(f"{release} on {', '.join(hosts)}" for release, hosts in sorted(hosts_by_release.items()))
    series = {release.rpartition(".")[0] for release in hosts_by_release}
    if new and series - {wanted.rpartition(".")[0]}:
        return [
            f"cassandra: {', '.join(new)} would join with {wanted} a ring of another series ({seen}), from which it "
            f"cannot copy data; bring that to {wanted} before a node comes, or correct temporal_versions.cassandra"
        ], []
    mixture = f"cassandra: nodes have different releases ({seen})"
    if len(hosts_by_release) > 1 and wanted not in hosts_by_release:
        return [f"{mixture}, and {wanted} would be one more; set temporal_versions.cassandra to one of them"], []
    if len(hosts_by_release) > 1:
        return [], [f"{mixture}, an upgrade to {wanted} that is under way; end it with rolling_cassandra.yml"]
    return [], []


def _vip_problems(results: Mapping[str, Mapping[str, Any]], carriers: Sequence[str], vip: str) -> Iterator[str]:
    for host, result in results.items():
        if result["holds_vip"] and host not in carriers:
            yield f"{host}: has the virtual address {vip}, but is no load balancer; remove it there"
    asked = [results[host] for host in carriers if results.get(host, {}).get("system")]
    if len(asked) < len(carriers) or any(result["holds_vip"] for result in asked):
        # It may be on a balancer that could not be asked, or it is where it belongs.
        return
    for host in carriers:
        answer = results.get(host, {}).get("vip_answer")
        if answer:
            yield (
                f"temporal_vip: {vip} is taken by a machine that is no load balancer of this cluster "
                f"(seen from {host}: {answer}); give a free address or remove it from that machine"
            )
            return
