"""Preflight refuses an inventory that is not what it claims to be, and tells everything that is wrong at once."""

from __future__ import annotations

import copy
import re
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml
from ansible_collections.zerospof.temporal.plugins.lookup import argument_specs
from ansible_collections.zerospof.temporal.plugins.module_utils import _cassandra, _inventory
from ansible_collections.zerospof.temporal.plugins.module_utils._cluster import Unresolved
from ansible_collections.zerospof.temporal.plugins.module_utils._input_problems import (
    CASSANDRA_SECRETS,
    DECIDED_BY_CASSANDRA,
    SECRETS,
)
from hypothesis import given, settings
from hypothesis import strategies as st

PROJECT = Path(__file__).resolve().parents[2]
SPECS = argument_specs.LookupModule().run([])[0]
MATRIX = yaml.safe_load((PROJECT / "roles/topology/vars/main.yml").read_text())["firewall_matrix"]
PORTS = yaml.safe_load((PROJECT / "roles/temporal/defaults/main.yml").read_text())["temporal_ports"]
TIERS = ("load_balancers", "temporal_servers", "temporal_ui", "temporal_workers", "postgresql", "etcd")
HOSTS = ("one", "two", "three")
OPTIONS = {name for role in SPECS.values() for entry in role.values() for name in entry.get("options") or {}}
# Of roles that many inventories use, of Ansible itself, and of the kind that people make up beside ours.
NAMES_OF_OTHERS = (
    "ansible_user ansible_ssh_common_args ansible_python_interpreter ansible_become_method inventory_hostname "
    "group_names playbook_dir environment omit docker_users docker_edition pip_install_packages nginx_vhosts "
    "nginx_worker_connections java_packages java_home postgres_version postgres_databases postgres_group "
    "pg_hba_entries pgbackrest_stanza pg_max_connections node_exporter_version node_exporter_port "
    "prometheus_targets prometheus_config_dir grafana_security grafana_address alertmanager_config redis_port "
    "rabbitmq_cluster_name kafka_members kafka_heap_opts zookeeper_hosts consul_version vault_address "
    "kubernetes_version k3s_server_location kubelet_config_overrides elasticsearch_heap_size logrotate_applications "
    "ntp_servers chrony_servers sshd_permit_root_login users_groups firewall_allowed_tcp_ports ufw_rules "
    "fail2ban_jails certbot_admin_email ca_directory timezone locale dns_servers mysql_root_password "
    "mysql_databases mongodb_version minio_root_user keycloak_version airflow_version celery_workers vip_address "
    "vip_interface lb_vip cluster_name cluster_members member_name environment_name datacenter rack zone "
    "my_company_domain my_temporal_vip old_temporal_vip x_temporal_vip our_etcd_members acme_haproxy_instance "
    "lab_image backup_directory app_version worker_count etc_directory packages units private_key leaf_name "
)

Groups = dict[str, list[str]]
HostVars = dict[str, dict[str, Any]]


def sound(hosts: tuple[str, ...] = HOSTS) -> tuple[Groups, HostVars]:
    """A sound cluster of three hosts in three zones, each with every tier."""
    groups: Groups = {"all": list(hosts), "ungrouped": []}
    groups |= {f"az_{zone}": list(hosts[number::3]) for number, zone in enumerate("abc")}
    groups |= {tier: list(hosts) for tier in TIERS}
    shared = {
        "temporal_profile": "ha_postgresql",
        "temporal_vip": "192.0.2.10",
        "temporal_client_networks": ["192.0.2.0/24"],
        "temporal_secrets": {
            key: f"{key[:3]}-{number}-kT9vQ2mXz7" for number, key in enumerate(SECRETS + CASSANDRA_SECRETS)
        },
        "temporal_namespaces": [{"name": "production", "retention_days": 30}],
    }
    hostvars = {
        host: copy.deepcopy(shared) | {"ansible_host": f"192.0.{2 + number // 200}.{20 + number % 200}"}
        for number, host in enumerate(hosts)
    }
    return groups, hostvars


def problems(groups: Groups, hostvars: HostVars, **options: Any) -> list[str]:  # noqa: ANN401
    """What preflight says about an inventory."""
    return _inventory.inventory_problems(groups, hostvars, SPECS, MATRIX, **options)


def after(change: Callable[[Groups, HostVars], object]) -> list[str]:
    """What preflight says about the sound cluster after a change."""
    groups, hostvars = sound()
    change(groups, hostvars)
    return problems(groups, hostvars)


def with_inputs(**inputs: Any) -> list[str]:  # noqa: ANN401
    """What preflight says about the sound cluster with other inputs on all hosts."""
    groups, hostvars = sound()
    for host in hostvars.values():
        host.update(inputs)
    return problems(groups, hostvars)


def test_a_sound_inventory_has_no_problem() -> None:
    assert problems(*sound()) == []


# Places


def test_two_zones_are_no_ha_profile() -> None:
    def to_two_zones(groups: Groups, _: HostVars) -> None:
        groups["az_b"] += groups.pop("az_c")

    [problem] = after(to_two_zones)
    assert problem.startswith(
        "temporal_profile: ha_postgresql needs hosts in 3 az_* groups, but they are in 2 (az_a, az_b)"
    )


def test_what_a_third_zone_would_not_mend_is_told_beside_the_two() -> None:
    def to_two_zones(groups: Groups, _: HostVars) -> None:
        groups["az_b"] += groups.pop("az_c")
        groups["temporal_servers"] = ["two", "three"]

    [_, problem] = after(to_two_zones)
    assert problem.startswith("az_b: profile ha_postgresql promises no single point of failure")
    assert "temporal_servers" in problem


@pytest.mark.parametrize("name", ["az-c", "AZ_C", "Az.c", "azc"])
def test_a_misspelt_zone_is_told_once_with_the_nearest_name(name: str) -> None:
    found = after(lambda groups, _: groups.update({name: groups.pop("az_c")}))
    assert found == [f"{name}: is no az_* group (did you mean az_c?), so three stands in no zone; correct the name"]


