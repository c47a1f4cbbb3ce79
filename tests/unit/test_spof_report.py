"""The report says what an inventory survives, no more and no less."""

from __future__ import annotations

import itertools
import json
import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
import yaml
from ansible_collections.zerospof.temporal.plugins.module_utils import _patroni, _ring_safety, _spof, _spof_text
from ansible_collections.zerospof.temporal.plugins.module_utils._topology import TopologyError
from hypothesis import given, settings
from hypothesis import strategies as st

PROJECT = Path(__file__).resolve().parents[2]
ZONES = ("az_a", "az_b", "az_c")
TIERS = ("load_balancers", "temporal_servers", "temporal_ui", "temporal_workers", "postgresql", "etcd")
SECONDS_FOR_A_PLAYBOOK = 60
"""The promise is 5 s on an idle machine (tests/bench); here a machine with other work must not fail the test."""


def one_per_zone(*tiers: str, hosts: int = 1) -> dict[str, list[str]]:
    """Groups with ``hosts`` hosts of each tier in each of three zones."""
    groups: dict[str, list[str]] = {zone: [] for zone in ZONES}
    for tier in tiers:
        for zone, number in itertools.product(ZONES, range(hosts)):
            host = f"{tier}-{zone}-{number}"
            groups.setdefault(tier, []).append(host)
            groups[zone].append(host)
    return groups


def placed(tier: str, *sizes: int) -> dict[str, list[str]]:
    """Groups with ``sizes`` hosts of ``tier`` in zone after zone."""
    groups: dict[str, list[str]] = {tier: []}
    for zone, size in zip("abcdefgh", sizes, strict=False):
        groups[f"az_{zone}"] = [f"{zone}{number}" for number in range(1, size + 1)]
        groups[tier] += groups[f"az_{zone}"]
    return groups


def report(groups: dict[str, list[str]], profile: str = "ha_postgresql", **options: Any) -> dict[str, Any]:  # noqa: ANN401
    """The report on ``groups`` with a virtual address."""
    options = {"hostvars": {}, "vip": "192.0.2.10", "cluster": "test", **options}
    return _spof.spof_report(groups, profile=profile, **options)


def tier(found: dict[str, Any], name: str) -> dict[str, Any]:
    """One tier of a report."""
    return next(row for row in found["tiers"] if row["name"] == name)


def survives(found: dict[str, Any]) -> tuple[bool, bool, bool]:
    """What a tier, or all of them, survives: a host, a zone, two hosts."""
    return found["survives_any_one_host"], found["survives_any_one_az"], found["survives_any_two_hosts"]


def names(found: dict[str, Any]) -> list[tuple[str, str]]:
    """Kind and name of each single point of failure."""
    return [(point["kind"], point["name"]) for point in found["single_points_of_failure"]]


def dcs(**settings: Any) -> dict[str, Any]:  # noqa: ANN401
    """Variables of a host that has other dynamic settings of Patroni than those of the role."""
    return {"patroni_config_overrides": {"bootstrap": {"dcs": settings}}}


# Examples


def run_playbook(inventory: str, *options: str, directory: Path = PROJECT) -> str:
    """Output of the playbook on an example inventory, run from ``directory``."""
    return subprocess.run(
        [
            str(Path(sys.executable).with_name("ansible-playbook")),
            str(PROJECT / "playbooks/spof_report.yml"),
            f"--inventory={PROJECT / 'inventories' / inventory}",
            *options,
        ],
        cwd=directory,
        env=os.environ | {"ANSIBLE_CONFIG": str(PROJECT / "ansible.cfg")},
        capture_output=True,
        text=True,
        check=True,
        timeout=SECONDS_FOR_A_PLAYBOOK,
    ).stdout


