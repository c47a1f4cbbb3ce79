"""Cases, results and the report: what was measured is what docs say, and what was not measured says so."""

from __future__ import annotations

import argparse
import asyncio
import os
import re
import shutil
import signal
import subprocess
import threading
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import ClassVar

import pytest
from ansible_collections.zerospof.temporal.plugins.module_utils._calls import PATIENT, RETRYING, SINGLE, Call
from temporalio.service import KeepAliveConfig, RetryConfig

from lab.__main__ import parser
from lab.machine import LabError
from lab.view import KEEP_ALIVE, PATIENCE
from tests import docs
from tests.chaos import ledger as books
from tests.chaos import run, whole
from tests.chaos.cases import CASES, FILL, PROFILES, Case, find, of_profile
from tests.chaos.evidence import FaultError
from tests.chaos.ledger import Ledger
from tests.chaos.record import Record
from tests.chaos.report import COLUMNS, HEADLINES, NOT_MEASURED, MarkerError, cells, documentation, page, put, readme
from tests.chaos.result import Client, Result, ResultError, Run, books_of, from_text, read_all, rows, to_text, write
from tests.chaos.second_opinion import EXPECTED_STORY, CliError, disputed
from tests.chaos.verdict import Verdict
from tests.chaos.victims import CHOICES
from tests.chaos.whole import UnsettledError, until

PROFILE = "ha_postgresql"
CASE = find(PROFILE, "primary-host")
FINE = Client(calls=100, errors={}, longest_gap=9.0, gap_from=0.5, gap_before=0.6)
RESULT = Result(
    case=CASE.name,
    profile=PROFILE,
    started="2026-11-26T12:00:00Z",
    command="kill-host db-a",
    victims=["db-a"],
    held_seconds=50.2,
    per_second=2.0,
    clients={
        PATIENT: FINE,
        RETRYING: replace(FINE, longest_gap=12.0, errors={"start UNAVAILABLE: <gone>": 2}),
        SINGLE: replace(FINE, longest_gap=30.0, errors={"start UNAVAILABLE: <gone>": 40}),
    },
    starts=280,
    signals=70,
    found=dict.fromkeys(("lost", "duplicated", "stuck", "wrong", "unseen", "disputed"), 0),
    problems=[],
    hosts=12,
    machine="2 cores (some processor), 24 GiB of memory",
    busy_percent=80,
    versions={"Temporal": "1.31.2"},
    commit="0123456789ab",
)
CHART = '<svg xmlns="http://www.w3.org/2000/svg"><text>chart of a run</text></svg>'


def of(*gaps: float) -> list[Run]:
    """Return one run of the case for each of ``gaps``."""
    return [
        Run(replace(RESULT, started=f"2026-11-26T12:0{number}:00Z", clients=RESULT.clients | {PATIENT: client}), CHART)
        for number, client in enumerate(replace(FINE, longest_gap=gap) for gap in gaps)
    ]


def shown(runs: list[Run]) -> dict[str, str]:
    """Return the cells of the case by their columns."""
    [row] = [row for row in rows(PROFILE, of_profile(PROFILE), runs) if row.case == CASE]
    return dict(zip(COLUMNS, cells(row), strict=True))


def test_names_of_cases_are_unique_and_their_victims_can_be_chosen() -> None:
    names = [case.name for case in CASES]
    assert len(set(names)) == len(names)
    assert {chosen for case in CASES for chosen in (case.victims, case.then) if chosen} == set(CHOICES)
    assert {profile for case in CASES for profile in case.targets} == set(PROFILES)
    assert set(HEADLINES) <= set(names)


def test_a_second_fault_is_the_death_of_other_hosts_for_as_long() -> None:
    [case] = [case for case in CASES if case.name == "primary-then-server"]
    assert case.second.words(["temporal-a"]) == ["kill-host", "temporal-a"]
    assert (case.second.victims, case.second.seconds, case.second.then) == (case.then, case.seconds, "")


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_every_case_is_a_command_that_the_lab_understands(case: object) -> None:
    victims = ["az_a", "az_b"] if case.command == "cut-one-way" else ["az_a"]
    parsed = parser().parse_args([*case.words(victims), "--name", "lab"])
    assert parsed.targets == victims[:1]


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_every_fault_lasts_longer_than_its_target_allows_so_that_a_miss_is_seen(case: object) -> None:
    assert all(case.seconds > target for target in case.targets.values() if target is not None)