def test_a_slip_of_a_zone_that_others_are_in_is_seen() -> None:
    found = after(lambda groups, _: groups.update(ax_c=[groups["az_c"].pop()]))
    assert found == ["ax_c: is no az_* group (did you mean az_c?), so three stands in no zone; correct the name"]


def test_a_group_that_is_no_slip_of_a_zone_is_none() -> None:
    found = after(lambda groups, _: groups.update(azure=[groups["az_b"].pop()]))
    assert "two: is in no az_* group; put it into the group of its availability zone" in found
    assert not any("azure" in problem for problem in found)


def test_two_zones_are_good_enough_for_basic() -> None:
    groups, hostvars = sound()
    groups["az_b"] += groups.pop("az_c")
    for host in hostvars.values():
        host["temporal_profile"] = "basic"
    assert problems(groups, hostvars) == []


def test_one_database_is_good_enough_for_basic_and_not_for_ha() -> None:
    groups, hostvars = sound()
    groups["postgresql"] = groups["etcd"] = ["one"]
    found = problems(groups, hostvars)
    assert len(found) == 1
    assert found[0].startswith(
        "one: profile ha_postgresql promises no single point of failure, but this host is one (postgresql, etcd)"
    )
    for host in hostvars.values():
        host["temporal_profile"] = "basic"
    assert problems(groups, hostvars) == []


@pytest.mark.parametrize(
    ("dynamic", "setting"), [({"synchronous_mode": False}, "mode"), ({"synchronous_mode_strict": False}, "mode_strict")]
)
def test_writes_that_no_standby_has_are_refused_once(dynamic: dict[str, Any], setting: str) -> None:
    overrides = {"patroni_config_overrides": {"bootstrap": {"dcs": dynamic}}}
    assert with_inputs(**overrides) == [
        f"patroni_config_overrides.bootstrap.dcs.synchronous_{setting}: profile ha_postgresql promises that no "
        "acknowledged write is lost, but this lets the primary acknowledge writes that no standby has; take it out"
    ]
    assert with_inputs(**overrides, temporal_profile="basic") == []


@pytest.mark.parametrize("profile", ["basic", "ha_postgresql"])
@pytest.mark.parametrize(
    ("overrides", "problem"),
    [
        ({"bootstrap": None}, ".bootstrap on two: has no value; correct it or take it out"),
        ({"bootstrap": {"dcs": None}}, ".bootstrap.dcs on two: has no value; correct it or take it out"),
        ({"bootstrap": [1]}, ".bootstrap on two: must be a dictionary; correct it or take it out"),
        (
            {"bootstrap": {"dcs": {"synchronous_node_count": "two"}}},
            ".bootstrap.dcs.synchronous_node_count on two: 'two' must be a number from 1 on; correct it or take it out",
        ),
        (
            {"bootstrap": {"dcs": {"synchronous_node_count": 0}}},
            ".bootstrap.dcs.synchronous_node_count on two: 0 must be a number from 1 on; correct it or take it out",
        ),
    ],
)
def test_a_setting_of_patroni_of_a_wrong_type_is_told_with_its_host(
    profile: str, overrides: dict[str, Any], problem: str
) -> None:
    def change(_: Groups, hostvars: HostVars) -> None:
        for host in hostvars.values():
            host["temporal_profile"] = profile
        hostvars["two"]["patroni_config_overrides"] = overrides

    assert after(change) == [f"patroni_config_overrides{problem}"]


def test_an_even_number_of_etcd_members_is_refused() -> None:
    def add_fourth(groups: Groups, hostvars: HostVars) -> None:
        hostvars["four"] = hostvars["one"] | {"ansible_host": "192.0.2.99"}
        groups["az_a"].append("four")
        groups["etcd"].append("four")

    assert after(add_fourth)[0] == (
        "etcd: has 4 members (one, two, three and 1 more); an even number survives no more than 3 do: add or remove one"
    )


def test_a_majority_of_etcd_in_one_zone_is_refused() -> None:
    def move(groups: Groups, hostvars: HostVars) -> None:
        hostvars["four"] = hostvars["one"] | {"ansible_host": "192.0.2.99"}
        groups["az_a"].append("four")
        groups["etcd"] = ["one", "four", "two"]

    assert any(
        re.match(r"az_a: profile .* but this az is one \(postgresql, etcd\)", problem) for problem in after(move)
    )


def test_a_host_in_no_zone_is_named() -> None:
    found = after(lambda groups, _: groups["az_b"].remove("two"))
    assert "two: is in no az_* group; put it into the group of its availability zone" in found


def test_a_host_in_two_zones_is_named() -> None:
    found = after(lambda groups, _: groups["az_a"].append("two"))
    assert "two: is in 2 zones (az_a, az_b); leave it in the one where it stands" in found


def test_an_inventory_without_zones_is_told_once() -> None:
    groups, hostvars = sound()
    groups = {name: hosts for name, hosts in groups.items() if not name.startswith("az_")}
    [problem] = problems(groups, hostvars)
    assert problem.startswith("inventory: has no az_* group")


@pytest.mark.parametrize(
    ("extra", "message"),
    [
        ({"az_a": ["lost"]}, "lost: is in no tier; put it into one of the groups load_balancers, "),
        (
            {"az_a": ["lost"], "postgres": ["lost"]},
            "lost: is in no tier but in postgres (did you mean postgresql?); put ",
        ),
        ({"ungrouped": ["lost"]}, "lost: is in no tier; put it into one of the groups"),
    ],
)
def test_a_host_in_no_tier_is_named(extra: Groups, message: str) -> None:
    def add(groups: Groups, hostvars: HostVars) -> None:
        hostvars["lost"] = {}
        for name, hosts in extra.items():
            groups[name] = groups.get(name, []) + hosts

    found = after(add)
    assert len(found) == 1
    assert found[0].startswith(message)


