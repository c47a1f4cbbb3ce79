"""A cluster that is weakened on purpose must be found to be."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

import pytest

from lab.state import Host, Lab
from lab.view import ViewError
from tests.chaos import cases, controls, run
from tests.chaos.cases import HIGHLY_AVAILABLE
from tests.chaos.cases import find as find_case
from tests.chaos.controls import CONTROLS, Control, bitten, find, weakness
from tests.chaos.report import bites, controls_seen
from tests.chaos.result import Result, Run, read_all, shortcomings, write
from tests.chaos.spof import NOT_MEASURED
from tests.unit.test_chaos import CHART, FINE, RESULT
from tests.unit.test_chaos import replace as changed

HOSTS = tuple(Host(f"db-{zone}", f"192.0.2.{number}", f"az_{zone}", "debian-13") for number, zone in enumerate("abc"))
ASYNCHRONOUS = find("ha_postgresql", "asynchronous-replication")


class Fake:
    """A cluster that writes down what is asked of it."""

    lab = Lab("x", "192.0.2.0/24", "/x", HOSTS)

    def __init__(self, answer: object = ()) -> None:
        """Answer the change of a keyspace with ``answer``."""
        self.said: list[tuple[str, str]] = []
        self.answer = answer

    def on(self, host: str, command: str) -> str:
        """Take a command."""
        self.said.append((host, command))
        names = [{"name": one.name, "ID": 10 + number} for number, one in enumerate(HOSTS)]
        return json.dumps({"members": names}) if "member list" in command else ""

    def cql(self, host: str, statements: Sequence[str], user: str = "", secret: str = "") -> list[object]:
        """Take a statement."""
        self.said += [(host, statement) for statement in statements]
        return [self.answer] if user else [[["dc1"]]]

    def members(self, _: str) -> list[str]:
        """Every host is in every group."""
        return [host.name for host in HOSTS]

    def database_primary(self) -> str:
        """Tell who leads."""
        return "db-b"

    def query(self, *_: str) -> list[list[str]]:
        """Tell that nobody confirms writes."""
        return []

    def variable(self, _: str) -> dict[str, int]:
        """Return ports."""
        return {"etcd_client": 2379}

    def server_states(self) -> dict[str, str]:
        """Return the servers of a balancer."""
        return {"temporal-a": "UP", "temporal-b": "UP"}


def test_names_are_unique_and_every_case_is_one_of_its_profiles() -> None:
    assert len({control.name for control in CONTROLS}) == len(CONTROLS)
    for control in CONTROLS:
        assert set(control.profiles) <= set(HIGHLY_AVAILABLE)
        assert all(find_case(profile, control.case) for profile in control.profiles)


def test_an_unknown_control_is_refused_with_those_that_there_are() -> None:
    with pytest.raises(KeyError, match="no control one-copy of ha_postgresql; there are: asynchronous-replication"):
        find("ha_postgresql", "one-copy")
    with pytest.raises(KeyError, match="no control one-copy of basic; there are: none"):
        find("basic", "one-copy")


def test_replicas_that_need_not_confirm_are_deafened_before_the_primary_dies() -> None:
    view = Fake()
    ASYNCHRONOUS.weaken(view)
    [(host, command)] = view.said
    assert host == "db-b"
    assert "synchronous_mode=false" in command
    assert ASYNCHRONOUS.prelude(view, ["db-b"]) == [["cut-one-way", "db-b", "db-a"], ["cut-one-way", "db-b", "db-c"]]


def test_one_member_of_etcd_is_left_beside_the_primary() -> None:
    view = Fake()
    controls.keep_one_member(view)
    assert [host for host, command in view.said if "disable" in command] == ["db-a", "db-c"]
    assert [command.split()[-1] for _, command in view.said if "member remove" in command] == ["a", "c"]


def test_one_copy_is_left_in_cassandra_or_the_control_ends() -> None:
    view = Fake()
    controls.keep_one_copy(view)
    assert view.said[-1][1].endswith("{'class': 'NetworkTopologyStrategy', 'dc1': 1}")
    with pytest.raises(ViewError, match="Unauthorized"):
        controls.keep_one_copy(Fake("Unauthorized"))


def test_no_balancer_checks_any_server() -> None:
    view = Fake()
    controls.check_nobody(view)
    assert len(view.said) == 3 * 2
    assert "disable health temporal_frontend/temporal-b" in view.said[-1][1]


@pytest.mark.parametrize(
    ("said", "bites"),
    [(["lost 3"], True), (["disputed 1", "longest gap 40.0 s"], True), (["longest gap 40.0 s"], False), ([], False)],
)
def test_a_control_demands_what_its_weakness_must_show(said: list[str], bites: bool) -> None:
    assert bitten(ASYNCHRONOUS, said, RESULT) is bites


def of_gap(seconds: float) -> Result:
    """Return a run whose clients saw no longer gap than this one."""
    return changed(RESULT, clients={name: changed(FINE, longest_gap=seconds) for name in RESULT.clients})


def test_a_gap_that_ends_before_its_fault_is_not_what_a_single_etcd_shows() -> None:
    control = find("ha_postgresql", "one-etcd-member")
    assert bitten(control, ["longest gap 50.0 s"], of_gap(50.0))
    assert not bitten(control, ["longest gap 26.5 s"], of_gap(26.5))


def test_no_control_takes_a_cluster_as_it_should_be_for_a_weakened_one() -> None:
    """Targets are missed on a busy machine, too."""
    runs = [row.result for row in read_all()]
    mistaken = [
        (control.name, result.profile, result.started)
        for control in controls.CONTROLS
        for result in runs
        if result.profile in control.profiles and result.case == control.case
        if bitten(control, shortcomings(cases.find(result.profile, control.case), result), result)
    ]
    assert mistaken == []


@pytest.fixture
def lab(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Lab:
    """A lab without hosts."""
    monkeypatch.setenv("ZEROSPOF_LAB_STATE", str(tmp_path))
    (tmp_path / "x").mkdir()
    monkeypatch.setattr(run, "lab", lambda *_: None)
    monkeypatch.setattr(run.state, "load", lambda _: Fake.lab)
    return Fake.lab


@pytest.mark.parametrize(("lost", "code"), [(2, 0), (0, 1)])
def test_a_control_fails_when_the_judge_finds_nothing(
    lab: Lab, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, lost: int, code: int
) -> None:
    result = changed(RESULT, found=RESULT.found | {"lost": lost})
    monkeypatch.setattr(run, "run_case", lambda *_: (result, CHART))
    assert run.run_control(ASYNCHRONOUS, "ha_postgresql", lab.name, tmp_path / "seen") == code
    line = ["yes", "**no**"][code]
    assert f"| {line} |" in controls_seen(tmp_path / "seen")


def test_no_case_runs_on_a_lab_that_was_weakened(lab: Lab, monkeypatch: pytest.MonkeyPatch) -> None:
    assert weakness(lab) == ""
    controls.mark(lab, ASYNCHRONOUS)
    assert weakness(lab) == "asynchronous-replication"
    monkeypatch.setattr("sys.argv", ["run", "--running", "x"])
    monkeypatch.setattr(run, "profile_of", lambda _: "ha_postgresql")
    with pytest.raises(SystemExit):
        run.main()


def test_a_control_that_nobody_ran_is_not_measured(tmp_path: Path) -> None:
    assert controls_seen(tmp_path).count(NOT_MEASURED) == sum(len(control.profiles) for control in CONTROLS)


def test_one_run_that_the_judge_passed_is_enough_to_doubt_it(tmp_path: Path) -> None:
    path = write(changed(RESULT, found=RESULT.found | {"lost": 1}), CHART, tmp_path)
    assert path.exists()
    runs = [Run(changed(RESULT, found=RESULT.found | {"lost": 1}), CHART), Run(RESULT, CHART)]
    assert bites(ASYNCHRONOUS, "ha_postgresql", runs)[-2:] == ["lost 1", "**no**"]


def test_a_part_of_the_workflows_that_stands_still_is_seen_in_the_slowest_call() -> None:
    control: Control = find("ha_cassandra", "one-copy")
    slow = {name: changed(FINE, slowest=32.5) for name in RESULT.clients}
    result = changed(RESULT, profile="ha_cassandra", case="node-host", clients=slow)
    said = run.shortcomings(find_case("ha_cassandra", "node-host"), result)
    assert said == ["slowest call 32.5 s, target 10 s and 2 s to ask again"]
    assert bitten(control, said, result)
    assert not bitten(control, said, changed(result, clients=dict.fromkeys(slow, changed(FINE, slowest=14.4))))
