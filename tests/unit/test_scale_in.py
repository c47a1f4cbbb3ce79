"""A host leaves only a cluster that is as good without it, tier by tier, and an interrupted removal goes on."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest
from ansible_collections.zerospof.temporal.plugins.module_utils import _scale_in
from ansible_collections.zerospof.temporal.plugins.module_utils._cluster import Cluster
from ansible_collections.zerospof.temporal.plugins.module_utils._placement_problems import placement_problems
from ansible_collections.zerospof.temporal.plugins.module_utils._spof import spof_report
from ansible_collections.zerospof.temporal.plugins.module_utils._topology import TopologyError

VIP = "192.0.2.10"
TIERS = {
    "lb": ("load_balancers",),
    "temporal": ("temporal_servers", "temporal_ui"),
    "db": ("postgresql", "etcd"),
    "worker": ("temporal_workers",),
    "node": ("cassandra",),
}
ENABLED = {
    "lb": ["haproxy-edge.service", "keepalived.service"],
    "temporal": ["haproxy-database.service", "pgbouncer.service", "temporal-frontend.service", "temporal-ui.service"],
    "db": ["etcd.service", "patroni.service", "ssh.service"],
    "worker": ["temporal-sdk-worker@orders-1.service"],
    "node": ["cassandra.service"],
}


def kind(host: str) -> str:
    """Return what ``temporal-a`` is."""
    return host.partition("-")[0]


def inventory(*hosts: str) -> dict[str, list[str]]:
    """Return the groups of hosts named ``KIND-ZONE``, where a letter may be followed by a number."""
    groups: dict[str, list[str]] = {"all": list(hosts)}
    for host in hosts:
        groups.setdefault(f"az_{host.partition('-')[2][0]}", []).append(host)
        for tier in TIERS[kind(host)]:
            groups.setdefault(tier, []).append(host)
    return groups


def each(*kinds: str, zones: str = "abc") -> list[str]:
    """Return a host of each kind in each zone."""
    return [f"{name}-{zone}" for zone in zones for name in kinds]


HA = each("lb", "temporal", "db", "worker")


def plan(
    groups: dict[str, list[str]],
    remove: object,
    profile: str = "ha_postgresql",
    enabled: dict[str, list[str]] | None = None,
    deployments: dict[str, list[str]] | None = None,
    tiers: dict[str, str] | None = None,
    begun: dict[str, list[str]] | None = None,
    **wishes: object,
) -> dict[str, Any]:
    """Return the plan, with what preflight and the report say of the inventory with and without the hosts."""
    on_host = deployments or {}
    hostvars = {
        host: {
            "ansible_host": f"192.0.2.{20 + number}",
            "temporal_profile": profile,
            "temporal_vip": VIP,
            "temporal_worker_deployments": [
                {"name": name, "namespace": "production", "task_queue": name} for name in on_host.get(host, ["orders"])
            ],
        }
        for number, host in enumerate(groups["all"])
    }
    both = (groups, _scale_in.groups_without(groups, remove))
    specs: dict[str, Any] = {"temporal": {"main": {"options": SPEC}}}
    return _scale_in.scale_in_plan(
        groups,
        hostvars,
        {"hosts_to_remove": remove, **wishes},
        enabled if enabled is not None else {host: ENABLED[kind(host)] for host in groups["all"]},
        begun or {},
        [spof_report(of, hostvars, profile, vip=VIP, tiers=tiers) for of in both],
        [list(placement_problems(Cluster(of, hostvars, specs, (), tiers))) for of in both],
        tiers=tiers,
    )


SPEC: dict[str, Any] = {
    "temporal_profile": {"type": "str", "default": "ha_postgresql"},
    "temporal_vip": {"type": "str", "default": ""},
    "temporal_client_networks": {"type": "list", "elements": "str", "default": []},
    "temporal_firewall_enabled": {"type": "bool", "default": False},
    "temporal_worker_deployments": {"type": "list", "elements": "dict", "default": []},
    "cassandra_replication_factor": {"type": "int", "default": 3},
}


def order(of: dict[str, Any]) -> list[tuple[str, list[str]]]:
    """Return the tiers of the steps with the hosts that leave."""
    return [(step["tier"], [host["name"] for host in step["hosts"]]) for step in of["steps"]]


def test_a_worker_host_and_a_temporal_host_leave_the_workers_first() -> None:
    made = plan(inventory(*HA), "[temporal-c,worker-c]")
    assert made["problems"] == []
    assert order(made) == [
        ("temporal_workers", ["worker-c"]),
        ("temporal_ui", ["temporal-c"]),
        ("temporal_servers", ["temporal-c"]),
    ]
    assert made["steps"][0]["staying"] == ["worker-a", "worker-b"]


def test_of_all_tiers_those_leave_first_that_need_the_others() -> None:
    hosts = each("lb", "temporal", "db", "worker", "node", zones="abcde")
    leaving = [host for host in hosts if host[-1] in "de"]
    made = plan(inventory(*hosts), leaving, profile="ha_cassandra")
    assert made["problems"] == []
    assert [tier for tier, _ in order(made)] == list(_scale_in.ORDER)


def test_what_no_profile_promises_is_shown_and_not_refused() -> None:
    made = plan(inventory(*HA), ["temporal-c"])
    assert made["problems"] == []
    assert [note.partition(":")[0] for note in made["notes"]] == ["temporal_servers", "temporal_ui"]
    assert "no longer survive the loss of any 2 hosts: without temporal-a and temporal-b" in made["notes"][0]
    assert made["notes"][0] in _scale_in.scale_in_text(made)


@pytest.mark.parametrize(
    ("hosts", "remove", "profile", "reason"),
    [
        (HA, [], "ha_postgresql", "hosts_to_remove: names no host; write -e hosts_to_remove=[worker-c]"),
        (HA, ["worker-x"], "ha_postgresql", "hosts_to_remove: worker-x: is no host of this cluster"),
        # Quorum and replication: preflight would refuse what is left.
        (HA, ["db-c"], "ha_postgresql", "etcd: has 2 members (db-a, db-b); an even number survives no more than 1 do"),
        (HA, ["db-c"], "ha_postgresql", "db-a: profile ha_postgresql promises no single point of failure"),
        (
            [*each("lb", "temporal", "db", "worker"), *each("node")],
            ["node-c"],
            "ha_cassandra",
            "cassandra_replication_factor: 3, but there are 2 nodes (node-a, node-b)",
        ),
        # The spread over zones: five members of etcd, three of which would stand in az_a.
        (
            [*each("lb", "temporal", "worker"), "db-a1", "db-a2", "db-b1", "db-b2", "db-c1"],
            ["db-b2", "db-c1"],
            "ha_postgresql",
            "az_a: profile ha_postgresql promises no single point of failure, but this az is one",
        ),
        (HA, [host for host in HA if host.endswith("c")], "ha_postgresql", "needs hosts in 3 az_* groups"),
        # The last of its kind.
        (
            HA,
            ["temporal-a", "temporal-b", "temporal-c"],
            "ha_postgresql",
            "temporal_servers: the group has no host, but profile ha_postgresql needs one; add hosts to it",
        ),
        (HA, ["lb-b", "lb-c"], "ha_postgresql", "lb-a: profile ha_postgresql promises no single point of failure"),
    ],
)
def test_a_removal_that_breaks_the_cluster_is_refused(
    hosts: Sequence[str], remove: list[str], profile: str, reason: str
) -> None:
    problems = plan(inventory(*hosts), remove, profile=profile)["problems"]
    assert any(reason in problem for problem in problems), problems
    # What cannot be deployed afterwards is refused whatever a person accepts.
    assert any(
        reason in problem
        for problem in plan(inventory(*hosts), remove, profile=profile, accept_weaker=True)["problems"]
    )


BASIC = ["lb-a", "temporal-a", "temporal-b", "db-a", "worker-a", "worker-b"]


@pytest.mark.parametrize(
    ("remove", "reason"),
    [
        (["temporal-b"], "temporal_servers: it would no longer survive the loss of any 1 host: without temporal-a, no"),
        (
            ["worker-b"],
            "temporal_workers: it would no longer survive the loss of any 1 AZ: without az_a, no worker host",
        ),
        (["worker-a", "worker-b"], "temporal_workers: nobody would be left of it"),
    ],
)
def test_a_removal_after_which_less_is_survived_has_to_be_accepted(remove: list[str], reason: str) -> None:
    refused = plan(inventory(*BASIC), remove, profile="basic")["problems"]
    assert any(problem.startswith(reason) for problem in refused), refused
    assert all(problem.endswith("; accept it with -e accept_weaker=true") for problem in refused)
    accepted = plan(inventory(*BASIC), remove, profile="basic", accept_weaker=True)
    assert accepted["problems"] == []
    assert any(note.startswith(reason) for note in accepted["notes"])


def test_a_group_of_another_name_that_nobody_would_be_left_of_is_told_once() -> None:
    groups = inventory(*HA)
    groups["blue_servers"] = groups.pop("temporal_servers")
    made = plan(groups, ["temporal-a", "temporal-b", "temporal-c"], tiers={"temporal_servers": "blue_servers"})
    assert [problem for problem in made["problems"] if problem.startswith("blue_servers:")] == [
        "blue_servers: the group has no host, but profile ha_postgresql needs one; add hosts to it"
    ]


@pytest.mark.parametrize("accept_weaker", [False, True])
def test_a_cluster_of_which_nothing_would_be_left_is_refused(accept_weaker: bool) -> None:
    made = plan(inventory(*HA), HA, accept_weaker=accept_weaker)
    assert "hosts_to_remove: names every host; nothing would be left of the cluster" in made["problems"]


def test_the_only_host_of_a_task_queue_has_to_be_accepted() -> None:
    made = plan(inventory(*HA), ["worker-c"], deployments={"worker-c": ["orders", "billing"]})
    assert made["problems"] == [
        "task queue billing in production: only worker-c would have served it, so its tasks would wait for ever; "
        "accept it with -e accept_weaker=true"
    ]


def test_what_was_wrong_before_is_no_reason_against_a_removal() -> None:
    """An even number of etcd members is; without a worker host it is no worse."""
    hosts = [*HA, "db-a2"]
    assert plan(inventory(*hosts), ["worker-c"])["problems"] == []


def test_an_interrupted_removal_goes_on_with_the_tiers_that_are_left() -> None:
    enabled = {"worker-c": [], "temporal-c": ["pgbouncer.service"]}
    made = plan(inventory(*HA), ["worker-c", "temporal-c"], enabled=enabled)
    assert order(made) == [("temporal_servers", ["temporal-c"])]
    assert made["left"] == {"temporal_workers": ["worker-c"], "temporal_ui": ["temporal-c"]}
    done = plan(inventory(*HA), ["worker-c"], enabled={"worker-c": ["ssh.service"]})
    assert done["steps"] == []
    assert "worker-c has left the cluster already" in _scale_in.scale_in_text(done)


def test_who_was_half_way_out_of_a_tier_goes_on_although_nothing_of_it_starts_any_more() -> None:
    """What its roles do after the last unit is disabled, they have to do."""
    groups = inventory(*HA)
    made = plan(groups, ["temporal-c"], enabled={"temporal-c": []}, begun={"temporal-c": ["temporal_servers"]})
    assert order(made) == [("temporal_servers", ["temporal-c"])]
    assert "   az_c  temporal-c, half-way" in _scale_in.scale_in_text(made).splitlines()
    found = grouped(_scale_in.scale_in_groups(made, groups))
    assert found["halfway_temporal_servers"] == found["leaving_temporal_servers"] == ["temporal-c"]
    assert "halfway_temporal_servers" not in grouped(_scale_in.scale_in_groups(plan(groups, ["temporal-c"]), groups))


def grouped(made: list[dict[str, Any]]) -> dict[str, list[str]]:
    """Return the hosts of each group."""
    found: dict[str, list[str]] = {}
    for row in made:
        for group in row["groups"]:
            found.setdefault(group, []).append(row["name"])
    return found


def test_balancers_forget_temporal_hosts_and_nobody_else() -> None:
    groups = inventory(*HA)
    found = grouped(_scale_in.scale_in_groups(plan(groups, ["temporal-c", "lb-c"]), groups, leader="db-a"))
    assert found["leaving_temporal_servers"] == ["temporal-c"]
    assert found["staying_load_balancers"] == ["lb-a", "lb-b"]
    assert found["forgetting_edge"] == ["lb-a", "lb-b"]
    assert "forgetting_database" not in found
    assert "rolling_switchover" not in found


def test_a_primary_that_leaves_hands_over_while_the_queries_of_those_who_stay_wait() -> None:
    groups = inventory(*each("lb", "temporal", "worker"), *each("db", zones="abcde"))
    made = plan(groups, ["temporal-c", "db-d", "db-e"])
    assert made["problems"] == []
    found = grouped(_scale_in.scale_in_groups(made, groups, leader="db-e"))
    assert found["rolling_postgresql_primary"] == ["db-e"]
    assert found["rolling_switchover"] == ["db-e", "temporal-a", "temporal-b"]
    assert found["forgetting_database"] == ["temporal-a", "temporal-b"]
    assert "rolling_switchover" not in grouped(_scale_in.scale_in_groups(made, groups, leader="db-a"))


def test_the_plan_names_steps_hosts_and_who_stays() -> None:
    text = _scale_in.scale_in_text(plan(inventory(*HA), ["worker-c"]))
    assert text.splitlines()[:4] == [
        "To leave the cluster: 1 host in 1 step",
        "1. workers, after their tasks have ended",
        "   az_c  worker-c",
        "   2 hosts left: worker-a, worker-b",
    ]


def test_only_services_that_start_by_themselves_count() -> None:
    services = {"etcd.service": {"status": "enabled"}, "patroni.service": {"status": "disabled"}, "x.service": {}}
    assert _scale_in.enabled_units({"db-a": services}) == {"db-a": ["etcd.service"]}


def test_a_wish_that_is_no_list_is_refused() -> None:
    with pytest.raises(TopologyError, match=r"write -e hosts_to_remove=\[worker-c\]"):
        _scale_in.groups_without(inventory(*HA), 3)