@pytest.mark.parametrize("group", ["green_api", "blue_postgresql", "etcd_blue"])
def test_hosts_of_another_cluster_in_the_same_inventory_are_left_alone(group: str) -> None:
    groups, hostvars = sound()
    groups["az_a"].append("other")
    groups[group] = ["other"]
    hostvars["other"] = {"temporal_vipp": "x"}
    assert problems(groups, hostvars) == []


def test_a_missing_tier_is_named_with_its_group() -> None:
    groups, hostvars = sound()
    del groups["etcd"]
    assert "blue_etcd: the group has no host, but profile ha_postgresql needs one; add hosts to it" in problems(
        groups, hostvars, tiers={"etcd": "blue_etcd"}
    )


@pytest.mark.parametrize(
    ("name", "remedy"),
    [
        ("temporal_server", "add hosts to it or, if temporal_server is meant, correct that name"),
        ("temporal-servers", "add hosts to it or, if temporal-servers is meant, correct that name"),
        ("new_temporal_servers", "add hosts to it"),
    ],
)
def test_a_group_that_looks_like_the_missing_one_is_named(name: str, remedy: str) -> None:
    found = after(lambda groups, _: groups.update({name: groups.pop("temporal_servers")}))
    assert f"temporal_servers: the group has no host, but profile ha_postgresql needs one; {remedy}" in found


def test_an_empty_group_is_told_once_with_the_hosts_that_may_be_its() -> None:
    groups, hostvars = sound()
    for number, zone in enumerate("abc"):
        groups[f"az_{zone}"].append(f"lb-{zone}")
        hostvars[f"lb-{zone}"] = hostvars["one"] | {"ansible_host": f"192.0.2.{90 + number}"}
    groups["load_balancers"] = []
    assert problems(groups, hostvars) == [
        "load_balancers: the group has no host, but profile ha_postgresql needs one; add hosts to it; "
        "lb-a, lb-b, lb-c are in no tier"
    ]


# Cassandra


def cassandra(
    nodes: dict[str, int], factor: int, racks_per_zone: int = 1, tokens: int = 16, first: dict[str, int] | None = None
) -> list[str]:
    """What preflight says about a ring of ``nodes`` per zone; ``first``: what only the first of them has."""
    groups, hostvars = sound()
    groups["cassandra"] = []
    for zone, count in nodes.items():
        for number in range(count):
            host = f"node-{zone[-1]}-{number}"
            groups["cassandra"].append(host)
            groups[zone].append(host)
            hostvars[host] = hostvars["one"] | {"ansible_host": f"192.0.2.{100 + len(hostvars)}"}
            if racks_per_zone > 1:
                hostvars[host]["cassandra_rack"] = f"{zone}-{number % racks_per_zone}"
    for host in hostvars.values():
        host |= {
            "temporal_profile": "ha_cassandra",
            "cassandra_replication_factor": factor,
            "cassandra_tokens_per_node": tokens,
        }
    hostvars[groups["cassandra"][0]] |= first or {}
    options = {
        "cassandra_replication_factor": {"type": "int", "default": 3},
        "cassandra_tokens_per_node": {"type": "int", "default": 16},
        "cassandra_rack": {"type": "str", "default": ""},
    }
    return _inventory.inventory_problems(
        groups, hostvars, SPECS | {"cassandra": {"main": {"options": options}}}, MATRIX
    )


@pytest.mark.parametrize(
    ("nodes", "factor", "racks_per_zone"),
    [
        ({"az_a": 2, "az_b": 2, "az_c": 2}, 3, 1),
        ({"az_a": 2, "az_b": 2, "az_c": 1}, 5, 1),
        ({"az_a": 2, "az_b": 2, "az_c": 2}, 5, 1),
        ({"az_a": 4, "az_b": 4, "az_c": 4}, 5, 2),
    ],
)
def test_a_ring_whose_racks_hold_its_replicas_has_no_problem(
    nodes: dict[str, int], factor: int, racks_per_zone: int
) -> None:
    assert cassandra(nodes, factor, racks_per_zone) == []


def test_racks_of_their_own_do_not_make_a_third_zone() -> None:
    found = cassandra({"az_a": 2, "az_b": 2}, 3, racks_per_zone=2)
    assert any(problem.startswith("az_a: profile ha_cassandra promises no single point") for problem in found)


def test_a_node_without_tokens_is_refused() -> None:
    [problem] = cassandra({"az_a": 2, "az_b": 2, "az_c": 2}, 3, tokens=0)
    assert problem == "cassandra_tokens_per_node: 0 must be at least 1; 16 suits most rings"


@pytest.mark.parametrize(("days", "is_refused"), [(0, True), (1, False), (9, False), (10, True)])
def test_repairs_come_before_deletions_are_forgotten(days: int, is_refused: bool) -> None:
    groups, hostvars = sound()
    groups["cassandra"] = list(HOSTS)
    for host in hostvars.values():
        host |= {"temporal_profile": "ha_cassandra", "cassandra_repair_interval_days": days}
    refusal = (
        f"cassandra_repair_interval_days: {days} must be from 1 to 9, or rows come back whose deletion a node missed"
    )
    assert problems(groups, hostvars) == [refusal] * is_refused


@pytest.mark.parametrize(
    ("option", "value", "usual"), [("cassandra_tokens_per_node", 8, 16), ("cassandra_replication_factor", 5, 3)]
)
def test_nodes_of_one_ring_agree_on_what_it_is(option: str, value: int, usual: int) -> None:
    found = cassandra({"az_a": 1, "az_b": 1, "az_c": 1}, 3, first={option: value})
    differ = f"nodes differ ({value} on node-a-0; {usual} on node-b-0, node-c-0)"
    assert f"{option}: {differ}; set it once for the group cassandra" in found


def test_five_replicas_on_three_nodes_a_zone_are_told_what_to_change() -> None:
    found = cassandra({"az_a": 3, "az_b": 3, "az_c": 3}, 5)
    assert len(found) == 3
    assert all("or at least 5 racks (cassandra_rack) with at most 2 in a zone" in problem for problem in found)


def without_quorum(factor: int) -> str:
    """What preflight says of a replication factor that bears no loss."""
    return (
        f"cassandra_replication_factor: {factor} cannot keep a quorum without one node; profile ha_cassandra needs at "
        "least 3"
    )