def test_basic_names_postgresql_and_nothing_else(tmp_path: Path) -> None:
    file = tmp_path / "report.json"
    output = run_playbook("basic", f"--extra-vars=spof_report_file={file}")
    found = json.loads(file.read_text())
    assert names(found) == [("host", "db-a")]
    point = found["single_points_of_failure"][0]
    assert point["tiers"] == ["postgresql", "etcd"]
    assert "add hosts of az_b and az_c" in point["remedy"]
    for name in ("load_balancers", "temporal_servers", "temporal_ui", "temporal_workers"):
        assert survives(tier(found, name)) == (True, True, True)
    assert survives(tier(found, "postgresql")) == (False, False, False)
    assert "Single points of failure: 1\n  1. db-a in az_a (postgresql, etcd)\n" in output


def test_ha_postgresql_names_none(tmp_path: Path) -> None:
    output = run_playbook("ha_postgresql", "--extra-vars=spof_report_file=report.json", directory=tmp_path)
    found = json.loads((tmp_path / "report.json").read_text())
    assert names(found) == []
    assert survives(found) == (True, True, False)
    assert "Single points of failure: none\n" in output


# Tiers of which one host is enough


@pytest.mark.parametrize("name", ["load_balancers", "temporal_servers", "temporal_ui", "temporal_workers"])
@pytest.mark.parametrize(
    ("sizes", "expected", "points"),
    [
        ((1, 1, 1), (True, True, True), []),
        ((1, 1), (True, True, False), []),
        ((2,), (True, False, False), [("az", "az_a")]),
        ((1,), (False, False, False), [("host", "a1")]),
        ((3, 0, 0), (True, False, True), [("az", "az_a")]),
    ],
)
def test_stateless_tiers_live_on_their_last_host(
    name: str, sizes: tuple[int, ...], expected: tuple[bool, ...], points: list[tuple[str, str]]
) -> None:
    found = report(placed(name, *sizes))
    assert survives(tier(found, name)) == expected
    assert names(found) == points


def test_without_a_virtual_address_every_balancer_is_a_point_of_failure() -> None:
    found = report(one_per_zone(*TIERS), vip="")
    assert survives(tier(found, "load_balancers")) == (False, False, False)
    assert [point["tiers"] for point in found["single_points_of_failure"]] == [["load_balancers"]] * 3
    assert "set temporal_vip" in found["single_points_of_failure"][0]["remedy"]


def test_a_tier_without_hosts_survives_nothing_but_is_no_point_of_failure() -> None:
    found = report(one_per_zone("load_balancers", "postgresql", "etcd"))
    assert survives(tier(found, "temporal_servers")) == (False, False, False)
    assert names(found) == []


def test_tiers_that_an_inventory_may_lack_are_left_out() -> None:
    found = report(one_per_zone("load_balancers", "temporal_servers", "postgresql", "etcd"))
    assert [row["name"] for row in found["tiers"]] == ["load_balancers", "temporal_servers", "postgresql", "etcd"]


def polling(queue: str, name: str = "a", **more: object) -> dict[str, object]:
    return {"name": name, "namespace": "production", "task_queue": queue, **more}


def test_a_queue_that_one_worker_host_serves_makes_it_a_point_of_failure() -> None:
    groups = one_per_zone(*TIERS)
    workers = groups["temporal_workers"]
    hostvars = {host: {"temporal_worker_deployments": [polling("everywhere")]} for host in workers}
    hostvars[workers[1]]["temporal_worker_deployments"].append(polling("reports"))
    found = report(groups, hostvars=hostvars)
    assert names(found) == [("host", workers[1])]
    reason = tier(found, "temporal_workers")["reasons"]["any_one_host"]
    assert "no worker host of reports in production is left" in reason


def test_deployments_of_one_queue_stand_in_for_each_other() -> None:
    groups = one_per_zone(*TIERS)
    hostvars = {
        host: {"temporal_worker_deployments": [polling("reports", host)]} for host in groups["temporal_workers"]
    }
    assert names(report(groups, hostvars=hostvars)) == []


