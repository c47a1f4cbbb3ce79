"""What modules ask a cluster about workers, and what they tell it, through the official client.

The decisions are in ``_workers`` and ``_rollout``.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

from ansible_collections.zerospof.temporal.plugins.module_utils import _frontend, _rollout, _workers

try:
    from temporalio.api.common.v1 import Payload
    from temporalio.api.deployment.v1 import WorkerDeploymentVersion
    from temporalio.api.enums.v1 import DescribeTaskQueueMode, TaskQueueType, WorkerDeploymentVersionStatus
    from temporalio.api.taskqueue.v1 import TaskQueue, TaskQueueVersionSelection
    from temporalio.api.workflowservice.v1 import (
        CountWorkflowExecutionsRequest,
        DescribeTaskQueueRequest,
        DescribeWorkerDeploymentRequest,
        DescribeWorkerDeploymentVersionRequest,
        SetWorkerDeploymentCurrentVersionRequest,
        SetWorkerDeploymentRampingVersionRequest,
        UpdateWorkerDeploymentVersionMetadataRequest,
    )
    from temporalio.service import ConnectConfig, RPCError, ServiceClient
except ImportError:  # The modules end with _frontend.require_library before anything here is used.
    pass

IDENTITY = "zerospof.temporal"
CALL_TIMEOUT = timedelta(seconds=5)
# The server repeats a change of the routing to every partition of every task queue before it answers.
CHANGE_TIMEOUT = timedelta(seconds=30)
# A poll lasts a minute when there is nothing to do, and is written down when it begins.
POLL_SECONDS = 90.0
# Metadata of a build: why it was taken back, and how many workflows were stuck before it got its first share.
TAKEN_BACK = "zerospof.taken_back"
STUCK_BEFORE = "zerospof.stuck_before"
# After five failures of a task in a row the server says so in TemporalReportedProblems, until one succeeds.
PROBLEMS = ("category=WorkflowTaskFailed", "category=WorkflowTaskTimedOut")
_STATUS_PREFIX = "WORKER_DEPLOYMENT_VERSION_STATUS_"
UNVERSIONED = ""

# Options of the modules that speak to a cluster about workers.
ARGUMENTS: dict[str, dict[str, Any]] = {
    **{name: spec for name, spec in _frontend.ARGUMENTS.items() if name not in {"address", "port"}},
    "addresses": {"type": "list", "elements": "str", "required": True},
}
DEPLOYMENT_ARGUMENTS: dict[str, dict[str, Any]] = {
    **ARGUMENTS,
    "namespace": {"type": "str", "required": True},
    "deployment": {"type": "str", "required": True},
    "token": {"type": "str", "default": "", "no_log": True},
}

Queue = tuple[str, str, str, str]


class UnreachableError(RuntimeError):
    """No address of the cluster answers; the message says what each answered."""


def authorization(token: str) -> dict[str, str]:
    """Return the metadata of a call that shows ``token``."""
    return {"authorization": f"Bearer {token}"} if token else {}


async def connect(parameters: dict[str, Any]) -> ServiceClient:
    """Return a connection to the first address that answers.

    Raises:
        UnreachableError: none does.
    """
    answers = []
    for address in parameters["addresses"]:
        config = ConnectConfig(target_host=address, tls=_frontend.tls_settings(parameters), identity=IDENTITY)
        try:
            return await asyncio.wait_for(ServiceClient.connect(config), CALL_TIMEOUT.total_seconds())
        except (RuntimeError, TimeoutError) as error:
            answers.append(f"{address}: {error or 'no answer'}")
    raise UnreachableError("; ".join(answers))


async def pollers(client: ServiceClient, queue: Queue, token: str) -> dict[str, float]:
    """Return when each identity asked ``queue`` for work last, as Unix time.

    A queue is namespace, name, kind and version; the workers of a version have a physical queue of their own.
    """
    namespace, name, kind, version = queue
    answer = await client.workflow_service.describe_task_queue(
        DescribeTaskQueueRequest(
            namespace=namespace,
            task_queue=TaskQueue(name=name),
            api_mode=DescribeTaskQueueMode.DESCRIBE_TASK_QUEUE_MODE_ENHANCED,
            task_queue_types=[TaskQueueType.Value(f"TASK_QUEUE_TYPE_{kind.upper()}")],
            versions=TaskQueueVersionSelection(build_ids=[version]) if version else None,
            report_pollers=True,
        ),
        metadata=authorization(token),
        timeout=CALL_TIMEOUT,
    )
    return _workers.last_polls(answer)


def _unix(stamp: Any) -> float:  # noqa: ANN401
    return stamp.ToNanoseconds() / 1e9


def _queues(described: Any) -> list[tuple[str, str]]:  # noqa: ANN401
    """Return the names and kinds of the task queues that the described build has served."""
    return [
        (queue.name, TaskQueueType.Name(queue.type).removeprefix("TASK_QUEUE_TYPE_").lower())
        for queue in described.version_task_queues
    ]


def _notes(described: Any) -> dict[str, Any]:  # noqa: ANN401
    """Return what was noted of the described build, see ``Deployment.note``."""
    entries = described.worker_deployment_version_info.metadata.entries
    return {name: json.loads(entries[name].data) for name in (TAKEN_BACK, STUCK_BEFORE) if name in entries}


class Deployment:
    """A worker deployment of the cluster: what it is, and how its routing is changed."""

    def __init__(self, parameters: dict[str, Any]) -> None:
        """Take the options of a module (``DEPLOYMENT_ARGUMENTS``); nothing is connected yet."""
        self._parameters = parameters
        self._namespace = parameters["namespace"]
        self._name = parameters["deployment"]
        self._metadata = authorization(parameters["token"])
        self._client: ServiceClient | None = None
        self._conflict_token = b""
        self.builds: list[_rollout.Build] = []

    async def _connected(self) -> ServiceClient:
        if self._client is None:
            self._client = await connect(self._parameters)
        return self._client

    async def _service(self) -> Any:  # noqa: ANN401
        return (await self._connected()).workflow_service

    async def _last_poll(self, name: str, kind: str, version: str) -> float:
        """Return when a worker of ``version`` asked a task queue for work last, 0 for never."""
        queue = (self._namespace, name, kind, version)
        return max((await pollers(await self._connected(), queue, self._parameters["token"])).values(), default=0.0)

    def forget(self) -> None:
        """Connect anew the next time."""
        self._client = None

    def _version(self, build: str) -> WorkerDeploymentVersion:
        return WorkerDeploymentVersion(deployment_name=self._name, build_id=build)

    async def routing(self, build: str = "") -> _rollout.Routing:
        """Return where workflows go, seen by ``build`` where one is given, and remember the builds.

        Raises:
            RPCError, UnreachableError: the cluster does not say it.
        """
        service = await self._service()
        try:
            answer = await service.describe_worker_deployment(
                DescribeWorkerDeploymentRequest(namespace=self._namespace, deployment_name=self._name),
                metadata=self._metadata,
                timeout=CALL_TIMEOUT,
            )
        except RPCError as error:
            if error.status.name == "NOT_FOUND":
                return _rollout.Routing(known=False)
            raise
        self._conflict_token = answer.conflict_token
        summaries = {row.deployment_version.build_id: row for row in answer.worker_deployment_info.version_summaries}
        self.builds = [
            _rollout.Build(
                name,
                WorkerDeploymentVersionStatus.Name(row.status).removeprefix(_STATUS_PREFIX).lower(),
                _unix(row.last_current_time),
            )
            for name, row in summaries.items()
        ]
        config = answer.worker_deployment_info.routing_config
        ramping = config.ramping_deployment_version.build_id
        if not ramping and config.ramping_version_percentage:
            ramping = "what is not versioned"
        current = config.current_deployment_version.build_id
        known = build in summaries
        described = await self._describe(build) if known else None
        notes = _notes(described) if known else {}
        return _rollout.Routing(
            current=current,
            ramping=ramping,
            percentage=config.ramping_version_percentage,
            ramping_since=_unix(config.ramping_version_changed_time) if ramping else 0,
            step_since=_unix(config.ramping_version_percentage_changed_time) if ramping else 0,
            known=known,
            alone=known and not current and not ramping and await self._nobody_else_polls(_queues(described)),
            stuck_before=notes.get(STUCK_BEFORE, 0),
            taken_back=notes.get(TAKEN_BACK, ""),
        )

    async def _describe(self, build: str) -> Any:  # noqa: ANN401
        service = await self._service()
        return await service.describe_worker_deployment_version(
            DescribeWorkerDeploymentVersionRequest(namespace=self._namespace, deployment_version=self._version(build)),
            metadata=self._metadata,
            timeout=CALL_TIMEOUT,
        )

    async def _queues_of(self, build: str) -> list[tuple[str, str]]:
        """Return the names and kinds of the task queues that workers of ``build`` have served."""
        return _queues(await self._describe(build))

    async def _nobody_else_polls(self, queues: Sequence[tuple[str, str]]) -> bool:
        return not any([await self._last_poll(name, kind, UNVERSIONED) for name, kind in queues])

    async def unpolled(self, build: str, since: float) -> list[str]:
        """Return what no worker of ``build`` has asked for since a time.

        A server that has just started remembers nobody, which is not the same.
        """
        return [
            f"no worker of {build} asks {name} for {kind} tasks any more"
            for name, kind in await self._queues_of(build)
            if 0 < await self._last_poll(name, kind, f"{self._name}:{build}") < since
        ]

    async def ways_back(self, since: float) -> list[_rollout.Build]:
        """Return the builds that the last look saw, whether they have workers that polled since a time, and notes."""
        found = []
        for row in self.builds:
            described = await self._describe(row.build)
            last = [await self._last_poll(name, kind, f"{self._name}:{row.build}") for name, kind in _queues(described)]
            taken_back = _notes(described).get(TAKEN_BACK, "")
            found.append(replace(row, polled=min(last, default=0.0) >= since, taken_back=taken_back))
        return found

    async def stuck(self, build: str) -> int:
        """Return how many workflows on the task queues of ``build`` do not get on, whichever build they are on.

        One that has never got on at all is on none.
        """
        service = await self._service()
        queues = sorted({name for name, kind in await self._queues_of(build) if kind == "workflow"})
        if not queues:
            return 0
        answer = await service.count_workflow_executions(
            CountWorkflowExecutionsRequest(
                namespace=self._namespace,
                query=f"TaskQueue IN ({', '.join(map(repr, queues))}) AND ExecutionStatus = 'Running'"
                f" AND TemporalReportedProblems IN ({', '.join(map(repr, PROBLEMS))})",
            ),
            metadata=self._metadata,
            timeout=CALL_TIMEOUT,
        )
        return answer.count

    async def pinned(self, build: str) -> int:
        """Return how many running workflows are pinned to ``build``, by themselves or by what somebody updated.

        It is the question by which the server drains a build (``makeDeploymentQuery``). Once it has drained one it does
        not ask again by default when somebody pins a workflow to that (``EnableVersionReactivationSignals``).

        Raises:
            RPCError, UnreachableError: the cluster does not say it.
        """
        service = await self._service()
        answer = await service.count_workflow_executions(
            CountWorkflowExecutionsRequest(
                namespace=self._namespace,
                query=f"TemporalWorkerDeploymentVersion = '{self._name}:{build}' AND ExecutionStatus = 'Running'"
                " AND TemporalWorkflowVersioningBehavior = 'Pinned'",
            ),
            metadata=self._metadata,
            timeout=CALL_TIMEOUT,
        )
        return answer.count

    async def counts(self, build: str, since: float) -> dict[str, int]:
        """Return how many workflows ended on ``build`` since a time, by status."""
        start = datetime.fromtimestamp(since, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
        service = await self._service()
        answer = await service.count_workflow_executions(
            CountWorkflowExecutionsRequest(
                namespace=self._namespace,
                query=f"TemporalWorkerDeploymentVersion = '{self._name}:{build}' AND CloseTime >= '{start}'"
                " AND ExecutionStatus != 'Running'"
                " GROUP BY ExecutionStatus",
            ),
            metadata=self._metadata,
            timeout=CALL_TIMEOUT,
        )
        return {json.loads(group.group_values[0].data): group.count for group in answer.groups}

    async def ramp(self, build: str, percentage: float) -> None:
        """Give ``build`` a share of the traffic; an empty one gives the share back to the current build.

        Raises:
            RPCError: the server refuses, because the routing is another one than was seen last, for example.
        """
        service = await self._service()
        await service.set_worker_deployment_ramping_version(
            SetWorkerDeploymentRampingVersionRequest(
                namespace=self._namespace,
                deployment_name=self._name,
                build_id=build,
                percentage=percentage,
                conflict_token=self._conflict_token,
                identity=IDENTITY,
            ),
            metadata=self._metadata,
            timeout=CHANGE_TIMEOUT,
        )

    async def promote(self, build: str) -> None:
        """Make ``build`` the current one.

        Raises:
            RPCError: see ``ramp``.
        """
        service = await self._service()
        await service.set_worker_deployment_current_version(
            SetWorkerDeploymentCurrentVersionRequest(
                namespace=self._namespace,
                deployment_name=self._name,
                build_id=build,
                conflict_token=self._conflict_token,
                identity=IDENTITY,
            ),
            metadata=self._metadata,
            timeout=CHANGE_TIMEOUT,
        )

    async def note(self, build: str, notes: Mapping[str, Any]) -> None:
        """Remember something of ``build``, and forget what is empty."""
        service = await self._service()
        await service.update_worker_deployment_version_metadata(
            UpdateWorkerDeploymentVersionMetadataRequest(
                namespace=self._namespace,
                deployment_version=self._version(build),
                upsert_entries={
                    name: Payload(metadata={"encoding": b"json/plain"}, data=json.dumps(value).encode())
                    for name, value in notes.items()
                    if value
                },
                remove_entries=[name for name, value in notes.items() if not value],
                identity=IDENTITY,
            ),
            metadata=self._metadata,
            timeout=CHANGE_TIMEOUT,
        )

    async def take_back(self, build: str, reason: str) -> None:
        """Take ``build``, which ramps, out of the traffic; first remember why, so that nobody begins it anew."""
        await self.note(build, {TAKEN_BACK: reason})
        await self.ramp("", 0)


def shown(routing: _rollout.Routing) -> dict[str, Any]:
    """Return a routing as modules publish it."""
    return {"current": routing.current, "ramping": routing.ramping, "percentage": routing.percentage}


def difference(before: _rollout.Routing, now: _rollout.Routing, name: str) -> dict[str, Any]:
    """Return the diff of two routings of a deployment."""
    return {"before_header": name, "after_header": name, "before": shown(before), "after": shown(now)}