@pytest.mark.parametrize(
    ("nodes", "factor", "problem"),
    [
        ({"az_a": 1, "az_b": 1, "az_c": 1}, 1, without_quorum(1)),
        ({"az_a": 2, "az_b": 2, "az_c": 2}, 2, without_quorum(2)),
        ({"az_a": 1, "az_b": 1}, 2, without_quorum(2)),
        (
            {"az_a": 1, "az_b": 1, "az_c": 1},
            5,
            "cassandra_replication_factor: 5, but there are 3 nodes (node-a-0, node-b-0, node-c-0); add nodes or lower "
            "the factor",
        ),
        (
            {"az_a": 2, "az_b": 2},
            3,
            "cassandra_replication_factor: 3, but the nodes are in 2 racks (az_a, az_b): without one of them ranges "
            "have no quorum; put nodes into 3 az_* groups",
        ),
    ],
)
def test_copies_that_the_ring_cannot_hold_are_told_once(nodes: dict[str, int], factor: int, problem: str) -> None:
    """And not that every node, or every zone, is a point of failure then."""
    assert cassandra(nodes, factor) == [problem]


def test_what_more_copies_would_not_mend_is_told_beside_them() -> None:
    def change(groups: Groups, hostvars: HostVars) -> None:
        groups["cassandra"] = list(HOSTS)
        groups["postgresql"] = groups["etcd"] = ["one"]
        for host in hostvars.values():
            host |= {"temporal_profile": "ha_cassandra", "cassandra_replication_factor": 2}

    [copies, point] = after(change)
    assert copies == without_quorum(2)
    assert "one: profile ha_cassandra promises no single point of failure" in point
    assert "(postgresql, etcd)" in point


@pytest.mark.parametrize(
    ("option", "name"),
    [
        ("cassandra_rack", "az_a rack"),
        ("cassandra_rack", "räck"),
        ("cassandra_datacenter", "dc 1"),
        ("cassandra_datacenter", ""),
    ],
)
def test_a_name_in_the_ring_that_nodetool_cannot_show_is_refused(option: str, name: str) -> None:
    def change(groups: Groups, hostvars: HostVars) -> None:
        groups["cassandra"] = list(HOSTS)
        for number, host in enumerate(hostvars.values()):
            of_all = name if option == "cassandra_datacenter" else f"{name}{number}"
            host |= {"temporal_profile": "ha_cassandra", option: of_all}

    found = after(change)
    assert found
    assert all("must be letters, digits, '_', '.' and '-', or the ring could not" in problem for problem in found)


def test_a_zone_that_is_no_name_of_a_rack_is_refused() -> None:
    def change(groups: Groups, hostvars: HostVars) -> None:
        groups["az_a rack"] = groups.pop("az_a")
        groups["cassandra"] = list(HOSTS)
        for host in hostvars.values():
            host["temporal_profile"] = "ha_cassandra"

    assert after(change) == [
        "zone of one: 'az_a rack' must be letters, digits, '_', '.' and '-', or the ring could not be read; rename it"
    ]


@pytest.mark.parametrize("name", ["az_a", "rack-1.b", "R1"])
def test_a_rack_that_preflight_accepts_is_read_from_nodetool(name: str) -> None:
    line = f"UN  192.0.2.11  1.2 MiB  16  50.0%  aaaaaaaa-bbbb-cccc-dddd-eeeeeeeeeeee  {name}\n"
    [node] = _cassandra.parse_status(f"Datacenter: {name}\n{line}")
    assert (node.rack, node.datacenter) == (name, name)


def test_a_ring_without_nodes_is_told_once() -> None:
    found = with_inputs(temporal_profile="ha_cassandra")
    assert found == ["cassandra: the group has no host, but profile ha_cassandra needs one; add hosts to it"]


def test_cassandra_hosts_in_a_profile_without_cassandra_are_refused() -> None:
    found = after(lambda groups, _: groups.update(cassandra=["one"]))
    assert any(
        problem.startswith("cassandra: the group has hosts, but profile ha_postgresql uses none") for problem in found
    )


# Addresses


def test_equal_addresses_are_told_with_all_their_hosts() -> None:
    found = after(lambda _, hostvars: hostvars["two"].update(temporal_address="192.0.2.20"))
    assert found == ["one, two: have the same address 192.0.2.20; give each its own ansible_host"]


def test_an_address_must_be_a_number() -> None:
    found = after(lambda _, hostvars: hostvars["two"].update(ansible_host="two.example.org"))
    assert found == ["two: two.example.org is no IP address, which the services need; set temporal_address"]


def test_a_host_without_address_is_told_so() -> None:
    found = after(lambda _, hostvars: hostvars["two"].pop("ansible_host"))
    assert found == ["two: has no address; set ansible_host"]


@pytest.mark.parametrize(
    ("vip", "message"),
    [
        ("192.0.2.21", "temporal_vip: 192.0.2.21 is the address of two; give an address that no host has"),
        ("vip.example.org", "temporal_vip: vip.example.org is no IP address; give a free address of the network of"),
        ("", "temporal_vip: is empty, but there are load balancers (one, two, three); give a free address of their"),
    ],
)
def test_a_virtual_address_that_cannot_be_is_refused(vip: str, message: str) -> None:
    found = with_inputs(temporal_vip=vip)
    assert len(found) == 1
    assert found[0].startswith(message)


@pytest.mark.parametrize(
    ("networks", "message"),
    [
        (["office"], "temporal_client_networks: office is no network such as 192.0.2.0/24"),
        ([], "temporal_client_networks: is empty, so the firewall would let no client reach the load balancers"),
    ],
)
def test_client_networks_must_be_networks(networks: list[str], message: str) -> None:
    assert with_inputs(temporal_client_networks=networks)[0].startswith(message)


def test_without_a_firewall_no_client_network_is_needed() -> None:
    assert with_inputs(temporal_client_networks=[], temporal_firewall_enabled=False) == []


# Names and types


