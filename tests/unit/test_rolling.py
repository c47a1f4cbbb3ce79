"""What restarts, in which order and in which batches, follows from the inventory and what each service says."""

from __future__ import annotations

from typing import Any

import pytest
from ansible_collections.zerospof.temporal.plugins.module_utils import _rolling, _topology
from hypothesis import given, settings
from hypothesis import strategies as st

ZONES = ("az_a", "az_b", "az_c")
RUNNING = {
    "etcd": ["etcd.service"],
    "postgresql": ["patroni.service"],
    "cassandra": ["cassandra.service"],
    "temporal_servers": list(_rolling.UNITS["temporal_servers"][:-1]),
    "temporal_ui": ["temporal-ui.service"],
    "load_balancers": ["haproxy-edge.service", "keepalived.service"],
    "temporal_workers": ["temporal-sdk-worker@networking-1.0.1-1.service"],
}


def inventory(size: int, tiers: tuple[str, ...] = tuple(RUNNING)) -> dict[str, list[str]]:
    """An inventory with ``size`` hosts of each tier over three zones; etcd and PostgreSQL, Temporal and UI share."""
    shared = {"etcd": "db", "postgresql": "db", "temporal_servers": "temporal", "temporal_ui": "temporal"}
    groups: dict[str, list[str]] = {zone: [] for zone in ZONES}
    for tier in tiers:
        name = shared.get(tier, tier)
        groups[tier] = [f"{name}-{ZONES[number % 3][-1]}{number // 3}" for number in range(size)]
        for host in groups[tier]:
            zone = groups[f"az_{host.rpartition('-')[2][0]}"]
            if host not in zone:
                zone.append(host)
    return groups


def states(groups: dict[str, list[str]], **changed: dict[str, list[str]]) -> dict[str, Any]:
    """Every host with the units of its tiers; ``changed`` maps a host to reasons by unit."""
    found: dict[str, Any] = {}
    for tier, units in RUNNING.items():
        for host in groups.get(tier, ()):
            state = found.setdefault(host, {"units": [], "interrupted": []})
            for unit in units:
                reasons = changed.get(host, {}).get(unit, [])
                state["units"].append({"name": unit, "state": "pending" if reasons else "current", "reasons": reasons})
    led_by(found, next(iter(groups.get("postgresql", ())), ""))
    return found


def led_by(seen: dict[str, Any], leader: str) -> None:
    """Every member of PostgreSQL says that ``leader`` leads it."""
    for state in seen.values():
        if any(unit["name"] == "patroni.service" for unit in state["units"]):
            state["leader"] = leader


def plan(groups: dict[str, list[str]], seen: dict[str, Any], **wishes: object) -> dict[str, Any]:
    return _rolling.rolling_plan(groups, seen, wishes)


def batches(made: dict[str, Any], step: str) -> list[list[str]]:
    return [
        [host["name"] for host in batch["hosts"]]
        for found in made["steps"]
        if found["step"] == step
        for batch in found["batches"]
    ]


def test_nothing_restarts_where_every_service_runs_with_what_is_on_disk() -> None:
    groups = inventory(3)
    made = plan(groups, states(groups))
    assert made == {"steps": [], "left_out": [], "problems": []}
    assert _rolling.rolling_text(made).startswith("Nothing is to be restarted")


