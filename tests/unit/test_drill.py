"""A drill hits only what is survived now, and tells what clients saw in the words of the chaos suite."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest
import yaml
from ansible_collections.zerospof.temporal.plugins.module_utils import _drill, _drill_page, _patience
from ansible_collections.zerospof.temporal.plugins.module_utils._calls import CLIENTS, PATIENT, SINGLE, Call

from tests.chaos import result as results

ROOT = Path(__file__).resolve().parents[2]
INVENTORIES = ROOT / "inventories"
PLAY = "playbooks/drill/fault.yml"
UNITS = {
    "load_balancers": ["haproxy-edge.service", "keepalived.service"],
    "temporal_servers": ["haproxy-database.service", "pgbouncer.service", "temporal-history.service"],
    "temporal_ui": ["temporal-ui.service"],
    "postgresql": ["patroni.service"],
    "etcd": ["etcd.service"],
    "cassandra": ["cassandra.service"],
    "temporal_workers": ["temporal-sdk-worker@networking-1.service"],
}
STATE = ROOT / "playbooks/tasks/rolling_state.yml"
Groups = dict[str, list[str]]


def groups_of(profile: str) -> Groups:
    """Return the groups of an example inventory."""
    children = yaml.safe_load((INVENTORIES / profile / "hosts.yml").read_text(encoding="utf-8"))["all"]["children"]
    groups = {name: list(group["hosts"]) for name, group in children.items()}
    zones = [hosts for name, hosts in groups.items() if name.startswith("az_")]
    return groups | {"all": sorted({host for hosts in zones for host in hosts})}


def keys_of_a_state() -> set[str]:
    """Return what a host says of itself, by its names."""
    *_, told = yaml.safe_load(STATE.read_text(encoding="utf-8"))
    return set(told["ansible.builtin.set_fact"]["rolling_state"])


def states_of(groups: Groups, leader: str = "db-b", holder: str = "lb-a") -> dict[str, dict[str, Any]]:
    """Return what the hosts of a healthy cluster say of themselves; the members of PostgreSQL name the ``leader``."""
    found = {
        host: {
            "units": [
                {"name": unit, "state": "current", "reasons": []}
                for tier, units in UNITS.items()
                if host in groups.get(tier, ())
                for unit in units
            ],
            "interrupted": [],
            "moves": {},
            "leader": leader if host in groups.get("postgresql", ()) else "",
            "holds_vip": host == holder,
            "certificates": [],
            "disks": [],
            "rack": "",
        }
        for host in groups["all"]
    }
    assert {key for state in found.values() for key in state} == keys_of_a_state()
    return found


def plan(
    profile: str = "ha_postgresql",
    states: dict[str, dict[str, Any]] | None = None,
    hostvars: dict[str, dict[str, Any]] | None = None,
    **wishes: object,
) -> dict[str, Any]:
    """Return the plan of a drill."""
    groups = groups_of(profile)
    known = {host: {} for host in groups["all"]} | (hostvars or {})
    asked = {"namespaces": ["production", "staging"]} | wishes
    return _drill.drill_plan(groups, known, states or states_of(groups), asked, profile, vip="10.77.0.10")


def test_a_host_that_the_cluster_can_lose_may_hang() -> None:
    made = plan(fault="hang", victims="temporal-b")
    assert made["problems"] == []
    assert made["units"] == {"temporal-b": [*UNITS["temporal_servers"], "temporal-ui.service"]}
    assert (made["observer"], made["sentence"]) == ("temporal-a", "hang temporal-b for 60 s")
    assert made["deadline"] == 60 + _drill.GRACE_SECONDS
    assert _drill.drill_groups(made) == [
        {"name": "temporal-b", "groups": ["drill_victims"]},
        {"name": "temporal-a", "groups": ["drill_observer"]},
    ]
    assert "temporal-b: haproxy-database.service, pgbouncer.service" in _drill.drill_text(made)


@pytest.mark.parametrize(("victims", "forks", "slack"), [(0, 5, 0), (1, 5, 0), (5, 5, 0), (6, 5, 10), (100, 25, 30)])
def test_the_last_victims_are_hit_later_where_ansible_asks_few_at_once(victims: int, forks: int, slack: int) -> None:
    assert _drill.slack_seconds(victims, forks) == slack


def test_no_victim_is_well_again_before_the_last_one_has_suffered_and_clients_see_it_all() -> None:
    at_once, one_by_one = (plan(fault="hang", victims="az_a", forks=forks) for forks in (25, 1))
    later = _drill.ROUND_SECONDS * (len(groups_of("ha_postgresql")["az_a"]) - 1)
    assert later > 0
    assert (at_once["deadline"], at_once["lasts"]) == (60 + _drill.GRACE_SECONDS, 60)
    assert one_by_one["deadline"] == at_once["deadline"] + later
    assert one_by_one["lasts"] == at_once["lasts"] + 2 * later


@pytest.mark.parametrize("profile", ["ha_postgresql", "ha_cassandra"])
@pytest.mark.parametrize("fault", ["cut", "hang", "kill"])
def test_a_whole_zone_may_be_lost(profile: str, fault: str) -> None:
    made = plan(profile, fault=fault, victims="az_a")
    assert made["problems"] == []
    assert made["victims"] == groups_of(profile)["az_a"]
    assert made["observer"] == "temporal-b"


def test_a_part_is_whoever_has_it_now() -> None:
    assert plan(fault="kill", victims=["postgresql_primary"])["victims"] == ["db-b"]
    assert plan(fault="kill", victims=["vip_holder"])["victims"] == ["lb-a"]
    nobody = states_of(groups_of("ha_postgresql"), leader="")
    assert plan(states=nobody, fault="kill", victims="postgresql_primary")["problems"] == [
        "postgresql_primary: no host has that part now, not one",
        "drill_victims: nobody would be hit",
    ]
    disputed = states_of(groups_of("ha_postgresql"))
    disputed["db-c"]["leader"] = "db-c"
    problems = plan(states=disputed, fault="kill", victims="postgresql_primary")["problems"]
    assert problems[0] == "postgresql_primary: db-b and db-c have that part now, not one"


def test_what_is_narrowed_to_a_tier_is_judged_for_that_tier_alone() -> None:
    made = plan("basic", fault="kill", victims="server-a", tiers="temporal_servers")
    assert made["problems"] == []
    assert made["units"] == {"server-a": UNITS["temporal_servers"]}
    assert made["sentence"] == "kill temporal_servers on server-a for 60 s"


@pytest.mark.parametrize(
    ("profile", "victims", "words"),
    [
        ("basic", "db-a", "this is not survived: without db-a, no PostgreSQL member is left: no workflow starts"),
        ("ha_postgresql", "db-a,db-b", "this is not survived: without db-a and db-b, more than 1 of 3 PostgreSQL"),
        ("ha_cassandra", "cassandra-a1,cassandra-b1", "this is not survived: without cassandra-a1 and cassandra-b1"),
        ("ha_postgresql", "lb-a,lb-b,lb-c", "without lb-a, lb-b and lb-c, no balancer is left"),
        ("ha_postgresql", "temporal-a,temporal-b,temporal-c", "no Temporal server is left that could tell"),
    ],
)
def test_a_loss_that_is_not_survived_is_refused(profile: str, victims: str, words: str) -> None:
    assert words in "; ".join(plan(profile, fault="cut", victims=victims)["problems"])


@pytest.mark.parametrize(
    ("wishes", "words"),
    [
        ({"victims": "lb-a"}, "drill_fault: nothing is not one of kill, hang, cut"),
        ({"fault": "burn", "victims": "lb-a"}, "drill_fault: burn is not one of"),
        ({"fault": "kill"}, "drill_victims: name hosts, a zone, or one of postgresql_primary, vip_holder"),
        ({"fault": "kill", "victims": "lb-z"}, "lb-z is no host of the cluster, no zone"),
        ({"fault": "kill", "victims": "lb-a", "tiers": "etcd"}, "lb-a: has no service of etcd"),
        ({"fault": "kill", "victims": "lb-a", "tiers": "databases"}, "drill_tiers: databases: not one of etcd"),
        ({"fault": "cut", "victims": "lb-a", "tiers": "load_balancers"}, "a host is cut off as a whole"),
        ({"fault": "hang", "victims": "lb-a", "seconds": "9"}, "drill_seconds: 9 is not between 10 and 600"),
        ({"fault": "hang", "victims": "lb-a", "seconds": "1h"}, "drill_seconds: 1h is not between"),
        ({"fault": "hang", "victims": "lb-a", "misspelt": ["second"]}, "drill_second: is no wish of a drill"),
        ({"fault": "hang", "victims": "lb-a", "namespace": "stage"}, "stage is not one of temporal_namespaces (produ"),
        ({"fault": "hang", "victims": "lb-a", "namespaces": []}, "nothing is not one of temporal_namespaces (none)"),
    ],
)
def test_a_wish_that_means_nothing_is_refused(wishes: dict[str, object], words: str) -> None:
    assert words in "; ".join(plan(**wishes)["problems"])


def test_workflows_are_started_in_the_first_namespace_or_in_the_one_that_is_named() -> None:
    assert plan(fault="hang", victims="lb-a")["namespace"] == "production"
    named = plan(fault="hang", victims="lb-a", namespace="staging")
    assert (named["namespace"], named["problems"]) == ("staging", [])
    assert "temporal-a starts workflows in staging meanwhile" in _drill.drill_text(named)


def test_a_zone_without_hosts_of_the_cluster_hits_nobody() -> None:
    groups = groups_of("ha_postgresql") | {"az_d": ["elsewhere"]}
    wishes = {"fault": "cut", "victims": "az_d", "namespaces": ["production"]}
    made = _drill.drill_plan(groups, {}, states_of(groups), wishes, "ha_postgresql", "x")
    assert made["problems"] == ["drill_victims: nobody would be hit"]


def test_nobody_is_hit_while_something_is_the_matter_already() -> None:
    states = states_of(groups_of("ha_postgresql"))
    states["worker-c"]["units"][0] |= {"state": "pending", "reasons": ["it is not running"]}
    states["db-c"]["interrupted"] = ["postgresql"]
    assert plan(states=states, fault="kill", victims="lb-a")["problems"] == [
        "db-c: a restart of postgresql was interrupted; rolling_restart.yml ends it",
        "worker-c: temporal-sdk-worker@networking-1.service does not run",
    ]


CHANGED = "/etc/temporal/server.yaml changed"


@pytest.mark.parametrize(("fault", "is_refused"), [("kill", True), ("hang", True), ("cut", False)])
def test_what_starts_again_starts_with_what_it_had(fault: str, is_refused: bool) -> None:
    """What is cut off goes on running."""
    states = states_of(groups_of("ha_postgresql"))
    for host in ("temporal-a", "temporal-b"):
        states[host]["units"][2] |= {"state": "pending", "reasons": [CHANGED]}
    sentence = f"temporal-b: temporal-history.service waits for a restart, which this would be ({CHANGED}); run"
    problems = plan(states=states, fault=fault, victims="temporal-b")["problems"]
    assert problems == ([f"{sentence} rolling_restart.yml"] if is_refused else [])
    narrowed = plan(states=states, fault=fault, victims="temporal-b", tiers="temporal_ui" if is_refused else "")
    assert narrowed["problems"] == []


def test_nobody_is_hit_while_a_certificate_of_the_cluster_ends_soon() -> None:
    states = states_of(groups_of("ha_postgresql"))
    states["worker-a"]["certificates"] = [{"path": "/etc/x.crt", "days": 3, "trusts": []}]
    assert plan(states=states, fault="cut", victims="lb-a", certificate_days=30)["problems"] == [
        "worker-a: /etc/x.crt ends in 3 days; run rotate_certificates.yml"
    ]
    assert plan(states=states, fault="cut", victims="lb-a", certificate_days=3)["problems"] == []


@pytest.mark.parametrize("fault", ["cut", "hang", "kill"])
def test_no_database_is_hit_while_one_has_too_little_room(fault: str) -> None:
    states = states_of(groups_of("ha_postgresql"))
    states["db-c"]["disks"] = [{"directory": "/var/lib/etcd", "free_percent": 9.0, "free_bytes": 2**30}]
    problems = plan(states=states, fault=fault, victims="db-a", disk_free_percent=20)["problems"]
    assert len(problems) == 1
    assert problems[0].startswith("db-c: the disk of /var/lib/etcd has 9.0 % free")
    assert plan(states=states, fault=fault, victims="temporal-a", disk_free_percent=20)["problems"] == []


def test_a_drill_asks_of_certificates_and_disks_what_a_rolling_restart_asks() -> None:
    drill, rolling = (
        yaml.safe_load((ROOT / f"playbooks/vars/{name}.yml").read_text(encoding="utf-8"))[f"{wishes}_wishes"]
        for name, wishes in (("failover_drill", "drill"), ("rolling", "rolling"))
    )
    assert drill["disk_free_percent"] == rolling["disk_free_percent"]
    assert "certificate_least_days" in drill["certificate_days"]
    assert "certificate_least_days" in rolling["certificate_days"]


def test_workers_of_a_build_that_ended_when_it_had_drained_are_not_missed_and_cannot_be_hit() -> None:
    states = states_of(groups_of("ha_postgresql"))
    ended = {"name": "temporal-sdk-worker@networking-0.9-1.service", "state": "new", "reasons": ["it has never been"]}
    states["worker-c"]["units"].append(ended)
    made = plan(states=states, fault="kill", victims="worker-c")
    assert made["problems"] == []
    assert made["units"] == {"worker-c": UNITS["temporal_workers"]}


def test_a_host_that_nobody_asked_may_be_the_one_that_is_needed() -> None:
    states = states_of(groups_of("ha_postgresql"))
    del states["db-c"]
    found = plan(states=states, fault="kill", victims="lb-a")["problems"]
    assert found == ["db-c: nobody asked how they are; run this without --limit"]


def test_a_host_that_runs_the_playbook_does_not_cut_itself_off() -> None:
    here = {"lb-a": {"ansible_connection": "local"}}
    assert plan(hostvars=here, fault="hang", victims="lb-a")["problems"] == []
    assert plan(hostvars=here, fault="cut", victims="lb-a")["problems"] == [
        "lb-a: is where this runs, and would cut itself off"
    ]


def test_a_cut_leaves_ssh_and_what_the_victims_say_to_each_other() -> None:
    rules = _drill.cut_rules(["10.0.0.2", "10.0.0.1"], 2222)
    assert rules.startswith("table inet zerospof_drill\ndelete table inet zerospof_drill\n")
    accepted = re.findall(r"^    (.*) accept$", rules, re.MULTILINE)
    assert accepted == [
        'iif "lo"',
        "ip saddr { 10.0.0.1, 10.0.0.2 }",
        "tcp dport 2222",
        'oif "lo"',
        "ip daddr { 10.0.0.1, 10.0.0.2 }",
        "tcp sport 2222",
    ]
    assert rules.count("policy drop") == 2
    # Of an earlier drill, if it has announcements.
    assert rules.endswith("table netdev zerospof_drill\ndelete table netdev zerospof_drill\n")


def test_a_balancer_that_is_cut_off_tells_nobody_that_it_has_the_virtual_address() -> None:
    """It would: who hears none of the others takes the address."""
    rules = _drill.cut_rules(["10.0.0.1"], 22, "10.0.0.9", "eth0.7")
    _, _, announced = rules.partition("\ntable netdev zerospof_drill {\n")
    assert re.findall(r"^    (.*)$", announced, re.MULTILINE) == [
        'type filter hook egress device "eth0.7" priority 0; policy accept;',
        "arp saddr ip 10.0.0.9 drop",
    ]


def test_every_fault_that_does_not_end_by_itself_has_an_end() -> None:
    assert _drill.ending("kill", ["a.service"]) == []
    assert _drill.ending("hang", ["a.service"]) == ["systemctl", "kill", "--signal=SIGCONT", "a.service"]
    program, *rules = _drill.ending("cut", [])
    made = re.findall(r"^table (\w+ \w+) \{", _drill.cut_rules(["10.0.0.1"], 22, "10.0.0.9", "eth0"), re.MULTILINE)
    assert program == "nft"
    assert made == ["inet zerospof_drill", "netdev zerospof_drill"]
    # Of which it does not know whether they are there.
    assert rules == ["; ".join(f"table {name}; delete table {name}" for name in made)]
    assert set(_drill.FAULTS) == {"kill", "hang", "cut"}


@pytest.mark.parametrize(
    ("fault", "now", "spared"),
    [
        ("kill", ("17", "S"), ["a.service"]),
        ("kill", ("17", "Z"), []),
        ("kill", ("17", ""), []),
        ("kill", ("0", ""), []),
        ("kill", ("18", ""), []),
        ("hang", ("17", "S"), ["a.service"]),
        ("hang", ("17", "T"), []),
        ("hang", ("18", ""), []),
    ],
)
def test_a_service_is_spared_when_its_process_goes_on(fault: str, now: tuple[str, str], spared: list[str]) -> None:
    assert _drill.spared(fault, {"a.service": "17"}, {"a.service": now}) == spared


def test_what_the_cluster_did_not_keep_is_counted_and_told() -> None:
    fine = {"status": "COMPLETED", "right": True, "runs": 1}
    seen = {
        "w-1": fine,
        "w-2": fine | {"runs": 2},
        "w-3": {"status": "RUNNING", "right": False, "runs": 1},
        "w-4": {"status": "FAILED", "right": False, "runs": 1},
        "w-5": fine | {"right": False},
    }
    found, words = _drill.harm_of(["w-0", "w-1"], seen, 2)
    assert found == {"lost": 1, "duplicated": 1, "stuck": 1, "wrong": 2, "unseen": 1}
    assert words[0] == "lost: w-0 was acknowledged and is not there"
    assert words[-1] == "unseen: 3 workflows completed, and the visibility store counts 2"
    assert _drill.harm_of(["w-1"], {"w-1": fine}, 1) == (dict.fromkeys(_drill.HARM, 0), [])
    assert _drill.harm_of([], {}, None)[0]["unseen"] == 1


def load(**changes: object) -> dict[str, Any]:
    """Return what the load returned in a drill with its fault from 1010 to 1040: single attempts fail for 2 s."""
    calls = [
        Call(
            flavour,
            "start",
            f"w-{flavour}-{second}",
            "",
            1000.0 + second,
            1000.3 + second,
            "start UNAVAILABLE: gone" if flavour == SINGLE and second in (10, 11) else "",
        )
        for second in range(60)
        for flavour in CLIENTS
    ]
    made = {
        "calls": _drill.as_rows(calls),
        "found": dict.fromkeys(_drill.HARM, 0),
        "problems": [],
        "per_second": 1.0,
    }
    return made | changes


def course_of(
    made: Mapping[str, dict[str, Any]] | None = None,
    over: Mapping[str, dict[str, Any]] | None = None,
    fault: str = "hang",
) -> dict[str, Any]:
    """Return what became of a fault from 1010 to 1040 on two hosts, of which one may have said something else."""
    hosts = ["temporal-b", "temporal-c"]
    fine = {
        "__drill_made": {host: {"changed": True, "at": 1010.0} for host in hosts} | dict(made or {}),
        "__drill_over": {host: {"changed": fault != "kill", "at": 1040.0} for host in hosts} | dict(over or {}),
    }
    hostvars = {host: {name: told[host] for name, told in fine.items()} for host in hosts}
    return _drill.drill_course({"victims": hosts, "fault": fault, "deadline": 90}, hostvars, 1060.0)


@pytest.mark.parametrize("fault", ["kill", "hang", "cut"])
def test_a_fault_as_planned_is_over_everywhere(fault: str) -> None:
    course = course_of(fault=fault)
    assert course == {
        "began": 1010.0,
        "ended": 1040.0,
        "started": "1970-01-01T00:16:50Z",
        "problems": [],
        "suffering": [],
    }
    assert _drill.drill_course_text(course) == "Nobody suffers any more."


GONE = {"unreachable": True, "msg": "no route to host"}
UNSEEN = "temporal-c: nobody has seen that it is well again: no route to host"


def test_who_may_still_suffer_is_named_with_the_time_at_which_that_ends() -> None:
    course = course_of(over={"temporal-c": GONE})
    assert course["suffering"] == ["temporal-c"]
    assert _drill.drill_course_text(course) == f"{UNSEEN}; its own timer ends the fault by 00:18:20 UTC"
    # Nobody knows when it began, nor whether.
    unknown = course_of(made={"temporal-c": GONE}, over={"temporal-c": GONE})
    assert unknown["problems"] == [
        "temporal-c: the fault was not made: no route to host",
        f"{UNSEEN}; its own timer ends the fault by 00:19:10 UTC",
    ]
    assert course_of(over={"temporal-c": GONE}, fault="kill")["problems"] == [UNSEEN]


def test_a_fault_that_was_not_made_or_did_not_last_is_told() -> None:
    failed = {"failed": True, "msg": "hang did not happen to a.service"}
    course = course_of(made={"temporal-b": failed}, over={"temporal-b": {"changed": False, "at": 1012.0}})
    assert course["problems"] == ["temporal-b: the fault was not made: hang did not happen to a.service"]
    assert (course["began"], course["ended"]) == (1010.0, 1012.0)
    early = {"failed": True, "msg": "hang was over before it was to end, for a.service", "at": 1040.0}
    course = course_of(over={"temporal-b": early})
    assert course["problems"] == [f"temporal-b: {early['msg']}"]
    assert course["suffering"] == []
    by_others = course_of(over={"temporal-b": {"changed": False, "at": 1040.0}})
    assert by_others["problems"] == ["temporal-b: the fault was over before it was to end"]


def test_a_fault_that_nobody_made_lasted_no_time() -> None:
    failed = {host: {"failed": True, "msg": "no"} for host in ("temporal-b", "temporal-c")}
    course = course_of(made=failed)
    assert (course["began"], course["ended"]) == (1060.0, 1060.0)


def shown(
    course: dict[str, Any] | None = None, is_whole: bool = True, loaded: dict[str, Any] | None = None, **changes: object
) -> dict[str, Any]:
    """Return the result of that drill."""
    made = plan(fault="hang", victims="temporal-b", seconds=30)
    versions = {"Temporal": "1.31.2"}
    return _drill.drill_result(made, loaded or load(**changes), course or course_of(), versions, 12, is_whole)


def test_a_drill_writes_the_file_that_the_chaos_suite_reads(tmp_path: Path) -> None:
    path = tmp_path / "ha_postgresql" / "drill-hang" / "19700101T001650Z.json"
    path.parent.mkdir(parents=True)
    path.write_text(json.dumps(shown()))
    made = plan(fault="hang", victims="temporal-b", seconds=30)
    path.with_suffix(".svg").write_text(_drill.drill_chart(load(), course_of(), made))
    run = results.read(path)
    assert (run.result.held_seconds, run.result.gap, run.result.kept) == (30.0, 1.0, True)
    assert run.result.clients[SINGLE].longest_gap == 3.0
    assert run.result.clients[SINGLE].gap_from == -0.7
    assert run.result.clients[SINGLE].errors == {"start UNAVAILABLE: gone": 2}
    assert "hang temporal-b for 30 s" in run.chart
    assert _drill.SCHEMA_VERSION == results.SCHEMA_VERSION


def test_a_drill_is_passed_when_nothing_is_lost_and_the_patient_client_saw_no_error() -> None:
    assert _drill.drill_failures(shown()) == []
    lost = load()["found"] | {"lost": 2}
    assert _drill.drill_failures(shown(found=lost)) == ["lost 2"]
    assert "lost 2" in _drill.drill_report(shown(found=lost))
    failed = [call | {"error": "start UNAVAILABLE: gone"} for call in load()["calls"] if call["flavour"] == PATIENT]
    assert _drill.drill_failures(shown(calls=failed)) == ["60 calls failed with the collection's settings"]
    assert _drill.drill_failures(shown(calls=[])) == ["nobody started a workflow"]
    assert "single attempts        no start" in _drill.drill_report(shown(calls=[]))


def test_a_drill_is_not_passed_as_long_as_the_cluster_is_not_whole() -> None:
    unknown = shown(is_whole=False)
    assert unknown["found"]["unfinished"] == 1
    assert unknown["problems"] == ["unfinished: nobody knows whether the cluster is whole again"]
    assert _drill.drill_failures(unknown) == unknown["problems"]


def test_a_drill_is_not_passed_when_its_fault_was_not_as_planned() -> None:
    course = course_of(over={"temporal-c": GONE})
    failures = _drill.drill_failures(shown(course=course))
    assert failures == [f"unfinished: {course['problems'][0]}"]


def test_what_is_known_is_told_when_the_clients_told_nothing() -> None:
    lost = shown(loaded={"failed": True, "msg": "what clients see is not known: RPCError"})
    assert _drill.drill_failures(lost) == [
        "unfinished: clients have told nothing: what clients see is not known: RPCError",
        "nobody started a workflow",
    ]
    assert lost["victims"] == ["temporal-b"]
    assert lost["held_seconds"] == 30.0
    assert lost["clients"][PATIENT]["gap_from"] == 0.0


def page(**changes: Any) -> str:  # noqa: ANN401
    """Return the page of that drill."""
    result = shown(**changes)
    chart = _drill.drill_chart(load(), course_of(), plan(fault="hang", victims="temporal-b", seconds=30))
    return _drill_page.drill_page(result, chart)


def test_the_page_has_the_timeline_and_a_table_and_needs_nothing_beside_itself() -> None:
    made = page()
    assert made.startswith("<!DOCTYPE html>")
    assert made.count("<svg") == 1
    assert "<h1>Drill: hang temporal-b for 30 s</h1>" in made
    assert '<p class="yes">Passed.</p>' in made
    row = f"<tr><td>{SINGLE}</td><td>60</td><td>3.0 s</td><td>-0.7 s from the fault</td><td>1.0 s</td><td>0.3 s</td>"
    assert f"{row}<td>2 x start UNAVAILABLE: gone</td></tr>" in made
    # Names of XML are no addresses of the network.
    assert re.findall(r"(?:src|href|url|@import)\b|https?://(?!www\.w3\.org/)", made) == []
    ElementTree.fromstring(made.removeprefix("<!DOCTYPE html>").replace('<meta charset="utf-8">', ""))


def test_the_page_says_why_a_drill_was_not_passed() -> None:
    lost = page(found=load()["found"] | {"lost": 2}, problems=["lost: w-1 <& was acknowledged and is not there"])
    assert '<div class="no">It was not passed:<ul><li>lost 2</li></ul></div>' in lost
    assert "<li>lost: w-1 &lt;&amp; was acknowledged" in lost
    assert "Passed." not in lost
    nothing = page(loaded={"failed": True, "msg": "RPCError"})
    assert "<li>unfinished: clients have told nothing: RPCError</li>" in nothing


def test_the_report_names_every_client_and_its_errors() -> None:
    text = _drill.drill_report(shown())
    assert text.splitlines()[0] == "hang temporal-b for 30 s; it lasted 30 s"
    assert "single attempts        60 starts, longest gap 3.0 s (-0.7 s from the fault), 1.0 s before it" in text
    assert "2 x start UNAVAILABLE: gone" in text
    assert "of 178 acknowledged starts: nothing lost, everything once" in text


def test_the_patient_client_of_a_drill_is_the_one_of_the_documentation() -> None:
    text = (ROOT / "docs/fault_tolerance.md").read_text(encoding="utf-8")
    for name, settings in (("RetryConfig", _patience.RETRIES), ("KeepAliveConfig", _patience.PINGS)):
        [arguments] = re.findall(rf"{name}\(([^)]+)\)", text)
        assert {key: int(value) for key, value in re.findall(r"(\w+)=(\w+)", arguments)} == settings


def test_every_fault_is_ended_whatever_happens_and_nothing_is_made_before_it_was_confirmed() -> None:
    [play] = yaml.safe_load((ROOT / PLAY).read_text(encoding="utf-8"))
    blocks = [task for task in play["tasks"] if "block" in task]
    made = [
        task for task in play["tasks"] for step in task.get("block", [task]) if "zerospof.temporal.drill_fault" in step
    ]
    assert made == blocks
    [block] = blocks
    assert block["always"][0]["zerospof.temporal.drill_fault"] == {"state": "absent"}
    # It would leave the others in the middle of the block.
    assert not any("any_errors_fatal" in step for step in (play, block, *block["block"], *block["always"]))
    imports = [
        play["ansible.builtin.import_playbook"]
        for play in yaml.safe_load((ROOT / "playbooks/failover_drill.yml").read_text(encoding="utf-8"))
    ]
    assert imports == [
        "shared/inventory.yml",
        "drill/plan.yml",
        "drill/confirmation.yml",
        "shared/health.yml",
        "drill/unchanged.yml",
        "drill/fault.yml",
        "drill/report.yml",
        "shared/health.yml",
        "drill/report.yml",
    ]