@pytest.mark.parametrize(
    ("name", "hint"),
    [
        ("temporal_vipp", " (did you mean temporal_vip?)"),
        ("etcd_quota_megabyte", " (did you mean etcd_quota_megabytes?)"),
    ],
)
def test_an_unknown_variable_is_told_with_the_nearest_name(name: str, hint: str) -> None:
    assert with_inputs(**{name: 1}) == [
        f"{name}: is no variable of this collection{hint}; correct the name or, if it is yours, choose another prefix"
    ]


@pytest.mark.parametrize(
    ("name", "meant"),
    [
        ("temporl_vip", "temporal_vip"),
        ("hapoxy_metrics_port", "haproxy_metrics_port"),
        ("tempral_namespaces", "temporal_namespaces"),
        ("temporalvip", "temporal_vip"),
        ("pgbounce_pool_size", "pgbouncer_pool_size"),
        ("Temporal_server_memory_max", "temporal_server_memory_max"),
    ],
)
def test_a_misspelt_prefix_is_told_with_the_nearest_name_and_the_hosts(name: str, meant: str) -> None:
    found = after(lambda _, hostvars: hostvars["two"].update({name: 1}))
    assert found == [
        f"{name} on two: is no variable of this collection (did you mean {meant}?); "
        "correct the name or, if it is yours, choose one that does not look like a slip"
    ]


LETTERS = "abcdefghijklmnopqrstuvwxyz"


@settings(max_examples=30)
@given(st.sampled_from(sorted(OPTIONS)), st.data())
def test_one_wrong_letter_in_the_prefix_of_any_variable_is_told(name: str, data: st.DataObject) -> None:
    place = data.draw(st.integers(0, name.index("_") - 1))
    slip = data.draw(
        st.sampled_from(
            [
                name[:place] + name[place + 1 :],
                name[:place] + data.draw(st.sampled_from(LETTERS)) + name[place:],
                name[:place] + data.draw(st.sampled_from(LETTERS)) + name[place + 1 :],
                name[:place] + name[place + 1] + name[place] + name[place + 2 :],
            ]
        ).filter(lambda slip: slip not in OPTIONS)
    )
    found = after(lambda _, hostvars: hostvars["two"].update({slip: 1}))
    assert len(found) == 1
    assert found[0].startswith(f"{slip} on two: is no variable of this collection (did you mean ")


def test_names_that_other_roles_and_companies_use_are_free() -> None:
    assert with_inputs(**dict.fromkeys(NAMES_OF_OTHERS.split(), "x")) == []


def test_what_an_entry_point_of_a_role_told_before_is_no_slip() -> None:
    assert with_inputs(temporal_server_releases_result={}) == []


def test_an_unknown_variable_of_some_hosts_names_them() -> None:
    found = after(lambda _, hostvars: hostvars["two"].update(haproxy_bogus=1))
    assert found[0].startswith("haproxy_bogus on two: is no variable of this collection")


def test_variables_with_other_prefixes_and_names_of_groups_are_free() -> None:
    assert with_inputs(my_temporal_note="x", lab_image="debian-12", etcd_group="etcd") == []


@pytest.mark.parametrize(
    ("inputs", "words"),
    [
        (
            {"temporal_history_shards": "many"},
            ["temporal_history_shards: ", "unable to convert to int", "(seen: 'many')"],
        ),
        ({"temporal_firewall_enabled": "perhaps"}, ["temporal_firewall_enabled: ", "bool", "(seen: 'perhaps')"]),
        (
            {"temporal_profile": "ha"},
            ["temporal_profile", "must be one of: basic, ha_postgresql, ha_cassandra, got: ha"],
        ),
        ({"temporal_cluster_name": ["a"]}, ["temporal_cluster_name: must be text, not a list of 1"]),
        ({"temporal_namespaces": [{"retention_days": 3}]}, ["temporal_namespaces: missing required arguments: name"]),
        (
            {"temporal_namespaces": [{"name": "a", "retention": 3}]},
            ["temporal_namespaces: has no key retention (did you mean retention_days?); its keys are description"],
        ),
        ({"temporal_secrets": "letmein"}, ["temporal_secrets: must be a dict; see docs/variables.md"]),
    ],
)
def test_a_wrong_type_is_told_with_the_name_and_the_value(inputs: dict[str, Any], words: list[str]) -> None:
    found = with_inputs(**inputs)
    assert len([problem for problem in found if all(word in problem for word in words)]) == 1, found
    assert "letmein" not in " ".join(found)


def test_an_element_of_a_wrong_type_is_told_once() -> None:
    found = with_inputs(temporal_namespaces=["production"])
    assert len(found) == 1, found
    assert found[0].startswith("temporal_namespaces: Elements value for option 'temporal_namespaces' is of type")


@pytest.mark.parametrize("name", ["temporal_vip", "temporal_ports", "temporal_client_networks", "haproxy_proxies"])
def test_a_name_without_a_value_is_told(name: str) -> None:
    assert with_inputs(**{name: None}) == [f"{name}: has no value; give it one or take the line out"]


def test_a_name_without_a_value_on_one_host_names_it() -> None:
    found = after(lambda _, hostvars: hostvars["two"].update(keepalived_virtual_router_id=None))
    assert found == ["keepalived_virtual_router_id on two: has no value; give it one or take the line out"]


def test_text_that_means_the_type_is_accepted() -> None:
    assert with_inputs(temporal_history_shards="512", temporal_firewall_enabled="yes") == []


def test_a_template_that_cannot_be_resolved_is_a_problem() -> None:
    found = with_inputs(temporal_cluster_name=Unresolved("'nix' is undefined"))
    assert found == ["temporal_cluster_name: cannot be resolved: 'nix' is undefined; define what it refers to"]


@pytest.mark.parametrize(
    "message",
    [
        "'ansible_facts' is undefined",
        "object of type 'dict' has no attribute 'default_ipv4'",
        "'temporal_ports' is undefined",
    ],
)
def test_a_template_over_facts_or_defaults_is_none(message: str) -> None:
    assert with_inputs(temporal_vip_interface=Unresolved(message)) == []


