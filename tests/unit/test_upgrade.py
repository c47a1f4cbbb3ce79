"""Which way from one release of Temporal to another is open follows from the hosts, the schemas and a table."""

from __future__ import annotations

import re
from typing import Any

import pytest
from ansible_collections.zerospof.temporal.plugins.module_utils import _releases, _upgrade

SERVICES = ("frontend", "history", "matching", "worker")
Plan = dict[str, Any]
Stores = list[dict[str, Any]]
MEMBERS = ["server-a", "server-b", "server-c"]
OLD, NEW = "1.30.6", "1.31.2"


def host(selected: str | None, running: str | None = None, **changed: object) -> dict[str, Any]:
    """A host that runs what it has selected, unless ``running`` says otherwise."""
    installed = [OLD, NEW] if selected else []
    release = selected if running is None else running
    services = {f"temporal-{service}.service": release or "" for service in SERVICES}
    state = {"selected": selected, "previous": None, "installed": installed, "running": services, "started": True}
    return {**state, **changed}


def fleet(*selected: str) -> dict[str, Any]:
    return {name: host(release) for name, release in zip(MEMBERS, selected, strict=True)}


def schemas(main: str | None = "1.18", visibility: str | None = "1.13", rows: int = 100) -> list[dict[str, Any]]:
    table = {"name": "executions_visibility", "rows": rows, "bytes": rows * 1000}
    return [
        {"database": "temporal", "schema": _upgrade.POSTGRESQL, "version": main, "tables": []},
        {"database": "temporal_visibility", "schema": _upgrade.VISIBILITY, "version": visibility, "tables": [table]},
    ]


def upgrade(hosts: dict[str, Any], target: str = NEW, at: list[dict[str, Any]] | None = None, **wishes: object) -> Plan:
    asked = {"accept_unknown": False, "lock_limit_seconds": 10, **wishes}
    return _upgrade.upgrade_plan(hosts, MEMBERS, at or schemas(), target, asked)


def rollback(hosts: dict[str, Any], at: list[dict[str, Any]] | None = None) -> Plan:
    asked = {"accept_unknown": False}
    return _upgrade.rollback_plan(hosts, MEMBERS, at or schemas("1.19", "1.14"), asked)


def after_upgrade(**changed: object) -> dict[str, Any]:
    return {name: host(NEW, previous=OLD, **changed) for name in MEMBERS}


def test_the_next_minor_is_reached_by_every_host_after_its_schema() -> None:
    plan = upgrade(fleet(OLD, OLD, OLD))
    assert plan["problems"] == []
    assert plan["start"] == OLD
    assert plan["moves"] == dict.fromkeys(MEMBERS, "1.30.6 becomes 1.31.2")
    assert [(step["database"], step["before"], step["after"]) for step in plan["migrations"]] == [
        ("temporal", "1.18", "1.19"),
        ("temporal_visibility", "1.13", "1.14"),
    ]
    text = _upgrade.upgrade_text(plan)
    assert "Temporal 1.31.2 comes to: server-a, server-b, server-c" in text
    assert "goes from 1.13 to 1.14; writes executions_visibility anew 2 times: about 100 rows, 1 MiB, 1 s" in text


def test_a_large_table_whose_rows_nobody_has_counted_is_not_taken_for_an_empty_one() -> None:
    at = schemas()
    at[1]["tables"] = [{"name": "executions_visibility", "rows": 0, "bytes": 60 * 2**30}]
    problem = refusal(upgrade(fleet(OLD, OLD, OLD), at=at))
    assert "61440 MiB (by its size alone; ANALYZE executions_visibility has them counted)" in problem
    assert "lock_limit_seconds=12885" in problem


def test_an_empty_table_needs_no_count() -> None:
    at = schemas()
    at[1]["tables"] = [{"name": "executions_visibility", "rows": 0, "bytes": 2**19}]
    assert upgrade(fleet(OLD, OLD, OLD), at=at)["problems"] == []


def test_a_host_that_came_back_from_a_later_release_does_not_hide_where_the_others_came_from() -> None:
    hosts = {name: host("1.31.1", previous=OLD, installed=[OLD, "1.31.1"]) for name in MEMBERS}
    hosts["server-a"] = host("1.31.1", previous="1.31.1", installed=[OLD, "1.31.1", NEW])
    plan = rollback(hosts)
    assert (plan["problems"], plan["target"], list(plan["moves"])) == ([], OLD, MEMBERS)
    hosts["server-b"]["previous"] = "1.30.5"
    assert "no release before 1.31.1 is remembered" in refusal(rollback(hosts))


def test_a_patch_changes_no_schema() -> None:
    plan = upgrade(fleet("1.30.5", "1.30.5", "1.30.5"), OLD)
    assert (plan["problems"], plan["migrations"]) == ([], [])


def test_a_fleet_that_is_there_has_nowhere_to_go() -> None:
    plan = upgrade(fleet(NEW, NEW, NEW), at=schemas("1.19", "1.14"))
    assert (plan["problems"], plan["moves"]) == ([], {})
    assert _upgrade.upgrade_text(plan) == "Every Temporal host runs 1.31.2."