def test_versioned_deployments_do_not_stand_in_for_each_other() -> None:
    """A workflow stays in the deployment that began it."""
    groups = one_per_zone(*TIERS)
    hostvars = {
        host: {"temporal_worker_deployments": [polling("reports", host, versioned=True)]}
        for host in groups["temporal_workers"]
    }
    assert names(report(groups, hostvars=hostvars)) == [("host", host) for host in groups["temporal_workers"]]


def test_workers_of_one_kind_of_tasks_do_not_stand_in_for_those_of_the_other() -> None:
    groups = one_per_zone(*TIERS)
    first, *others = groups["temporal_workers"]
    hostvars = {host: {"temporal_worker_deployments": [polling("reports", activities=["a"])]} for host in others}
    hostvars[first] = {"temporal_worker_deployments": [polling("reports", workflows=["w"])]}
    found = report(groups, hostvars=hostvars)
    assert names(found) == [("host", first)]
    reason = tier(found, "temporal_workers")["reasons"]["any_one_host"]
    assert "no worker host of reports in production (workflow tasks) is left" in reason


# Databases


@pytest.mark.parametrize(
    ("sizes", "expected", "points"),
    [
        ((1, 1, 1), (True, True, False), []),
        ((2, 2, 1), (True, True, True), []),
        ((1, 1), (False, False, False), [("host", "a1"), ("host", "b1")]),
        ((2, 1), (True, False, False), [("az", "az_a")]),
        ((2, 1, 1), (True, False, False), [("az", "az_a")]),
        ((3, 1, 1), (True, False, True), [("az", "az_a")]),
        ((1, 1, 1, 1), (True, True, False), []),
        ((2, 2, 2), (True, True, True), []),
    ],
)
def test_etcd_lives_on_a_majority(
    sizes: tuple[int, ...], expected: tuple[bool, ...], points: list[tuple[str, str]]
) -> None:
    found = report(placed("etcd", *sizes))
    assert survives(tier(found, "etcd")) == expected
    assert names(found) == points


def test_two_of_three_etcd_lost_says_that_failsafe_mode_keeps_the_primary() -> None:
    reason = tier(report(placed("etcd", 1, 1, 1)), "etcd")["reasons"]["any_two_hosts"]
    assert "without a1 and b1, fewer than 2 of 3 etcd members are left" in reason
    assert "failsafe mode keeps a PostgreSQL primary that still runs, but it no longer fails over" in reason


@pytest.mark.parametrize(
    ("sizes", "copies", "expected"),
    [
        ((1,), 1, (False, False, False)),
        ((1, 1), 1, (False, False, False)),
        ((1, 1, 1), 1, (True, True, False)),
        ((2, 1, 1), 1, (True, False, False)),
        ((2, 2, 1), 1, (True, False, False)),
        ((2, 2, 1), 2, (True, True, True)),
    ],
)
def test_postgresql_survives_what_its_synchronous_standbys_hold(
    sizes: tuple[int, ...], copies: int, expected: tuple[bool, ...]
) -> None:
    groups = placed("postgresql", *sizes)
    groups["etcd"] = [f"etcd-{number}" for number in range(5)]
    for number, host in enumerate(groups["etcd"]):
        groups.setdefault(f"az_{'abcde'[number]}", []).append(host)
    overrides = {"bootstrap": {"dcs": {"synchronous_node_count": copies}}}
    found = report(groups, hostvars={host: {"patroni_config_overrides": overrides} for host in groups["postgresql"]})
    assert survives(tier(found, "postgresql")) == expected


def test_one_synchronous_standby_is_what_the_role_sets() -> None:
    variables = yaml.safe_load((PROJECT / "roles/patroni/vars/main.yml").read_text())
    dynamic = variables["__patroni_config"]["bootstrap"]["dcs"]
    assert dynamic["synchronous_node_count"] == _patroni.SYNCHRONOUS_STANDBYS
    assert dynamic["failsafe_mode"] is True


