"""The ledger finds what must not happen; a record that was tampered with does not pass."""

from __future__ import annotations

import asyncio
import xml.etree.ElementTree as ElementTree
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import pytest
from ansible_collections.zerospof.temporal.plugins.module_utils._calls import Call, Mark, errors, longest_gap
from ansible_collections.zerospof.temporal.plugins.module_utils._timeline import OF_ERRORS, timeline
from temporalio.api.enums.v1 import EventType
from temporalio.api.history.v1 import HistoryEvent
from temporalio.client import WorkflowHistory
from temporalio.converter import DataConverter

from tests.chaos.ledger import change_of, has_timed_out, replay_problems
from tests.chaos.record import Record
from tests.chaos.verdict import Seen, Verdict, completions, judge, table

START = Call("SDK default", "start", "w-1", "", 10.0, 10.1, "")
SIGNAL = Call("SDK default", "signal", "w-1", "token", 11.0, 11.1, "")
KINDS = (
    "WORKFLOW_EXECUTION_STARTED",
    "WORKFLOW_TASK_SCHEDULED",
    "WORKFLOW_TASK_STARTED",
    "WORKFLOW_TASK_COMPLETED",
    "ACTIVITY_TASK_SCHEDULED",
)
FINE = Seen(runs=1, ended=("COMPLETED",), right=True, signals={"token": 1}, whole=True)


def test_what_was_kept_passes() -> None:
    assert judge([START, SIGNAL], {"w-1": FINE}, 1) == Verdict()


def test_what_was_never_acknowledged_may_have_happened_or_not() -> None:
    unanswered = replace(START, error="UNAVAILABLE"), replace(SIGNAL, error=None, ended=None)
    assert judge(unanswered, {}, 0) == Verdict()
    assert judge(unanswered, {"w-1": FINE}, 1) == Verdict()


@pytest.mark.parametrize(
    ("seen", "visible", "kind", "words"),
    [
        ({}, 0, "lost", "w-1 was acknowledged and is not there"),
        ({"w-1": replace(FINE, signals={})}, 1, "lost", "does not have the acknowledged signal token"),
        ({"w-1": replace(FINE, signals={"token": 2})}, 1, "duplicated", "has the signal token 2 times"),
        ({"w-1": replace(FINE, runs=2)}, 1, "duplicated", "w-1 has 2 runs"),
        ({"w-1": replace(FINE, ended=("COMPLETED", "COMPLETED"))}, 1, "duplicated", "ended 2 times"),
        ({"w-1": replace(FINE, ended=(), right=False)}, 0, "stuck", "w-1 has not ended"),
        ({"w-1": replace(FINE, right=False)}, 1, "wrong", "a wrong result"),
        ({"w-1": replace(FINE, ended=("TERMINATED",), right=False)}, 0, "wrong", "ended as TERMINATED"),
        ({"w-1": replace(FINE, whole=False)}, 1, "wrong", "a history with gaps"),
        ({"w-1": FINE}, 0, "unseen", "1 workflows completed, and the visibility store counts 0"),
    ],
)
def test_what_was_not_kept_is_found_and_named(seen: dict[str, Seen], visible: int, kind: str, words: str) -> None:
    verdict = judge([START, SIGNAL], seen, visible)
    assert any(words in problem for problem in getattr(verdict, kind)), verdict
    assert words in table([START, SIGNAL], verdict)


def test_a_record_survives_its_process_with_intents_that_had_no_answer(tmp_path: object) -> None:
    path = f"{tmp_path}/ledger.sqlite"
    record = Record(path)
    record.end(record.intend("SDK default", "start", "w-1"))
    record.end(record.intend("SDK default", "start", "w-2"), "UNAVAILABLE")
    record.intend("SDK default", "signal", "w-1", "token")
    record.mark("restart")
    found = Record(path)
    assert [(call.workflow_id, call.acked, call.error) for call in found.calls()] == [
        ("w-1", True, ""),
        ("w-2", False, "UNAVAILABLE"),
        ("w-1", False, None),
    ]
    assert [mark.label for mark in found.marks()] == ["restart"]


def test_the_longest_gap_counts_starts_that_were_acknowledged_and_the_ends_of_the_load() -> None:
    def start(began: float, ended: float | None, error: str | None = "") -> Call:
        return replace(START, began=began, ended=ended, error=error)

    assert longest_gap([]) == 0.0
    assert longest_gap([start(0, 1), start(2, 2.5), start(3, 3.5)]) == 1.5
    assert longest_gap([start(0, 5, "UNAVAILABLE"), start(4, 4.5)]) == 4.5
    assert longest_gap([start(0, 1), start(2, 9, "UNAVAILABLE"), start(7, None, None)]) == 6.0
    assert longest_gap([start(0, 1), start(1, 60), start(2, 2.5)]) == 1.5
    assert longest_gap([start(0, 1), start(2, 60)]) == 59.0
    assert longest_gap([start(0, 1), replace(SIGNAL, began=3, ended=3), start(5, 5)]) == 4.0


def test_errors_are_counted_by_kind() -> None:
    calls = [START, replace(START, error="A"), replace(START, error="A"), replace(START, error=None)]
    assert errors(calls) == {"A": 2, "no answer": 1}


