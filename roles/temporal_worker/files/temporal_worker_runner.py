"""Serve a Temporal task queue with plain ``@workflow.defn`` and ``@activity.defn`` modules, as a systemd service.

    runner.py            serve until SIGTERM or SIGINT, then let running tasks end
    runner.py --check    import what is to be served and end; exit code 2 and the reason when that fails

Everything comes from the environment. Connection (the names that Temporal's own tools read):
    TEMPORAL_ADDRESS                            host:port of a frontend or of a balancer in front of them
    TEMPORAL_NAMESPACE                          namespace
    TEMPORAL_TLS_SERVER_CA_CERT_PATH            certificate authority of the frontend; TLS is used when it is given
    TEMPORAL_TLS_CLIENT_CERT_PATH, TEMPORAL_TLS_CLIENT_KEY_PATH    client certificate and its key
    TEMPORAL_TLS_SERVER_NAME                    name that the certificate of the frontend carries
    TEMPORAL_API_KEY                            token for a frontend that asks for one besides the certificate
Worker:
    TEMPORAL_WORKER_OTHER_ADDRESSES             further addresses, separated by spaces, tried in turn
    TEMPORAL_WORKER_IDENTITY                    who polls, for example networking:1.0.0@worker-a#1
    TEMPORAL_WORKER_TASK_QUEUE                  task queue
    TEMPORAL_WORKER_WORKFLOWS                   module (all its workflows) or module:Class, separated by spaces
    TEMPORAL_WORKER_ACTIVITIES                  module (all its activities), module:function, or module:Class, whose
                                                methods are served by an instance made without arguments
    TEMPORAL_WORKER_BUILD                       build, as a label of the metrics
    TEMPORAL_WORKER_DEPLOYMENT                  deployment of versioned workers, which have a build, too
    TEMPORAL_WORKER_VERSIONING_BEHAVIOR         for workflows that do not say it themselves: pinned (they end on the
                                                build that began them) or auto_upgrade (they move to the current one)
    TEMPORAL_WORKER_DECLARED_BUILDS             file with the declared build of each deployment, as JSON; a versioned
                                                build that is none of them ends when it has drained (none: it goes on)
    TEMPORAL_WORKER_DRAINED_CHECK_SECONDS       about how often such a build asks whether it has drained (300)
    TEMPORAL_WORKER_GRACEFUL_SHUTDOWN_SECONDS   time that running activities get to end (30)
    TEMPORAL_WORKER_MAX_CONCURRENT_ACTIVITIES, TEMPORAL_WORKER_MAX_CONCURRENT_WORKFLOW_TASKS    slots (100 each)
    TEMPORAL_WORKER_TARGET_MEMORY_PERCENT, TEMPORAL_WORKER_TARGET_CPU_PERCENT    give out slots, up to these many, while
                                                the host uses less than both (none: always that many)
    TEMPORAL_WORKER_MAX_CACHED_WORKFLOWS        workflows kept in memory between their tasks (1000)
    TEMPORAL_WORKER_METRICS_ADDRESS             host:port of Prometheus metrics, none when empty; of several,
                                                separated by spaces, the first that is free, and none when none is
    TEMPORAL_WORKER_LOG_LEVEL                   INFO

Exit codes: 0 stopped as asked, 1 the worker failed or tasks outlived their time, 2 it cannot be served as configured,
3 nobody needs its build any more.
"""

from __future__ import annotations

import asyncio
import contextlib
import importlib
import json
import logging
import os
import random
import signal
import sys
import threading
import time
import zlib
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import Any, NoReturn