def test_hosts_that_differ_in_an_input_of_the_cluster_are_named() -> None:
    found = after(lambda _, hostvars: hostvars["two"].update(temporal_version="1.30.6"))
    assert found == [
        "temporal_version: hosts differ ('1.30.6' on two; '1.31.2' on one, three); set it once for the whole cluster"
    ]


def test_hosts_that_differ_in_their_secrets_are_named_without_them() -> None:
    groups, hostvars = sound()
    hostvars["two"]["temporal_secrets"]["patroni_rest"] = "another-kT9vQ2mXz7"
    found = problems(groups, hostvars)
    assert found == [
        "temporal_secrets: hosts differ (one on one, three; one on two); set it once for the whole cluster"
    ]


# Secrets


@pytest.mark.parametrize(
    ("secret", "fault"),
    [
        ("changeme-changeme", "looks like a placeholder"),
        ("<put your own here>", "looks like a placeholder"),
        ("MyPassword-2024-xy", "looks like a placeholder"),
        ("short7Q", "has 7 characters, at least 16 are needed"),
        ("ababababababababab", "repeats a few characters"),
        ("a line\nand another 7Q", "has blanks or control characters"),
        ("", "is missing"),
        (None, "is missing"),
        (1234567890123456789, "must be a string; quote it"),
    ],
)
def test_a_bad_secret_is_named_and_never_shown(secret: object, fault: str) -> None:
    groups, hostvars = sound()
    for host in hostvars.values():
        host["temporal_secrets"]["patroni_rest"] = secret
    found = problems(groups, hostvars)
    assert len(found) == 1
    assert found[0].startswith(f"temporal_secrets.patroni_rest: {fault}")
    assert not secret or str(secret) not in found[0]


def test_no_secrets_at_all_names_the_keys() -> None:
    groups, hostvars = sound()
    for host in hostvars.values():
        del host["temporal_secrets"]
    assert problems(groups, hostvars) == [
        f"temporal_secrets: is not set; put the keys {', '.join(SECRETS)} into your vault"
    ]


def test_a_host_without_secrets_is_named() -> None:
    found = after(lambda _, hostvars: hostvars["two"].pop("temporal_secrets"))
    assert found == ["temporal_secrets: is not set on two; set it once for the whole cluster"]


def test_an_unknown_key_and_a_shared_secret_are_named() -> None:
    groups, hostvars = sound()
    for host in hostvars.values():
        secrets = host["temporal_secrets"]
        secrets["patroni_rst"] = "x"
        secrets["pgbouncer_auth"] = secrets["patroni_rest"]
    assert problems(groups, hostvars) == [
        "temporal_secrets.patroni_rst: is not used (did you mean patroni_rest?); correct or remove it",
        "temporal_secrets: patroni_rest, pgbouncer_auth are the same; give each its own",
    ]


# Overrides


@pytest.mark.parametrize(
    ("overrides", "setting"),
    [
        ({"persistence": {"datastores": {"es": {"elasticsearch": {"password": "x9"}}}}}, "password"),
        ({"archival": {"s3": {"secretAccessKey": "x9"}}}, "secretAccessKey"),
        ({"restapi": {"authentication": {"password": 4711}}}, "restapi.authentication.password"),
        ({"client_encryption_options": {"keystore-password": "x9"}}, "keystore-password"),
        ({"vrrp_instance edge": {"authentication": {"auth_type": "PASS", "auth_pass": "x9"}}}, "auth_pass"),
        ({"userlist people": {"user": ["ops insecure-password x9", "dev insecure-password x8"]}}, "people.user"),
        ({"frontend stats": {"stats": {"auth": "ops:x9"}}}, "stats.auth"),
        ({"frontend stats": {"stats auth": "ops:x9"}}, "stats auth"),
        ({"databases": {"reports": "host=192.0.2.1 user=r password=x9"}}, "databases.reports"),
        ({"proxy": "http://ops:x9@proxy.example.org"}, "proxy"),
        ({"defaults": {"http-request": ["set-header Authorization Bearer x9"]}}, "http-request"),
        ({"key": "-----BEGIN EC PRIVATE KEY-----\nx9"}, "key"),
        ({"backup": {"s3_key_id": "a", "apiKey": "x9"}}, "backup.apiKey"),
        ({"backup": {"secret": "/x9/Qz+4=="}}, "backup.secret"),
    ],
)
def test_a_secret_in_overrides_is_refused_and_never_shown(overrides: dict[str, Any], setting: str) -> None:
    found = with_inputs(haproxy_config_overrides=overrides)
    assert len(found) == 1
    assert found[0].startswith("haproxy_config_overrides: ")
    assert f"{setting} looks like a secret, which diffs would show; put it into a file" in found[0]
    assert "x9" not in found[0].removeprefix("haproxy")
    assert "4711" not in found[0]


@pytest.mark.parametrize(
    "overrides",
    [
        {"postgresql": {"parameters": {"password_encryption": "scram-sha-256", "ssl_passphrase_command": "ask"}}},
        {"num_tokens": 4, "initial_token": "-42", "auth-token": "simple", "initial-cluster-token": "blue"},
        {"es": {"password": '{{ env "ES_PASSWORD" }}', "passwordFile": "/etc/x/y", "secret": "${SECRET}", "token": ""}},
        {"tls": {"keyFile": "/etc/x/y.key", "private_key": "/etc/x/y.key", "requirePassword": True}},
        {"userlist people": {"user": 'ops password "${HASH}"'}, "proxy": "http://ops:$PW@proxy"},
        {"databases": {"reports": "host=192.0.2.1 user=r"}, "stats": {"auth": "ops:${PW}"}, "pgbouncer": {"auth": 1}},
    ],
)
def test_settings_that_hold_no_secret_are_not_refused(overrides: dict[str, Any]) -> None:
    assert with_inputs(temporal_server_config_overrides=overrides) == []