def test_the_timeline_is_a_picture_that_needs_nothing_else_and_shows_every_mark_and_error() -> None:
    calls = [START, replace(START, error="A", ended=14.2), replace(SIGNAL, flavour="single attempts")]
    svg = timeline(calls, [Mark(12.0, "batch <1> of 3")])
    root = ElementTree.fromstring(svg)
    texts = [text.text or "" for text in root.iter("{http://www.w3.org/2000/svg}text")]
    assert any("batch <1> of 3" in text for text in texts)
    assert any("SDK default: 2 calls" in text and ", 1 errors" in text for text in texts)
    assert [span.text for span in root.iter("{http://www.w3.org/2000/svg}tspan")] == ["  1 x A"]
    assert bars_of(svg) == {"#d55e00": 1, "#0072b2": 2}


def bars_of(svg: str) -> dict[str, int]:
    paths = ElementTree.fromstring(svg).iter("{http://www.w3.org/2000/svg}path")
    bars = Counter[str]()
    for path in paths:
        bars[path.get("fill", "")] += path.get("d", "").count("M")
    return dict(bars)


def test_kinds_of_errors_have_colours_of_their_own_and_the_rare_ones_share_one() -> None:
    kinds = "AABBCCDDEF"
    calls = [replace(START, error=f"start {kind}: why", ended=11.0 + number) for number, kind in enumerate(kinds)]
    svg = timeline(calls, [])
    assert bars_of(svg) == dict.fromkeys(OF_ERRORS, 2)
    assert "2 x other errors" in svg


@pytest.mark.parametrize(("seconds", "bar"), [(5, "0.1"), (100, "0.1"), (150, "0.2"), (2000, "2"), (10**6, "60")])
def test_a_bar_is_a_tenth_of_a_second_where_there_is_room(seconds: float, bar: str) -> None:
    svg = timeline([START, replace(START, began=START.began + seconds, ended=START.began + seconds)], [])
    assert f"{seconds} s; a bar is {bar} s" in svg


def test_an_answer_is_that_of_its_own_call_whoever_else_writes(tmp_path: Path) -> None:
    record = Record(tmp_path / "ledger.sqlite")

    def ask() -> None:
        for number in range(500):
            record.end(record.intend("SDK default", "start", f"w-{number}"))

    def mark() -> None:
        for number in range(500):
            record.mark(f"batch {number}")

    with ThreadPoolExecutor(2) as pool:
        for done in [pool.submit(ask), pool.submit(mark)]:
            done.result()
    assert [call.workflow_id for call in record.calls() if not call.acked] == []
    assert len(record.marks()) == 500


def test_the_end_of_an_acknowledged_workflow_counts_for_the_client_that_started_it() -> None:
    calls = [
        Call("a", "start", "w-1", "", 1.0, 1.2, ""),
        Call("a", "start", "w-2", "", 2.0, 2.2, "gone"),
        Call("b", "start", "w-3", "", 3.0, 3.2, ""),
        Call("b", "describe", "w-1", "", 3.0, 3.2, ""),
        Call("b", "start", "w-4", "", 4.0, 4.2, ""),
    ]
    over = Seen(1, ("COMPLETED",), right=True, signals={}, whole=True, closed=9.5)
    seen = {"w-1": over, "w-2": over, "w-3": Seen(1, (), right=False, signals={}, whole=True)}
    assert completions(calls, seen) == [Call("a", "complete", "w-1", "", 1.0, 9.5, "")]


async def history_that_begins_with(activity: str) -> WorkflowHistory:
    """What is there of a workflow when its first activity was scheduled."""
    payloads = await DataConverter.default.encode([change_of("w-1", held=False)])
    started, scheduled, begun, done, asked = (HistoryEvent(event_id=number) for number in range(1, 6))
    started.workflow_execution_started_event_attributes.workflow_type.name = "ConfigureNetwork"
    started.workflow_execution_started_event_attributes.input.payloads.extend(payloads)
    started.workflow_execution_started_event_attributes.task_queue.name = "networking-queue"
    started.workflow_execution_started_event_attributes.original_execution_run_id = "run"
    scheduled.workflow_task_scheduled_event_attributes.attempt = 1
    begun.workflow_task_started_event_attributes.scheduled_event_id = 2
    done.workflow_task_completed_event_attributes.scheduled_event_id = 2
    done.workflow_task_completed_event_attributes.started_event_id = 3
    asked.activity_task_scheduled_event_attributes.activity_id = "1"
    asked.activity_task_scheduled_event_attributes.activity_type.name = activity
    asked.activity_task_scheduled_event_attributes.workflow_task_completed_event_id = 4
    events = [started, scheduled, begun, done, asked]
    for event, kind in zip(events, KINDS, strict=True):
        event.event_type = EventType.Value(f"EVENT_TYPE_{kind}")
        event.event_time.GetCurrentTime()
    return WorkflowHistory("w-1", events)


@pytest.mark.parametrize(("activity", "problems"), [("validate_change", 0), ("apply_configuration", 1)])
def test_a_history_that_the_code_cannot_have_made_is_found(activity: str, problems: int) -> None:
    history = asyncio.run(history_that_begins_with(activity))
    found = asyncio.run(replay_problems([history]))
    assert len(found) == problems
    assert all(problem.startswith("w-1 does not replay: ") for problem in found)


def test_a_task_that_was_left_to_its_timeout_is_known_from_the_history() -> None:
    assert has_timed_out(HistoryEvent(event_type=EventType.Value("EVENT_TYPE_WORKFLOW_TASK_TIMED_OUT")))
    again = HistoryEvent(event_type=EventType.Value("EVENT_TYPE_ACTIVITY_TASK_STARTED"))
    assert not has_timed_out(again)
    again.activity_task_started_event_attributes.last_failure.application_failure_info.type = "DeviceUnreachable"
    assert not has_timed_out(again)
    again.activity_task_started_event_attributes.last_failure.timeout_failure_info.timeout_type = 1
    assert has_timed_out(again)
