"""What the inventory says about zones, batches and ports reaches the roles unchanged."""

from __future__ import annotations

import ipaddress
import itertools
from pathlib import Path
from typing import Any

import pytest
import yaml
from ansible_collections.zerospof.temporal.plugins.module_utils import _topology
from hypothesis import given, settings
from hypothesis import strategies as st

ROLES = Path(__file__).resolve().parents[2] / "roles"
MATRIX = yaml.safe_load((ROLES / "topology/vars/main.yml").read_text())["firewall_matrix"]
PORTS = yaml.safe_load((ROLES / "temporal/defaults/main.yml").read_text())["temporal_ports"]

GROUPS = {
    "all": ["db-a", "temporal-b", "lb-c"],
    "az_c": ["lb-c"],
    "az_a": ["db-a"],
    "az_b": ["temporal-b"],
    "load_balancers": ["lb-c"],
    "temporal_servers": ["temporal-b"],
    "postgresql": ["db-a"],
    "etcd": ["db-a"],
}
HOSTVARS: dict[str, dict[str, Any]] = {
    "db-a": {"ansible_host": "192.0.2.21"},
    "temporal-b": {"ansible_host": "198.51.100.7", "temporal_address": "192.0.2.12"},
    "lb-c": {},
}


def rules(host: str, groups: dict[str, list[str]] = GROUPS, **options: object) -> dict[Any, list[str]]:
    """Sources of each port or protocol of ``host``."""
    made = _topology.firewall_rules(host, MATRIX, groups, HOSTVARS, PORTS, **options)
    found = {_what(rule): rule["sources"] for rule in made}
    assert len(found) == len(made), "one rule per port and address"
    return found


def _what(rule: dict[str, Any]) -> Any:  # noqa: ANN401
    """Port or protocol of a rule; with the address where it is about one alone."""
    what = rule.get("port", rule.get("protocol"))
    return (rule["address"], what) if "address" in rule else what


def test_members_keep_the_order_of_the_inventory() -> None:
    found = _topology.members(["temporal-b", "db-a"], HOSTVARS, GROUPS)
    assert found == [
        {"name": "temporal-b", "address": "192.0.2.12", "zone": "az_b"},
        {"name": "db-a", "address": "192.0.2.21", "zone": "az_a"},
    ]


def test_a_host_without_any_address_is_reached_by_its_name() -> None:
    assert _topology.members(["lb-c"], HOSTVARS, GROUPS)[0]["address"] == "lb-c"


@pytest.mark.parametrize(
    ("groups", "seen"),
    [({"az_a": []}, "none"), ({"az_a": ["db-a"], "az_b": ["db-a"]}, "az_a, az_b")],
)
def test_a_member_in_no_zone_or_in_two_is_an_error_that_names_it(groups: dict[str, list[str]], seen: str) -> None:
    with pytest.raises(_topology.TopologyError, match=rf"^db-a: must be in exactly one az_\* group, is in: {seen}$"):
        _topology.members(["db-a"], HOSTVARS, groups)


def test_batches_follow_the_zones_in_the_order_of_the_inventory() -> None:
    groups = {"az_c": ["c1", "c2", "c3"], "az_a": ["a1"], "az_b": [], "az_d": ["d1", "d2"]}
    assert _topology.zone_batches(["d2", "a1", "c1", "d1", "c2", "c3"], groups) == [3, 1, 2]


def test_a_limit_cuts_zones_and_never_joins_them() -> None:
    groups = {"az_a": ["a1", "a2", "a3", "a4", "a5"], "az_b": ["b1"]}
    assert _topology.zone_batches([*groups["az_a"], "b1"], groups, limit=2) == [2, 2, 1, 1]


@settings(max_examples=50)
@given(st.lists(st.integers(0, 6), max_size=6), st.integers(0, 7))
def test_batches_hold_every_host_once_and_no_two_zones(sizes: list[int], limit: int) -> None:
    groups = {f"az_{zone}": [f"h{zone}-{n}" for n in range(size)] for zone, size in enumerate(sizes)}
    batches = _topology.zone_batches([host for hosts in groups.values() for host in hosts], groups, limit)
    assert all(0 < batch <= (limit or batch) for batch in batches)
    ends_of_batches = set(itertools.accumulate(batches, initial=0))
    assert set(itertools.accumulate(sizes, initial=0)) <= ends_of_batches
    assert max(ends_of_batches) == sum(sizes)


def test_a_port_is_open_to_the_tiers_that_need_it_and_to_nobody_else() -> None:
    assert rules("db-a")[5432] == ["192.0.2.12", "192.0.2.21"]
    assert rules("db-a")[2380] == ["192.0.2.21"]


def test_clients_reach_the_virtual_ports_of_load_balancers_alone() -> None:
    balancer = rules("lb-c", client_networks=["203.0.113.0/24"])
    assert "203.0.113.0/24" in balancer[7233]
    assert balancer[8080] == ["203.0.113.0/24"]
    for host in ("temporal-b", "db-a"):
        sources = rules(host, client_networks=["203.0.113.0/24"]).values()
        assert not [found for found in sources if "203.0.113.0/24" in found]


def test_balancers_speak_vrrp_and_ask_how_the_others_are() -> None:
    assert rules("lb-c")["vrrp"] == ["lb-c"]
    assert rules("lb-c")[PORTS["haproxy_edge_metrics"]] == ["lb-c"]