from temporalio.api.deployment.v1 import WorkerDeploymentVersion as Version
from temporalio.api.enums.v1 import VersionDrainageStatus
from temporalio.api.workflowservice.v1 import CountWorkflowExecutionsRequest, DescribeWorkerDeploymentVersionRequest
from temporalio.client import Client, WorkflowHistory
from temporalio.common import VersioningBehavior, WorkerDeploymentVersion
from temporalio.runtime import PrometheusConfig, Runtime, TelemetryConfig
from temporalio.service import KeepAliveConfig, RetryConfig, RPCError, TLSConfig
from temporalio.worker import (
    ActivityInboundInterceptor,
    ExecuteActivityInput,
    Interceptor,
    PollerBehaviorAutoscaling,
    Replayer,
    ResourceBasedSlotConfig,
    Worker,
    WorkerDeploymentConfig,
    WorkerTuner,
)

log = logging.getLogger("temporal_worker")

STOPPED, FAILED, UNUSABLE, RETIRED = 0, 1, 2, 3

# The SDK marks definitions with these attributes; it has no public way to list those of a module.
WORKFLOW, ACTIVITY = "__temporal_workflow_definition", "__temporal_activity_definition"

# A probe every 3 s does three things. On a connection whose balancer has died and whose address has moved on it makes
# a packet, and the answer (a reset) ends every waiting poll at once. It is how this program knows that it must look for
# another server. And its answers keep the server content with the short keepalive below: a server closes a connection
# that pings more often than every 10 s (frontend.keepAliveMinTime) while no call is answered on it.
PROBE_INTERVAL = timedelta(seconds=3)
PROBE_TIMEOUT = timedelta(seconds=2)
PROBES_UNTIL_LOST = 2

# Behind a balancer that lives, a dead server shows as silence, and only the keepalive ends the polls that wait for it:
# the SDK's 30 s and 15 s would leave the worker without work for up to 45 s, these for up to 8 s.
KEEP_ALIVE = KeepAliveConfig(interval_millis=5000, timeout_millis=3000)
CONNECT_TIMEOUT = timedelta(seconds=3)
QUESTION_TIMEOUT = timedelta(seconds=10)

# The result of a finished task is offered for 60 s, longer than a database takes to fail over with its host (26 s); the
# SDK's 10 s would lose it and the task would wait for its timeout.
RETRIES = RetryConfig(max_interval_millis=2000, max_elapsed_time_millis=60_000, max_retries=60)

# What activities may take beyond their grace to notice that they are cancelled. The worker of workflows stops after
# that of activities and has what is left of this time, at least so long. systemd kills 4 s later.
CANCELLATION_SECONDS = 10.0
WORKFLOWS_SECONDS = 15.0
# When one of the two fails, the other one ends soon: the process has to be started again.
FAILED_SECONDS = 30.0
RETRY_PAUSE_SECONDS = 1.0

# The SDK that stops (1.35.0) drops tasks that the server hands it before its polls have ended, and each waits for its
# timeout then. Of workflow tasks it takes what still comes for as long as it has one to do: so one is kept for a moment
# while it begins to stop (workflow_stream.rs, shutdown_done). A worker with less than one in a second has none to keep.
KEPT_SECONDS = 0.5
KEEP_WITHIN_SECONDS = 1.0
# Of activities it takes none any more when the first poll has ended without one (pollers/mod.rs, TaskPollerStream). So
# there is one poll. The server asks for more, up to what the SDK has always otherwise, when activities wait there or
# come faster than they go, and for less when a poll has waited for a second (makePollerScalingDecisionImpl).
ACTIVITY_POLLS = PollerBehaviorAutoscaling(minimum=1, initial=1, maximum=5)


class UnusableError(Exception):
    """What is configured cannot be served; the message says what and why."""


@dataclass(frozen=True)
class TlsFiles:
    """Files of the connection's TLS; certificates are read anew for every connection, so they may be replaced."""

    authority: str
    certificate: str
    key: str
    server_name: str

    def read(self) -> TLSConfig | bool:
        """Return the settings of the client with what the files hold now; ``False`` is a connection without TLS."""
        if not self.authority:
            return False
        return TLSConfig(
            server_root_ca_cert=Path(self.authority).read_bytes(),
            client_cert=Path(self.certificate).read_bytes() if self.certificate else None,
            client_private_key=Path(self.key).read_bytes() if self.key else None,
            domain=self.server_name or None,
        )