@pytest.mark.parametrize(
    ("variables", "setting"),
    [
        (dcs(synchronous_mode=False), "patroni_config_overrides.bootstrap.dcs.synchronous_mode"),
        (dcs(synchronous_mode=None), "patroni_config_overrides.bootstrap.dcs.synchronous_mode"),
        (dcs(synchronous_mode_strict="off"), "patroni_config_overrides.bootstrap.dcs.synchronous_mode_strict"),
        (
            dcs(postgresql={"parameters": {"synchronous_commit": "local"}}),
            "patroni_config_overrides.bootstrap.dcs.postgresql.parameters.synchronous_commit",
        ),
        (
            {"patroni_postgresql_parameters": {"synchronous_commit": False}},
            "patroni_postgresql_parameters.synchronous_commit",
        ),
    ],
)
def test_every_member_is_a_point_of_failure_where_no_standby_is_certain_to_hold_writes(
    variables: dict[str, Any], setting: str
) -> None:
    groups = one_per_zone(*TIERS)
    hosts = groups["postgresql"]
    # The dynamic configuration is that of the whole cluster, whichever host brings it.
    found = report(groups, hostvars={hosts[1]: variables})
    row = tier(found, "postgresql")
    assert survives(row) == (False, False, False)
    assert row["reasons"]["any_one_host"] == (
        f"without {hosts[0]}, acknowledged writes can be lost: {setting} lets the primary acknowledge writes that no "
        "standby has"
    )
    assert names(found) == [("host", host) for host in hosts]
    point = found["single_points_of_failure"][0]
    assert point["effect"] == "acknowledged writes can be lost"
    assert point["remedy"] == (
        f"take {setting} out, so that a standby of group postgresql holds every acknowledged write"
    )


@pytest.mark.parametrize(
    "variables",
    [
        {},
        dcs(synchronous_mode="quorum"),
        dcs(synchronous_mode="on", synchronous_mode_strict=True, synchronous_node_count="1"),
        dcs(postgresql={"parameters": {"synchronous_commit": "remote_apply"}})
        | {"patroni_postgresql_parameters": {"synchronous_commit": "off"}},
    ],
)
def test_settings_with_which_a_standby_holds_every_write_take_nothing_away(variables: dict[str, Any]) -> None:
    groups = one_per_zone(*TIERS)
    found = report(groups, hostvars=dict.fromkeys(groups["postgresql"], variables))
    assert survives(tier(found, "postgresql")) == (True, True, False)


def test_asynchronous_members_in_two_zones_are_told_both_remedies() -> None:
    groups = placed("postgresql", 2, 1)
    groups["etcd"] = ["e1", "e2", "e3"]
    found = report(groups, hostvars={"a1": dcs(synchronous_mode=False)})
    point = found["single_points_of_failure"][0]
    assert point["remedy"].startswith("have in group postgresql three members in three zones")
    assert "and take patroni_config_overrides.bootstrap.dcs.synchronous_mode out" in point["remedy"]


def test_a_single_member_needs_no_standby() -> None:
    groups = {"az_a": ["a"], "postgresql": ["a"], "etcd": ["a"]}
    found = report(groups, "basic", hostvars={"a": dcs(synchronous_mode=False)})
    assert tier(found, "postgresql")["reasons"]["any_one_host"].startswith("without a, no PostgreSQL member is left")