def test_the_pooler_and_the_database_proxy_are_closed_to_the_network() -> None:
    assert rules("temporal-b")[PORTS["pgbouncer"]] == []
    assert rules("temporal-b")[PORTS["database_proxy"]] == []


def test_a_host_of_two_tiers_has_one_rule_with_the_sources_of_both() -> None:
    groups = {**GROUPS, "load_balancers": ["temporal-b"]}
    assert rules("temporal-b", groups, client_networks=["203.0.113.0/24"])[7233] == ["192.0.2.12", "203.0.113.0/24"]


def test_clients_of_the_virtual_address_do_not_reach_the_same_port_of_the_host_itself() -> None:
    groups = {**GROUPS, "load_balancers": ["temporal-b"]}
    found = rules("temporal-b", groups, client_networks=["203.0.113.0/24"], vip="192.0.2.10")
    assert found["192.0.2.10", 7233] == ["192.0.2.12", "203.0.113.0/24"]
    assert found[7233] == ["192.0.2.12"]
    assert found["192.0.2.10", PORTS["ui_vip"]] == ["203.0.113.0/24"]


def test_the_rule_of_the_virtual_address_comes_before_the_one_of_all_addresses() -> None:
    groups = {**GROUPS, "load_balancers": ["temporal-b"]}
    made = _topology.firewall_rules("temporal-b", MATRIX, groups, HOSTVARS, PORTS, vip="192.0.2.10")
    assert [rule.get("address") for rule in made if rule.get("port") == 7233] == ["192.0.2.10", None]


def test_an_address_inside_a_network_of_the_list_is_left_out() -> None:
    groups = {**GROUPS, "load_balancers": ["temporal-b"]}
    assert rules("temporal-b", groups, client_networks=["192.0.2.0/24"])[7233] == ["192.0.2.0/24"]


def test_sources_are_in_numerical_order() -> None:
    assert _topology._without_covered({"10.0.0.10", "10.0.0.9", "2001:db8::1"}) == [
        "10.0.0.9",
        "10.0.0.10",
        "2001:db8::1",
    ]


@settings(max_examples=50)
@given(
    st.sets(
        st.one_of(
            st.ip_addresses(v=4, network="192.0.2.0/26").map(str),
            st.sampled_from(["192.0.2.0/24", "192.0.2.0/28", "192.0.2.32/27", "0.0.0.0/0"]),
        ),
        max_size=8,
    )
)
def test_what_is_left_of_sources_lets_in_the_same_addresses_and_does_not_overlap(sources: set[str]) -> None:
    left = [ipaddress.ip_network(source) for source in _topology._without_covered(sources)]
    assert not [1 for one in left for other in left if one != other and one.overlaps(other)]
    assert set(ipaddress.collapse_addresses(left)) == set(
        ipaddress.collapse_addresses(ipaddress.ip_network(source) for source in sources)
    )


def test_every_port_of_the_collection_has_its_place_in_the_matrix() -> None:
    in_matrix = {name for opening in MATRIX for name in opening.get("ports", ())}
    assert in_matrix == set(PORTS)


@pytest.mark.parametrize("opening", [{"to": "postgres", "sources": []}, {"to": "etcd", "sources": ["client"]}])
def test_an_unknown_tier_in_the_matrix_is_an_error(opening: _topology.Opening) -> None:
    with pytest.raises(_topology.TopologyError, match=r"firewall matrix: (postgres|client): not one of"):
        _topology.firewall_rules("db-a", [opening], GROUPS, HOSTVARS, PORTS)


def test_a_port_that_is_missing_is_named() -> None:
    with pytest.raises(_topology.TopologyError, match="temporal_ports: postgresql of postgresql is missing"):
        _topology.firewall_rules("db-a", MATRIX, GROUPS, HOSTVARS, {"etcd_client": 2379})


def test_tiers_can_be_played_by_other_groups() -> None:
    groups = {"az_a": ["db-a"], "blue_etcd": ["db-a"]}
    assert _topology.hosts_by_tier(groups, {"etcd": "blue_etcd"}) == {"etcd": ["db-a"]}
    assert set(rules("db-a", groups, tiers={"etcd": "blue_etcd"})) == {2379, 2380}


def test_what_listens_on_the_virtual_address_alone_is_marked() -> None:
    found = {entry["name"]: entry["at"] for entry in _topology.host_ports("lb-c", MATRIX, GROUPS, PORTS)}
    assert found == {"frontend": "vip", "ui_vip": "vip", "haproxy_edge_metrics": "host"}


SPECS = {
    "temporal": {
        "main": {
            "options": {
                "temporal_profile": {"default": "ha_postgresql"},
                "temporal_vip": {"default": ""},
                "temporal_address": {"default": "{{ ansible_host }}"},
                "temporal_secrets": {},
            }
        }
    }
}


def test_inputs_are_those_of_the_cluster_or_their_defaults() -> None:
    hostvars = {"lb-c": {"temporal_vip": "192.0.2.10", "other": 1}}
    assert _topology.cluster_inputs(GROUPS, hostvars, SPECS) == {
        "temporal_profile": "ha_postgresql",
        "temporal_vip": "192.0.2.10",
    }


def test_an_inventory_without_hosts_has_the_default_inputs() -> None:
    assert _topology.cluster_inputs({}, {}, SPECS) == {"temporal_profile": "ha_postgresql", "temporal_vip": ""}
