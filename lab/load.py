"""Workflows of the sample at a steady rate, each with what became of it, while a test or a bench breaks things.

The client asks as patiently as :data:`lab.view.PATIENCE` says, so what it reports as an error is one that a user sees.
"""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import threading
import time
import uuid
from collections.abc import Callable, Coroutine, Iterator
from dataclasses import dataclass, field
from typing import Any

from temporalio.client import Client, WorkflowHandle
from temporalio.service import RPCError

from lab.sample import model, workflows
from lab.view import View

# A machine that carries all hosts works off in minutes what it could not do while those of a zone came back.
GIVE_UP_SECONDS = 600
ASK_AGAIN_SECONDS = 1


async def outcome_of(handle: WorkflowHandle[workflows.ConfigureNetwork, model.Outcome]) -> model.Outcome:
    """Return the result of a workflow, however often it has to be asked for.

    What a workflow came to is one thing, a poll for it that ended another: the SDK repeats it after some timeouts only.
    """
    while True:
        try:
            return await handle.result()
        except RPCError:
            await asyncio.sleep(ASK_AGAIN_SECONDS)


@dataclass
class Record:
    """One workflow; times are seconds since the load began, ``None`` while it has not happened.

    ``error`` is what the client saw instead of an acknowledgement or a result.
    """

    workflow_id: str
    started: float
    acknowledged: float | None = None
    done: float | None = None
    right: bool = False
    error: str = ""


@dataclass
class Load:
    """Workflows of one load in the order in which they were started."""

    records: list[Record] = field(default_factory=list)
    began: float = field(default_factory=time.monotonic)

    @property
    def now(self) -> float:
        """Seconds since the load began."""
        return time.monotonic() - self.began

    @property
    def lost(self) -> list[Record]:
        """Workflows whose start was acknowledged and that have no right result."""
        return [record for record in self.records if record.acknowledged is not None and not record.right]

    def acknowledged_since(self, moment: float) -> int:
        """How many starts were acknowledged later than ``moment``, in seconds since the load began."""
        return sum(record.acknowledged is not None and record.acknowledged > moment for record in self.records)

    @property
    def errors(self) -> list[str]:
        """Distinct errors that the client saw."""
        return sorted({record.error for record in self.records if record.error})

    def longest_gap(self) -> float:
        """Longest time between two acknowledgements one after the other, in seconds."""
        moments = sorted(record.acknowledged for record in self.records if record.acknowledged is not None)
        return max((after - before for before, after in itertools.pairwise(moments)), default=0.0)

    def summary(self) -> str:
        """Return the figures in one line."""
        acknowledged = sum(record.acknowledged is not None for record in self.records)
        done = [record.done - record.started for record in self.records if record.done is not None]
        return (
            f"{len(self.records)} workflows, {acknowledged} acknowledged, {len(self.lost)} of those lost, "
            f"{len(self.errors)} kinds of errors; longest gap between acknowledgements {self.longest_gap():.1f} s, "
            f"longest workflow {max(done, default=0.0):.1f} s"
        )

    async def one(self, client: Client, task_queue: str) -> None:
        """Run one workflow and note what becomes of it."""
        record = Record(f"load-{uuid.uuid4().hex[:12]}", self.now)
        self.records.append(record)
        change = model.Change(record.workflow_id, vlan=7, devices=[model.Device("switch-1")])
        try:
            start = client.start_workflow(
                workflows.ConfigureNetwork.run, change, id=record.workflow_id, task_queue=task_queue
            )
            handle = await asyncio.wait_for(start, GIVE_UP_SECONDS)
            record.acknowledged = self.now
            outcome = await asyncio.wait_for(outcome_of(handle), GIVE_UP_SECONDS)
            record.done = self.now
            record.right = outcome == model.expected_outcome(change)
        except Exception as error:  # every kind of failure counts here
            status = f" {error.status.name}" if isinstance(error, RPCError) else ""
            record.error = f"{type(error).__name__}{status}: {error}"

    async def run(self, view: View, per_second: float, stop: threading.Event) -> None:
        """Start workflows until ``stop`` and wait for all of them."""
        deployment: dict[str, Any] = view.deployment
        client = await view.client("load@outside", namespace=deployment["namespace"])
        tasks = set()
        self.began = time.monotonic()
        while not stop.is_set():
            tasks.add(asyncio.create_task(self.one(client, deployment["task_queue"])))
            await asyncio.sleep(1 / per_second)
        await asyncio.gather(*tasks)


@contextlib.contextmanager
def beside(run: Callable[[threading.Event], Coroutine[Any, Any, None]]) -> Iterator[None]:
    """Run ``run`` in a thread of its own while the body runs, tell it then by its event to stop, and wait for its end.

    Raises:
        BaseException: the one that ended ``run``.
    """
    stop = threading.Event()
    failures: list[BaseException] = []

    def body() -> None:
        try:
            asyncio.run(run(stop))
        except BaseException as error:  # shown where the load is used
            failures.append(error)

    thread = threading.Thread(target=body, name="load")
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join()
    if failures:
        raise failures[0]


@contextlib.contextmanager
def load(view: View, per_second: float = 3.0) -> Iterator[Load]:
    """Keep starting ``per_second`` workflows while the body runs; afterwards every one of them has ended or failed."""
    made = Load()
    with beside(lambda stop: made.run(view, per_second, stop)):
        yield made
