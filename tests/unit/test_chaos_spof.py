"""The table of single points of failure says what result files say, and nothing else."""

from __future__ import annotations

import json
from dataclasses import asdict, replace
from pathlib import Path

import pytest
from ansible_collections.zerospof.temporal.plugins.module_utils._calls import PATIENT, RETRYING, SINGLE

from tests import docs
from tests.baseline.result import EXPERIMENTS, Outcome, read_all, write
from tests.chaos import run
from tests.chaos.cases import find, of_profile
from tests.chaos.result import Client, Result, ResultError, Run, lasted
from tests.chaos.result import write as write_result
from tests.chaos.spof import BASIC, COLUMNS, NOT_MEASURED, PARTS, PRODUCTION, lines

OUTCOME = Outcome(
    experiment="scheduler",
    started="2026-11-26T12:00:00Z",
    command="kill-process airflow-a --process airflow-scheduler.service",
    held_seconds=60.0,
    gap=71.0,
    gap_from=-1.0,
    jobs=120,
    lost=0,
    duplicated=0,
    stuck=3,
    machine="2 cores",
    versions={"Airflow": "x"},
)


def run_of(case: str, profile: str, gap: float, gap_from: float = 0.0, **found: int) -> Run:
    """Return a run in which both clients of the SDK saw the same gap."""
    client = Client(calls=10, errors={}, longest_gap=gap, gap_from=gap_from, gap_before=0.5)
    result = Result(
        case=case,
        profile=profile,
        started="2026-11-26T12:00:00Z",
        command="kill-host x",
        victims=["x"],
        held_seconds=50.0,
        per_second=1.0,
        clients={PATIENT: client, RETRYING: client, SINGLE: client},
        starts=10,
        signals=2,
        found=found,
        problems=[],
        hosts=4,
        machine="2 cores",
        busy_percent=50,
        versions={},
        commit="0123456789ab",
    )
    return Run(result, "<svg/>")


def line(title: str, runs: list[Run], outcomes: list[Outcome]) -> list[str]:
    """Return the cells of the one line whose title has these words."""
    [found] = [cells for cells in lines(runs, outcomes) if title in cells[0]]
    return found[1:]


@pytest.mark.parametrize(
    ("gap", "gap_from", "outlived"),
    [(51.0, 0.0, True), (50.5, -0.5, True), (49.0, 0.0, False), (3.0, 49.0, False), (26.0, 24.5, True)],
)
def test_a_gap_outlived_its_fault_when_it_was_most_of_it_and_ended_after_it(
    gap: float, gap_from: float, outlived: bool
) -> None:
    assert lasted(gap, gap_from, held=50.0) is outlived


def test_parts_are_cases_and_experiments_that_there_are() -> None:
    known = {case.name for profile in (BASIC, PRODUCTION) for case in of_profile(profile)}
    assert {part.case for part in PARTS} <= known
    assert {part.experiment for part in PARTS} == {*EXPERIMENTS, ""}


def test_what_has_no_file_is_not_measured_and_what_a_system_does_not_have_is_empty() -> None:
    assert line("database", [], []) == [NOT_MEASURED, NOT_MEASURED, NOT_MEASURED]
    assert line("both Cassandra nodes", [], []) == ["", "", NOT_MEASURED]
    assert line("address that clients use", [], []) == ["", NOT_MEASURED, NOT_MEASURED]
    assert all(len(cells) == len(COLUMNS) for cells in lines([], []))


def test_three_systems_stand_side_by_side() -> None:
    runs = [
        run_of("server-host", BASIC, 2.1),
        run_of("server-host", PRODUCTION, 1.1),
        run_of("server-host", PRODUCTION, 1.4),
        # Neither of these columns.
        run_of("server-host", "ha_postgresql", 40.0),
    ]
    assert line("scheduler; host", runs, [OUTCOME]) == [
        "**stops until it is back** (71 s of a fault of 60 s); **3 stuck**; 1 run",
        "goes on after 2.1 s; nothing lost; 1 run",
        "goes on after 1.4 s; nothing lost; 2 runs",
    ]


def test_one_run_that_stopped_and_one_loss_are_enough() -> None:
    runs = [run_of("primary-host", BASIC, 55.0), run_of("primary-host", BASIC, 9.0, lost=1)]
    assert line("database", runs, [])[1] == "**stops until it is back** (55 s of a fault of 50 s); **1 lost**; 2 runs"


def test_what_does_not_go_on_when_it_is_back_is_told_apart() -> None:
    runs = [run_of("primary-host", BASIC, 101.0)]
    assert line("database", runs, [])[1].startswith(
        "**stops, and for long after it is back** (101 s of a fault of 50 s)"
    )


def test_a_single_point_of_failure_that_fails_nobody_is_a_fault_of_the_judge() -> None:
    case = find(BASIC, "primary-host")
    assert case.stops == (BASIC,)
    assert run.shortcomings(case, run_of("primary-host", BASIC, 55.0).result) == []
    assert run.shortcomings(case, run_of("primary-host", BASIC, 55.0, lost=2).result) == ["lost 2"]
    spared = run.shortcomings(case, run_of("primary-host", BASIC, 2.0).result)
    assert spared == ["it went on, although there is no second one of it"]


def test_outcomes_survive_their_files(tmp_path: Path) -> None:
    assert write(OUTCOME, tmp_path) == tmp_path / "scheduler" / "20261126T120000Z.json"
    assert read_all(tmp_path) == [OUTCOME]
    assert read_all(tmp_path / "nothing") == []


@pytest.mark.parametrize(
    ("row", "words"),
    [
        (asdict(replace(OUTCOME, schema_version=2)), "schema_version 2, not 1"),
        (asdict(replace(OUTCOME, experiment="weather")), "no experiment weather; there are: scheduler"),
        (asdict(replace(OUTCOME, jobs=0)), "0 jobs"),
        (asdict(replace(OUTCOME, gap=float("nan"))), "a longest gap of nan s"),
        ({"schema_version": 1}, "no outcome: TypeError"),
        ([], "no outcome: TypeError"),
    ],
)
def test_a_file_that_is_no_outcome_is_refused_by_its_name(tmp_path: Path, row: object, words: str) -> None:
    path = tmp_path / "x.json"
    path.write_text(json.dumps(row))
    with pytest.raises(ResultError, match=words) as refused:
        read_all(tmp_path)
    assert str(refused.value).startswith(f"{path}: ")


def test_pages_and_outcomes_agree_and_the_check_bites(tmp_path: Path) -> None:
    for name in docs.pages():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(docs.pages()[name], encoding="utf-8")
    before, results = tmp_path / "before", tmp_path / "results"
    write(OUTCOME, before)
    pages = ["README.md", "docs/fault_tolerance.md", "docs/fault_tolerance.html"]
    assert docs.outdated(tmp_path, before=before) == pages
    one = run_of("matching-killed", PRODUCTION, 1.0)
    write_result(one.result, one.chart, results)
    assert docs.outdated(tmp_path, results) == pages