@pytest.mark.parametrize(
    ("setting", "remedy"),
    [
        ("num_tokens", "set cassandra_tokens_per_node instead"),
        ("endpoint_snitch", "set cassandra_datacenter and cassandra_rack instead"),
        ("initial_token", "take it out"),
    ],
)
def test_what_the_role_of_cassandra_decides_is_refused_in_overrides(setting: str, remedy: str) -> None:
    assert with_inputs(cassandra_config_overrides={"concurrent_reads": 4, setting: 1}) == [
        f"cassandra_config_overrides: {setting} is decided by the role; {remedy}"
    ]


def test_what_is_said_to_be_decided_by_the_role_of_cassandra_is() -> None:
    """And what is named instead is something that can be set."""
    variables = yaml.safe_load((PROJECT / "roles/cassandra/vars/main.yml").read_text())
    first = variables["__cassandra_first_settings"].values()
    assert set(DECIDED_BY_CASSANDRA) <= {*variables["__cassandra_config"], *(name for of in first for name in of)}
    named = {word.partition(".") for word in " and ".join(filter(None, DECIDED_BY_CASSANDRA.values())).split(" and ")}
    assert {name for name, _, _ in named} <= OPTIONS
    assert {port for _, _, port in named if port} <= PORTS.keys()


@pytest.mark.parametrize("name", ["temporal_ui_config_overrides", "temporal_worker_config_overrides"])
def test_overrides_that_no_diff_shows_may_hold_secrets(name: str) -> None:
    assert with_inputs(**{name: {"auth": {"clientSecret": "x9"}}}) == []
    assert with_inputs(**{name: ["clientSecret=x9"]}) == [f"{name}: must be a dict; see docs/variables.md"]


def test_the_keys_of_secrets_are_those_that_the_roles_document() -> None:
    described = " ".join(SPECS["temporal"]["main"]["options"]["temporal_secrets"]["description"])
    assert set(re.findall(r"C\((\w+)\)", described)) == {*SECRETS, *CASSANDRA_SECRETS}


@settings(max_examples=50)
@given(st.text(alphabet=st.characters(codec="ascii", categories=["Lu", "Ll", "Nd"]), min_size=32, max_size=48))
def test_whatever_a_secret_is_it_stands_in_no_message(secret: str) -> None:
    groups, hostvars = sound()
    for host in hostvars.values():
        host["temporal_secrets"] = {"patroni_rest": secret, "pgbouncer_auth": secret, "typo": secret}
    assert secret not in " ".join(problems(groups, hostvars))


# Ports


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (
            {"ui": PORTS["patroni"]},
            "temporal_ports: ui, patroni are all 8008 on one, two, three; give each its own port",
        ),
        (
            {"ui": 7199},
            "temporal_ports: ui, cassandra_jmx are all 7199 on one, two, three; give each its own port",
        ),
        ({"ui": 22}, "temporal_ports.ui: 22 belongs to SSH; choose another"),
        ({"ui": 70000}, "temporal_ports.ui: 70000 must be a number between 1 and 65535"),
        ({"ui": "8081"}, "temporal_ports.ui: '8081' must be a number between 1 and 65535"),
        ({"ui": None}, "temporal_ports.ui: None must be a number between 1 and 65535"),
        ({"ui": [8081]}, "temporal_ports.ui: [8081] must be a number between 1 and 65535"),
        ({"uii": 8082}, "temporal_ports.uii: is no port of this collection (did you mean ui?); remove it"),
    ],
)
def test_a_port_that_cannot_be_is_refused(change: dict[str, Any], message: str) -> None:
    groups, hostvars = sound()
    groups["cassandra"] = list(HOSTS)
    for host in hostvars.values():
        host |= {"temporal_profile": "ha_cassandra", "temporal_ports": PORTS | change}
    assert message in problems(groups, hostvars)


def test_one_number_may_serve_the_host_and_the_virtual_address() -> None:
    assert PORTS["frontend"] == 7233
    assert with_inputs(temporal_ports=PORTS | {"ui_vip": PORTS["ui"]}) == []


def test_services_of_different_hosts_may_share_a_port() -> None:
    groups, hostvars = sound(tuple(f"{tier}-{zone}" for tier in ("db", "web") for zone in "abc"))
    for tier in TIERS:
        groups[tier] = [host for host in hostvars if host.startswith("db") == (tier in ("postgresql", "etcd"))]
    for host in hostvars.values():
        host["temporal_ports"] = PORTS | {"ui": PORTS["patroni"]}
    assert problems(groups, hostvars) == []


@pytest.mark.parametrize("overrides", [{}, {"global": None}, {"global": 7}])
@pytest.mark.parametrize("given", [{}, {"audience": "temporal"}, {"key_source_uris": []}])
def test_an_authorizer_without_keys_is_refused(given: dict[str, Any], overrides: dict[str, Any]) -> None:
    found = with_inputs(
        temporal_authorization_enabled=True,
        temporal_server_authorization=given,
        temporal_server_config_overrides=overrides,
    )
    assert len(found) == 1
    assert found[0].startswith(
        "temporal_server_authorization.key_source_uris: is empty, so the frontend would accept no"
    )


def test_keys_that_are_at_no_url_are_refused() -> None:
    found = with_inputs(
        temporal_authorization_enabled=True, temporal_server_authorization={"key_source_uris": ["/etc/keys.json"]}
    )
    assert found[0].startswith("temporal_server_authorization.key_source_uris: '/etc/keys.json' is no place")


@pytest.mark.parametrize(
    "inputs",
    [
        {"temporal_server_authorization": {"key_source_uris": ["https://login.example.org/keys"]}},
        {"temporal_server_config_overrides": {"global": {"authorization": {"authHeaderName": "x"}}}},
        {"temporal_authorization_enabled": False},
    ],
)
def test_an_authorizer_with_keys_is_fine(inputs: dict[str, Any]) -> None:
    assert with_inputs(**{"temporal_authorization_enabled": True} | inputs) == []


def test_a_part_of_the_ports_names_the_missing_ones() -> None:
    found = with_inputs(temporal_ports={name: port for name, port in PORTS.items() if name != "etcd_peer"})
    assert found == ["temporal_ports: etcd_peer missing; give all ports when you change one"]


