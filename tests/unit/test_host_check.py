"""What makes a host unfit is told in words that name it."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from ansible_collections.zerospof.temporal.plugins.module_utils import _host
from hypothesis import given, settings
from hypothesis import strategies as st

LO = _host.Interface("lo", ("127.0.0.1/8",))
ETH0 = _host.Interface("eth0", ("192.0.2.11/24", "fe80::1/64"))
FIT = _host.Host(system="debian 13", architecture="x86_64", systemd=True, root=True, interfaces=(LO, ETH0))
SYSTEMS = ("debian 12", "debian 13")
FRONTEND = {"name": "frontend", "port": 7233}
FINE = {"problems": [], "system": "debian 13", "holds_vip": False, "vip_answer": ""}


def test_a_fit_host_has_no_problem() -> None:
    assert not list(_host.machine_problems(FIT, SYSTEMS, "x86_64"))
    assert not list(_host.address_problems(FIT, "192.0.2.11", "192.0.2.10", "eth0"))
    assert not list(_host.port_problems(FIT, [FRONTEND]))


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        ({"system": "debian 11"}, "runs debian 11; supported are debian 12, debian 13"),
        ({"system": ""}, "runs an unknown system; supported are debian 12, debian 13"),
        ({"architecture": "aarch64"}, "runs on aarch64; the artifacts are for x86_64"),
        ({"systemd": False}, "does not run systemd, which all services need"),
        ({"root": False}, "is not entered as root; set ansible_become: true or ansible_user: root"),
    ],
)
def test_a_machine_that_cannot_work_is_refused(change: dict[str, Any], problem: str) -> None:
    assert list(_host.machine_problems(replace(FIT, **change), SYSTEMS, "x86_64")) == [problem]


@pytest.mark.parametrize(
    ("address", "vip", "interface", "problem"),
    [
        ("192.0.2.12", "", "", "does not have its address 192.0.2.12 (it has 192.0.2.11/24); set temporal_address"),
        ("192.0.2.11", "192.0.2.10", "bond0", "has no interface bond0 (it has eth0); set temporal_vip_interface"),
        (
            "192.0.2.11",
            "198.51.100.10",
            "eth0",
            "cannot carry temporal_vip 198.51.100.10: eth0 is in 192.0.2.11/24; give an address of that network",
        ),
    ],
)
def test_an_address_that_cannot_serve_is_refused(address: str, vip: str, interface: str, problem: str) -> None:
    assert list(_host.address_problems(FIT, address, vip, interface)) == [problem]


def test_the_virtual_address_on_the_interface_does_not_count_as_its_network() -> None:
    carrier = replace(FIT, interfaces=(LO, _host.Interface("eth0", ("198.51.100.10/24", "192.0.2.11/24"))))
    assert list(_host.address_problems(carrier, "192.0.2.11", "198.51.100.10", "eth0"))


@pytest.mark.parametrize(("unit", "suffix"), [("", ""), ("nginx.service", ", unit nginx.service")])
def test_a_foreign_process_on_a_port_is_named(unit: str, suffix: str) -> None:
    host = replace(FIT, listeners=(_host.Listener(7233, "nginx", 42, unit), _host.Listener(7233, "nginx", 43, unit)))
    assert list(_host.port_problems(host, [FRONTEND])) == [
        f"port 7233 (temporal_ports.frontend) is taken by nginx (pid 42{suffix}); stop it or choose another port"
    ]


def test_a_unit_of_the_collection_may_listen() -> None:
    listener = _host.Listener(7233, "temporal-server", 42, "temporal-frontend.service")
    host = replace(FIT, listeners=(listener,), managed_units=frozenset({"temporal-frontend.service"}))
    assert not list(_host.port_problems(host, [FRONTEND]))


def test_a_port_of_two_services_is_told_once_with_both_names() -> None:
    host = replace(FIT, listeners=(_host.Listener(7233, "nginx", 42, ""),))
    problems = list(_host.port_problems(host, [FRONTEND, FRONTEND, {"name": "ui", "port": 7233}]))
    assert len(problems) == 1
    assert "(temporal_ports.frontend, temporal_ports.ui)" in problems[0]


@settings(max_examples=50)
@given(st.floats(0, 1e9), st.floats(0, 60), st.floats(0, 1))
def test_the_time_of_the_way_is_no_skew(before: float, way: float, share: float) -> None:
    assert _host.clock_skew(before + way * share, before, before + way) == pytest.approx(0, abs=1e-6)


@pytest.mark.parametrize(("time", "skew"), [(95.0, -5.0), (107.0, 5.0)])
def test_a_wrong_clock_is_told_with_its_direction(time: float, skew: float) -> None:
    assert _host.clock_skew(time, 100.0, 102.0) == skew


def test_proc_net_tcp_is_read() -> None:
    text = (
        "  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt uid timeout inode\n"
        "   0: 00000000:1C41 00000000:0000 0A 00000000:00000000 00:00000000 00000000 0 0 4711 1\n"
        "   1: 0B02000A:1C41 0C02000A:9999 01 00000000:00000000 00:00000000 00000000 0 0 4712 1\n"
    )
    assert _host.parse_listening(text) == {"4711": 7233}


@pytest.mark.parametrize(
    ("cgroup", "unit"),
    [
        ("0::/system.slice/etcd.service\n", "etcd.service"),
        ("0::/system.slice/patroni.service/postgres\n", "patroni.service"),
        ("0::/user.slice/user-0.slice/session-1.scope\n", ""),
        ("1:name=systemd:/system.slice/ssh.socket\n0::/\n", "ssh.socket"),
        ("", ""),
    ],
)
def test_the_unit_of_a_process_is_read_from_its_cgroup(cgroup: str, unit: str) -> None:
    assert _host.parse_unit(cgroup) == unit


def test_os_release_is_read() -> None:
    assert _host.parse_os_release('NAME="Debian"\nID=debian\nVERSION_ID="13"\n') == "debian 13"


def test_interfaces_are_read() -> None:
    links = [{"ifname": "eth0", "addr_info": [{"local": "192.0.2.11", "prefixlen": 24}]}, {}]
    assert _host.parse_addresses(links) == (_host.Interface("eth0", ("192.0.2.11/24",)),)


def verdict(**results: dict[str, Any]) -> dict[str, list[str]]:
    """The verdict on hosts ``lb_a`` and ``lb_b``, which carry the address, and ``db``."""
    found = {"lb_a": FINE, "lb_b": FINE, "db": FINE} | {name: FINE | result for name, result in results.items()}
    tiers = {"load_balancers": ["lb_a", "lb_b"], "postgresql": ["db", "lb_a"], "etcd": ["db", "lb_b"]}
    return _host.fleet_verdict(found, tiers, "192.0.2.10", uniform=["postgresql"])


def test_problems_of_all_hosts_come_together() -> None:
    found = verdict(lb_a={"problems": ["one"]}, db={"problems": ["two", "three"]})
    assert found["problems"] == ["lb_a: one", "db: two", "db: three"]


def test_a_virtual_address_that_answers_on_no_balancer_is_taken() -> None:
    answer = "it has MAC address 52:54:00:12:34:56"
    problems = verdict(lb_a={"vip_answer": answer}, lb_b={"vip_answer": answer})["problems"]
    assert problems == [
        "temporal_vip: 192.0.2.10 is taken by a machine that is no load balancer of this cluster "
        f"(seen from lb_a: {answer}); give a free address or remove it from that machine"
    ]


def test_a_virtual_address_on_a_balancer_is_where_it_belongs() -> None:
    assert not verdict(lb_a={"vip_answer": "it accepts connections"}, lb_b={"holds_vip": True})["problems"]


def test_a_balancer_that_cannot_be_asked_may_hold_the_virtual_address() -> None:
    found = verdict(
        lb_a={"vip_answer": "it accepts connections"}, lb_b={"system": "", "problems": ["cannot be reached"]}
    )
    assert found["problems"] == ["lb_b: cannot be reached"]


def test_a_virtual_address_on_another_host_of_the_cluster_is_named() -> None:
    assert verdict(db={"holds_vip": True})["problems"] == [
        "db: has the virtual address 192.0.2.10, but is no load balancer; remove it there"
    ]


def test_different_systems_are_a_note_and_for_postgresql_a_problem() -> None:
    found = verdict(db={"system": "debian 12"})
    assert found["problems"] == [
        "postgresql: its hosts run different systems (debian 12 on db; debian 13 on lb_a); install the same on all"
    ]
    assert found["notes"] == [
        "etcd: hosts run different systems (debian 12 on db; debian 13 on lb_b); install the same on all when you can"
    ]


def test_equal_notes_about_hosts_are_told_once() -> None:
    found = verdict(lb_a={"notes": ["swaps"]}, db={"notes": ["swaps", "is slow"]})
    assert found["notes"] == ["lb_a, db: swaps", "db: is slow"]


def releases(wanted: str, **found: str) -> dict[str, list[str]]:
    """The verdict on nodes with these releases; one without any is new."""
    results = {host: FINE | {"cassandra_release": release} for host, release in found.items()}
    return _host.fleet_verdict(results, {"cassandra": list(found)}, "", cassandra_release=wanted)


@pytest.mark.parametrize(
    "found", [{"a": "", "b": ""}, {"a": "5.0.6", "b": "5.0.6", "new": ""}, {"a": "5.0.5", "b": "5.0.5"}]
)
def test_nodes_of_one_release_have_no_problem(found: dict[str, str]) -> None:
    """Those of another one than the wanted are about to be upgraded."""
    assert releases("5.0.6", **found) == {"problems": [], "notes": []}


def test_an_upgrade_of_nodes_that_is_under_way_goes_on() -> None:
    assert releases("5.0.7", a="5.0.6", b="5.0.7", c="5.0.6") == {
        "problems": [],
        "notes": [
            "cassandra: nodes have different releases (5.0.6 on a, c; 5.0.7 on b), an upgrade to 5.0.7 that is under "
            "way; end it with rolling_cassandra.yml"
        ],
    }


def test_nodes_of_releases_that_no_upgrade_explains_are_refused() -> None:
    assert releases("5.0.8", a="5.0.6", b="5.0.7", c="5.0.6") == {
        "problems": [
            "cassandra: nodes have different releases (5.0.6 on a, c; 5.0.7 on b), and 5.0.8 would be one more; set "
            "temporal_versions.cassandra to one of them"
        ],
        "notes": [],
    }


@pytest.mark.parametrize("second", ["5.0.6", "5.1.0"])
def test_no_node_joins_a_ring_of_another_series(second: str) -> None:
    [problem] = releases("5.1.0", a="5.0.6", b=second, new="")["problems"]
    assert problem.startswith("cassandra: new would join with 5.1.0 a ring of another series (5.0.6 on a")


def test_a_node_that_dies_during_an_upgrade_can_be_replaced() -> None:
    found = releases("5.0.7", a="5.0.6", b="5.0.7", dead="")
    assert found["problems"] == []
    assert len(found["notes"]) == 1
