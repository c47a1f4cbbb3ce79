"""Who reaches what on a live cluster: what the table of the firewall says, seen from outside and from each tier."""

from __future__ import annotations

import ipaddress
import json
import shlex
import subprocess
import sys
from collections.abc import Iterator
from functools import cached_property
from typing import Any

import pytest
import yaml

from lab.view import SSH_PORT, View
from tests.cluster.conftest import ROOT

# Here every tier has hosts of its own, so that each shows what it may reach.
pytestmark = pytest.mark.profiles("ha_postgresql")

MATRIX = yaml.safe_load((ROOT / "roles" / "topology" / "vars" / "main.yml").read_text(encoding="utf-8"))[
    "firewall_matrix"
]
OUTSIDE = "outside"
EVERYWHERE = ("0.0.0.0", "*", "[::]")
FIREWALL = "zerospof-firewall.service"

# Prints those [address, port] of its input that accept a connection. A packet filter drops: silence counts as no.
SCAN = """
import asyncio, json, sys

async def accepts(address, port):
    try:
        _, writer = await asyncio.wait_for(asyncio.open_connection(address, port), 5)
    except (OSError, asyncio.TimeoutError):
        return False
    writer.close()
    return True

async def scan(targets):
    answers = await asyncio.gather(*(accepts(*target) for target in targets))
    return [target for target, answer in zip(targets, answers) if answer]

print(json.dumps(asyncio.run(scan(json.load(sys.stdin)))))
"""

Target = tuple[str, int]


class Network:
    """The table, the addresses and the listening sockets of a cluster."""

    def __init__(self, view: View) -> None:
        self.view = view
        self.ports: dict[str, int] = view.variable("temporal_ports")
        self.holder = view.vip_holder()

    def addresses(self, host: str) -> set[str]:
        """Those of a host, the virtual one included where it is."""
        return {self.view.lab.host(host).address, *([self.view.vip] if host == self.holder else [])}

    @cached_property
    def sockets(self) -> dict[str, set[Target]]:
        """What listens on each host: local address, port."""
        found = {}
        for host in self.view.lab.hosts:
            locals_ = [line.split()[3] for line in self.view.on(host.name, "ss -tlnH").splitlines()]
            found[host.name] = {(address, int(port)) for address, _, port in (row.rpartition(":") for row in locals_)}
        return found

    @cached_property
    def listening(self) -> set[Target]:
        """What would accept a connection from another host if there were no firewall."""
        return {
            (address, port)
            for host, sockets in self.sockets.items()
            for local, port in sockets
            for address in self.addresses(host)
            if local in (*EVERYWHERE, address)
        }

    @cached_property
    def targets(self) -> set[Target]:
        """Every port that the table names or anybody listens on, at every address."""
        ports = {*self.ports.values(), *(port for _, port in self.listening)}
        return {(address, port) for host in self.sockets for address in self.addresses(host) for port in ports}

    def opened(self, opening: dict[str, Any]) -> set[Target]:
        """Where the ports of a line of the table are."""
        hosts = self.view.members(opening["to"])
        vip_alone = opening.get("at") == "vip"
        addresses = {self.view.vip} if vip_alone else {address for host in hosts for address in self.addresses(host)}
        return {(address, self.ports[name]) for address in addresses for name in opening.get("ports", ())}

    def parts(self, asker: str) -> set[str]:
        """The tiers that a host is in; ``clients`` where its address is one of theirs."""
        address = self.view.lab.gateway if asker == OUTSIDE else self.view.lab.host(asker).address
        networks = map(ipaddress.ip_network, self.view.variable("temporal_client_networks"))
        client = any(ipaddress.ip_address(address) in network for network in networks)
        tiers = {tier for opening in MATRIX for tier in opening["sources"] if asker in self.view.members(tier)}
        return tiers | ({"clients"} if client else set())

    def allowed(self, asker: str) -> set[Target]:
        """What the table lets ``asker`` reach."""
        parts = self.parts(asker)
        return {target for opening in MATRIX if parts & set(opening["sources"]) for target in self.opened(opening)}

    def reached(self, asker: str, targets: set[Target]) -> set[Target]:
        """Those of ``targets`` that accept a connection from ``asker``."""
        request = json.dumps(sorted(targets))
        if asker == OUTSIDE:
            command = [sys.executable, "-c", SCAN]
            answer = subprocess.run(command, input=request, capture_output=True, text=True, check=True).stdout
        else:
            answer = self.view.on(asker, f"python3 -c {shlex.quote(SCAN)}", request)
        return {(address, port) for address, port in json.loads(answer)}


@pytest.fixture(scope="module")
def network(view: View) -> Network:
    return Network(view)


def test_every_service_of_the_table_listens(network: Network) -> None:
    """What nobody serves would look closed."""
    off = set() if network.view.variable("temporal_authorization_enabled") else {"internal_frontend"}
    silent = [
        f"{host} {name}"
        for opening in MATRIX
        for host in ([network.holder] if opening.get("at") == "vip" else network.view.members(opening["to"]))
        for name in opening.get("ports", ())
        if not any(name.startswith(service) for service in off)
        and network.ports[name] not in {port for _, port in network.sockets[host]}
    ]
    assert silent == []


# Where balancers and servers share hosts, both have the port of the frontend, and clients reach one of them.
ON_SHARED_HOSTS = pytest.mark.profiles("basic", "three_machines", "ha_postgresql")


@pytest.mark.parametrize(
    "asker",
    [
        pytest.param(OUTSIDE, marks=ON_SHARED_HOSTS),
        "load_balancers",
        "temporal_servers",
        "temporal_workers",
        "postgresql",
    ],
)
def test_what_the_table_opens_is_reached_and_nothing_else(network: Network, asker: str) -> None:
    host = asker if asker == OUTSIDE else network.view.members(asker)[-1]
    own = set() if asker == OUTSIDE else network.addresses(host)
    others = {target for target in network.targets if target[0] not in own}
    ssh = {target for target in network.listening if target[1] == SSH_PORT}
    expected = (network.allowed(host) | ssh) & network.listening & others
    assert expected - ssh
    assert network.reached(host, others) == expected


@pytest.fixture
def unguarded(network: Network) -> Iterator[str]:
    """A database host without its firewall."""
    host = network.view.members("postgresql")[-1]
    network.view.on(host, f"systemctl stop {FIREWALL}")
    yield host
    network.view.on(host, f"systemctl start {FIREWALL}")


def test_without_its_firewall_a_host_is_open_to_all(network: Network, unguarded: str) -> None:
    """The control: what is closed above is closed by the firewall."""
    targets = {target for target in network.targets if target[0] in network.addresses(unguarded)}
    reached = network.reached(OUTSIDE, targets)
    assert reached == targets & network.listening
    closed = {network.ports[name] for name in ("postgresql", "patroni", "etcd_client", "etcd_peer")}
    assert {port for _, port in reached} >= closed