@pytest.mark.parametrize(
    ("group", "variables", "message"),
    [
        (
            "cassandra",
            {"cassandra_replication_factor": "three"},
            "cassandra_replication_factor of a1: 'three' must be a number; correct the value",
        ),
        (
            "cassandra",
            {"temporal_history_shards": "abc"},
            "temporal_history_shards of a1: 'abc' must be a number; correct the value",
        ),
        (
            "cassandra",
            {"cassandra_tokens_per_node": 3.5},
            "cassandra_tokens_per_node of a1: 3.5 must be a number; correct the value",
        ),
        (
            "temporal_workers",
            {"temporal_worker_deployments": "abc"},
            "temporal_worker_deployments of a1: must be a list of dictionaries; see docs/variables.md",
        ),
        (
            "temporal_workers",
            {"temporal_worker_deployments": ["abc"]},
            "temporal_worker_deployments of a1: must be a list of dictionaries; see docs/variables.md",
        ),
        (
            "postgresql",
            {"patroni_config_overrides": {"bootstrap": None}},
            "patroni_config_overrides.bootstrap of a1: has no value; correct it or take it out",
        ),
        (
            "postgresql",
            {"patroni_config_overrides": "fast"},
            "patroni_config_overrides of a1: must be a dictionary; correct it or take it out",
        ),
        (
            "postgresql",
            {"patroni_config_overrides": {"bootstrap": {"dcs": {"synchronous_node_count": "two"}}}},
            "patroni_config_overrides.bootstrap.dcs.synchronous_node_count of a1: 'two' must be a number from 1 on; "
            "correct it or take it out",
        ),
    ],
)
def test_a_value_of_a_wrong_type_is_told_with_its_variable_and_host(
    group: str, variables: dict[str, Any], message: str
) -> None:
    groups = placed(group, 1, 1, 1)
    with pytest.raises(TopologyError) as refusal:
        report(groups, "ha_cassandra", hostvars=dict.fromkeys(groups[group], variables))
    assert str(refusal.value) == message


def test_postgresql_needs_etcd_to_fail_over() -> None:
    groups = one_per_zone("postgresql", "load_balancers", "temporal_servers")
    groups["etcd"] = [groups["load_balancers"][0]]
    found = report(groups)
    assert survives(tier(found, "postgresql")) == (False, False, False)
    point = found["single_points_of_failure"][0]
    assert point["name"] == groups["etcd"][0]
    assert point["effect"] == "PostgreSQL no longer fails over"


@pytest.mark.parametrize(
    ("sizes", "factor", "expected"),
    [
        ((2, 2, 1), 3, (True, True, False)),
        ((2, 2, 2), 3, (True, True, False)),
        ((3, 3, 3), 3, (True, True, False)),
        ((2, 2, 1), 5, (True, True, True)),
        ((2, 2, 2), 5, (True, True, True)),
        ((3, 3, 3), 5, (True, False, True)),
        ((1, 1, 1), 1, (False, False, False)),
        ((3, 3), 3, (True, False, False)),
        ((1, 1), 3, (False, False, False)),
        ((2, 2, 2, 2), 3, (True, True, False)),
        ((1,), 3, (False, False, False)),
    ],
)
def test_cassandra_keeps_a_quorum_of_every_range(
    sizes: tuple[int, ...], factor: int, expected: tuple[bool, ...]
) -> None:
    groups = placed("cassandra", *sizes)
    hostvars = {host: {"cassandra_replication_factor": factor} for host in groups["cassandra"]}
    assert survives(tier(report(groups, "ha_cassandra", hostvars=hostvars), "cassandra")) == expected


def test_the_remedy_for_too_few_copies_names_their_number() -> None:
    groups = placed("cassandra", 1, 1, 1)
    hostvars = {host: {"cassandra_replication_factor": 1} for host in groups["cassandra"]}
    [point, *_] = report(groups, "ha_cassandra", hostvars=hostvars)["single_points_of_failure"]
    assert point["remedy"] == (
        "have in group cassandra the same number of nodes in each of three zones, and set "
        "cassandra_replication_factor: 3"
    )