def test_a_half_done_upgrade_goes_on_with_those_that_are_left() -> None:
    hosts = {**fleet(NEW, OLD, OLD), "server-b": host(NEW, running=OLD)}
    plan = upgrade(hosts, at=schemas("1.19", "1.14"))
    assert plan["problems"] == []
    assert list(plan["moves"]) == ["server-b", "server-c"]
    assert plan["start"] == OLD


def test_the_last_host_of_an_upgrade_knows_where_it_came_from() -> None:
    hosts = after_upgrade() | {"server-c": host(NEW, running="", previous=OLD)}
    plan = upgrade(hosts, at=schemas("1.19", "1.14"))
    assert (plan["problems"], plan["start"]) == ([], OLD)


def refusal(plan: dict[str, Any]) -> str:
    [problem] = plan["problems"]
    return problem


@pytest.mark.parametrize(
    ("hosts", "target", "at", "said"),
    [
        (
            fleet("1.29.7", "1.29.7", "1.29.7"),
            NEW,
            schemas(visibility="1.9"),
            "skips 1.30, .*; upgrade to 1.30.6 first",
        ),
        (fleet("1.28.4", "1.28.4", "1.28.4"), OLD, schemas("1.17", "1.9"), "skips 1.29, .*; upgrade to 1.29.7 first"),
        (fleet(NEW, NEW, NEW), OLD, schemas("1.19", "1.14"), "1.31.2 to 1.30.6 is a step back; rollback.yml"),
        (fleet("1.29.7", "1.29.7", "1.29.7"), "1.30.0", schemas(visibility="1.9"), "1.30.0 was retracted .* 1.30.6"),
        (fleet("1.25.2", "1.25.2", "1.25.2"), "1.26.0", schemas("1.14", "1.6"), "1.26.0 was retracted"),
        (fleet("1.25.2", "1.25.2", "1.25.2"), "1.26.1", schemas("1.14", "1.6"), "1.26.1 was retracted"),
        (fleet(NEW, NEW, NEW), "1.32.0", schemas("1.19", "1.14"), "1.32.0 is not a release .* accept_unknown=true"),
        (fleet(NEW, NEW, NEW), "1.31.9", schemas("1.19", "1.14"), "1.31.9 is not a release that is known"),
        (fleet(OLD, OLD, OLD), "v1.31", schemas(), "temporal_version: v1.31 is no release such as"),
        (fleet("1.30.5", OLD, OLD), NEW, schemas(), "server-a has 1.30.5, server-b has 1.30.6.*bring all of them to"),
        (fleet("1.30.5", OLD, NEW), NEW, schemas("1.19", "1.14"), "the hosts have different releases"),
        (fleet("1.29.7", "1.29.7", "1.29.7"), "1.29.6", schemas(visibility="1.9"), "is a step back"),
        ({"server-a": host(OLD)}, NEW, schemas(), "--limit leaves out server-b, server-c"),
        (fleet(OLD, OLD, OLD) | {"server-c": host(None)}, NEW, schemas(), "server-c: nothing is installed there"),
        (
            fleet(OLD, OLD, OLD) | {"server-b": host(OLD, running="")},
            NEW,
            schemas(),
            "server-b: temporal-frontend.service, .* does not run",
        ),
        (fleet(NEW, OLD, OLD), NEW, schemas(), "server-a has 1.31.2 before its schema is there.*select 1.30.6 there"),
        (fleet(OLD, OLD, OLD), NEW, schemas(rows=60_000), "60000 rows, .*the limit is 10 s.*lock_limit_seconds=12"),
        (fleet(OLD, OLD, OLD), NEW, schemas("1.20", "1.15"), None),
        (
            fleet("1.29.6", "1.29.6", "1.29.6"),
            "1.29.7",
            schemas("1.19", "1.9"),
            "that of 1.31, on which 1.29.7 was never",
        ),
    ],
)
def test_what_is_not_open_is_refused_in_one_sentence(hosts: Plan, target: str, at: Stores, said: str | None) -> None:
    plan = upgrade(hosts, target, at)
    if said is None:
        assert all("newer than any that is known here" in problem for problem in plan["problems"])
        assert len(plan["problems"]) == 2
    else:
        problem = refusal(plan)
        assert re.search(said, problem), problem


def test_a_database_without_a_schema_is_no_live_cluster() -> None:
    at = schemas()
    at[0]["version"] = None
    assert (
        "temporal holds no schema; this is no live cluster: run site.yml"
        in upgrade(fleet(OLD, OLD, OLD), at=at)["problems"]
    )


def test_all_that_is_wrong_is_in_one_list() -> None:
    hosts = fleet("1.29.7", "1.29.6", "1.29.7")
    problems = upgrade(hosts, "1.32.0", schemas(visibility="1.9"))["problems"]
    assert len(problems) == 4
    assert [problem.split()[0] for problem in problems] == ["the", "1.32.0", "1.29.6", "1.29.7"]