def test_an_unknown_case_is_refused_with_the_names_that_there_are() -> None:
    with pytest.raises(KeyError, match="no case nonsense of ha_postgresql; there are: vip-holder-host"):
        find(PROFILE, "nonsense")
    with pytest.raises(KeyError, match="no case node-host of ha_postgresql"):
        find(PROFILE, "node-host")


def test_a_result_survives_its_file(tmp_path: Path) -> None:
    path = write(RESULT, CHART, tmp_path)
    assert path == tmp_path / PROFILE / CASE.name / "20261126T120000Z.json"
    assert read_all(tmp_path) == [Run(RESULT, CHART)]


def test_a_result_of_another_schema_is_refused() -> None:
    with pytest.raises(ResultError, match="schema_version 2, not 1"):
        from_text(to_text(replace(RESULT, schema_version=2)))


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda text: text[: len(text) // 2], "no result: JSONDecodeError"),
        (lambda _: "[]", "no result: TypeError"),
        (lambda text: text.replace('"victims"', '"victim"'), "unexpected keyword argument 'victim'"),
        (lambda text: text.replace('"calls": 100', '"calls": 0', 1), "0 calls with a longest gap of 9.0 s"),
        (lambda text: text.replace('"longest_gap": 9.0', '"longest_gap": NaN'), "a longest gap of nan s"),
        (lambda text: text.replace('"lost": 0', '"lost": null'), "found {'lost': None"),
        (lambda text: text.replace(f'"{SINGLE}"', '"other"'), f"nothing of {SINGLE}"),
        (lambda text: text.replace(f'"{CASE.name}"', '"node-host"'), f"is of {PROFILE}, node-host"),
    ],
)
def test_a_broken_file_is_refused_by_its_name(tmp_path: Path, change: Callable[[str], str], words: str) -> None:
    path = write(RESULT, CHART, tmp_path)
    path.write_text(change(path.read_text()))
    with pytest.raises(ResultError, match=re.escape(words)) as refused:
        read_all(tmp_path)
    assert str(refused.value).startswith(f"{path}: ")


def test_a_result_without_its_picture_is_refused(tmp_path: Path) -> None:
    write(RESULT, CHART, tmp_path).with_suffix(".svg").unlink()
    with pytest.raises(ResultError, match=r"20261126T120000Z\.svg"):
        read_all(tmp_path)