def test_two_racks_in_a_zone_keep_five_replicas_through_its_loss() -> None:
    groups = placed("cassandra", 4, 4, 2)
    racks = {host: f"{host[0]}-{int(host[1]) % 2 if host[0] != 'c' else 0}" for host in groups["cassandra"]}
    hostvars = {host: {"cassandra_replication_factor": 5, "cassandra_rack": racks[host]} for host in racks}
    found = tier(report(groups, "ha_cassandra", hostvars=hostvars), "cassandra")
    assert survives(found) == (True, True, True)


def test_the_reason_counts_the_pairs_and_names_the_worst_with_what_it_takes() -> None:
    found = tier(report(placed("cassandra", 2, 2, 2), "ha_cassandra"), "cassandra")
    assert found["reasons"]["any_two_hosts"] == (
        "3 of 15 pairs can be lost; without a1 and b1, 33 % of the ranges and 166 of 512 history shards keep fewer "
        "than 2 of 3 replicas"
    )


def test_a_promise_that_only_the_tokens_of_founders_keep_is_none() -> None:
    groups = placed("cassandra", 3, 3, 3)
    hostvars = {host: {"cassandra_replication_factor": 5} for host in groups["cassandra"]}
    found = tier(report(groups, "ha_cassandra", hostvars=hostvars), "cassandra")
    assert [zone["safe"] for zone in found["ring"]["zones"]] == [True] * 3
    assert found["survives_any_one_az"] is False
    assert found["reasons"]["any_one_az"] == (
        "without az_a, az_b or az_c, ranges can keep fewer than 3 of 5 replicas once a node has joined with tokens "
        "of its own"
    )
    three = tier(report(groups, "ha_cassandra"), "cassandra")
    assert three["reasons"]["any_two_hosts"].startswith("18 of 36 pairs can be lost, 9 whatever the tokens; without a1")


def test_the_ring_of_the_report_has_the_tokens_and_shards_of_the_inventory() -> None:
    groups = placed("cassandra", 2, 2, 2)
    hostvars = {host: {"cassandra_tokens_per_node": 4, "temporal_history_shards": 64} for host in groups["cassandra"]}
    found = tier(report(groups, "ha_cassandra", hostvars=hostvars), "cassandra")
    members = [{"name": host, "zone": f"az_{host[0]}"} for host in groups["cassandra"]]
    assert found["ring"] == _ring_safety.ring_safety(members, 3, history_shards=64, tokens_per_node=4)


def test_a_zone_with_a_single_node_that_holds_all_data_is_hinted_at() -> None:
    found = report(placed("cassandra", 4, 1, 1), "ha_cassandra")
    [hint] = found["hints"]
    assert hint == (
        "cassandra: b1, c1 hold 100 % of all data each, others down to 25 %; have in group cassandra the same number "
        "of nodes in every zone, or give more disk and processors to those with more data"
    )
    assert "\nHint: cassandra: b1, c1 hold 100 % of all data each" in _spof_text.report_text(found)
    assert "c1 holds 100 % of all data, others" in report(placed("cassandra", 2, 2, 1), "ha_cassandra")["hints"][0]


@pytest.mark.parametrize("sizes", [(1, 1, 1), (2, 2, 2), (3, 2, 2), (2, 2), ()])
def test_a_ring_whose_nodes_hold_about_the_same_gets_no_hint(sizes: tuple[int, ...]) -> None:
    found = report(placed("cassandra", *sizes), "ha_cassandra")
    assert found["hints"] == []
    assert "Hint" not in _spof_text.report_text(found)


def test_what_the_report_takes_for_granted_is_what_the_roles_do() -> None:
    for role, name, value in (
        ("cassandra", "cassandra_replication_factor", _spof.DEFAULT_REPLICATION_FACTOR),
        ("cassandra", "cassandra_tokens_per_node", _spof.DEFAULT_TOKENS_PER_NODE),
        ("temporal", "temporal_history_shards", _spof.DEFAULT_HISTORY_SHARDS),
    ):
        assert yaml.safe_load((PROJECT / f"roles/{role}/defaults/main.yml").read_text())[name] == value


