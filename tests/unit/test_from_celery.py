"""What docs/from_celery.md shows is what runs, on both sides, and its numbers are those that were published."""

from __future__ import annotations

import re
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest

from lab.sample import model

ROOT = Path(__file__).resolve().parents[2]
SAMPLE = ROOT / "samples" / "networking_worker" / "src" / "networking_worker"
PAGE = (ROOT / "docs" / "from_celery.md").read_text(encoding="utf-8")
CELERY, *TEMPORAL = re.findall(r"^```python\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)
ELLIPSIS = re.compile(r"^ *# \.\.\.$", re.MULTILINE)
NUMBER = re.compile(r"\b\d+(?:\.\d+)?\b")
Device, Change = model.Device, model.Change

# ------------------------------------------------------------------------------------------------------ the workflow


def quotations() -> Iterator[tuple[str, str]]:
    """Every part of the sample that the page shows, with the file it is from."""
    for block in TEMPORAL:
        file, _, text = block.partition("\n")
        for part in ELLIPSIS.split(text):
            yield file.removeprefix("# "), part.strip("\n")


@pytest.mark.parametrize(("file", "text"), list(quotations()))
def test_the_workflow_is_the_one_that_is_deployed(file: str, text: str) -> None:
    assert text
    assert text in (SAMPLE / file).read_text(encoding="utf-8")


# --------------------------------------------------------------------------------------------------------- the tasks


class Retry(Exception):
    """What ``Task.retry`` raises: the message goes back with other arguments."""


@dataclass
class Broker:
    """As much of Celery as the page uses: messages are delivered one after the other, and results are kept by id."""

    results: dict[str, Any] = field(default_factory=dict)
    messages: list[str] = field(default_factory=list)
    settings: dict[str, Any] = field(default_factory=dict)

    def run(self, task: Task, arguments: list[Any], task_id: str) -> Any:  # noqa: ANN401
        while True:
            self.messages.append(task.function.__name__)
            try:
                self.results[task_id] = task(*arguments)
            except Retry as retry:
                [arguments] = retry.args
            else:
                return self.results[task_id]


@dataclass
class Task:
    """A task, and what can be done with it."""

    broker: Broker
    function: Callable[..., Any]
    bind: bool = False
    max_retries: int | None = 3

    def __call__(self, *arguments: Any) -> Any:  # noqa: ANN401
        return self.function(self, *arguments) if self.bind else self.function(*arguments)

    def retry(self, *, args: list[Any], countdown: float) -> Retry:
        assert self.max_retries is None
        assert countdown > 0
        return Retry(args)

    def s(self, *arguments: Any) -> Signature:  # noqa: ANN401
        return Signature(self, list(arguments))

    def delay(self, *arguments: Any) -> SimpleNamespace:  # noqa: ANN401
        return self.s(*arguments).apply_async()


@dataclass
class Signature:
    """A task with arguments, to be sent."""

    task: Task
    arguments: list[Any]
    task_id: str = ""

    def set(self, *, task_id: str) -> Signature:
        self.task_id = task_id
        return self

    def apply_async(self, *before: Any) -> SimpleNamespace:  # noqa: ANN401
        result = self.task.broker.run(self.task, [*before, *self.arguments], self.task_id)
        return SimpleNamespace(get=lambda: result)


@pytest.fixture
def broker() -> Broker:
    return Broker()


@pytest.fixture
def tasks(broker: Broker, monkeypatch: pytest.MonkeyPatch) -> SimpleNamespace:
    """The page's own code, with the broker in place of Celery."""

    def task(function: Callable[..., Any] | None = None, **options: Any) -> Any:  # noqa: ANN401
        return Task(broker, function, **options) if function else lambda real: Task(broker, real, **options)

    def celery(name: str, *, broker: str, backend: str) -> SimpleNamespace:
        assert name
        assert broker.startswith("redis://")
        assert backend.startswith("redis://")
        return SimpleNamespace(conf=SimpleNamespace(update=settings.update), task=task)

    def chain(first: Signature, second: Signature) -> SimpleNamespace:
        return SimpleNamespace(apply_async=lambda: second.apply_async(first.apply_async().get()))

    settings = broker.settings
    package, result = ModuleType("celery"), ModuleType("celery.result")
    package.Celery, package.chain = celery, chain  # type: ignore[attr-defined]
    result.AsyncResult = lambda name, app: SimpleNamespace(get=lambda: broker.results[name])  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "celery", package)
    monkeypatch.setitem(sys.modules, "celery.result", result)
    names: dict[str, Any] = {"__name__": "tasks"}
    exec(compile(CELERY, "docs/from_celery.md", "exec"), names)
    return SimpleNamespace(**names)