@pytest.mark.parametrize("size", [3, 30, 300])
def test_the_number_of_batches_is_that_of_the_zones_however_many_hosts_there_are(size: int) -> None:
    groups = inventory(size, ("etcd", "temporal_servers", "temporal_workers", "cassandra"))
    made = plan(groups, states(groups), force=True)
    assert {step["step"]: len(step["batches"]) for step in made["steps"]} == {
        "etcd": 3,
        "cassandra": 3,
        "temporal_servers": 3,
        "temporal_workers": 3,
    }
    assert {len(batch) for batch in batches(made, "temporal_servers")} == {size // 3}


def test_steps_come_in_the_order_in_which_one_tier_needs_the_other() -> None:
    groups = inventory(3)
    seen = states(groups)
    led_by(seen, "db-b0")
    made = plan(groups, seen, force=True)
    assert [step["step"] for step in made["steps"]] == [
        "etcd",
        "postgresql",
        "postgresql_primary",
        "cassandra",
        "temporal_servers",
        "temporal_ui",
        "load_balancers",
        "temporal_workers",
    ]


def test_the_primary_comes_after_every_replica_and_by_itself() -> None:
    groups = inventory(3)
    seen = states(groups)
    led_by(seen, "db-a0")
    made = plan(groups, seen, force=True)
    assert batches(made, "postgresql") == [["db-b0"], ["db-c0"]]
    assert batches(made, "postgresql_primary") == [["db-a0"]]
    switchover = [row["name"] for row in _rolling.rolling_groups(made) if row["groups"] == ["rolling_switchover"]]
    assert switchover == ["db-a0", *groups["temporal_servers"]]


def test_the_primary_is_found_while_it_does_not_say_itself_that_it_leads() -> None:
    groups = inventory(3)
    seen = states(groups)
    led_by(seen, "db-a0")
    seen["db-a0"]["leader"] = ""
    made = plan(groups, seen, force=True)
    assert (batches(made, "postgresql_primary"), made["problems"]) == ([["db-a0"]], [])


@pytest.mark.parametrize(
    ("told", "said"),
    [
        (("", "", ""), "postgresql: none of its members tells when asked who leads"),
        (("db-a0", "db-b0", ""), "postgresql: its members name db-a0 and db-b0 when asked who leads"),
    ],
)
def test_postgresql_does_not_restart_while_it_is_not_known_who_leads_it(told: tuple[str, ...], said: str) -> None:
    groups = inventory(3)
    seen = states(groups, **{"db-b0": {"patroni.service": ["/x has changed since its start"]}})
    for host, leader in zip(groups["postgresql"], told, strict=True):
        seen[host]["leader"] = leader
    [problem] = plan(groups, seen)["problems"]
    assert problem.startswith(said)
    assert plan(groups, seen, tiers=["etcd"], force=True)["problems"] == []


def test_postgresql_that_does_not_run_anywhere_starts_without_a_leader() -> None:
    groups = inventory(3)
    seen = states(groups, **{host: {"patroni.service": NOT_RUNNING} for host in groups["postgresql"]})
    led_by(seen, "")
    assert plan(groups, seen)["problems"] == []


def test_the_only_member_of_postgresql_restarts_whether_it_leads_or_not() -> None:
    groups = {"az_a": ["db-a0"], "postgresql": ["db-a0"]}
    seen = states(groups)
    led_by(seen, "")
    assert plan(groups, seen, force=True, accept_outage=True)["problems"] == []


def test_no_leadership_moves_when_the_primary_is_not_due() -> None:
    groups = inventory(3)
    seen = states(groups, **{"db-b0": {"patroni.service": ["/x has changed since its start"]}})
    led_by(seen, "db-a0")
    made = plan(groups, seen)
    assert [step["step"] for step in made["steps"]] == ["postgresql"]
    assert not [row for row in _rolling.rolling_groups(made) if "rolling_switchover" in row["groups"]]


def test_the_holder_of_the_virtual_address_is_the_last_balancer() -> None:
    groups = inventory(6)
    seen = states(groups)
    seen["load_balancers-a1"]["holds_vip"] = True
    made = plan(groups, seen, force=True, tiers=["load_balancers"])
    assert batches(made, "load_balancers")[-1] == ["load_balancers-a1"]
    assert batches(made, "load_balancers")[0] == ["load_balancers-a0"]


@pytest.mark.parametrize(("members", "largest"), [(3, 1), (5, 2), (7, 3)])
def test_a_batch_of_etcd_leaves_a_majority(members: int, largest: int) -> None:
    groups = {"az_a": [f"e{n}" for n in range(members)], "etcd": [f"e{n}" for n in range(members)]}
    made = plan(groups, states(groups), force=True, batch_limit=0)
    assert max(map(len, batches(made, "etcd"))) == largest


def test_a_batch_of_replicas_leaves_one_to_confirm_writes() -> None:
    groups = {"az_a": ["p0", "p1", "p2", "p3"], "postgresql": ["p0", "p1", "p2", "p3"]}
    seen = states(groups)
    led_by(seen, "p0")
    assert batches(plan(groups, seen, force=True), "postgresql") == [["p1", "p2"], ["p3"]]


def test_two_racks_of_one_zone_do_not_restart_together() -> None:
    groups = {"az_a": ["c0", "c1", "c2"], "cassandra": ["c0", "c1", "c2"]}
    seen = states(groups)
    for host, rack in (("c0", "r1"), ("c1", "r2"), ("c2", "r1")):
        seen[host]["rack"] = rack
    assert batches(plan(groups, seen, force=True), "cassandra") == [["c0", "c2"], ["c1"]]


def test_a_limit_and_a_canary_cut_the_batches() -> None:
    groups = inventory(9, ("temporal_servers",))
    made = plan(groups, states(groups), force=True, canary=True, batch_limit=2)
    assert [len(batch) for batch in batches(made, "temporal_servers")] == [1, 1, 1, 2, 1, 2, 1]
    whole = plan(groups, states(groups), force=True, canary=True)
    assert [len(batch) for batch in batches(whole, "temporal_servers")] == [1, 2, 3, 3]


NOT_RUNNING = ["it is not running"]
CHANGED = ["/etc/temporal/server.yaml has changed since its start"]


def test_hosts_on_which_nothing_runs_are_started_first_and_together() -> None:
    groups = inventory(3)
    stopped = dict.fromkeys(RUNNING["temporal_servers"], NOT_RUNNING)
    changed = {"temporal-history.service": CHANGED}
    seen = states(groups, **{"temporal-a0": changed, "temporal-b0": stopped, "temporal-c0": stopped})
    made = plan(groups, seen)
    assert batches(made, "temporal_servers") == [["temporal-b0", "temporal-c0"], ["temporal-a0"]]
    assert [batch["zone"] for batch in made["steps"][0]["batches"]] == ["az_b, az_c", "az_a"]
    assert _rolling.rolling_host(made, "temporal_servers", "temporal-b0")["down"]


def test_a_dead_service_does_not_take_what_serves_beside_it_out_of_all_zones_at_once() -> None:
    groups = inventory(6)
    dead = {"temporal-worker.service": NOT_RUNNING, "temporal-history.service": CHANGED}
    seen = states(groups, **dict.fromkeys(groups["temporal_servers"][1:], dead))
    made = plan(groups, seen, batch_limit=1)
    assert batches(made, "temporal_servers") == [[f"temporal-{name}"] for name in ("a1", "b0", "b1", "c0", "c1")]
    found = _rolling.rolling_host(made, "temporal_servers", "temporal-a1")
    assert (found["ailing"], found["down"]) == (True, False)
    healthy = {"temporal-a0": {"temporal-history.service": CHANGED}}
    seen = states(groups, **dict.fromkeys(groups["temporal_servers"][1:], dead), **healthy)
    assert batches(plan(groups, seen), "temporal_servers")[-1] == ["temporal-a0"]


def test_a_tier_that_stands_in_one_zone_does_not_restart_as_a_whole() -> None:
    hosts = ["t0", "t1", "t2"]
    groups = {"az_a": hosts, "temporal_servers": hosts, "temporal_workers": hosts}
    made = plan(groups, states(groups), force=True)
    for tier in ("temporal_servers", "temporal_workers"):
        assert batches(made, tier) == [["t0"], ["t1"], ["t2"]]


@pytest.mark.parametrize("limit", ["one", "-1", "2.5", ""])
def test_a_limit_that_is_no_number_does_not_become_a_whole_zone(limit: str) -> None:
    groups = inventory(3)
    [problem] = plan(groups, states(groups), force=True, batch_limit=limit)["problems"]
    assert problem == f"batch_limit: {limit} is no number of hosts; 0 is a whole zone"


def test_a_wish_that_does_not_exist_is_refused() -> None:
    groups = inventory(3)
    [problem] = plan(groups, states(groups), force=True, misspelt=["tier"])["problems"]
    assert problem.startswith("tier: is no wish of a rolling restart; it knows tiers, force, batch_limit")


def test_only_what_is_due_restarts() -> None:
    groups = inventory(3)
    seen = states(groups, **{"temporal-b0": {"temporal-history.service": ["/x is missing"]}})
    [step] = plan(groups, seen)["steps"]
    [batch] = step["batches"]
    [host] = batch["hosts"]
    assert host["units"] == ["temporal-history.service"]
    assert host["reasons"] == ["temporal-history.service: /x is missing"]


def test_the_services_restart_with_their_way_to_the_database() -> None:
    groups = inventory(3)
    seen = states(groups, **{"temporal-b0": {"pgbouncer.service": ["/x is missing"]}})
    found = _rolling.rolling_host(plan(groups, seen), "temporal_servers", "temporal-b0")
    assert found["units"] == [unit for unit in RUNNING["temporal_servers"] if unit != "haproxy-database.service"]
    seen = states(groups, **{"temporal-b0": {"haproxy-database.service": ["/x is missing"]}})
    found = _rolling.rolling_host(plan(groups, seen), "temporal_servers", "temporal-b0")
    assert found["units"] == RUNNING["temporal_servers"]


def test_units_restart_as_they_rest_on_each_other_however_the_host_lists_them() -> None:
    units = [{"name": name, "state": "current", "reasons": []} for name in reversed(RUNNING["temporal_servers"])]
    due = _rolling.due("temporal-a0", "temporal_servers", {"units": units}, force=True)
    assert due is not None
    assert due.units[:2] == ("haproxy-database.service", "pgbouncer.service")
    assert set(due.units) == set(RUNNING["temporal_servers"])


def test_a_host_that_was_left_half_way_is_completed_and_not_restarted() -> None:
    groups = inventory(3)
    seen = states(groups)
    seen["temporal-c0"]["interrupted"] = ["temporal_servers"]
    made = plan(groups, seen)
    found = _rolling.rolling_host(made, "temporal_servers", "temporal-c0")
    assert batches(made, "temporal_servers") == [["temporal-c0"]]
    assert found["units"] == []
    assert found["reasons"] == [_rolling.INTERRUPTED]


@pytest.mark.parametrize(("because", "down"), [("", True), ("/tls/", False)])
def test_a_host_that_was_left_half_way_and_does_not_run_is_down_where_it_restarts(because: str, down: bool) -> None:
    """Where the run is about something else, it is brought back as what was drained is."""
    groups = inventory(3)
    stopped = dict.fromkeys(RUNNING["temporal_workers"], NOT_RUNNING)
    seen = states(groups, **{groups["temporal_workers"][1]: stopped})
    seen[groups["temporal_workers"][1]]["interrupted"] = ["temporal_workers"]
    made = plan(groups, seen, because=because)
    found = _rolling.rolling_host(made, "temporal_workers", groups["temporal_workers"][1])
    assert (found["down"], bool(found["units"])) == (down, down)
    assert found["ailing"]
    assert found["interrupted"]


def test_a_host_that_was_left_half_way_is_back_before_the_others_leave_the_traffic() -> None:
    groups = inventory(2)
    seen = states(groups)
    seen["temporal-b0"]["interrupted"] = ["temporal_servers"]
    made = plan(groups, seen, tiers=["temporal_servers"], force=True)
    assert batches(made, "temporal_servers") == [["temporal-b0"], ["temporal-a0"]]


def test_what_changes_its_release_restarts_without_its_way_to_the_database() -> None:
    groups = inventory(6)
    seen = states(groups)
    for name in groups["temporal_servers"]:
        seen[name]["moves"] = {"temporal_servers": "1.30.6 becomes 1.31.2"}
    made = plan(groups, seen, tiers=["temporal_servers"], canary=True)
    assert batches(made, "temporal_servers")[:2] == [["temporal-a0"], ["temporal-a1"]]
    found = _rolling.rolling_host(made, "temporal_servers", "temporal-c1")
    assert found["units"] == [unit for unit in RUNNING["temporal_servers"] if unit.startswith("temporal-")]
    assert (found["reasons"], found["together"]) == (["1.30.6 becomes 1.31.2"], False)
    assert [step["step"] for step in made["steps"]] == ["temporal_servers"]


def test_a_pooler_that_waits_restarts_with_those_that_change_their_release() -> None:
    groups = inventory(3)
    seen = states(groups, **{"temporal-b0": {"pgbouncer.service": ["/x is missing"]}})
    seen["temporal-b0"]["moves"] = {"temporal_servers": "1.30.6 becomes 1.31.2"}
    found = _rolling.rolling_host(plan(groups, seen), "temporal_servers", "temporal-b0")
    assert found["together"] is True
    assert set(found["units"]) == set(RUNNING["temporal_servers"]) - {"haproxy-database.service"}


def test_a_service_whose_package_changes_restarts_alone() -> None:
    groups = inventory(3)
    seen = states(groups)
    seen["load_balancers-b0"]["moves"] = {"keepalived.service": "keepalived 2.3.3-1 becomes 2.3.4-1"}
    found = _rolling.rolling_host(plan(groups, seen), "load_balancers", "load_balancers-b0")
    assert found["units"] == ["keepalived.service"]
    assert found["reasons"] == ["keepalived.service: keepalived 2.3.3-1 becomes 2.3.4-1"]


def test_a_pooler_whose_package_changes_takes_the_services_above_it_along() -> None:
    groups = inventory(3)
    seen = states(groups)
    seen["temporal-a0"]["moves"] = {"pgbouncer.service": "pgbouncer 1.24.0-1 becomes 1.24.1-1"}
    found = _rolling.rolling_host(plan(groups, seen), "temporal_servers", "temporal-a0")
    assert found["together"] is True
    assert set(found["units"]) == set(RUNNING["temporal_servers"]) - {"haproxy-database.service"}


def test_the_package_of_a_service_that_never_ran_starts_nothing() -> None:
    groups = inventory(3)
    seen = states(groups)
    seen["load_balancers-a0"]["units"][0].update(state="new", reasons=["it has never been started"])
    seen["load_balancers-a0"]["moves"] = {"haproxy-edge.service": "haproxy 3.0.11-1 becomes 3.0.12-1"}
    assert plan(groups, seen)["steps"] == []


def test_a_service_that_never_ran_is_left_to_site() -> None:
    groups = inventory(3)
    seen = states(groups)
    seen["temporal-a0"]["units"][0].update(state="new", reasons=["it has never been started"])
    assert plan(groups, seen)["steps"] == []


def test_nobody_restarts_or_misses_the_workers_of_a_build_that_ended_when_it_had_drained() -> None:
    old = {"name": "temporal-sdk-worker@networking-1.0.0-1.service", "state": "new", "reasons": ["it has never been"]}
    groups = inventory(3)
    seen = states(groups)
    for state in seen.values():
        state["units"] += [old] if state["units"][0]["name"].startswith("temporal-sdk-worker@") else []
    assert plan(groups, seen)["steps"] == []
    [step] = plan(groups, seen, tiers=["temporal_workers"], force=True)["steps"]
    hosts = [host for batch in step["batches"] for host in batch["hosts"]]
    assert {unit for host in hosts for unit in host["units"]} == set(RUNNING["temporal_workers"])
    assert not any(host["ailing"] or host["down"] for host in hosts)


def test_a_limit_of_the_run_is_told_and_followed() -> None:
    groups = inventory(3)
    seen = {host: state for host, state in states(groups).items() if host == "temporal-b0"}
    made = plan(groups, seen, force=True, tiers="[temporal_servers]")
    assert batches(made, "temporal_servers") == [["temporal-b0"]]
    assert made["left_out"] == ["temporal-a0", "temporal-c0"]
    assert "--limit leaves them out: temporal-a0, temporal-c0" in _rolling.rolling_text(made)


def test_a_limit_without_the_poolers_does_not_move_the_leadership() -> None:
    groups = inventory(3)
    seen = {host: state for host, state in states(groups).items() if host.startswith("db")}
    led_by(seen, "db-a0")
    [problem] = plan(groups, seen, force=True)["problems"]
    assert problem.startswith("db-a0 leads PostgreSQL.")
    assert "add temporal_servers to it, or leave out db-a0" in problem


@pytest.mark.parametrize(
    ("tier", "size"), [("etcd", 1), ("etcd", 2), ("postgresql", 1), ("postgresql", 2), ("load_balancers", 1)]
)
def test_an_outage_has_to_be_accepted(tier: str, size: int) -> None:
    hosts = [f"h{n}" for n in range(size)]
    groups = {"az_a": hosts, tier: hosts}
    [problem] = plan(groups, states(groups), force=True)["problems"]
    assert problem.startswith(f"{tier}: {size} host")
    assert plan(groups, states(groups), force=True, accept_outage=True)["problems"] == []


@pytest.mark.parametrize(
    ("given_tiers", "meant"),
    [("[etcd,postgresql]", ["etcd", "postgresql"]), ("['etcd']", ["etcd"]), ("etcd", ["etcd"]), (["etcd"], ["etcd"])],
)
def test_tiers_are_understood_as_people_write_them(given_tiers: object, meant: list[str]) -> None:
    assert _rolling.names(given_tiers) == meant


def test_a_tier_that_is_not_there_is_named_with_those_that_are() -> None:
    groups = inventory(3)
    [problem] = plan(groups, states(groups), tiers=["etdc"])["problems"]
    assert problem.startswith("tiers: etdc: not one of etcd, postgresql")


def test_a_host_without_a_zone_is_an_error_that_names_it() -> None:
    with pytest.raises(_topology.TopologyError, match="e1: must be in exactly one"):
        plan({"az_a": ["e0"], "etcd": ["e0", "e1"]}, {})


@settings(max_examples=25)
@given(st.integers(1, 12), st.integers(0, 5), st.booleans(), st.data())
def test_every_host_that_is_due_restarts_once_and_the_groups_say_what_the_plan_says(
    size: int, limit: int, canary: bool, data: st.DataObject
) -> None:
    groups = inventory(size)
    seen = states(groups)
    led_by(seen, data.draw(st.sampled_from(groups["postgresql"])))
    seen[data.draw(st.sampled_from(groups["load_balancers"]))]["holds_vip"] = True
    made = plan(groups, seen, force=True, batch_limit=limit, canary=canary, accept_outage=True)
    made_groups: dict[str, list[str]] = {}
    for row in _rolling.rolling_groups(made):
        for name in row["groups"]:
            made_groups.setdefault(name, []).append(row["name"])
    zones = {host: zone for zone in ZONES for host in groups[zone]}
    for tier, hosts in groups.items():
        if tier in ZONES:
            continue
        steps = [step["step"] for step in made["steps"] if step["tier"] == tier]
        cut = [batch for step in steps for batch in batches(made, step)]
        assert sorted(host for batch in cut for host in batch) == sorted(hosts)
        assert all(len({zones[host] for host in batch}) == 1 and len(batch) <= (limit or size) for batch in cut)
        for step in steps:
            assert made_groups[f"rolling_{step}"] == [host for batch in batches(made, step) for host in batch]
            assert _rolling.rolling_serial(made_groups, step) == [len(batch) for batch in batches(made, step)]


def test_a_certificate_that_ends_soon_refuses_a_restart_and_none_where_nothing_restarts() -> None:
    groups = inventory(3)
    waiting = states(groups, **{"temporal-a0": {"temporal-frontend.service": ["x has changed"]}})
    lasting = {"path": "/etc/etcd/tls/etcd.crt", "days": 40, "trusts": [{"id": "1", "name": "ca", "days": 20}]}
    ending = {"path": "/etc/etcd/tls/etcd.crt", "days": 29, "trusts": []}
    for certificates, days, problems in (
        ([lasting], 30, []),
        ([ending], 30, ["db-b0: /etc/etcd/tls/etcd.crt ends in 29 days; run rotate_certificates.yml"]),
        ([ending], 0, []),
        ([{**ending, "days": -1}], 0, ["db-b0: /etc/etcd/tls/etcd.crt has ended; run rotate_certificates.yml"]),
    ):
        waiting["db-b0"]["certificates"] = certificates
        assert plan(groups, waiting, certificate_days=days)["problems"] == problems
    idle = states(groups)
    idle["db-b0"]["certificates"] = [ending]
    assert plan(groups, idle, certificate_days=30)["problems"] == []


def test_a_rotation_restarts_what_waits_for_certificates_and_leaves_other_changes_waiting() -> None:
    groups = inventory(3)
    seen = states(
        groups,
        **{
            "temporal-a0": {
                "temporal-ui.service": ["/etc/temporal-ui/tls/temporal-ui.crt has changed since its start"]
            },
            "temporal-b0": {"temporal-ui.service": ["/etc/temporal-ui/ui.yaml has changed since its start"]},
        },
    )
    assert batches(plan(groups, seen, because="/tls/"), "temporal_ui") == [["temporal-a0"]]
    assert batches(plan(groups, seen), "temporal_ui") == [["temporal-a0"], ["temporal-b0"]]


def test_a_client_watches_from_one_host_when_anything_is_to_be_done() -> None:
    plan = {"steps": [{"step": "etcd", "batches": [{"hosts": [{"name": "db-a"}]}]}]}
    assert _rolling.rolling_groups(plan, "temporal-a")[0] == {"name": "temporal-a", "groups": ["rolling_watch"]}
    assert _rolling.rolling_groups(plan) == _rolling.rolling_groups(plan, "temporal-a")[1:]
    assert _rolling.rolling_groups({"steps": []}, "temporal-a") == []


def test_no_database_restarts_while_one_has_no_room_on_its_disk() -> None:
    full = [{"directory": "/var/lib/postgresql", "free_percent": 4.0, "free_bytes": 2**30}]
    groups = {"az_a": ["db-a", "temporal-a"], "postgresql": ["db-a"], "temporal_servers": ["temporal-a"]}
    for waiting, refused in (("db-a", True), ("temporal-a", False)):
        units = {"db-a": "patroni.service", "temporal-a": "temporal-history.service"}
        states = {
            host: {"units": [{"name": unit, "state": "pending", "reasons": ["changed"]}] if host == waiting else []}
            for host, unit in units.items()
        }
        states["db-a"]["disks"] = full
        made = _rolling.rolling_plan(groups, states, {"disk_free_percent": 10, "accept_outage": True})
        assert made["steps"]
        assert any("4.0 % free" in problem for problem in made["problems"]) is refused