def test_an_unknown_release_is_taken_when_told() -> None:
    plan = upgrade(fleet(NEW, NEW, NEW), "1.32.0", schemas("1.19", "1.14"), accept_unknown=True)
    assert (plan["problems"], plan["migrations"]) == ([], [])
    assert len(plan["moves"]) == 3


def test_nobody_is_told_to_skip_a_minor_with_a_release_that_is_unknown() -> None:
    problems = upgrade(fleet(OLD, OLD, OLD), "1.32.0", accept_unknown=True)["problems"]
    assert [problem for problem in problems if "skips 1.31" in problem]


def test_a_retracted_release_may_be_left() -> None:
    assert upgrade(fleet("1.30.0", "1.30.0", "1.30.0"), OLD)["problems"] == []


def test_a_long_lock_is_accepted_by_its_length() -> None:
    assert upgrade(fleet(OLD, OLD, OLD), at=schemas(rows=60_000), lock_limit_seconds="12")["problems"] == []
    assert "lock_limit_seconds: long is no number" in refusal(upgrade(fleet(OLD, OLD, OLD), lock_limit_seconds="long"))


def test_the_four_steps_up_to_1_13_are_one_rewrite() -> None:
    [visibility] = _upgrade.migrations(schemas(visibility="1.9", rows=20_000), OLD)
    assert [(row["times"], row["seconds"]) for row in visibility["rewrites"]] == [(1, 2.0)]


def test_every_row_of_the_table_is_one_minor_after_the_other_and_no_schema_goes_back() -> None:
    minors = sorted(_upgrade.MINORS)
    assert [minor[1] for minor in minors] == list(range(minors[0][1], minors[-1][1] + 1))
    for schema in (_upgrade.CASSANDRA, _upgrade.POSTGRESQL, _upgrade.VISIBILITY):
        needs = [_upgrade.parse(_upgrade.MINORS[minor].needs[schema]) for minor in minors]
        assert needs == sorted(needs)


def test_the_way_back_is_the_release_before() -> None:
    plan = rollback(after_upgrade())
    assert (plan["problems"], plan["target"], plan["migrations"]) == ([], OLD, [])
    assert plan["moves"] == dict.fromkeys(MEMBERS, "1.31.2 becomes 1.30.6")
    assert plan["start"] == ""


def test_an_upgrade_that_was_given_up_half_way_is_taken_back() -> None:
    hosts = {**fleet(OLD, OLD, OLD), "server-a": host(NEW, previous=OLD, running="")}
    plan = rollback(hosts)
    assert (plan["problems"], list(plan["moves"])) == ([], ["server-a"])


def test_a_host_whose_services_still_run_the_newer_release_goes_back() -> None:
    hosts = {**fleet(OLD, OLD, OLD), "server-a": host(OLD, running=NEW, previous=OLD)}
    assert list(rollback(hosts)["moves"]) == ["server-a"]


@pytest.mark.parametrize(
    ("hosts", "at", "said"),
    [
        (fleet(NEW, NEW, NEW), None, "no release before 1.31.2 is remembered"),
        ({name: host(OLD, previous=OLD) for name in MEMBERS}, None, "no release before 1.30.6 is remembered"),
        ({name: host(OLD, previous=NEW) for name in MEMBERS}, None, "no release before 1.30.6 is remembered"),
        (
            after_upgrade() | {"server-b": host(NEW, previous=OLD, installed=[NEW])},
            None,
            "server-b: .*/1.30.6 is not there",
        ),
        ({"server-a": host(NEW, previous=OLD)}, None, "--limit leaves out server-b, server-c"),
        (after_upgrade() | {"server-b": host("1.31.1")}, None, "the hosts have different releases"),
        (after_upgrade(), schemas("1.20", "1.14"), "newer than any that is known here, .* whether 1.30.6 runs on it"),
        (
            {name: host(OLD, previous="1.29.7", installed=["1.29.7", OLD]) for name in MEMBERS},
            schemas("1.19", "1.13"),
            "the schema of temporal is at 1.19, that of 1.31, on which 1.29.7 was never run",
        ),
        (
            {name: host(NEW, previous="1.29.7", installed=["1.29.7", NEW]) for name in MEMBERS},
            schemas("1.18", "1.13"),
            "1.31.2 to 1.29.7 skips a minor",
        ),
    ],
)
def test_a_way_back_that_is_not_open_is_refused(hosts: Plan, at: Stores, said: str) -> None:
    problem = refusal(rollback(hosts, at))
    assert re.search(said, problem), problem


def test_site_changes_no_release_of_a_live_service() -> None:
    [problem] = _releases.release_problems(fleet(OLD, OLD, NEW), NEW)
    assert problem.startswith("temporal_version is 1.31.2, and server-a, server-b have 1.30.6: site.yml changes")
    assert problem.endswith("rolling_upgrade.yml, or put temporal_version back to 1.30.6")


def test_site_may_install_where_nothing_ever_ran() -> None:
    hosts = {"server-a": host(None, started=False), "server-b": host(OLD, running="", started=False)}
    assert _releases.release_problems(hosts, NEW) == []
    assert _releases.release_problems(fleet(NEW, NEW, NEW), NEW) == []
