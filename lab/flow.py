"""Workflow_A through a live cluster of the lab, step by step, with the host that did each.

python -m lab.flow --name lab

1  a client outside of the cluster starts Workflow_A through the balancer; it is in the database
2  its state is visible as pending, with its task queue
3  workers, each connected to a different server, poll that queue
4  the first one wins and the others do not get the task, say the history and the journal of every worker
5  the server of the client and of one worker dies; both go on through another server, and so does Workflow_A

Nothing is taken for granted: every line is read from the cluster, and what is not as it must be ends the program.
"""

from __future__ import annotations

import argparse
import ast
import asyncio
import re
import subprocess
import sys
import time
import uuid
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from typing import TypeVar

from temporalio.api.enums.v1 import DescribeTaskQueueMode, EventType, PendingWorkflowTaskState, TaskQueueType
from temporalio.api.history.v1 import HistoryEvent
from temporalio.api.taskqueue.v1 import TaskQueue
from temporalio.api.workflowservice.v1 import DescribeNamespaceRequest, DescribeTaskQueueRequest
from temporalio.client import Client, WorkflowExecutionStatus, WorkflowHandle
from temporalio.service import RPCError

from lab import state
from lab.end import leave
from lab.machine import LabError
from lab.sample import model, workflows
from lab.view import View, ViewError, Worker
from plugins.module_utils import _workers

ConfigureNetwork = workflows.ConfigureNetwork

CLIENT = "client@outside"
HOLD = "waiting for approval"
DEVICES = 4
# Fault and heal: longer than the rest of the flow takes on a slow machine.
FAULT_SECONDS = 300
SETTLE_SECONDS = 90
# One question; where the server that has the answer has just died, it is asked again.
ANSWER_TIMEOUT = timedelta(seconds=5)
ATTEMPTS = 6
KINDS = {"workflow": TaskQueueType.TASK_QUEUE_TYPE_WORKFLOW, "activity": TaskQueueType.TASK_QUEUE_TYPE_ACTIVITY}

# What the sample logs when it begins a workflow or an activity; the SDK appends which.
BEGUN = re.compile(r"^INFO temporalio\.\S+: .* \((\{.*\})\)$", re.MULTILINE)

Value = TypeVar("Value")
# A beginning: number of the activity (empty for the workflow itself) and which attempt it is.
Task = tuple[str, int]


class FlowError(Exception):
    """A step did not show what it must; the message says which and what was seen."""


def must(condition: object, message: str) -> None:
    """Go on only when ``condition`` holds."""
    if not condition:
        raise FlowError(message)


async def until(what: str, look: Callable[[], Awaitable[Value]], seconds: float = SETTLE_SECONDS) -> Value:
    """Return the first truthy answer of ``look``; errors of a cluster that is still settling count as "not yet".

    Raises:
        FlowError: there is none in time; the message has the last answer or error.
    """
    deadline = time.monotonic() + seconds
    last: Value | Exception | None = None
    while time.monotonic() < deadline:
        try:
            last = await look()
            if last:
                return last
        except (ViewError, RPCError, TimeoutError, subprocess.TimeoutExpired) as error:
            last = error
        await asyncio.sleep(0.5)
    raise FlowError(f"not within {seconds:.0f} s: {what}; last seen: {last}")


def tasks_in(journal: str, workflow_id: str) -> list[Task]:
    """Return what the worker with this journal has begun of a workflow."""
    rows = [ast.literal_eval(found[1]) for found in BEGUN.finditer(journal)]
    return [(row.get("activity_id", ""), row["attempt"]) for row in rows if row["workflow_id"] == workflow_id]


def contradictions(begun: Mapping[str, Sequence[Task]], given: Mapping[Task, str]) -> list[str]:
    """Return where the journals of the workers and the history disagree, one sentence each.

    ``begun``: what each worker, by its identity, says it has begun. ``given``: to whom each task was given, says the
    history. It knows the last attempt of an activity only; whoever had an earlier one, nobody else may have had it.
    """
    by: dict[Task, list[str]] = {task: [] for task in given}
    for identity, tasks in begun.items():
        for task in tasks:
            by.setdefault(task, []).append(identity)
    found = []
    for (activity, attempt), workers in by.items():
        what = f"activity {activity} at attempt {attempt}" if activity else "the workflow"
        who = ", ".join(workers) or "nobody"
        owner = given.get((activity, attempt))
        if owner and workers != [owner]:
            found.append(f"{what} was given to {owner} and begun by {who}")
        elif len(workers) > 1:
            found.append(f"{what} was begun by {who}")
    return found


