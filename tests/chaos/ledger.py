"""A client outside the cluster that keeps books: what it asked for, what it was told, and whether the cluster kept it.

python -m tests.chaos.ledger --name lab --seconds 30                      a load, and the verdict
python -m tests.chaos.ledger --name lab --chart gap.svg -- COMMAND...     a load for as long as COMMAND runs

Clients do the same at a steady rate, each with a connection of its own through the virtual address: one as the SDK is
without any setting (it retries for 10 s), one that asks a single time, which shows what the retries hide, and on demand
one as the collection documents it (it retries for 60 s, and asks again what nobody knows the end of). They start
workflows; each fourth waits for approval, is asked how far it is, and gets a signal of its own; each fourth time the
workflows of the load are listed.
Exit code 1 when the cluster did not keep what it acknowledged.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import subprocess
import tempfile
import threading
import time
import uuid
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import Any

from temporalio.api.common.v1 import Payloads, WorkflowExecution, WorkflowType
from temporalio.api.enums.v1 import EventType, TimeoutType
from temporalio.api.history.v1 import HistoryEvent
from temporalio.api.query.v1 import WorkflowQuery
from temporalio.api.taskqueue.v1 import TaskQueue
from temporalio.api.workflowservice.v1 import (
    CountWorkflowExecutionsRequest,
    DescribeWorkflowExecutionRequest,
    ListWorkflowExecutionsRequest,
    QueryWorkflowRequest,
    SignalWorkflowExecutionRequest,
    StartWorkflowExecutionRequest,
)
from temporalio.client import Client, WorkflowHistory
from temporalio.service import RPCError, RPCStatusCode
from temporalio.worker import Replayer

import tests.conftest  # noqa: F401  makes the checkout importable as the collection that it is

# isort: split
from ansible_collections.zerospof.temporal.plugins.module_utils._calls import PATIENT, RETRYING, SINGLE, Call
from ansible_collections.zerospof.temporal.plugins.module_utils._patience import insist
from ansible_collections.zerospof.temporal.plugins.module_utils._timeline import timeline

from lab import state
from lab.end import leave
from lab.load import beside
from lab.sample import model, workflows
from lab.view import View
from tests.chaos.record import Record
from tests.chaos.verdict import Seen, Verdict, completions, judge, table

PER_SECOND = 1.0
# What the workflows of a client have in their names.
NAMES = {PATIENT: "patient", RETRYING: "sdk", SINGLE: "single"}
EACH_HELD = 4
# A single attempt has the time in which the SDK gives up.
ATTEMPT = timedelta(seconds=10)
# The SDK gives up by itself much earlier, but a connection that nobody answers or ends holds it for ever.
NO_ANSWER_SECONDS = 300
# A task that a stopping worker was handed waits for its timeout, which is 60 s.
QUIET_SECONDS = 180
AT_ONCE = 8
WORKFLOW, SIGNAL, QUERY = "ConfigureNetwork", "approve", "progress"
ENDINGS = {
    getattr(EventType, f"EVENT_TYPE_WORKFLOW_EXECUTION_{name}"): name
    for name in ("COMPLETED", "FAILED", "TIMED_OUT", "CANCELED", "TERMINATED", "CONTINUED_AS_NEW")
}


@dataclass
class Ledger:
    """One load: its record and, when it has ended, the verdict."""

    record: Record
    name: str = field(default_factory=lambda: f"ledger-{uuid.uuid4().hex[:8]}")
    verdict: Verdict = field(default_factory=Verdict)
    # Every workflow of the load that exists afterwards, by its id.
    seen: dict[str, Seen] = field(default_factory=dict)
    # Their histories at the last look.
    histories: dict[str, WorkflowHistory] = field(default_factory=dict)
    # Whether nobody wants to know any more.
    abandoned: bool = False
    # How long a device takes for its change.
    device_seconds: float = model.Device("any").seconds

    @property
    def table(self) -> str:
        """The figures for people."""
        return table(self.record.calls(), self.verdict)

    @property
    def chart(self) -> str:
        """The load as an SVG document."""
        return timeline(self.record.calls(), self.record.marks())

    @property
    def completions(self) -> list[Call]:
        """The ends of the acknowledged workflows, as calls that began with their start."""
        return completions(self.record.calls(), self.seen)

    @property
    def waited(self) -> list[str]:
        """The workflows of which a task was left to its timeout."""
        return [name for name, workflow in self.seen.items() if workflow.timeouts]

    def of(self, flavour: str) -> list[Call]:
        """Return the calls of one client."""
        return [call for call in self.record.calls() if call.flavour == flavour]

    def failed(self, flavour: str) -> list[Call]:
        """Return the calls of one client that the cluster did not acknowledge."""
        return [call for call in self.of(flavour) if not call.acked]


@dataclass
class Teller:
    """One of the clients. Requests are those of the SDK; only whether it retries them differs."""

    ledger: Ledger
    client: Client
    flavour: str
    task_queue: str
    retries: bool
    # Workflows that can be asked for.
    known: list[str] = field(default_factory=list)

    async def call(self, kind: str, rpc: Callable[..., Awaitable[Any]], request: object, *about: str) -> bool:
        """Make one call and write it down; return whether it was acknowledged."""
        number = self.ledger.record.intend(self.flavour, kind, *about)

        def ask() -> Awaitable[Any]:
            return rpc(request, retry=self.retries, timeout=None if self.retries else ATTEMPT)

        try:
            await asyncio.wait_for(insist(ask) if self.flavour == PATIENT else ask(), NO_ANSWER_SECONDS)
        except RPCError as error:
            self.ledger.record.end(number, f"{kind} {error.status.name}: {str(error)[:80]}")
        except Exception as error:  # every kind of failure counts here
            self.ledger.record.end(number, f"{kind} {type(error).__name__}: {error}")
        else:
            self.ledger.record.end(number)
            return True
        return False

    async def payloads(self, value: object) -> Payloads:
        """Encode ``value`` as the SDK does."""
        return Payloads(payloads=await self.client.data_converter.encode([value]))

    def workflow_id(self, number: int) -> str:
        """Return the id of the workflow that this client starts in its round ``number``."""
        return f"{self.ledger.name}-{NAMES[self.flavour]}-{number}"

    async def round(self, number: int) -> None:
        """Start one workflow; each fourth is held, queried and approved, and all are listed."""
        name = self.workflow_id(number)
        held = number % EACH_HELD == 0
        service, common = self.client.workflow_service, {"namespace": self.client.namespace}
        start = StartWorkflowExecutionRequest(
            workflow_id=name,
            workflow_type=WorkflowType(name=WORKFLOW),
            task_queue=TaskQueue(name=self.task_queue),
            input=await self.payloads(change_of(name, held, self.ledger.device_seconds)),
            request_id=str(uuid.uuid4()),
            **common,
        )
        started = await self.call("start", service.start_workflow_execution, start, name)
        if started:
            self.known.append(name)
        if not held or not started:
            return
        execution = WorkflowExecution(workflow_id=name)
        query = QueryWorkflowRequest(execution=execution, query=WorkflowQuery(query_type=QUERY), **common)
        await self.call("query", service.query_workflow, query, name)
        listing = ListWorkflowExecutionsRequest(query=f'WorkflowId = "{name}"', **common)
        await self.call("list", service.list_workflow_executions, listing, name)
        await self.approve(name, uuid.uuid4().hex)

    async def approve(self, name: str, token: str) -> None:
        """Send the signal that lets a held workflow end."""
        signal = SignalWorkflowExecutionRequest(
            namespace=self.client.namespace,
            workflow_execution=WorkflowExecution(workflow_id=name),
            signal_name=SIGNAL,
            input=await self.payloads(token),
            request_id=str(uuid.uuid4()),
        )
        await self.call("signal", self.client.workflow_service.signal_workflow_execution, signal, name, token)

    async def pulse(self, number: int) -> None:
        """Ask how a workflow is: the cheapest call that goes all the way to a history shard.

        Each in its turn, for a workflow answers one at a time: when its shard moves, questions about it alone pile up.
        """
        if not self.known:
            return
        execution = WorkflowExecution(workflow_id=self.known[number % len(self.known)])
        request = DescribeWorkflowExecutionRequest(namespace=self.client.namespace, execution=execution)
        await self.call("describe", self.client.workflow_service.describe_workflow_execution, request)

    async def run(self, per_second: float, pulses: float, stop: threading.Event) -> None:
        """Begin rounds until ``stop``, and ``pulses`` a second beside them."""
        beside = [steadily(self.pulse, pulses, stop)] if pulses else []
        await asyncio.gather(steadily(self.round, per_second, stop), *beside)


async def steadily(what: Callable[[int], Awaitable[None]], per_second: float, stop: threading.Event) -> None:
    """Begin ``what`` so often until ``stop``, whether earlier ones have ended or not, and wait for all of them."""
    begun, number, due = set(), 0, time.monotonic()
    while not stop.is_set():
        begun.add(asyncio.ensure_future(what(number)))
        number, due = number + 1, due + 1 / per_second
        await asyncio.sleep(max(due - time.monotonic(), 0))
    await asyncio.gather(*begun)


def change_of(name: str, held: bool, seconds: float = Ledger.device_seconds) -> model.Change:
    """Return the input of the workflow ``name``, from which its right result follows, however long it takes."""
    return model.Change(name, vlan=7, devices=[model.Device("switch-1", seconds=seconds)], hold=held)


async def look(client: Client, ledger: Ledger, name: str, runs: int) -> Seen | None:
    """Return the workflow ``name`` as its history tells, which is kept; ``None`` when there is none."""
    try:
        history = await client.get_workflow_handle(name).fetch_history()
    except RPCError as error:
        if error.status == RPCStatusCode.NOT_FOUND:
            return None
        raise
    ledger.histories[name] = history
    ended, signals, outcome = [], Counter(), None
    for event in history.events:
        if event.event_type in ENDINGS:
            ended.append(ENDINGS[event.event_type])
        if event.HasField("workflow_execution_signaled_event_attributes"):
            signals[json.loads(event.workflow_execution_signaled_event_attributes.input.payloads[0].data)] += 1
        if event.HasField("workflow_execution_completed_event_attributes"):
            result = event.workflow_execution_completed_event_attributes.result.payloads
            [outcome] = await client.data_converter.decode(result, [model.Outcome])
    whole = [event.event_id for event in history.events] == list(range(1, len(history.events) + 1))
    right = outcome == model.expected_outcome(change_of(name, held=False))
    first = history.events[0].event_type == EventType.EVENT_TYPE_WORKFLOW_EXECUTION_STARTED
    last = history.events[-1]
    closed = last.event_time.ToNanoseconds() / 1e9 if ended else None
    return Seen(runs, tuple(ended), right, signals, whole and first, closed, sum(map(has_timed_out, history.events)))


def timeout_of(event: HistoryEvent) -> str:
    """Return which kind of task waited for which timeout until its time was over; empty when none did.

    Of an activity that is tried again, the history has the last attempt alone, with what became of the one before.
    """
    if event.event_type == EventType.EVENT_TYPE_WORKFLOW_TASK_TIMED_OUT:
        return f"workflow task, {TimeoutType.Name(event.workflow_task_timed_out_event_attributes.timeout_type)}"
    failure = event.activity_task_started_event_attributes.last_failure
    if event.event_type == EventType.EVENT_TYPE_ACTIVITY_TASK_TIMED_OUT:
        failure = event.activity_task_timed_out_event_attributes.failure
    elif not failure.HasField("timeout_failure_info"):
        return ""
    return f"activity task, {TimeoutType.Name(failure.timeout_failure_info.timeout_type)}"


def has_timed_out(event: HistoryEvent) -> bool:
    """Tell whether an event says that a task was given to a worker, or waited for one, until its time was over."""
    return timeout_of(event) != ""


async def look_at_all(client: Client, ledger: Ledger) -> tuple[dict[str, Seen], int]:
    """Return every workflow of the load that exists, and how many completed ones the visibility store counts."""
    query = f'WorkflowId STARTS_WITH "{ledger.name}-"'
    runs = Counter([execution.id async for execution in client.list_workflows(query)])
    names = {call.workflow_id for call in ledger.record.calls() if call.kind == "start"} | set(runs)
    lanes = asyncio.Semaphore(AT_ONCE)

    async def one(name: str) -> tuple[str, Seen | None]:
        async with lanes:
            return name, await look(client, ledger, name, runs[name])

    found = await asyncio.gather(*(one(name) for name in sorted(names)))
    counted = await client.workflow_service.count_workflow_executions(
        CountWorkflowExecutionsRequest(namespace=client.namespace, query=f'{query} AND ExecutionStatus = "Completed"'),
        retry=True,
    )
    return {name: seen for name, seen in found if seen is not None}, counted.count


async def replay_problems(histories: Iterable[WorkflowHistory]) -> list[str]:
    """Return which of the histories the code of the workflow cannot have made."""

    async def one_by_one() -> AsyncIterator[WorkflowHistory]:
        for history in histories:
            yield history

    async with Replayer(workflows=[workflows.ConfigureNetwork]).workflow_replay_iterator(one_by_one()) as results:
        return [
            f"{result.history.workflow_id} does not replay: {result.replay_failure}"
            async for result in results
            if result.replay_failure
        ]


async def settle(client: Client, ledger: Ledger, task_queue: str) -> Verdict:
    """Let held workflows whose signal had no answer end, and judge when all is quiet or the time is up."""
    patient = Teller(ledger, client, "clean-up", task_queue, retries=True)
    deadline = time.monotonic() + QUIET_SECONDS
    released = False
    while True:
        seen, visible = await look_at_all(client, ledger)
        ledger.seen = seen
        calls = ledger.record.calls()
        verdict = judge(calls, seen, visible)
        open_ones = [name for name, workflow in seen.items() if not workflow.ended]
        if not (verdict.stuck or verdict.unseen) or time.monotonic() > deadline:
            return verdict
        if not released:
            signalled = {call.workflow_id for call in calls if call.kind == "signal" and call.acked}
            for name in open_ones:
                if name not in signalled:
                    await patient.approve(name, uuid.uuid4().hex)
            released = True
        await asyncio.sleep(2)


async def keep(
    view: View, ledger: Ledger, per_second: float, stop: threading.Event, flavours: Sequence[str], pulses: float
) -> None:
    """Run the clients until ``stop``, and judge with a patient one what became of it."""
    namespace, queue = view.deployment["namespace"], view.deployment["task_queue"]
    tellers = [
        Teller(
            ledger,
            await view.client(f"{flavour}@outside", namespace=namespace, patient=flavour == PATIENT),
            flavour,
            queue,
            retries=flavour != SINGLE,
        )
        for flavour in flavours
    ]
    patient = await view.client("ledger@outside", namespace=namespace)
    await asyncio.gather(*(teller.run(per_second, pulses, stop) for teller in tellers))
    if not ledger.abandoned:
        try:
            ledger.verdict = await asyncio.wait_for(settle(patient, ledger, queue), QUIET_SECONDS + NO_ANSWER_SECONDS)
            # Whoever takes over an open workflow replays its history, which has to be one that the code can have made.
            replayed = replay_problems(ledger.histories.values())
            ledger.verdict.wrong.extend(await asyncio.wait_for(replayed, NO_ANSWER_SECONDS))
        except (RPCError, TimeoutError) as error:
            # The worst that can be seen, and no reason to have seen nothing.
            ledger.verdict.broken.append(f"it does not tell what became of the load: {error!r}")


@contextlib.contextmanager
def ledger(
    view: View,
    path: Path | str,
    per_second: float = PER_SECOND,
    flavours: Sequence[str] = (RETRYING, SINGLE),
    pulses: float = 0,
    device_seconds: float = Ledger.device_seconds,
) -> Iterator[Ledger]:
    """Keep the clients busy while the body runs, ``per_second`` workflows each; afterwards there is a verdict.

    With ``pulses`` each client asks so often a second how its first workflow is, which finds gaps that are shorter.
    """
    made = Ledger(Record(path), device_seconds=device_seconds)
    with beside(lambda stop: keep(view, made, per_second, stop, flavours, pulses)):
        try:
            yield made
        except BaseException:
            made.abandoned = True
            raise


def main() -> int:
    """Run the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--name", default="lab", help="name of the lab (default: lab)")
    parser.add_argument(
        "--rate", type=float, default=PER_SECOND, help=f"workflows per second and client ({PER_SECOND:g})"
    )
    parser.add_argument("--seconds", type=float, default=30, help="length of the load when there is no command (30)")
    parser.add_argument("--record", type=Path, help="SQLite file to keep")
    parser.add_argument("--chart", type=Path, help="SVG file to write")
    parser.add_argument("command", nargs="*", help="what to do meanwhile")
    options = parser.parse_args()
    code = 0
    with tempfile.TemporaryDirectory() as directory:
        path = options.record or Path(directory) / "ledger.sqlite"
        with ledger(View(state.load(options.name)), path, options.rate) as books:
            if options.command:
                books.record.mark(" ".join(options.command)[:60])
                code = subprocess.run(options.command, check=False).returncode
                books.record.mark(f"ended with {code}")
            else:
                time.sleep(options.seconds)
        print(books.table)
        if options.chart:
            options.chart.write_text(books.chart, encoding="utf-8")
    return code or (1 if books.verdict.problems else 0)


if __name__ == "__main__":
    leave(main())
