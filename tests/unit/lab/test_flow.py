"""What the journals of the workers say, and whether it is what the history says."""

from __future__ import annotations

import dataclasses
import io
import logging

import pytest
from temporalio.testing import ActivityEnvironment

from lab import flow
from lab.sample import activities, model

GIVEN = {("", 1): "a", ("1", 1): "a", ("2", 2): "b"}
BEGUN = {"a": [("", 1), ("1", 1), ("2", 1)], "b": [("2", 2)], "c": []}
WORKFLOW_LINE = (
    "INFO temporalio.workflow: begin change W ({'attempt': 1, 'namespace': 'production', 'run_id': 'r', 'task_queue':"
    " 'q', 'workflow_id': 'W', 'workflow_type': 'ConfigureNetwork'})\n"
)


def journal_of_an_activity() -> str:
    """What a worker logs of activity 7 at attempt 2 of the workflow W."""
    stream = io.StringIO()
    handler = logging.StreamHandler(stream)
    # As temporal_worker_runner.py has it.
    handler.setFormatter(logging.Formatter("%(levelname)s %(name)s: %(message)s"))
    logger = logging.getLogger("temporalio.activity")
    logger.addHandler(handler)
    level = logger.level
    logger.setLevel(logging.INFO)
    try:
        environment = ActivityEnvironment()
        environment.info = dataclasses.replace(environment.info, workflow_id="W", activity_id="7", attempt=2)
        environment.run(activities.validate_change, model.Change("W", 7, [model.Device("switch-1")]))
    finally:
        logger.removeHandler(handler)
        logger.setLevel(level)
    return stream.getvalue()


def test_the_journal_of_a_worker_tells_what_it_began() -> None:
    journal = WORKFLOW_LINE + "INFO temporal_worker: connected to W\n" + journal_of_an_activity()
    assert flow.tasks_in(journal, "W") == [("", 1), ("7", 2)]


def test_a_failure_and_other_workflows_are_no_beginning() -> None:
    failed = WORKFLOW_LINE.replace("INFO temporalio.workflow: begin", "WARNING temporalio.activity: Completing")
    assert flow.tasks_in(failed + WORKFLOW_LINE.replace("'W'", "'W2'"), "W") == []


def test_journals_that_say_what_the_history_says_contradict_nothing() -> None:
    assert flow.contradictions(BEGUN, GIVEN) == []


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"c": [("", 1)]}, "the workflow was given to a and begun by a, c"),
        ({"a": [("1", 1), ("2", 1)]}, "the workflow was given to a and begun by nobody"),
        ({"b": [], "c": [("2", 2)]}, "activity 2 at attempt 2 was given to b and begun by c"),
        ({"b": [("2", 2), ("2", 2)]}, "activity 2 at attempt 2 was given to b and begun by b, b"),
        ({"c": [("2", 1)]}, "activity 2 at attempt 1 was begun by a, c"),
    ],
)
def test_a_task_that_another_worker_had_too_is_told(change: dict[str, list[flow.Task]], sentence: str) -> None:
    assert flow.contradictions(BEGUN | change, GIVEN) == [sentence]