@dataclass(frozen=True)
class Settings:
    """What the environment asks for."""

    addresses: tuple[str, ...]
    namespace: str
    tls: TlsFiles
    identity: str
    task_queue: str
    workflows: tuple[str, ...]
    activities: tuple[str, ...]
    graceful_shutdown: timedelta
    max_concurrent_activities: int
    max_concurrent_workflow_tasks: int
    targets: tuple[float, float] | None
    max_cached_workflows: int
    metrics_addresses: tuple[str, ...]
    log_level: str
    build: str
    deployment: WorkerDeploymentConfig | None
    declared_builds: str
    drained_check_seconds: float
    token: str = field(repr=False)

    @classmethod
    def from_environment(cls, values: Mapping[str, str]) -> Settings:
        """Read the settings.

        Raises:
            UnusableError: a value is missing or is no number.
        """
        try:
            own = {
                name.removeprefix("TEMPORAL_WORKER_"): value
                for name, value in values.items()
                if name.startswith("TEMPORAL_WORKER_")
            }
            identity = own["IDENTITY"]
            addresses = (values["TEMPORAL_ADDRESS"], *own.get("OTHER_ADDRESSES", "").split())
            return cls(
                addresses=rotated(addresses, identity),
                namespace=values["TEMPORAL_NAMESPACE"],
                tls=TlsFiles(
                    *(
                        values.get(f"TEMPORAL_TLS_{name}", "")
                        for name in ("SERVER_CA_CERT_PATH", "CLIENT_CERT_PATH", "CLIENT_KEY_PATH", "SERVER_NAME")
                    )
                ),
                identity=identity,
                task_queue=own["TASK_QUEUE"],
                workflows=tuple(own.get("WORKFLOWS", "").split()),
                activities=tuple(own.get("ACTIVITIES", "").split()),
                graceful_shutdown=timedelta(seconds=float(own.get("GRACEFUL_SHUTDOWN_SECONDS", "30"))),
                max_concurrent_activities=int(own.get("MAX_CONCURRENT_ACTIVITIES", "100")),
                max_concurrent_workflow_tasks=int(own.get("MAX_CONCURRENT_WORKFLOW_TASKS", "100")),
                targets=targets(own),
                max_cached_workflows=int(own.get("MAX_CACHED_WORKFLOWS", "1000")),
                metrics_addresses=tuple(own.get("METRICS_ADDRESS", "").split()),
                log_level=own.get("LOG_LEVEL", "INFO").upper(),
                build=own.get("BUILD", ""),
                deployment=versioned(own),
                declared_builds=own.get("DECLARED_BUILDS", ""),
                drained_check_seconds=float(own.get("DRAINED_CHECK_SECONDS", "300")),
                token=values.get("TEMPORAL_API_KEY", ""),
            )
        except KeyError as error:
            name = error.args[0]
            prefix = "" if name.startswith("TEMPORAL_") else "TEMPORAL_WORKER_"
            raise UnusableError(f"the environment has no {prefix}{name}") from error
        except ValueError as error:
            raise UnusableError(f"a TEMPORAL_WORKER_* setting is not a number: {error}") from error


def targets(own: Mapping[str, str]) -> tuple[float, float] | None:
    """Return the shares of memory and processors, 0 to 1, up to which slots are given out; ``None`` for fixed slots.

    Raises:
        UnusableError: one of them is missing, or no share.
        ValueError: one of them is no number.
    """
    names = ("TARGET_MEMORY_PERCENT", "TARGET_CPU_PERCENT")
    given = [name for name in names if own.get(name)]
    if not given:
        return None
    if len(given) < len(names):
        raise UnusableError(f"of TEMPORAL_WORKER_{' and TEMPORAL_WORKER_'.join(names)} there is only one; give both")
    memory, processors = (float(own[name]) / 100 for name in names)
    if not (0 < memory <= 1 and 0 < processors <= 1):
        raise UnusableError(f"TEMPORAL_WORKER_{' and TEMPORAL_WORKER_'.join(names)} are from 1 to 100")
    return memory, processors