# What all tiers share


def test_a_host_that_carries_several_tiers_is_named_once_with_all_of_them() -> None:
    hosts = ["one"]
    found = report({"az_a": hosts, **dict.fromkeys(TIERS, hosts)})
    assert names(found) == [("host", "one")]
    assert found["single_points_of_failure"][0]["tiers"] == list(TIERS)


def test_a_zone_is_named_only_when_none_of_its_hosts_is() -> None:
    groups = placed("postgresql", 1, 1, 1)
    groups["etcd"] = ["a1", "e1", "b1"]
    groups["az_a"] = ["a1", "e1"]
    assert names(report(groups)) == [("az", "az_a")]


def test_a_host_in_no_zone_makes_no_promise_about_zones() -> None:
    groups = one_per_zone(*TIERS)
    groups["temporal_servers"].append("stray")
    found = tier(report(groups), "temporal_servers")
    assert survives(found) == (True, False, True)
    assert found["unplaced"] == ["stray"]
    assert found["reasons"]["any_one_az"] == "stray is in no az_* group"


def test_the_cluster_survives_what_all_its_tiers_survive() -> None:
    assert survives(report(one_per_zone(*TIERS))) == (True, True, False)
    assert survives(report(one_per_zone(*TIERS, hosts=2))) == (True, False, False)


def test_another_group_can_play_a_tier() -> None:
    groups = one_per_zone("etcd")
    groups["blue_etcd"] = groups.pop("etcd")
    found = tier(report(groups, tiers={"etcd": "blue_etcd"}), "etcd")
    assert found["group"] == "blue_etcd"
    assert survives(found) == (True, True, False)


HOSTS = [f"h{number}" for number in range(6)]


@st.composite
def inventories(draw: st.DrawFn) -> tuple[dict[str, list[str]], int]:
    """Small inventories: up to 6 hosts in up to 4 zones with any tiers on each, and a replication factor."""
    groups: dict[str, list[str]] = {}
    hosts = HOSTS[: draw(st.integers(1, len(HOSTS)))]
    for host in hosts:
        groups.setdefault(draw(st.sampled_from(["az_a", "az_b", "az_c", "az_d"])), []).append(host)
    for name in (*TIERS, "cassandra"):
        members = draw(st.lists(st.sampled_from(hosts), unique=True, max_size=len(hosts)))
        groups[name] = [host for host in hosts if host in members]
    return groups, draw(st.sampled_from([1, 2, 3, 5]))


def lives(name: str, groups: dict[str, list[str]], factor: int, lost: set[str]) -> bool:
    """Whether a tier lives without the hosts ``lost``, said in another way than the code does."""
    alive = [host for host in groups[name] if host not in lost]
    gone = [host for host in groups[name] if host in lost]
    zone_of = {host: zone for zone, hosts in groups.items() if zone.startswith("az_") for host in hosts}
    if name == "etcd":
        return len(alive) > len(groups[name]) / 2
    if name == "postgresql":
        single = len(groups[name]) == 1
        return (
            lives("etcd", groups, factor, lost) and len(alive) >= 1 and (single or (len(alive) > 1 and len(gone) < 2))
        )
    if name == "cassandra":
        return all(
            len(replicas - lost) > factor // 2 for replicas in placements(groups[name], zone_of, factor)
        ) and bool(groups[name])
    return bool(alive)


def placements(nodes: list[str], zone_of: dict[str, str], factor: int) -> list[set[str]]:
    """Replica sets that NetworkTopologyStrategy can choose for any order of the nodes on the ring."""
    racks = {zone_of[node] for node in nodes}
    found = set()
    for ring in itertools.permutations(nodes):
        replicas: list[str] = []
        seen: set[str] = set()
        repeats = factor - len(racks)
        skipped: list[str] = []
        for node in ring:
            if len(replicas) == factor:
                break
            if zone_of[node] not in seen:
                seen.add(zone_of[node])
                replicas.append(node)
            elif repeats > 0:
                repeats -= 1
                replicas.append(node)
            else:
                skipped.append(node)
        found.add(frozenset(replicas))
    return [set(replicas) for replicas in found]