@dataclass
class Facts:
    """What the flow saw, for tests; servers are names of hosts."""

    client_server: str = ""
    database_hosts: list[str] = field(default_factory=list)
    primary: str = ""
    worker_servers: dict[str, str] = field(default_factory=dict)
    winner: str = ""
    begun: dict[str, list[Task]] = field(default_factory=dict)
    killed: str = ""
    moved_worker: str = ""
    moved_to: str = ""
    client_moved_to: str = ""
    outcome: model.Outcome | None = None
    expected: model.Outcome | None = None
    seconds: dict[str, float] = field(default_factory=dict)


class Flow:
    """One run of Workflow_A."""

    def __init__(self, view: View) -> None:
        """Look at the inventory; nothing happens yet."""
        self.view = view
        self.facts = Facts()
        self.deployment = view.deployment
        self.queue = self.deployment["task_queue"]
        self.workflow_id = f"Workflow_A-{uuid.uuid4().hex[:6]}"
        devices = [model.Device(f"switch-{number}", failures=int(number == 1)) for number in range(1, DEVICES + 1)]
        self.change = model.Change(self.workflow_id, vlan=42, devices=devices, hold=True)
        self.client: Client
        self.handle: WorkflowHandle[ConfigureNetwork, model.Outcome]
        self.workers: list[Worker] = []

    async def run(self) -> Facts:
        """Run all steps; the cluster is whole and its workers run afterwards, whatever happened."""
        self.workers = self.view.workers()
        must(self.workers, "no worker of the sample is installed: run playbooks/site.yml first")
        steps = [
            ("1", "A client starts Workflow_A through the balancer", self.start),
            ("2", "Its state is visible as pending, with its queue", self.pending),
            ("3", "Workers on different servers poll the same queue", self.poll),
            ("4", "One worker wins, the others do not get the task", self.win),
            ("5", "The server of the client and of one worker dies", self.survive),
        ]
        try:
            self.stop_workers()
            for number, title, step in steps:
                print(f"\n{number}  {title}", flush=True)
                started = time.monotonic()
                await step()
                self.facts.seconds[number] = round(time.monotonic() - started, 1)
                print(f"   done in {self.facts.seconds[number]} s", flush=True)
        finally:
            await self.heal()
        return self.facts

    def say(self, text: str) -> None:
        """Print one observation."""
        print(f"   {text}", flush=True)

    def stop_workers(self) -> None:
        """Stop all workers so that Workflow_A has to wait for one."""
        for worker in self.workers:
            self.view.on(worker.host, f"systemctl stop '{worker.unit}'")
        print(f"The {len(self.workers)} workers are stopped: Workflow_A will have to wait for them.", flush=True)

    async def start(self) -> None:
        """Step 1."""
        self.client = await self.view.client(CLIENT, namespace=self.deployment["namespace"])
        self.handle = await self.client.start_workflow(
            ConfigureNetwork.run, self.change, id=self.workflow_id, task_queue=self.queue
        )
        server = await self.server_of_client()
        must(server in self.view.members("temporal_servers"), f"the balancer names {server}, which is no server")
        self.facts.client_server = server
        local = self.view.own_connections()[-1]
        self.say(f"client {local} -> virtual address {self.view.vip} on {self.view.vip_holder()} -> server {server}")
        self.say(f"{self.workflow_id} (run {self.handle.first_execution_run_id}) is started")
        if self.view.members("cassandra"):
            await self.look_into_cassandra()
        else:
            self.look_into_postgresql()

    def look_into_postgresql(self) -> None:
        """Find the row of the workflow on every PostgreSQL host."""
        run = self.handle.first_execution_run_id
        statement = (
            "select c.shard_id, e.next_event_id from current_executions c join executions e using (shard_id,"
            f" namespace_id, workflow_id, run_id) where c.workflow_id = '{self.workflow_id}' and c.run_id = "
            f"decode('{(run or '').replace('-', '')}', 'hex')"
        )
        for host, primary in self.view.database_hosts():
            rows = self.view.query(host, "temporal", statement)
            if rows:
                self.facts.database_hosts.append(host)
                role = "primary" if primary else "replica"
                must(not primary or not self.facts.primary, f"{self.facts.primary} and {host} are primary")
                self.facts.primary = host if primary else self.facts.primary
                self.say(f"PostgreSQL {role} {host}: it is in shard {rows[0][0]}, next event {rows[0][1]}")
        must(self.facts.primary, f"no row of {self.workflow_id} in the database of the primary")

    async def look_into_cassandra(self) -> None:
        """Find the row of the workflow on every Cassandra node that holds its shard."""
        answer = await self.client.workflow_service.describe_namespace(
            DescribeNamespaceRequest(namespace=self.client.namespace)
        )
        namespace = answer.namespace_info.id
        shard = self.view.history_shard(namespace, self.workflow_id)
        run = self.handle.first_execution_run_id
        statement = (
            f"SELECT next_event_id FROM executions WHERE shard_id = {shard} AND type = 1 AND namespace_id = {namespace}"
            f" AND workflow_id = '{self.workflow_id}' AND run_id = {run}"
        )
        holders = self.view.cassandra_holders("executions", str(shard))
        must(holders, f"no node of Cassandra holds shard {shard}")
        for host in holders:
            [rows] = self.view.cql(host, [statement])
            must(rows and not isinstance(rows, str), f"Cassandra {host} answers {rows} for shard {shard}")
            self.facts.database_hosts.append(host)
            zone = self.view.lab.host(host).zone
            self.say(f"Cassandra {host} ({zone}): it is in shard {shard}, next event {rows[0][0]}")

    async def pending(self) -> None:
        """Step 2."""
        described = (await self.handle.describe()).raw_description
        task = described.pending_workflow_task
        must(
            task.state == PendingWorkflowTaskState.PENDING_WORKFLOW_TASK_STATE_SCHEDULED,
            f"its first task is not waiting: {task}",
        )
        seen = described.workflow_execution_info
        must(seen.task_queue == self.queue, f"its task queue is {seen.task_queue}")
        self.say(f"describe: task scheduled, not started, attempt {task.attempt}, on queue {seen.task_queue}")

        async def listed() -> list[str]:
            rows = self.client.list_workflows(f"WorkflowId = '{self.workflow_id}'")
            return [row.task_queue async for row in rows if row.status == WorkflowExecutionStatus.RUNNING]

        queues = await until("it is in the list of running workflows", listed)
        must(queues == [self.queue], f"the list shows {queues}")
        self.say(f"list of workflows: running, on queue {queues[0]}")
        primary = self.view.database_primary()
        rows = self.view.query(
            primary,
            "temporal_visibility",
            f"select status, task_queue from executions_visibility where workflow_id = '{self.workflow_id}'",
        )
        must(rows and rows[0][1] == self.queue, f"the visibility database has {rows}")
        self.say(f"PostgreSQL {primary}, visibility: status {rows[0][0]} (running), queue {rows[0][1]}")

    async def poll(self) -> None:
        """Step 3."""
        started_at = time.time()
        commands = [
            asyncio.to_thread(self.view.on, worker.host, f"systemctl start '{worker.unit}'") for worker in self.workers
        ]
        await asyncio.gather(*commands)
        servers = await self.spread_workers()
        self.facts.worker_servers = {worker.identity: server for worker, server in servers.items()}
        for worker, server in servers.items():
            self.say(f"worker {worker.identity} -> {self.view.vip} -> server {server}")
        for kind in KINDS:
            pollers = await self.pollers_since(kind, {worker.identity for worker in self.workers}, started_at)
            self.say(f"{self.queue}, {kind} tasks are asked for by {', '.join(sorted(pollers))}")

    async def progress(self) -> model.Progress:
        """What the workflow itself says about its state."""
        return await self.handle.query(ConfigureNetwork.progress, rpc_timeout=ANSWER_TIMEOUT)

    async def win(self) -> None:
        """Step 4."""

        async def held() -> bool:
            return (await self.progress()).stage == HOLD

        await until(f"{self.workflow_id} waits for approval", held)
        events = await self.events()
        first = [
            event.workflow_task_started_event_attributes
            for event in events
            if event.event_type == EventType.EVENT_TYPE_WORKFLOW_TASK_STARTED
            and event.workflow_task_started_event_attributes.scheduled_event_id == _first_task(events)
        ]
        must(len(first) == 1, f"the first task was started {len(first)} times")
        self.facts.winner = first[0].identity
        known = {worker.identity for worker in self.workers}
        must(self.facts.winner in known, f"{self.facts.winner} is not one of {', '.join(sorted(known))}")
        self.say(f"history: the task of {self.workflow_id} was started once, by {self.facts.winner}")
        given: dict[Task, str] = {("", 1): self.facts.winner}
        for event in events:
            if event.event_type == EventType.EVENT_TYPE_ACTIVITY_TASK_STARTED:
                started = event.activity_task_started_event_attributes
                scheduled = _event(events, started.scheduled_event_id).activity_task_scheduled_event_attributes
                must(started.identity in known, f"event {event.event_id} names {started.identity}")
                given[scheduled.activity_id, started.attempt] = started.identity
                attempt = f" at attempt {started.attempt}" if started.attempt > 1 else ""
                self.say(f"history: activity {scheduled.activity_type.name} was done by {started.identity}{attempt}")
        self.facts.begun = await self.begun(sum(attempt for _, attempt in given))
        for identity, tasks in self.facts.begun.items():
            activities = len(tasks) - tasks.count(("", 1))
            self.say(f"journal of {identity}: workflow begun {len(tasks) - activities} times, activities {activities}")
        wrong = contradictions(self.facts.begun, given)
        must(not wrong, "; ".join(wrong))

    async def begun(self, tasks: int) -> dict[str, list[Task]]:
        """Wait until the journals of the workers tell of so many ``tasks`` of the workflow; return those of each."""

        async def look() -> dict[str, list[Task]]:
            journals = {worker.identity: self.view.journal(worker, self.workflow_id) for worker in self.workers}
            found = {identity: tasks_in(journal, self.workflow_id) for identity, journal in journals.items()}
            return found if sum(map(len, found.values())) >= tasks else {}

        return await until(f"the journals of the workers tell of {tasks} tasks of {self.workflow_id}", look)

    async def survive(self) -> None:
        """Step 5."""
        progress = await self.progress()
        before = await self.events()
        victim, moved = await self.common_server()
        self.facts.killed, self.facts.moved_worker = victim, moved.identity
        self.say(f"{self.workflow_id}: {progress.stage}, {len(progress.commits)} devices have their configuration")
        self.lab("kill-host", victim, "--for", str(FAULT_SECONDS))
        died, died_at = time.monotonic(), time.time()
        self.say(f"{victim} is dead: the client and {moved.identity} were connected to it")

        self.facts.moved_to = await until(
            f"{moved.identity} is connected to another server", lambda: self.other_server(moved, victim)
        )
        self.say(f"after {time.monotonic() - died:.1f} s {moved.identity} -> {self.facts.moved_to}")
        await self.pollers_since("workflow", {moved.identity}, died_at)
        self.say(f"after {time.monotonic() - died:.1f} s it asks {self.queue} for tasks again")

        after = await until("the workflow answers", self.progress)
        must(after == progress, f"its state was {progress} and is {after}")
        self.facts.client_moved_to = await self.server_of_client()
        must(self.facts.client_moved_to != victim, f"the balancer still has the client on {victim}")
        moment = time.monotonic() - died
        self.say(f"after {moment:.1f} s the client, now -> {self.facts.client_moved_to}, sees the same state")
        await self.handle.signal(ConfigureNetwork.approve, CLIENT)
        outcome = await asyncio.wait_for(self.handle.result(), SETTLE_SECONDS)
        self.facts.outcome, self.facts.expected = outcome, model.expected_outcome(self.change)
        must(outcome == self.facts.expected, f"the result is {outcome}, expected {self.facts.expected}")
        events = await self.events()
        must(events[: len(before)] == before, "the history from before the death is not the same any more")
        self.say(
            f"after {time.monotonic() - died:.1f} s: {outcome.status}, all {len(outcome.commits)} commits are right"
        )
        self.say(f"its history has {len(events)} events; the first {len(before)} are those from before the death")

    async def heal(self) -> None:
        """End the fault, start the workers that are stopped and wait until the balancer has all servers again."""
        print("\nAll hosts come back", flush=True)
        self.lab("heal")
        for worker in self.workers:
            if worker.host in self.view.answering([worker.host]):
                self.view.on(worker.host, f"systemctl start '{worker.unit}'")

        async def all_up() -> dict[str, str]:
            states = self.view.server_states()
            return states if states and set(states.values()) == {"UP"} else {}

        states = await until("the balancer has all servers UP", all_up)
        self.say(f"the balancer has {', '.join(f'{server} {text}' for server, text in states.items())}")
        servers = set(self.view.members("temporal_servers"))

        # A frontend serves before its neighbour has joined the ring of shards.
        async def all_joined() -> bool:
            return self.view.history_members() == servers

        await until("every server shares the history shards again", all_joined)
        self.say("every server has its share of the history shards again")

    def lab(self, *words: str) -> None:
        """Run a command of the lab."""
        command = [sys.executable, "-m", "lab", *words, "--name", self.view.lab.name]
        done = subprocess.run(command, cwd=state.REPOSITORY, capture_output=True, text=True, check=False)
        must(done.returncode == 0, f"lab {' '.join(words)}: {done.stderr.strip() or done.stdout.strip()}")

    async def events(self) -> list[HistoryEvent]:
        """The history of the workflow."""
        return list((await self.handle.fetch_history()).events)

    async def server_of_client(self) -> str:
        """The server behind this program's connection to the virtual address."""

        async def look() -> str:
            await self.client.service_client.check_health()
            sessions = self.view.sessions()
            return next((sessions[local] for local in self.view.own_connections() if local in sessions), "")

        return await until("the balancer knows the connection of the client", look)

    async def other_server(self, worker: Worker, dead: str) -> str:
        """The server of ``worker``, an empty text while that is none or the dead one."""
        server = self.view.servers_of([worker])[worker]
        return server if server and server != dead else ""

    async def pollers_since(self, kind: str, wanted: set[str], since: float) -> set[str]:
        """Wait until all ``wanted`` identities have asked the queue for tasks after ``since`` (Unix time)."""

        async def look() -> set[str]:
            answer = await self.client.workflow_service.describe_task_queue(
                DescribeTaskQueueRequest(
                    namespace=self.client.namespace,
                    task_queue=TaskQueue(name=self.queue),
                    api_mode=DescribeTaskQueueMode.DESCRIBE_TASK_QUEUE_MODE_ENHANCED,
                    task_queue_types=[KINDS[kind]],
                    report_pollers=True,
                ),
                timeout=ANSWER_TIMEOUT,
            )
            seen = {identity for identity, at in _workers.last_polls(answer).items() if at >= since}
            return seen & wanted if wanted <= seen else set()

        return await until(f"{', '.join(sorted(wanted))} ask {self.queue} for {kind} tasks", look)

    async def spread_workers(self) -> dict[Worker, str]:
        """Wait until every worker is connected, on as many servers as there are, and return the servers.

        The balancer gives a new connection to the server with the fewest, whoever made them; where two workers still
        share a server, the balancer is told to give the next connection to a free one, and one of them is restarted.
        """

        async def connected() -> dict[Worker, str | None]:
            found = self.view.servers_of(self.workers)
            return found if all(found.values()) else {}

        servers = await until("every worker is connected", connected)
        every = self.view.members("temporal_servers")
        for _ in range(ATTEMPTS):
            taken = [server for server in servers.values() if server]
            free = [server for server in every if server not in taken]
            doubled = [worker for worker, server in servers.items() if taken.count(server or "") > 1]
            if not free or not doubled:
                break
            await self.move(doubled[-1], free[0])
            servers = await until("every worker is connected", connected)
        used = {server for server in servers.values() if server}
        must(len(used) == min(len(every), len(self.workers)), f"the workers are on {', '.join(sorted(used))} only")
        return {worker: server or "" for worker, server in servers.items()}

    async def move(self, worker: Worker, server: str) -> None:
        """Let a worker connect anew while the balancer sends new connections to ``server`` alone."""
        others = [name for name in self.view.server_states() if name != server]
        try:
            for name in others:
                self.view.balancer(f"set server temporal_frontend/{name} state drain")
            self.view.on(worker.host, f"systemctl restart '{worker.unit}'")
            await until(f"{worker.identity} is connected", lambda: self.other_server(worker, ""))
        finally:
            for name in others:
                self.view.balancer(f"set server temporal_frontend/{name} state ready")
        self.say(f"worker {worker.identity} shared its server with another and was moved to {server}")

    async def common_server(self) -> tuple[str, Worker]:
        """The server that the client and a worker of another host are connected to, and that worker."""
        victim = await self.server_of_client()
        servers = self.view.servers_of(self.workers)
        candidates = [worker for worker in self.workers if worker.host != victim]
        shared = [worker for worker in candidates if servers[worker] == victim]
        if not shared:
            # Where workers stand on the hosts of servers, the one on this server may stand on its host.
            await self.move(candidates[0], victim)
            shared = candidates[:1]
        return victim, shared[0]


def _first_task(events: list[HistoryEvent]) -> int:
    return next(row.event_id for row in events if row.event_type == EventType.EVENT_TYPE_WORKFLOW_TASK_SCHEDULED)


def _event(events: list[HistoryEvent], event_id: int) -> HistoryEvent:
    return next(row for row in events if row.event_id == event_id)


def main() -> int:
    """Run the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--name", default="lab", help="name of the lab (default: lab)")
    options = parser.parse_args()
    try:
        facts = asyncio.run(Flow(View(state.load(options.name))).run())
    except (FlowError, ViewError, LabError) as error:
        print(f"flow: error: {error}", file=sys.stderr)
        return 1
    print(f"\nWorkflow_A: {facts.outcome.status if facts.outcome else ''}; all five steps hold.", flush=True)
    return 0


if __name__ == "__main__":
    leave(main())