def versioned(own: Mapping[str, str]) -> WorkerDeploymentConfig | None:
    """Return of which build a versioned worker is, ``None`` for one that is not versioned.

    Raises:
        UnusableError: there is no such behaviour.
        KeyError: it has a deployment and no build.
    """
    if not own.get("DEPLOYMENT"):
        return None
    behaviour = own.get("VERSIONING_BEHAVIOR", "pinned").upper()
    if behaviour not in {"PINNED", "AUTO_UPGRADE"}:
        raise UnusableError(f"TEMPORAL_WORKER_VERSIONING_BEHAVIOR is {behaviour.lower()}, not pinned or auto_upgrade")
    return WorkerDeploymentConfig(
        version=WorkerDeploymentVersion(own["DEPLOYMENT"], own["BUILD"]),
        use_worker_versioning=True,
        default_versioning_behavior=VersioningBehavior[behaviour],
    )


def rotated(addresses: Sequence[str], identity: str) -> tuple[str, ...]:
    """Return ``addresses`` beginning at a place that depends on ``identity``, so that workers spread over them."""
    start = zlib.crc32(identity.encode()) % len(addresses)
    return (*addresses[start:], *addresses[:start])


def _definitions(reference: str, marker: str) -> list[Any]:
    """Return what carries ``marker`` among the members of the module, class or single object ``reference``.

    Raises:
        UnusableError: the import fails, the name does not exist, or nothing is found.
    """
    module_name, _, name = reference.partition(":")
    try:
        found = importlib.import_module(module_name)
    except Exception as error:  # whatever the package raises while it is imported
        raise UnusableError(f"{reference}: cannot import {module_name}: {type(error).__name__}: {error}") from error
    if name:
        if not hasattr(found, name):
            raise UnusableError(f"{reference}: module {module_name} has no {name}")
        found = getattr(found, name)
        if hasattr(found, marker):
            return [found]
        if isinstance(found, type):
            try:
                found = found()
            except Exception as error:
                raise UnusableError(f"{reference}: cannot make one: {type(error).__name__}: {error}") from error
    members = [getattr(found, attribute) for attribute in dir(found) if not attribute.startswith("__")]
    definitions = [member for member in members if hasattr(member, marker)]
    if not definitions:
        kind = "@workflow.defn class" if marker == WORKFLOW else "@activity.defn function"
        raise UnusableError(f"{reference}: there is no {kind}")
    return definitions


def _collect(references: Sequence[str], marker: str) -> list[Any]:
    """Return the definitions of all ``references``, each once.

    Raises:
        UnusableError: a reference leads nowhere, or two definitions have the same name.
    """
    found: dict[str, Any] = {}
    for reference in references:
        for definition in _definitions(reference, marker):
            name = getattr(definition, marker).name
            if found.setdefault(name, definition) != definition:
                raise UnusableError(f"{reference}: another definition has the name {name}, too")
    return list(found.values())


def refused(error: Exception) -> UnusableError:
    """Return the refusal of a definition by the SDK in one line."""
    cause = f" ({type(error.__cause__).__name__}: {error.__cause__})" if error.__cause__ else ""
    return UnusableError(f"the SDK refuses the definitions: {error}{cause}")


def _leaves_the_cache(arguments: Sequence[Any]) -> bool:
    """Tell whether an activation removes its workflow, which a worker that stops does not wait for.

    See ``ignore_evicts_on_shutdown`` of the SDK.
    """
    return any(job.HasField("remove_from_cache") for part in arguments for job in getattr(part, "jobs", ()))