def test_a_cluster_that_does_not_come_back_is_no_cluster_that_survived(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(run, "WHOLE_SECONDS", 0)
    monkeypatch.setattr(run, "cluster_is_whole", lambda _: False)
    [lack] = run.still_broken(None)
    assert "the cluster is whole; last: it is not so" in lack
    books = books_of(CASE, [], Verdict(broken=[lack]), [], fault_at=0)
    assert books["found"]["broken"] == 1
    monkeypatch.setattr(run, "cluster_is_whole", lambda _: True)
    assert run.still_broken(None) == []


def test_books_become_gaps_of_each_client_with_their_moment_and_errors() -> None:
    def start(flavour: str, began: float, ended: float | None, error: str | None = "") -> Call:
        return Call(flavour, "start", f"w-{began}", "", began, ended, error)

    calls = [
        *(start(RETRYING, second, second + 0.5) for second in (0, 1, 2, 9, 10)),
        *(start(SINGLE, second, second + 0.5, "" if second < 3 or second > 12 else "gone") for second in range(14)),
        Call(RETRYING, "signal", "w-0", "token", 6.0, 6.5, ""),
        Call(RETRYING, "describe", "", "", 4.0, 4.5, ""),
        # Whoever lets what still waits end is none of the clients.
        Call("clean-up", "signal", "w-1", "other", 90.0, 90.5, ""),
    ]
    books = books_of(CASE, calls, Verdict(lost=["w-0"]), ["w-1"], fault_at=2.75)
    assert books["clients"][RETRYING] == Client(7, {}, longest_gap=7.0, gap_from=-0.25, gap_before=1.0, slowest=0.5)
    assert books["clients"][SINGLE] == Client(
        14, {"gone": 10}, longest_gap=11.0, gap_from=-0.25, gap_before=1.0, slowest=0.5
    )
    assert (books["starts"], books["signals"], books["found"]["lost"], books["found"]["disputed"]) == (9, 1, 1, 1)
    assert books["problems"] == ["lost: w-0", "disputed: w-1"]
    done = [Call(RETRYING, "complete", f"w-{second}", "", second, second + 6.5, "") for second in (0, 1, 9)]
    workers = books_of(find(PROFILE, "workers-but-one"), [*calls, *done], Verdict(), [], fault_at=2.75)
    assert workers["clients"][RETRYING] == Client(7, {}, longest_gap=8.0, gap_from=4.75, gap_before=0.0, slowest=6.5)
    balancer = books_of(find(PROFILE, "vip-holder-host"), calls, Verdict(), [], fault_at=2.75)
    assert balancer["clients"][RETRYING].longest_gap == 5.0


def test_a_missing_result_is_not_measured_wherever_it_is_shown() -> None:
    assert shown([])["runs"] == NOT_MEASURED
    assert shown([])["target met"] == ""
    assert documentation([]).count(f"| {NOT_MEASURED} |") == sum(len(of_profile(profile)) for profile in PROFILES)
    assert page([], []).count(f'<p class="absent">{NOT_MEASURED}</p>') == sum(
        len(of_profile(name)) for name in PROFILES
    )
    [line] = [line for line in readme(of(9.0)).splitlines() if CASE.title in line]
    assert line == f"| PostgreSQL: {CASE.title} | 12.0 s (1 run) | {NOT_MEASURED} |"
    assert readme([]).count(NOT_MEASURED) == 2 * len(HEADLINES) - 1


def test_a_row_shows_median_and_worst_of_both_clients_of_the_sdk() -> None:
    found = shown(of(14.0, 9.0, 20.0))
    assert (found["runs"], found["longest gap, median"], found["worst"]) == ("3", "14.0 s", "20.0 s")
    assert found["target met"] == "yes"
    assert found["worst, single attempts"] == "30.0 s"
    assert found["failed calls"] == "0 / 6 / 120"
    assert found["lost, duplicated or stuck"] == "nothing"


def test_one_run_above_the_target_misses_it_everywhere() -> None:
    runs = of(9.0, 25.1, 9.0)
    assert shown(runs)["target met"] == "**no**: longest gap"
    assert "| 25.1 s (3 runs); the target is 25 s |" in readme(runs)
    assert page(runs, []).count('<tr class="no">') == 1
    assert shown(of(25.0))["target met"] == "yes"


def test_a_slow_call_and_an_error_of_the_patient_client_miss_the_target_too() -> None:
    [good] = of(9.0)
    patient = good.result.clients[PATIENT]
    slow, told = replace(patient, slowest=27.1), replace(patient, errors={"gone": 2})
    runs = [
        replace(good, result=replace(good.result, clients=good.result.clients | {PATIENT: seen}))
        for seen in (patient, slow, told)
    ]
    assert shown(runs[:1])["target met"] == "yes"
    assert shown(runs)["target met"] == "**no**: slowest call, failed calls"
    assert "12.0 s (3 runs); a call took 27.1 s; 2 calls failed |" in readme(runs)
    assert page(runs, []).count('<tr class="no">') == 1


def test_a_loss_in_any_run_is_shown_although_the_target_is_met() -> None:
    first, second = of(9.0, 10.0)
    runs = [replace(first, result=replace(first.result, found=first.result.found | {"lost": 2})), second]
    assert shown(runs)["lost, duplicated or stuck"] == "**2 lost**"
    assert "12.0 s (2 runs); **2 lost** |" in readme(runs)
    assert page(runs, []).count('<tr class="no">') == 1


def test_a_result_without_a_case_is_no_silent_omission() -> None:
    with pytest.raises(ResultError, match="results of ha_postgresql without a case: renamed"):
        documentation([Run(replace(RESULT, case="renamed"), CHART)])


def test_the_page_needs_nothing_beside_itself_and_has_the_picture_of_the_worst_run() -> None:
    first, second = of(9.0, 20.0)
    text = page([first, replace(second, chart=CHART.replace("a run", "the worst run"))], [])
    assert "chart of the worst run" in text
    assert "chart of a run" not in text
    assert "2 x start UNAVAILABLE: &lt;gone&gt;" in text
    assert not re.findall(r"<(?:script|link|img|iframe|object)|\b(?:src|href)=|url\(|@import", text)


def test_a_page_without_its_markers_is_refused() -> None:
    with pytest.raises(MarkerError, match="expected once"):
        put("no markers", "x", "content")


@pytest.fixture
def checkout(tmp_path: Path) -> Iterator[Path]:
    """A copy of the pages, with the results of the repository beside it."""
    for name in docs.pages():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text((docs.ROOT / name).read_text(encoding="utf-8"), encoding="utf-8")
    return tmp_path


def test_documentation_and_results_agree(checkout: Path) -> None:
    assert docs.outdated() == docs.outdated(checkout) == []


def test_the_check_bites_when_a_result_is_not_in_the_documentation(checkout: Path) -> None:
    results = checkout / "results"
    for known in read_all():
        write(known.result, known.chart, results)
    assert docs.outdated(checkout, results) == []
    write(replace(RESULT, started="2000-01-01T00:00:00Z"), CHART, results)
    assert docs.outdated(checkout, results) == ["README.md", "docs/fault_tolerance.md", "docs/fault_tolerance.html"]


@pytest.mark.parametrize("name", ["README.md", "docs/fault_tolerance.md", "docs/fault_tolerance.html"])
def test_the_check_bites_when_somebody_edits_a_figure(checkout: Path, name: str) -> None:
    text = (checkout / name).read_text(encoding="utf-8")
    changed = re.sub(rf"{NOT_MEASURED}|\d+\.\d s", "0.0 s", text.partition("made by `make docs`")[2] or text, count=1)
    (checkout / name).write_text(text.replace(text.partition("made by `make docs`")[2] or text, changed))
    assert docs.outdated(checkout) == [name]


def test_the_documented_settings_are_those_of_the_client_that_was_measured() -> None:
    text = (docs.ROOT / "docs/fault_tolerance.md").read_text(encoding="utf-8")
    [retries], [keep_alive] = (re.findall(rf"{name}\(([^)]+)\)", text) for name in ("RetryConfig", "KeepAliveConfig"))

    def values(arguments: str) -> dict[str, int]:
        return {name: int(value) for name, value in re.findall(r"(\w+)=(\w+)", arguments)}

    assert RetryConfig(**values(retries)) == PATIENCE
    assert KeepAliveConfig(**values(keep_alive)) == KEEP_ALIVE


@pytest.mark.parametrize(
    ("result", "words"),
    [
        (RESULT, []),
        (replace(RESULT, found=RESULT.found | {"stuck": 1}), ["stuck 1"]),
        (of(25.5)[0].result, ["longest gap 25.5 s, target 25 s"]),
        (
            replace(RESULT, clients=RESULT.clients | {PATIENT: replace(FINE, errors={"gone": 3})}),
            ["3 calls failed with the collection's settings"],
        ),
    ],
)
def test_a_run_is_not_as_it_must_be_when_something_is_lost_late_or_told_as_an_error(
    result: Result, words: list[str]
) -> None:
    assert run.shortcomings(CASE, result) == words


def test_a_seed_draws_the_same_cases_again() -> None:
    options = argparse.Namespace(profile=PROFILE, case=None, runs=1, random=60, seed="1a2b")
    drawn = run.schedule(options, disks=True)
    assert drawn == run.schedule(options, disks=True)
    # Also where some of them cannot be made.
    assert run.schedule(options, disks=False) == [case for case in drawn if case.command != FILL] != drawn


def test_a_fault_is_healed_after_an_interruption_that_the_healing_itself_does_not_hear(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    done: list[tuple[str, ...]] = []

    def lab(*words: str) -> None:
        os.kill(os.getpid(), signal.SIGINT)
        done.append(words)

    monkeypatch.setattr(run, "lab", lab)
    # A shell lets what it starts in the background ignore interruptions.
    former = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        with pytest.raises(KeyboardInterrupt), run.healed("x"):
            raise KeyboardInterrupt
        assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
    finally:
        signal.signal(signal.SIGINT, former)
    assert done == [("x", "heal")]


@pytest.mark.parametrize(
    ("end", "code", "told"),
    [
        (LabError("no lab named x"), 1, "error: no lab named x"),
        (KeyboardInterrupt(), 130, "interrupted; every fault is healed"),
    ],
)
def test_what_ends_early_says_why(capsys: pytest.CaptureFixture[str], end: BaseException, code: int, told: str) -> None:
    def work() -> int:
        raise end

    assert run.exit_code(work, (LabError,), "every fault is healed") == code
    assert capsys.readouterr().err == f"{told}\n"


def test_a_fault_that_cannot_be_healed_ends_everything(monkeypatch: pytest.MonkeyPatch) -> None:
    tried: list[str] = []

    def lab(name: str, *_: str) -> None:
        tried.append(name)
        raise subprocess.CalledProcessError(1, "lab")

    monkeypatch.setattr(run, "lab", lab)
    with pytest.raises(SystemExit, match="faults of x are not healed"), run.healed("x"):
        raise KeyboardInterrupt
    assert tried == ["x"] * run.HEALINGS


class Finished(Exception):
    """What a test raises in place of a case."""


@pytest.fixture
def stage(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """A lab without hosts; the names of the cases that were run on it."""
    done: list[str] = []
    monkeypatch.setattr(run, "lab", lambda *_: None)
    monkeypatch.setattr(run, "View", lambda _: None)
    monkeypatch.setattr(run.state, "load", lambda _: None)
    monkeypatch.setattr(run, "cluster_is_whole", lambda _: True)

    def run_case(case: Case, *_: object) -> tuple[Result, str]:
        done.append(case.name)
        if case.name.startswith("zone"):
            raise FaultError(f"kill-az was not on {case.name}")
        if case.name == "replica-host":
            raise Finished
        return RESULT, CHART

    monkeypatch.setattr(run, "run_case", run_case)
    return done


def cases(*names: str) -> list[Case]:
    """Return cases by their names."""
    return [find(PROFILE, name) for name in names]


def test_a_fault_that_did_not_happen_is_no_result(
    stage: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run.run_all(cases("zone-of-vip-dead", CASE.name), PROFILE, "x", tmp_path) == 1
    assert stage == ["zone-of-vip-dead", CASE.name]
    assert [one.result.case for one in read_all(tmp_path)] == [CASE.name]
    said = capsys.readouterr().out
    assert "no result: FaultError: kill-az was not on zone-of-vip-dead" in said
    assert "2 cases, 1 of them not as they must be" in said


def test_an_error_of_this_program_costs_one_case_and_shows_where_it_was(
    stage: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run.run_all(cases("replica-host", CASE.name), PROFILE, "x", tmp_path) == 1
    assert stage == ["replica-host", CASE.name]
    assert "Traceback" in capsys.readouterr().err


def test_a_row_of_cases_without_a_result_is_given_up(stage: list[str], tmp_path: Path) -> None:
    zones = [case.name for case in of_profile(PROFILE) if case.name.startswith("zone")]
    assert len(zones) > run.GIVE_UP
    assert run.run_all(cases(*zones), PROFILE, "x", tmp_path) == run.GIVE_UP
    assert stage == zones[: run.GIVE_UP]


@pytest.mark.parametrize("inventory", ["/x/inventories/ha_postgresql", "/x/inventories/ha_postgresql/hosts.yml"])
def test_a_lab_tells_its_profile(inventory: str) -> None:
    assert run.profile_of(inventory) == PROFILE


def test_a_lab_of_another_inventory_has_no_cases() -> None:
    with pytest.raises(LabError, match="which is none of basic, ha_postgresql, ha_cassandra"):
        run.profile_of("/x/inventories/mine")


def test_what_does_not_come_true_in_time_says_what_was_seen_last() -> None:
    def look() -> bool:
        raise ValueError("no answer of db-a")

    with pytest.raises(UnsettledError, match=r"the cluster is whole; last: ValueError\('no answer of db-a'\)"):
        until("the cluster is whole", look, seconds=0)


@pytest.mark.parametrize(
    ("listed", "story", "words"),
    [
        ([("w-1", "COMPLETED"), ("w-2", "RUNNING")], EXPECTED_STORY, []),
        ([], EXPECTED_STORY, ["w-1 was acknowledged, and the command line lists nothing"]),
        ([("w-1", "RUNNING")], EXPECTED_STORY, ["w-1 was acknowledged, and the command line lists RUNNING"]),
        ([("w-1", "COMPLETED")] * 2, EXPECTED_STORY, ["the command line lists w-1 2 times"]),
        (
            [("w-1", "COMPLETED"), ("w-3", "COMPLETED")],
            EXPECTED_STORY,
            ["the command line lists w-3, which no client began"],
        ),
        (
            [("w-1", "COMPLETED")],
            ["RUNNING", "RUNNING", "TERMINATED", "RUNNING"],
            ["the workflow of the command line was RUNNING, RUNNING, TERMINATED, RUNNING"],
        ),
    ],
)
def test_two_judges_that_disagree_are_told_apart(
    listed: list[tuple[str, str]], story: list[str], words: list[str]
) -> None:
    assert disputed(["w-1"], {"w-1", "w-2"}, listed, story) == words


def test_a_cluster_that_does_not_answer_afterwards_is_broken(monkeypatch: pytest.MonkeyPatch) -> None:
    class Fake:
        deployment: ClassVar = {"namespace": "n", "task_queue": "q"}

        async def client(self, *_: str, **__: str) -> None:
            return None

    async def settle(*_: object) -> Verdict:
        raise TimeoutError

    monkeypatch.setattr(books, "settle", settle)
    made = Ledger(Record(":memory:"))
    asyncio.run(books.keep(Fake(), made, 1.0, threading.Event(), (), 0))
    assert made.verdict.problems == ["broken: it does not tell what became of the load: TimeoutError()"]


class Spoken:
    """A command line that gives these answers to a start, and none to anything else."""

    def __init__(self, *answers: bool) -> None:
        self.answers = list(answers)

    def start(self, _: str) -> bool:
        return self.answers.pop(0)

    def listed(self, _: str) -> None:
        raise CliError("temporal workflow list: context deadline exceeded")


@pytest.mark.parametrize(("started", "answers"), [(True, ()), (False, (False, True))])
def test_a_command_line_that_is_not_served_disputes(
    monkeypatch: pytest.MonkeyPatch, started: bool, answers: tuple[bool, ...]
) -> None:
    monkeypatch.setattr(whole.time, "sleep", lambda _: None)
    cli = Spoken(*answers)
    [doubt] = run.second_opinion(cli, Ledger(Record(":memory:")), started)
    assert doubt == "the command line was not served: temporal workflow list: context deadline exceeded"
    assert cli.answers == []


def test_processors_that_idled_for_a_quarter_were_busy_for_the_rest() -> None:
    assert run.busy_percent((1000, 500), (1400, 600)) == 75
    assert run.busy_percent((1000, 500), (1000, 500)) == 0


@pytest.mark.skipif(shutil.which("make") is None, reason="needs make")
def test_make_chaos_hands_its_wishes_on() -> None:
    command = ["make", "--dry-run", "chaos", "PROFILE=ha_cassandra", "CASE=node-host node-cut", "LAB=x", "RUNS=3"]
    said = subprocess.run(command, cwd=docs.ROOT, capture_output=True, text=True, check=True).stdout
    wanted = "--running x --profile ha_cassandra --runs 3 --case node-host --case node-cut"
    assert f"tests.chaos.run {wanted}" in said