@pytest.mark.parametrize(
    ("devices", "attempts"),
    [
        ([Device("a", seconds=0), Device("b", seconds=0)], 1),
        ([Device("a", seconds=0), Device("b", seconds=0, failures=2)], 3),
        ([Device("a", seconds=0), Device("b", seconds=0, failures=model.MOST_ATTEMPTS)], model.MOST_ATTEMPTS),
        ([Device("a", seconds=0), Device("b", seconds=0, refuses=True), Device("c")], 1),
        ([Device("a", seconds=0, drifts=True), Device("b", seconds=0)], 1),
    ],
)
def test_the_tasks_do_what_the_workflow_does(
    tasks: SimpleNamespace, broker: Broker, devices: list[model.Device], attempts: int
) -> None:
    change = Change("c", 10, devices)
    assert model.Outcome(**tasks.start(change).get()) == model.expected_outcome(change)
    assert broker.messages == ["apply_change"] * attempts + ["verify_change"]


def test_a_change_on_hold_waits_for_its_approval(tasks: SimpleNamespace, broker: Broker) -> None:
    change = Change("c", 10, [Device("a", seconds=0)], hold=True)
    tasks.start(change)
    assert broker.messages == ["apply_change"]
    assert model.Outcome(**tasks.approve("c").get()) == model.expected_outcome(change)


def test_a_wrong_change_fails(tasks: SimpleNamespace) -> None:
    with pytest.raises(model.InvalidChangeError):
        tasks.start(Change("c", 0, []))


def test_the_tasks_are_not_shown_at_their_worst(tasks: SimpleNamespace, broker: Broker) -> None:
    """What its documentation offers against the loss of tasks is in use."""
    assert tasks.app
    assert broker.settings["task_acks_late"]
    assert broker.settings["task_reject_on_worker_lost"]


# ------------------------------------------------------------------------------------------------------- the numbers


def rows() -> list[list[str]]:
    """The rows of the table of losses: what dies, Celery, here."""
    _, heading, section = PAGE.partition("\n## What happens when something dies\n")
    assert heading
    table = [line.strip("|").split("|") for line in section.splitlines() if line.startswith("| ")]
    return [[cell.strip() for cell in row] for row in table[1:]]


@pytest.mark.parametrize("row", rows(), ids=lambda row: row[0])
def test_celery_is_told_by_named_pages_and_results_or_not_at_all(row: list[str]) -> None:
    _, there, _ = row
    results = "](fault_tolerance.md#what-stops-when-one-part-fails)"
    assert "](https://" in there or results in there or "not measured" in there or there == "there is none"
    assert not NUMBER.search(re.sub(r"\]\([^)]*\)", "", there))


@pytest.mark.parametrize("row", rows(), ids=lambda row: row[0])
def test_numbers_here_were_published(row: list[str]) -> None:
    """Those of the sample and of the tables of operations.md; what was not acknowledged is the rest of what was."""
    _, _, here = row
    losses = (ROOT / "docs" / "operations.md").read_text(encoding="utf-8").partition("\n## What a loss costs\n")[2]
    published = set(NUMBER.findall(losses)) | set(NUMBER.findall((SAMPLE / "workflows.py").read_text(encoding="utf-8")))
    text = re.sub(r"\]\([^)]*\)|\b\d+ of \d+\b", "", here)
    assert set(NUMBER.findall(text)) <= published
    for rest, of in re.findall(r"\b(\d+) of (\d+)\b", here):
        assert any(f"| {of} | {int(of) - int(rest)} |" in line for line in losses.splitlines())
