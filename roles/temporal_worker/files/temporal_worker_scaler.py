"""Let the instances of the worker deployments of this host follow the load; temporal_worker_policy.py decides.

Every few seconds, and as soon as the slots of this host fill, it asks the cluster for the statistics of each task queue
and the instances of this host for the slots that they use, and has instances started or stopped between the bounds of
the deployment. It knows of no other host, keeps nothing on disk, and leaves everything as it is when it ends, so it can
be stopped and started at any time.

    temporal_worker_scaler.py [SETTINGS]    /etc/temporal-workers/scaling.json, read again whenever it changes

It has no rights but those of the workers: temporal_worker_control.py behind a socket starts and stops units.
Exit codes: 0 stopped as asked, 2 the settings cannot be used.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
import re
import signal
import sys
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path

import temporal_worker_policy as policy
from temporal_worker_runner import CONNECT_TIMEOUT, KEEP_ALIVE, STOPPED, UNUSABLE, TlsFiles, UnusableError, leave
from temporalio.api.enums.v1 import DescribeTaskQueueMode, TaskQueueType
from temporalio.api.taskqueue.v1 import TaskQueue, TaskQueueVersionSelection
from temporalio.api.workflowservice.v1 import DescribeTaskQueueRequest, DescribeTaskQueueResponse
from temporalio.service import ConnectConfig, RPCError, ServiceClient

log = logging.getLogger("temporal_worker_scaler")

SETTINGS = Path("/etc/temporal-workers/scaling.json")
CONTROL = Path("/run/temporal-sdk-worker-control.sock")
CALL_TIMEOUT = timedelta(seconds=3)
LOCAL_TIMEOUT_SECONDS = 2.0
# From one look at the slots of this host to the next, between two rounds.
LOOK_SECONDS = 1.0
CONTROL_TIMEOUT_SECONDS = 10.0
LONGEST_LINE = 1 << 20

# How the SDK calls in its metrics the slots for each kind of tasks.
WORKER_TYPES = {"workflow": "WorkflowWorker", "activity": "ActivityWorker"}
SLOTS = re.compile(r'^temporal_worker_task_slots_(used|available)\{.*\bworker_type="(\w+)".*\} (\S+)$', re.MULTILINE)


def _frozen(value: object) -> object:
    return tuple(map(_frozen, value)) if isinstance(value, list) else value


@dataclass(frozen=True)
class Deployment:
    """One worker deployment of this host, or one build of a versioned one, as the settings have it.

    ``hosts``: how many hosts of the inventory run it. ``units``: all instances, of which the first ``fewest`` always
    run; ``metrics``: for each the ``host:port`` where its metrics may be, if no other build has it. ``build``: how they
    are told from those of others. ``version``: whose tasks count, as the server calls it; all of the task queue when it
    is empty.
    """

    name: str
    namespace: str
    task_queue: str
    build: str
    version: str
    kinds: tuple[str, ...]
    fewest: int
    hosts: int
    units: tuple[str, ...]
    metrics: tuple[tuple[str, ...], ...]
    token: str = field(default="", repr=False)

    @classmethod
    def from_row(cls, row: Mapping[str, object]) -> Deployment:
        """Return the deployment with lists as tuples.

        Raises:
            TypeError: something is missing or too much.
        """
        return cls(**{name: _frozen(value) for name, value in row.items()})

    def bounds(self, unusable: Iterable[str]) -> policy.Bounds:
        """Return the bounds of the policy when the units ``unusable`` cannot be started.

        The fewest count as running whatever they do, so one of them takes the place of no other.
        """
        return policy.Bounds(self.fewest, len(self.units) - len({*self.units[self.fewest :]} & {*unusable}), self.hosts)


@dataclass(frozen=True)
class Settings:
    """What the role wrote."""

    addresses: tuple[str, ...]
    tls: TlsFiles
    deployments: tuple[Deployment, ...]
    dry_run: bool
    interval_seconds: float
    calm_seconds: float
    metrics_address: str

    @property
    def rules(self) -> policy.Rules:
        """Return the rules of the policy: it goes down so slowly, too, that there are four steps in a calm."""
        return policy.Rules(calm_seconds=self.calm_seconds, down_pause_seconds=self.calm_seconds / 4)

    @classmethod
    def from_text(cls, text: str) -> Settings:
        """Read the settings.

        Raises:
            UnusableError: something is missing or is not what it should be.
        """
        try:
            values = json.loads(text)
            return cls(
                addresses=tuple(values["addresses"]),
                tls=TlsFiles(**values["tls"]),
                deployments=tuple(map(Deployment.from_row, values["deployments"])),
                dry_run=bool(values["dry_run"]),
                interval_seconds=float(values["interval_seconds"]),
                calm_seconds=float(values["calm_seconds"]),
                metrics_address=str(values["metrics_address"]),
            )
        except (ValueError, KeyError, TypeError) as error:
            raise UnusableError(f"the settings cannot be used: {type(error).__name__}: {error}") from error


def question(deployment: Deployment) -> DescribeTaskQueueRequest:
    """Return what the cluster is asked about the task queue of ``deployment``.

    Of what waits for no version yet, the server counts for each its share in the routing, and for none what waits for
    the others (``describe`` in its ``service/matching/task_queue_partition_manager.go``).
    """
    return DescribeTaskQueueRequest(
        namespace=deployment.namespace,
        task_queue=TaskQueue(name=deployment.task_queue),
        api_mode=DescribeTaskQueueMode.DESCRIBE_TASK_QUEUE_MODE_ENHANCED,
        task_queue_types=[TaskQueueType.Value(f"TASK_QUEUE_TYPE_{kind.upper()}") for kind in deployment.kinds],
        report_stats=True,
        report_pollers=True,
        versions=TaskQueueVersionSelection(build_ids=[deployment.version]) if deployment.version else None,
    )


def queues_of(answer: DescribeTaskQueueResponse) -> dict[str, policy.Queue]:
    """Return the statistics by kind of tasks, those of all versions of workers in ``answer`` together."""
    found: dict[str, policy.Queue] = {}
    for version in answer.versions_info.values():
        for number, of_kind in version.types_info.items():
            kind = TaskQueueType.Name(number).removeprefix("TASK_QUEUE_TYPE_").lower()
            stats, before = of_kind.stats, found.get(kind, policy.Queue())
            found[kind] = policy.Queue(
                backlog=before.backlog + stats.approximate_backlog_count,
                age_seconds=max(before.age_seconds, stats.approximate_backlog_age.ToMilliseconds() / 1000),
                add_rate=before.add_rate + stats.tasks_add_rate,
                dispatch_rate=before.dispatch_rate + stats.tasks_dispatch_rate,
                pollers=before.pollers + len(of_kind.pollers),
            )
    return found


def slots_of(texts: Sequence[str], kinds: Iterable[str]) -> tuple[dict[str, policy.Slots], int]:
    """Return the slots of all instances by kind, and how many told them; ``texts`` are their metrics."""
    told = 0
    sums = {kind: [0, 0] for kind in kinds}
    for text in texts:
        values = {(found[2], found[1]): int(float(found[3])) for found in SLOTS.finditer(text)}
        if not all((WORKER_TYPES[kind], state) in values for kind in sums for state in ("used", "available")):
            continue
        told += 1
        for kind, total in sums.items():
            used = values[WORKER_TYPES[kind], "used"]
            total[0] += used
            total[1] += used + values[WORKER_TYPES[kind], "available"]
    return {kind: policy.Slots(used, total) for kind, (used, total) in sums.items()} if told else {}, told


def own_metrics(texts: Sequence[str], build: str) -> str:
    """Return those of the metrics of builds side by side that are of ``build``, an empty text where none are.

    A program of its own may not say of which build it is; then the first that do not.
    """
    labelled = [text for text in texts if f'worker_build="{build}"' in text]
    return next(iter(labelled or [text for text in texts if text and "worker_build=" not in text]), "")


@dataclass
class State:
    """What the agent knows of a deployment from one round to the next."""

    memory: policy.Memory = field(default_factory=policy.Memory)
    queues: dict[str, policy.Queue] = field(default_factory=dict)
    read_at: float | None = None
    seen: policy.Seen | None = None
    decision: policy.Decision | None = None
    addresses: list[Sequence[str]] = field(default_factory=list)
    decisions: dict[str, int] = field(default_factory=lambda: dict.fromkeys((policy.UP, policy.DOWN, policy.HOLD), 0))
    said: str = ""

    def line(self, name: str, running: int, dry_run: bool) -> str:
        """Return what is to be logged of the decision, an empty text when it is the one before once more."""
        decision = self.decision
        assert decision is not None
        what = f"{'would go ' if dry_run else ''}{decision.action} from {running} to {decision.instances}"
        if decision.instances == running:
            what = f"stays at {running}"
        text = f"{name}: {what}{' (dry run)' if dry_run else ''}: {decision.reason}"
        # Figures that change do not make another decision of it.
        shape = re.sub(r"[\d.]+", "0", text)
        if shape == self.said and (dry_run or decision.instances == running):
            return ""
        self.said = shape
        return text


HELP = {
    "running": "Instances that run on this host.",
    "wanted": "Instances that were wanted in the last round.",
    "backlog": "Tasks that wait in the whole cluster.",
    "backlog_age_seconds": "How long the oldest of them has waited.",
    "slots_used": "Slots of this host that are in use.",
    "slots": "Slots of this host.",
    "statistics_age_seconds": "How old the statistics of the server are.",
    "decisions_total": "Decisions since the agent started.",
}


def exposition(states: Mapping[str, State], now: float) -> str:
    """Return the metrics in the text format of Prometheus."""
    rows: dict[str, list[tuple[str, float]]] = {name: [] for name in HELP}
    for name, state in states.items():
        own = f'deployment="{name}"'
        for action, count in state.decisions.items():
            rows["decisions_total"].append((f'{own},action="{action}"', count))
        if state.read_at is not None:
            rows["statistics_age_seconds"].append((own, round(now - state.read_at, 1)))
        if state.seen and state.decision:
            rows["running"].append((own, state.seen.instances))
            rows["wanted"].append((own, state.decision.instances))
            for kind, slots in state.seen.slots.items():
                rows["slots_used"].append((f'{own},kind="{kind}"', slots.used))
                rows["slots"].append((f'{own},kind="{kind}"', slots.total))
        for kind, queue in state.queues.items():
            rows["backlog"].append((f'{own},kind="{kind}"', queue.backlog))
            rows["backlog_age_seconds"].append((f'{own},kind="{kind}"', queue.age_seconds))
    lines = []
    for name, values in rows.items():
        full = f"temporal_worker_scaler_{name}"
        lines += [f"# HELP {full} {HELP[name]}", f"# TYPE {full} {'counter' if name.endswith('_total') else 'gauge'}"]
        lines += [f"{full}{{{labels}}} {value:g}" for labels, value in values]
    return "\n".join(lines) + "\n"


async def http_get(address: str) -> str:
    """Return what ``address`` answers to ``GET /metrics``, an empty text when it does not, as one that starts."""
    host, _, port = address.rpartition(":")
    try:
        async with asyncio.timeout(LOCAL_TIMEOUT_SECONDS):
            reader, writer = await asyncio.open_connection(host.strip("[]"), int(port))
            try:
                writer.write(f"GET /metrics HTTP/1.0\r\nHost: {host}\r\n\r\n".encode())
                return (await reader.read(-1)).decode(errors="replace")
            finally:
                writer.close()
    except (OSError, TimeoutError):
        return ""


async def ask_slots(
    addresses: Iterable[Sequence[str]], build: str, kinds: Iterable[str]
) -> tuple[dict[str, policy.Slots], int]:
    """Return the slots of instances of ``build``, each at one of its ``addresses``, as :func:`slots_of` does."""

    async def ask(candidates: Sequence[str]) -> str:
        return own_metrics(await asyncio.gather(*map(http_get, candidates)), build)

    return slots_of(await asyncio.gather(*map(ask, addresses)), kinds)


async def ask_control(wanted: Mapping[str, int], path: Path = CONTROL) -> dict[str, dict[str, list[str]]]:
    """Have ``wanted`` instances, by deployment, started or stopped; return what ran before.

    Raises:
        OSError: it cannot be asked, or refuses; the message says why.
    """
    async with asyncio.timeout(CONTROL_TIMEOUT_SECONDS):
        reader, writer = await asyncio.open_unix_connection(path, limit=LONGEST_LINE)
        try:
            writer.write(json.dumps(wanted).encode() + b"\n")
            text = await reader.readline()
        finally:
            writer.close()
    try:
        answer = json.loads(text)
    except ValueError as error:
        raise OSError(f"it answered {text!r}") from error
    if "error" in answer:
        raise OSError(answer["error"])
    return answer


class Server:
    """The cluster, of which statistics are asked."""

    def __init__(self) -> None:
        """Nothing is connected yet."""
        self._client: ServiceClient | None = None
        self._turn = 0

    def forget(self) -> None:
        """Connect anew the next time, to the next address."""
        self._client = None
        self._turn += 1

    async def queues(self, settings: Settings, deployment: Deployment) -> dict[str, policy.Queue]:
        """Return the statistics of the task queue of ``deployment`` by kind.

        Raises:
            OSError, RuntimeError: the cluster does not tell them.
        """
        client = self._client = self._client or await self._connect(settings)
        answer = await client.workflow_service.describe_task_queue(
            question(deployment),
            metadata={"authorization": f"Bearer {deployment.token}"} if deployment.token else {},
            timeout=CALL_TIMEOUT,
        )
        return queues_of(answer)

    async def _connect(self, settings: Settings) -> ServiceClient:
        address = settings.addresses[self._turn % len(settings.addresses)]
        config = ConnectConfig(
            target_host=address,
            tls=settings.tls.read(),
            keep_alive_config=KEEP_ALIVE,
            identity="temporal_worker_scaler",
        )
        return await asyncio.wait_for(ServiceClient.connect(config), CONNECT_TIMEOUT.total_seconds())


class Scaler:
    """The agent: what it was told, what it knows, and one round of its work."""

    def __init__(self, path: Path) -> None:
        """Read the settings.

        Raises:
            UnusableError, OSError: they cannot be used or read.
        """
        self._path = path
        self._text = path.read_text(encoding="utf-8")
        self.settings = Settings.from_text(self._text)
        self.states: dict[str, State] = {}
        self._server = Server()
        self._complaints: dict[str, str] = {}

    def read_settings(self) -> None:
        """Take over settings that have changed; keep the former ones when the new ones cannot be used."""
        with self._complaining("settings"):
            text = self._path.read_text(encoding="utf-8")
            if text != self._text:
                self.settings, self._text = Settings.from_text(text), text
                self._server.forget()
                log.info("the settings were replaced")
        names = [deployment.name for deployment in self.settings.deployments]
        self.states = {name: self.states.get(name) or State() for name in names}

    @contextlib.contextmanager
    def _complaining(self, about: str) -> Iterator[None]:
        """Log a failure once, and that it is over."""
        try:
            yield
        except (OSError, RuntimeError, RPCError, UnusableError) as error:  # TimeoutError is an OSError
            words = str(error).splitlines()[0] if str(error) else type(error).__name__
            if self._complaints.get(about) != words:
                log.warning("%s: %s", about, words)
            self._complaints[about] = words
        else:
            if self._complaints.pop(about, None):
                log.info("%s: it works again", about)

    async def round(self) -> None:
        """Look, decide, and have it done."""
        self.read_settings()
        units: dict[str, dict[str, list[str]]] | None = None
        with self._complaining("units"):
            units = await ask_control({})
        if units is None:
            return
        wishes = {}
        for deployment in self.settings.deployments:
            wanted = await self._decide(deployment, units.get(deployment.name, {"running": [], "unusable": []}))
            if wanted is not None:
                wishes[deployment.name] = wanted
        if wishes and not self.settings.dry_run:
            with self._complaining("units"):
                await ask_control(wishes)

    async def _decide(self, deployment: Deployment, units: Mapping[str, Sequence[str]]) -> int | None:
        """Return how many instances are wanted, ``None`` when it stays as it is."""
        state = self.states[deployment.name]
        with self._complaining(f"statistics of {deployment.task_queue} in {deployment.namespace}"):
            try:
                state.queues = await self._server.queues(self.settings, deployment)
                state.read_at = time.monotonic()
            except Exception:
                self._server.forget()
                raise
        state.addresses = [
            addresses
            for unit, addresses in zip(deployment.units, deployment.metrics, strict=True)
            if unit in units["running"]
        ]
        slots, told = await ask_slots(state.addresses, deployment.build, deployment.kinds)
        # Those that always run are systemd's affair, also when it just restarts one of them.
        running = deployment.fewest + sum(unit in units["running"] for unit in deployment.units[deployment.fewest :])
        state.seen = policy.Seen(time.monotonic(), running, state.read_at, state.queues, slots, told)
        bounds = deployment.bounds(units["unusable"])
        state.decision, state.memory = policy.decide(state.seen, bounds, state.memory, self.settings.rules)
        state.decisions[state.decision.action] += 1
        if line := state.line(deployment.name, running, self.settings.dry_run):
            log.info("%s", line)
        return state.decision.instances if state.decision.action != policy.HOLD else None

    async def slots_fill(self) -> bool:
        """Tell whether slots of a deployment are taken now of which enough were free in the last round."""
        for deployment in self.settings.deployments:
            state = self.states.get(deployment.name)
            if state is None or state.seen is None or state.seen.instances >= len(deployment.units):
                continue
            if policy.are_taken(state.seen.slots):
                continue
            slots, _ = await ask_slots(state.addresses, deployment.build, deployment.kinds)
            if policy.are_taken(slots):
                return True
        return False


async def wait(scaler: Scaler, stop: asyncio.Event, until: float) -> None:
    """Return at ``until``, on ``stop``, or as soon as slots fill: only the host itself is asked meanwhile."""
    while (pause := until - time.monotonic()) > 0:
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(stop.wait(), min(pause, LOOK_SECONDS))
        if stop.is_set() or await scaler.slots_fill():
            return


async def serve_metrics(scaler: Scaler) -> None:
    """Answer on the address of the metrics, for as long as the agent runs."""

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        # Whatever the other side does: OSError and TimeoutError, EOFError, and more than the buffer holds.
        with contextlib.suppress(OSError, EOFError, asyncio.LimitOverrunError):
            await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), LOCAL_TIMEOUT_SECONDS)
            body = exposition(scaler.states, time.monotonic()).encode()
            head = f"HTTP/1.0 200 OK\r\nContent-Type: text/plain; version=0.0.4\r\nContent-Length: {len(body)}\r\n\r\n"
            writer.write(head.encode() + body)
            await writer.drain()
        writer.close()

    host, _, port = scaler.settings.metrics_address.rpartition(":")
    server = await asyncio.start_server(answer, host.strip("[]"), int(port))
    await server.serve_forever()


async def run(scaler: Scaler) -> int:
    """Go round until a signal; return the exit code."""
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    metrics = asyncio.ensure_future(serve_metrics(scaler)) if scaler.settings.metrics_address else None
    while not stop.is_set():
        began = time.monotonic()
        await scaler.round()
        await wait(scaler, stop, began + scaler.settings.interval_seconds)
        if metrics and metrics.done():
            # The port is taken, for example: what has no metrics still scales.
            log.warning("no metrics on %s: %s", scaler.settings.metrics_address, metrics.exception())
            metrics = None
    log.info("stopped; the instances stay as they are")
    return STOPPED


def main(arguments: Sequence[str]) -> int:
    """Run the program; return its exit code."""
    logging.basicConfig(stream=sys.stdout, level=logging.INFO, format="%(levelname)s %(name)s: %(message)s")
    try:
        scaler = Scaler(Path(arguments[0]) if arguments else SETTINGS)
    except (UnusableError, OSError) as error:
        print(f"error: {error}", file=sys.stderr)
        return UNUSABLE
    # Whatever ends it later is no reason to stay away: systemd starts it again.
    return asyncio.run(run(scaler))


if __name__ == "__main__":
    leave(main(sys.argv[1:]))