# Values


@pytest.mark.parametrize(
    ("inputs", "message"),
    [
        ({"temporal_cluster_name": "My Cluster"}, "temporal_cluster_name: 'My Cluster' must be lower case letters"),
        ({"temporal_version": "v1.31"}, "temporal_version: 'v1.31' is no release such as 1.31.2"),
        ({"temporal_version": "1.28.4"}, "temporal_version: 1.28.4 is older than 1.29, the oldest supported"),
        ({"temporal_history_shards": 0}, "temporal_history_shards: 0 must be at least 1"),
        ({"temporal_history_shards": 16}, "temporal_history_shards: 16 are too few for 3 servers"),
        (
            {"temporal_server_version": "1.30.6"},
            "temporal_server_version: 1.30.6 is not what temporal_version says, 1.31.2; leave it out",
        ),
        (
            {"cassandra_version": "5.1.0"},
            "cassandra_version: 5.1.0 is not what temporal_versions.cassandra says",
        ),
        (
            {"patroni_leader_disk_free_least_percent": 50},
            "patroni_leader_disk_free_least_percent: 50 must be from 0 to below 50",
        ),
        (
            {"patroni_leader_disk_free_least_percent": -1},
            "patroni_leader_disk_free_least_percent: -1 must be from 0 to below 50",
        ),
        ({"temporal_namespaces": [{"name": "a b"}]}, "temporal_namespaces: 'a b' must be letters, digits"),
        (
            {"temporal_namespaces": [{"name": "temporal-system"}]},
            "temporal_namespaces: temporal-system belongs to Temporal",
        ),
        (
            {"temporal_namespaces": [{"name": "a"}, {"name": "a"}]},
            "temporal_namespaces: a stands there 2 times; keep one",
        ),
        (
            {"temporal_namespaces": [{"name": "a", "retention_days": 0}]},
            "temporal_namespaces: retention_days of a is 0; keep at least 1 day",
        ),
        (
            {"temporal_namespaces": [{"name": "a", "search_attributes": {"CustomerId": "keyword"}}]},
            "temporal_namespaces: search attribute CustomerId of a has type keyword (did you mean Keyword?)",
        ),
    ],
)
def test_a_value_that_cannot_work_is_refused(inputs: dict[str, Any], message: str) -> None:
    found = with_inputs(**inputs)
    assert any(problem.startswith(message) for problem in found), found


@pytest.mark.parametrize(
    ("deployments", "message"),
    [
        (
            [{"namespace": "prodction"}],
            "a works in namespace prodction, which temporal_namespaces does not have (did you mean",
        ),
        ([{"instances": 0}], "a: instances is 0; at least 1 is needed"),
        ([{}, {}], "a: two deployments have this name; give each a name of its own"),
        ([{"instances_max": 3}], "a: instances_min is 1 and instances_max 3, and there is no metrics_port"),
        ([{"instance": 2}], "has no key instance (did you mean instances?)"),
    ],
)
def test_a_worker_deployment_that_cannot_work_is_refused(deployments: list[dict[str, Any]], message: str) -> None:
    whole = {"name": "a", "namespace": "production", "task_queue": "q", "package": "a==1.0.0", "workflows": ["a"]}
    found = with_inputs(temporal_worker_deployments=[whole | deployment for deployment in deployments])
    assert len(found) == 1
    assert found[0].startswith(f"temporal_worker_deployments: {message}")


def test_the_agent_of_workers_and_their_metrics_have_numbers_and_ports_that_can_be() -> None:
    whole = {"name": "a", "namespace": "production", "task_queue": "q", "package": "a==1.0.0", "workflows": ["a"]}
    port = SPECS["temporal"]["main"]["options"]["temporal_ports"]["default"]["patroni"]
    assert with_inputs(temporal_worker_deployments=[whole], temporal_worker_scaling={"interval_seconds": 0}) == [
        "temporal_worker_scaling: interval_seconds is 0; at least 1 is needed"
    ]
    assert with_inputs(temporal_worker_deployments=[whole | {"metrics_port": port}]) == [
        f"temporal_worker_deployments: port {port} for metrics of workers is temporal_ports.patroni; choose another"
        " metrics_port"
    ]
    assert with_inputs(temporal_worker_deployments=[whole | {"metrics_port": 9200}]) == []


def test_all_problems_are_told_at_once() -> None:
    groups, hostvars = sound()
    groups["az_a"].append("two")
    for host in hostvars.values():
        host |= {
            "temporal_vip": "192.0.2.20",
            "temporal_bogus": 1,
            "temporal_history_shards": "x",
            "temporal_version": "y",
        }
    assert len(problems(groups, hostvars)) == 6


def test_every_problem_says_what_to_do() -> None:
    groups, hostvars = sound()
    groups["postgresql"] = ["one"]
    for host in hostvars.values():
        host |= {"temporal_secrets": {}, "temporal_bogus": 1, "temporal_vip": "", "temporal_ports": {}}
    for problem in problems(groups, hostvars):
        assert ": " in problem
        assert "; " in problem


def test_a_thousand_hosts_take_less_than_two_seconds() -> None:
    groups, hostvars = sound(tuple(f"host-{number}" for number in range(1001)))
    for number, variables in enumerate(hostvars.values()):
        variables.update(dict.fromkeys(NAMES_OF_OTHERS.split()) | {f"only_on_host_{number}": 1})
    start = time.process_time()
    problems(groups, hostvars)
    assert time.process_time() - start < 2


@pytest.mark.parametrize(
    "namespaces",
    [
        [{"name": "a", "retention_days": {"password": "letmein"}}],
        [{"name": "a", "retention_days": "letmein"}],
        {"name": "a", "password": "letmein"},
        ["letmein"],
    ],
)
def test_what_a_list_of_a_wrong_form_holds_is_not_shown(namespaces: object) -> None:
    found = with_inputs(temporal_namespaces=namespaces)
    assert found
    assert "letmein" not in " ".join(found)
