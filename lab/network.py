"""The wires of a lab: which bridge port is whose, and filter rules that cut them.

Traffic between two hosts of a bridge never meets the IP filter of the machine, so cuts live in nftables' bridge family,
where a host can neither see nor flush them. Ports are matched, not addresses: a virtual IP moves with its host. Rules
hold the index of a port, because the kernel gives the name of one that is gone to the next, maybe in another lab; so
they are loaded anew whenever a port of their lab changes.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path

from lab import machine
from lab.machine import LabError, podman
from lab.state import Host, Lab


def ports(lab: Lab, hosts: Iterable[Host]) -> dict[str, str]:
    """The machine's end of the wire of each host that runs, by host name."""
    wanted = {lab.container(host): host.name for host in hosts}
    found = podman("inspect", "--format={{.Name}} {{.State.Pid}}", *wanted, check=False).stdout.decode()
    links = {link["ifindex"]: link["ifname"] for link in json.loads(machine.text(["ip", "-json", "link"]))}
    result = {}
    for line in found.splitlines():
        container, pid = line.split()
        if pid == "0":
            continue
        look = ["nsenter", "--net", f"--target={pid}", "ip", "-json", "link", "show", "eth0"]
        inside = machine.run(look, check=False)
        if inside.returncode == 0:
            port = links.get(json.loads(inside.stdout)[0].get("link_index"))
            if port:
                result[wanted[container]] = port
    return result


def bridge_ports(lab: Lab, hosts: Iterable[Host]) -> list[str]:
    """All ports through which packets of the hosts may enter the bridge now, those of delayed wires included."""
    names = [name for port in ports(lab, hosts).values() for name in (port, delayed_port(port))]
    return [name for name in names if Path("/sys/class/net", name).exists()]


def delayed_port(port: str) -> str:
    """Name of the bridge port that stands in for a wire while its packets are delayed."""
    return "dly" + port.removeprefix("veth")


def bridge(lab: Lab) -> str:
    """Name of the bridge of a lab."""
    details = json.loads(podman("network", "inspect", lab.network).stdout)[0]
    return str(details["network_interface"])


def hardware_address(address: str) -> str:
    """A MAC address that stays the same over restarts, so that nobody keeps a stale neighbour entry."""
    return "02:5a:" + ":".join(f"{int(octet):02x}" for octet in address.split("."))


def steady_gateway(lab: Lab) -> None:
    """Give the bridge a MAC address of its own; else it has that of some port and changes when a host dies."""
    machine.run(["ip", "link", "set", bridge(lab), "address", hardware_address(lab.gateway)])


def table(lab: Lab, fault: str) -> str:
    """Name of the filter table of a fault."""
    return f"{_table_prefix(lab)}{fault}"


def _table_prefix(lab: Lab) -> str:
    return f"zerospof.{lab.name}."


def _set(name: str, kind: str, elements: Iterable[str]) -> str:
    listed = ", ".join(sorted(elements))
    return f"  set {name} {{ type {kind}; {f'elements = {{ {listed} }}; ' if listed else ''}}}"


def _quoted(names: Iterable[str]) -> list[str]:
    return [f'"{name}"' for name in names]


def _chain(hook: str, *rules: str) -> str:
    body = "\n".join(f"    {rule}" for rule in rules)
    return f"  chain {hook} {{\n    type filter hook {hook} priority 0; policy accept;\n{body}\n  }}"


def cut_rules(name: str, inside: Iterable[str], addresses: Iterable[str]) -> str:
    """Rules that drop all packets between the given ports of a bridge and everything else, both ways.

    The ports reach each other still. Of the machine only ssh passes, for Ansible and people to look inside: clients on
    the machine are cut off too, and a virtual IP that is still held inside is not announced.
    """
    sets = [_set("inside", "iface_index", _quoted(inside)), _set("addresses", "ipv4_addr", addresses)]
    chains = [
        _chain("forward", "iif @inside oif != @inside drop", "iif != @inside oif @inside drop"),
        _chain(
            "input",
            "iif @inside ip saddr @addresses tcp sport 22 accept",
            "iif @inside arp saddr ip @addresses accept",
            "iif @inside drop",
        ),
        _chain(
            "output",
            "oif @inside ip daddr @addresses tcp dport 22 accept",
            "oif @inside arp daddr ip @addresses accept",
            "oif @inside drop",
        ),
    ]
    return _table(name, *sets, *chains)


def one_way_rules(name: str, source: Iterable[str], target: Iterable[str]) -> str:
    """Rules that drop IP packets from some ports of a bridge to others; ARP passes, so that the way back stays open."""
    sets = [_set("source", "iface_index", _quoted(source)), _set("target", "iface_index", _quoted(target))]
    rule = "iif @source oif @target meta protocol { ip, ip6 } drop"
    return _table(name, *sets, _chain("forward", rule))


def _table(name: str, *parts: str) -> str:
    body = "\n".join(parts)
    return f"table bridge {name}\ndelete table bridge {name}\ntable bridge {name} {{\n{body}\n}}\n"


def load_rules(rules: str) -> None:
    """Load one table, replacing an older one of that name in the same instant."""
    machine.run(["nft", "--file", "-"], stdin=rules.encode())


def drop_table(name: str) -> None:
    """Remove a table if it is there."""
    machine.run(["nft", "delete", "table", "bridge", name], check=False)


def tables(lab: Lab) -> list[str]:
    """All filter tables of a lab."""
    rows = json.loads(machine.text(["nft", "--json", "list", "tables", "bridge"]))["nftables"]
    found = [row["table"]["name"] for row in rows if "table" in row]
    return [name for name in found if name.startswith(_table_prefix(lab))]


def unplug(port: str) -> None:
    """Take a wire down at once: not one more packet leaves, no farewell of dying processes either."""
    machine.run(["ip", "link", "set", port, "down"])


def plug_into_bridge(lab: Lab, port: str) -> None:
    """Make a port a member of the lab's bridge again."""
    try:
        machine.run(["ip", "link", "set", port, "master", bridge(lab), "arp", "on", "up"])
    except LabError:
        if port in {link["ifname"] for link in json.loads(machine.text(["ip", "-json", "link"]))}:
            raise