@settings(max_examples=60)
@given(inventories())
def test_every_claim_equals_trying_out_every_loss(inventory: tuple[dict[str, list[str]], int]) -> None:
    groups, factor = inventory
    hosts = sorted({host for zone, members in groups.items() if zone.startswith("az_") for host in members})
    zones = [set(members) for zone, members in groups.items() if zone.startswith("az_")]
    losses = {
        "any_one_host": [{host} for host in hosts],
        "any_one_az": zones,
        "any_two_hosts": [{host} for host in hosts] + [set(pair) for pair in itertools.combinations(hosts, 2)],
    }
    hostvars = {host: {"cassandra_replication_factor": factor} for host in hosts}
    found = report(groups, "ha_cassandra", hostvars=hostvars)
    points: set[str] = set()
    for row in found["tiers"]:
        for loss, sets in losses.items():
            expected = all(lives(row["name"], groups, factor, lost) for lost in [set(), *sets])
            assert row[f"survives_{loss}"] == expected, (row["name"], loss)
    for name in (row["name"] for row in found["tiers"]):
        if lives(name, groups, factor, set()):
            points |= {host for host in hosts if not lives(name, groups, factor, {host})}
    assert {name for kind, name in names(found) if kind == "host"} >= points


# Reading it


def test_every_no_has_a_reason_and_every_point_an_effect_and_a_remedy() -> None:
    found = report({"az_a": ["one"], **{name: ["one"] for name in TIERS}}, "basic")
    assert all(row["reasons"][loss] for row in found["tiers"] for loss in _spof.LOSSES)
    for point in found["single_points_of_failure"]:
        assert point["effect"]
        assert "add hosts of" in point["remedy"]
        assert "{" not in point["remedy"]


def test_the_text_lists_zones_as_columns_and_counts_many_hosts() -> None:
    text = _spof_text.report_text(report(one_per_zone(*TIERS, hosts=4)))
    lines = text.splitlines()
    assert " ".join(lines[2].split()) == "tier az_a az_b az_c any 1 host any 1 AZ any 2 hosts"
    assert "4 hosts   4 hosts   4 hosts   yes" in text
    assert all(len(line) <= _spof_text.WIDTH for line in lines)


def test_the_text_names_groups_without_hosts_beside_none() -> None:
    groups = one_per_zone("load_balancers", "postgresql", "etcd")
    text = _spof_text.report_text(report(groups))
    assert "Single points of failure: none, but there is no host in temporal_servers, without which" in text


def test_the_text_of_many_zones_has_one_column_for_members() -> None:
    groups = placed("etcd", *[1] * 8)
    assert "8 in 8 zones" in _spof_text.report_text(report(groups))


def test_the_documented_schema_is_what_the_report_has() -> None:
    documented = (PROJECT / "docs/spof_report.md").read_text()
    found = report(one_per_zone(*TIERS), vip="")
    ring = tier(report(placed("cassandra", 2, 2, 2), "ha_cassandra"), "cassandra")
    keys = {*found, *found["tiers"][0], *found["single_points_of_failure"][0], *ring}
    assert not [key for key in keys if f"`{key}`" not in documented]


@pytest.mark.parametrize("groups", [one_per_zone(*TIERS, "cassandra", hosts=48), placed("cassandra", 334, 333, 333)])
def test_a_thousand_hosts_take_less_than_two_seconds(groups: dict[str, list[str]]) -> None:
    assert sum(len(groups[zone]) for zone in ZONES) >= 1000
    start = time.process_time()
    found = report(groups, "ha_cassandra")
    _spof_text.report_text(found)
    assert time.process_time() - start < 2
