"""Filter rules of a cut, and addresses that do not change."""

from __future__ import annotations

from lab import network
from lab.hosts import overlapping


def test_cut_replaces_its_table_in_one_transaction() -> None:
    rules = network.cut_rules("zerospof.x.cut", ["veth1"], ["10.1.2.3"])
    assert rules.startswith(
        "table bridge zerospof.x.cut\ndelete table bridge zerospof.x.cut\ntable bridge zerospof.x.cut {"
    )


def test_cut_drops_both_ways_and_lets_only_ssh_of_the_machine_pass() -> None:
    rules = network.cut_rules("t", ["veth1", "veth2"], ["10.1.2.3"])
    assert 'elements = { "veth1", "veth2" }' in rules
    assert "iif @inside oif != @inside drop" in rules
    assert "iif != @inside oif @inside drop" in rules
    assert [line.strip() for line in rules.splitlines() if "accept" in line and "policy" not in line] == [
        "iif @inside ip saddr @addresses tcp sport 22 accept",
        "iif @inside arp saddr ip @addresses accept",
        "oif @inside ip daddr @addresses tcp dport 22 accept",
        "oif @inside arp daddr ip @addresses accept",
    ]


def test_cut_of_hosts_that_are_all_dead_has_an_empty_set() -> None:
    assert "elements" not in network.one_way_rules("t", [], [])


def test_one_way_cut_drops_packets_in_one_direction_only() -> None:
    rules = network.one_way_rules("t", ["veth1"], ["veth2"])
    assert "iif @source oif @target meta protocol { ip, ip6 } drop" in rules
    assert rules.count("drop") == 1


def test_hardware_address_is_made_of_the_address() -> None:
    assert network.hardware_address("10.90.1.11") == "02:5a:0a:5a:01:0b"


def test_subnet_in_use_is_named_with_its_device() -> None:
    routes = [("192.0.2.0/24", "eth0"), ("10.77.0.0/16", "podman0")]
    assert overlapping("10.77.3.0/24", routes) == "10.77.0.0/16 podman0"
    assert overlapping("10.90.1.0/24", routes) == ""