class WorkflowTasks(ThreadPoolExecutor):
    """The threads of workflow tasks, of which one task can be kept for a moment."""

    def __init__(self, threads: int) -> None:
        """No task is kept yet."""
        super().__init__(threads, "workflow")
        self._lock = threading.Lock()
        self._kept: Callable[[], None] | None = None

    def keep_next(self, kept: Callable[[], None]) -> None:
        """Let the next task begin ``KEPT_SECONDS`` late, and call ``kept`` in its thread before."""
        with self._lock:
            self._kept = kept

    def submit(self, function: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Future[Any]:  # noqa: ANN401
        """Run ``function`` in a thread."""
        kept = None
        with self._lock:
            if self._kept and not _leaves_the_cache(args):
                kept, self._kept = self._kept, None
        if kept is None:
            return super().submit(function, *args, **kwargs)

        def late() -> Any:  # noqa: ANN401
            kept()
            time.sleep(KEPT_SECONDS)
            return function(*args, **kwargs)

        return super().submit(late)


class RunningActivities(Interceptor):
    """How many activities run in this process."""

    def __init__(self) -> None:
        """None runs yet."""
        self.number = 0

    def intercept_activity(self, next: ActivityInboundInterceptor) -> ActivityInboundInterceptor:
        """Let each be counted."""
        return _Counted(next, self)


class _Counted(ActivityInboundInterceptor):
    def __init__(self, following: ActivityInboundInterceptor, running: RunningActivities) -> None:
        super().__init__(following)
        self._running = running

    async def execute_activity(self, input: ExecuteActivityInput) -> Any:  # noqa: ANN401
        self._running.number += 1
        try:
            return await super().execute_activity(input)
        finally:
            self._running.number -= 1


@dataclass(frozen=True)
class Program:
    """What the package brings: workflow classes and activity functions."""

    workflows: list[type] = field(default_factory=list)
    activities: list[Callable[..., Any]] = field(default_factory=list)

    @classmethod
    def load(cls, settings: Settings) -> Program:
        """Import everything.

        Raises:
            UnusableError: a reference leads nowhere, or there is nothing to serve.
        """
        program = cls(_collect(settings.workflows, WORKFLOW), _collect(settings.activities, ACTIVITY))
        if not program.workflows and not program.activities:
            raise UnusableError("neither workflows nor activities are named: there is nothing to serve")
        return program

    def workers(
        self, client: Client, settings: Settings, workflow_tasks: WorkflowTasks, running_activities: RunningActivities
    ) -> list[Worker]:
        """Return the workers that serve this program, in the order in which they stop: activities, then workflows.

        Activities that end while the process stops make workflow tasks, most of them in the queue of the workflow
        worker's own, where nobody else takes them before 10 s are over: so that one stops last.

        Raises:
            UnusableError: the SDK refuses a definition, for example a workflow that its sandbox cannot import.
        """
        common: dict[str, Any] = {
            "task_queue": settings.task_queue,
            "activities": self.activities,
            "activity_executor": ThreadPoolExecutor(settings.max_concurrent_activities, "activity"),
            "graceful_shutdown_timeout": settings.graceful_shutdown,
            "identity": settings.identity,
            "deployment_config": settings.deployment,
            "interceptors": [running_activities],
            **slots(settings),
        }
        workers = []
        try:
            if self.workflows:
                workers.append(
                    Worker(
                        client,
                        workflows=self.workflows,
                        no_remote_activities=True,
                        workflow_task_executor=workflow_tasks,
                        max_cached_workflows=settings.max_cached_workflows,
                        **common,
                    )
                )
            if self.activities:
                workers.insert(0, Worker(client, activity_task_poller_behavior=ACTIVITY_POLLS, **common))
        except Exception as error:
            raise refused(error) from error
        return workers


def slots(settings: Settings) -> dict[str, Any]:
    """Return the options of a worker that say how many tasks it takes at once."""
    activities, workflow_tasks = settings.max_concurrent_activities, settings.max_concurrent_workflow_tasks
    if settings.targets is None:
        return {"max_concurrent_activities": activities, "max_concurrent_workflow_tasks": workflow_tasks}
    memory, processors = settings.targets
    tuner = WorkerTuner.create_resource_based(
        target_memory_usage=memory,
        target_cpu_usage=processors,
        workflow_config=ResourceBasedSlotConfig(maximum_slots=workflow_tasks),
        activity_config=ResourceBasedSlotConfig(maximum_slots=activities),
    )
    return {"tuner": tuner}


class Link:
    """The connection of a worker to the cluster: opens it, watches it, and replaces it when it is lost."""

    def __init__(self, settings: Settings, runtime: Runtime) -> None:
        """Nothing is connected yet."""
        self._settings = settings
        self._runtime = runtime
        self._next = 0
        self._tls = settings.tls.read()
        self.address = ""

    async def open(self) -> Client:
        """Return a client that is connected to the first address that answers; try for as long as it takes."""
        silent = False
        while True:
            for _ in self._settings.addresses:
                try:
                    return await self._connect()
                except (RuntimeError, OSError) as error:  # TimeoutError is an OSError
                    reason = str(error).splitlines()[0] if str(error) else type(error).__name__
                    if not silent:
                        log.warning("cannot connect to %s: %s; trying on", self.address, reason)
            silent = True
            await asyncio.sleep(RETRY_PAUSE_SECONDS)

    async def _connect(self) -> Client:
        self.address = self._settings.addresses[self._next % len(self._settings.addresses)]
        self._next += 1
        self._tls = self._settings.tls.read()
        connecting = Client.connect(
            self.address,
            namespace=self._settings.namespace,
            tls=self._tls,
            api_key=self._settings.token or None,
            identity=self._settings.identity,
            runtime=self._runtime,
            retry_config=RETRIES,
            keep_alive_config=KEEP_ALIVE,
        )
        # A balancer accepts although the server behind it is dead, so the limit covers the first call, too.
        return await asyncio.wait_for(connecting, CONNECT_TIMEOUT.total_seconds())

    async def watch(self, workers: Sequence[Worker]) -> None:
        """Give ``workers`` a new connection when theirs is lost, its server drains, or its certificate was replaced.

        They are those that still serve, at least one.
        """
        lost_at, failures = 0.0, 0
        while True:
            await asyncio.sleep(PROBE_INTERVAL.total_seconds())
            reason = await self._probe(workers[-1].client)
            if not reason:
                if failures:
                    log.info("connection to %s works again after %.1f s", self.address, time.monotonic() - lost_at)
                failures = 0
                if not self._certificate_replaced():
                    continue
                log.info("the certificate was replaced: connecting anew")
            else:
                failures += 1
                if failures == 1:
                    lost_at = time.monotonic()
                    log.warning("connection to %s does not answer: %s", self.address, reason)
                if failures < PROBES_UNTIL_LOST:
                    continue
            client = await self.open()
            for worker in workers:
                worker.client = client
            gap = f" after {time.monotonic() - lost_at:.1f} s" if failures else ""
            failures = 0
            log.info("connected to %s%s", self.address, gap)

    def _certificate_replaced(self) -> bool:
        """Tell whether the files of TLS hold something else than this connection was made with."""
        try:
            return self._settings.tls.read() != self._tls
        except OSError:
            return False

    @staticmethod
    async def _probe(client: Client) -> str:
        """Return why the server behind ``client`` is of no use now, an empty text when it serves."""
        try:
            return "" if await client.service_client.check_health(timeout=PROBE_TIMEOUT) else "it is draining"
        except RPCError as error:
            return error.message or error.status.name


def runtime_of(settings: Settings) -> Runtime:
    """Return a runtime with its metrics at the first address that nobody has, without any where none is free.

    Who serves without metrics is missed by a graph, who does not serve by everybody.
    """
    tags = {"worker_build": settings.build} if settings.build else {}
    for address in settings.metrics_addresses:
        try:
            return _runtime(address, tags)
        except (RuntimeError, ValueError) as error:
            log.info("no metrics on %s: %s", address, error)
    if settings.metrics_addresses:
        log.warning("no address for metrics is free: serving without any (%s)", " ".join(settings.metrics_addresses))
    return _runtime("", tags)


def _runtime(metrics_address: str, tags: Mapping[str, str]) -> Runtime:
    metrics = PrometheusConfig(bind_address=metrics_address) if metrics_address else None
    return Runtime(telemetry=TelemetryConfig(metrics=metrics, global_tags=tags))


async def is_unneeded(client: Client, settings: Settings) -> bool:
    """Tell whether nobody needs the build of this process any more; while that is not known, somebody may.

    As long as it is declared it is to run. What has drained is asked about once more, for the reasons that the module
    ``worker_builds_info`` has.
    """
    if settings.deployment is None or not settings.declared_builds:
        return False
    name, build = settings.deployment.version.deployment_name, settings.deployment.version.build_id
    try:
        if json.loads(Path(settings.declared_builds).read_text(encoding="utf-8")).get(name) == build:
            return False
        described = await client.workflow_service.describe_worker_deployment_version(
            DescribeWorkerDeploymentVersionRequest(
                namespace=settings.namespace, deployment_version=Version(deployment_name=name, build_id=build)
            ),
            timeout=QUESTION_TIMEOUT,
        )
        drainage = described.worker_deployment_version_info.drainage_info.status
        if drainage != VersionDrainageStatus.VERSION_DRAINAGE_STATUS_DRAINED:
            return False
        pinned = await client.workflow_service.count_workflow_executions(
            CountWorkflowExecutionsRequest(
                namespace=settings.namespace,
                query=f"TemporalWorkerDeploymentVersion = '{name}:{build}' AND ExecutionStatus = 'Running'"
                " AND TemporalWorkflowVersioningBehavior = 'Pinned'",
            ),
            timeout=QUESTION_TIMEOUT,
        )
    except Exception as error:  # whatever it is, a worker does not end because of it
        log.info("whether somebody needs %s:%s is not known: %s", name, build, error)
        return False
    return pinned.count == 0


async def until_unneeded(settings: Settings, workers: Sequence[Worker], running_activities: RunningActivities) -> None:
    """Return when nobody needs the build of ``workers`` any more, and none of their activities runs.

    Drained is what no pinned workflow needs: an activity of one that has moved to another build may still run here.
    """
    while True:
        # Not all instances at the same time.
        await asyncio.sleep(settings.drained_check_seconds * random.uniform(0.8, 1.2))
        if not running_activities.number and await is_unneeded(workers[-1].client, settings):
            return


async def serve(settings: Settings, program: Program) -> int:
    """Serve until a signal, or until nobody needs the build any more; return the exit code."""
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    stopping = asyncio.ensure_future(stop.wait())

    link = Link(settings, runtime_of(settings))
    opening = asyncio.ensure_future(link.open())
    await asyncio.wait({opening, stopping}, return_when=asyncio.FIRST_COMPLETED)
    if stop.is_set():
        log.info("stopped before it was connected")
        return STOPPED
    log.info("connected to %s", link.address)

    workflow_tasks, running_activities = WorkflowTasks(settings.max_concurrent_workflow_tasks), RunningActivities()
    workers = program.workers(opening.result(), settings, workflow_tasks, running_activities)
    serving = list(workers)
    running = [asyncio.ensure_future(worker.run()) for worker in workers]
    watching = asyncio.ensure_future(link.watch(serving))
    retiring = asyncio.ensure_future(until_unneeded(settings, workers, running_activities))
    build = f" as {settings.deployment.version.to_canonical_string()}" if settings.deployment else ""
    log.info("polling %s in %s%s", settings.task_queue, settings.namespace, build)
    await asyncio.wait({*running, watching, retiring, stopping}, return_when=asyncio.FIRST_COMPLETED)
    asked = stop.is_set() or retiring.done()
    if not asked:
        error = next((task.exception() for task in (*running, watching) if task.done() and not task.cancelled()), None)
        log.error("failed: %s", error or "a worker ended by itself")
    elif not stop.is_set():
        log.info("nobody needs this build any more: it is not declared, has drained, and no workflow is pinned to it")
    retiring.cancel()

    started, grace_seconds = time.monotonic(), settings.graceful_shutdown.total_seconds()
    log.info("stopping: running tasks get %g s", grace_seconds)
    until, well = started + (grace_seconds + CANCELLATION_SECONDS if asked else FAILED_SECONDS), True
    for worker, run in zip(workers, running, strict=True):
        if worker is workers[-1]:
            if program.workflows:
                await one_is_kept(workflow_tasks)
            watching.cancel()
        else:
            # What stops cannot get a new connection any more.
            serving.remove(worker)
        least = WORKFLOWS_SECONDS if worker is workers[-1] else 0.0
        well &= await finish(worker, run, max(until - time.monotonic(), least))
    log.info("stopped after %.1f s", time.monotonic() - started)
    if not (asked and well):
        return FAILED
    if stop.is_set():
        return STOPPED
    # Somebody may have made it the current build meanwhile, or declared it.
    if await is_unneeded(workers[-1].client, settings):
        return RETIRED
    log.warning("somebody may need this build again: it ends as if it had failed, and is started again")
    return FAILED


async def one_is_kept(workflow_tasks: WorkflowTasks) -> None:
    """Return when the next workflow task has come and is kept, or there is none for a while."""
    loop, kept = asyncio.get_running_loop(), asyncio.Event()
    workflow_tasks.keep_next(lambda: loop.call_soon_threadsafe(kept.set))
    with contextlib.suppress(TimeoutError):
        await asyncio.wait_for(kept.wait(), KEEP_WITHIN_SECONDS)


async def finish(worker: Worker, running: asyncio.Future[None], seconds: float) -> bool:
    """Let ``worker`` take no more tasks and end its running ones within ``seconds``; tell whether it did."""
    try:
        await asyncio.wait_for(worker.shutdown(), seconds)
        await running
    except TimeoutError:
        log.error("after %.0f s there are tasks that do not heed their cancellation", seconds)
        return False
    except Exception as error:
        log.error("failed while stopping: %s", error)
        return False
    return True


async def check(_: Settings, program: Program) -> int:
    """Let the SDK load the workflows as a worker does, in their sandbox; replaying nothing needs no server."""

    async def no_histories() -> AsyncIterator[WorkflowHistory]:
        return
        yield

    if program.workflows:
        try:
            await Replayer(workflows=program.workflows).replay_workflows(no_histories())
        except Exception as error:
            raise refused(error) from error
    print(f"{len(program.workflows)} workflows, {len(program.activities)} activities")
    return STOPPED


def main(arguments: Sequence[str]) -> int:
    """Run the program; return its exit code."""
    logging.basicConfig(stream=sys.stdout, level=logging.INFO, format="%(levelname)s %(name)s: %(message)s")
    # The SDK repeats what this program says about its start and stop.
    logging.getLogger("temporalio.worker._worker").setLevel(logging.WARNING)
    try:
        settings = Settings.from_environment(os.environ)
        logging.getLogger().setLevel(settings.log_level)
        program = Program.load(settings)
        return asyncio.run((check if "--check" in arguments else serve)(settings, program))
    except (UnusableError, OSError) as error:
        print(f"error: {error}", file=sys.stderr)
        return UNUSABLE


def leave(code: int) -> NoReturn:
    """End the process with ``code``; threads of the SDK can crash the interpreter while it is torn down."""
    logging.shutdown()
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)


if __name__ == "__main__":
    leave(main(sys.argv[1:]))
