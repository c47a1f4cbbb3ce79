"""Builds come and go under load: no workflow fails, each ends where it began, and a bad build loses what it got."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import subprocess
import sys
import uuid
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from temporalio.api.deployment.v1 import WorkerDeploymentInfo
from temporalio.api.enums.v1 import WorkerDeploymentVersionStatus, WorkflowTaskFailedCause
from temporalio.api.history.v1 import WorkflowTaskCompletedEventAttributes
from temporalio.api.workflowservice.v1 import DescribeWorkerDeploymentRequest
from temporalio.client import Client, WorkflowHandle, WorkflowHistory

from lab import state
from lab.sample import model, workflows
from tests.cluster.conftest import ROOT, LiveCluster
from tests.cluster.losses import lose
from tests.cluster.test_rolling_upgrade import kill_when

# Minutes of a busy machine, which the hour of make test has no room for; molecule/temporal_worker has the short of it.
pytestmark = pytest.mark.profiles(whole=["basic"])

BUILD_WHEELS = ROOT / "molecule" / "temporal_worker" / "files" / "build_wheels.py"
QUEUE, DEPLOYMENT = "rolled-queue", "rolled"
# The server sends what is new in a queue that had a versioned deployment to that for ever.
PLAIN_QUEUE, PLAIN = "plain-queue", "plain"
# Of the one above a build was taken back, which is never tried again.
MOVING_QUEUE, MOVING = "moving-queue", "moving"
AGAIN_QUEUE, AGAIN = "again-queue", "again"
BACK_QUEUE, BACK = "back-queue", "back"
FOLLOWING_QUEUE, FOLLOWING = "following-queue", "following"
GATE = {"workflow": "ConfigureNetwork", "arguments": [{"change_id": "gate", "vlan": 10, "devices": [{"name": "gate"}]}]}
HELD = 5
# Few slots, so that a small load asks for all instances; and changes that keep more of them busy than the fewest have.
FEWEST, MOST, SLOTS, DEVICE_SECONDS, MANY = 1, 3, 4, 10.0, 100
# Why a worker fails a workflow task, where its code is the reason.
CODE = {
    WorkflowTaskFailedCause.WORKFLOW_TASK_FAILED_CAUSE_NON_DETERMINISTIC_ERROR,
    WorkflowTaskFailedCause.WORKFLOW_TASK_FAILED_CAUSE_WORKFLOW_WORKER_UNHANDLED_FAILURE,
}
PAUSE_SECONDS = 0.4
# Whoever asks for the same deployment more often is refused after a while.
LOOK_SECONDS = 2.0
RESULT_SECONDS = 180
# The server looks for what is left of a build three minutes after it lost its share, and every three minutes then.
DRAINED_SECONDS = 600


@dataclass(frozen=True)
class Fleet:
    """The workers of a cluster, with a versioned deployment beside those of the inventory."""

    cluster: LiveCluster
    artifacts: Path

    def command(self, name: str, build: str, **more: Any) -> list[str]:  # noqa: ANN401
        """Return the command that runs a playbook with ``build`` declared.

        ``more`` is its gate, what else is declared of it, and wishes.
        """
        declared = {
            "name": DEPLOYMENT,
            "namespace": self.namespace,
            "task_queue": QUEUE,
            "package": f"networking-worker=={build}",
            "versioned": True,
            "workflows": ["networking_worker.workflows"],
            "activities": ["networking_worker.activities"],
            **({"gate": more.pop("gate")} if "gate" in more else {}),
            **more.pop("declared", {}),
        }
        inventory = self.cluster.view.variable(
            "temporal_worker_deployments", self.cluster.view.members("temporal_workers")[0]
        )
        extra = more | {
            "temporal_artifact_directory": str(self.artifacts),
            "temporal_worker_deployments": [*inventory, declared],
        }
        return self.cluster.playbook(name, "-e", json.dumps(extra))

    def instances(self, build: str, name: str) -> list[int]:
        """Return how many instances of a build of a deployment run on each worker host."""
        view = self.cluster.view
        return [view.instances(host, name, build) for host in view.members("temporal_workers")]

    @property
    def namespace(self) -> str:
        return self.cluster.view.deployment["namespace"]

    @property
    def log(self) -> Path:
        """What the last playbook said."""
        return self.artifacts.with_name("playbook.log")

    def begin(self, name: str, build: str, **more: Any) -> subprocess.Popen[bytes]:  # noqa: ANN401
        """Begin a playbook, see ``command``, in a process group of its own."""
        environment = os.environ | {"ANSIBLE_NOCOLOR": "1"}
        with self.log.open("w", encoding="utf-8") as output:
            return subprocess.Popen(
                self.command(name, build, **more),
                cwd=ROOT,
                env=environment,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )

    async def run(self, name: str, build: str, *, succeeds: bool = True, **more: Any) -> str:  # noqa: ANN401
        """Run a playbook, see ``command``, and return what Ansible said."""
        code = await asyncio.to_thread(self.begin(name, build, **more).wait)
        said = self.log.read_text(encoding="utf-8")
        assert (code == 0) is succeeds, said[-8000:]
        return said

    async def ramped(self, process: subprocess.Popen[bytes], client: Client, current: str, build: str) -> None:
        """Wait until ``build`` ramps beside the current one, while the playbook that brings it runs."""
        while await routing(client) != (current, build):
            assert process.poll() is None, self.log.read_text(encoding="utf-8")[-8000:]
            await asyncio.sleep(LOOK_SECONDS)

    async def interrupted(self, client: Client, build: str) -> None:
        """Begin to roll ``build`` out, and let the control node die in the middle of a step."""
        process = self.begin("deploy_workers", build, steps=[50], hold_seconds=3600)
        try:
            await self.ramped(process, client, "1.0.0", build)
        finally:
            lose(process)

    def present(self, host: str, name: str = DEPLOYMENT) -> tuple[list[str], list[str]]:
        """Return the builds of a deployment on a host: those that have units, and those that are installed."""
        units = self.cluster.view.on(host, "ls /etc/systemd/system").split()
        return (
            sorted({unit.split("-")[-2] for unit in units if unit.startswith(f"temporal-sdk-worker@{name}-")}),
            sorted(self.cluster.view.on(host, f"ls /opt/temporal-workers/{name}").split()),
        )

    def running(self, build: str, name: str) -> list[str]:
        """Return the hosts on which a worker of a build of a deployment runs."""
        hosts = self.cluster.view.members("temporal_workers")
        return [host for host, number in zip(hosts, self.instances(build, name), strict=True) if number]


@pytest.fixture
def fleet(cluster: LiveCluster, tmp_path: Path) -> Iterator[Fleet]:
    """Builds to declare; afterwards the cluster has the workers of its inventory alone."""
    wheels = state.cache_root() / "artifacts" / "wheels"
    subprocess.run([sys.executable, str(BUILD_WHEELS), str(wheels), str(tmp_path / "artifacts")], check=True)
    yield Fleet(cluster, tmp_path / "artifacts")
    gone = {"temporal_worker_abandon": [DEPLOYMENT, MOVING, BACK, FOLLOWING]}
    back = cluster.run("deploy_workers", "-e", json.dumps(gone))
    assert back.code == 0, back.reasons


async def deployment(client: Client) -> WorkerDeploymentInfo:
    """Return what the server knows of the deployment."""
    request = DescribeWorkerDeploymentRequest(namespace=client.namespace, deployment_name=DEPLOYMENT)
    return (await client.workflow_service.describe_worker_deployment(request)).worker_deployment_info


async def drained(client: Client) -> None:
    """Wait until all builds but the current one have drained, or never had work."""
    done = {"CURRENT", "DRAINED", "INACTIVE", "CREATED"}
    while not done.issuperset(
        WorkerDeploymentVersionStatus.Name(row.status).removeprefix("WORKER_DEPLOYMENT_VERSION_STATUS_")
        for row in (await deployment(client)).version_summaries
    ):
        await asyncio.sleep(5)


async def routing(client: Client) -> tuple[str, str]:
    """Return the builds that are current and that ramp."""
    config = (await deployment(client)).routing_config
    return config.current_deployment_version.build_id, config.ramping_deployment_version.build_id


async def start(
    client: Client, queue: str = QUEUE, *, hold: bool = False, seconds: float = model.Device.seconds
) -> tuple[model.Change, WorkflowHandle]:
    """Start one change of the network, whose device takes ``seconds``."""
    change = model.Change(f"rolled-{uuid.uuid4().hex[:8]}", 10, [model.Device("device", seconds=seconds)], hold=hold)
    handle = await client.start_workflow(workflows.ConfigureNetwork.run, change, id=change.change_id, task_queue=queue)
    return change, handle


def completed(history: WorkflowHistory) -> list[WorkflowTaskCompletedEventAttributes]:
    """Return what a history says of each workflow task that a worker did."""
    return [
        event.workflow_task_completed_event_attributes
        for event in history.events
        if event.HasField("workflow_task_completed_event_attributes")
    ]


def builds(history: WorkflowHistory) -> set[str]:
    """Return the builds that have done anything of a workflow."""
    return {task.deployment_version.build_id for task in completed(history)}


def failures(history: WorkflowHistory) -> list[str]:
    """Return why workers could not go on with a workflow: its code is not deterministic, or does not run there."""
    failed = [
        event.workflow_task_failed_event_attributes
        for event in history.events
        if event.HasField("workflow_task_failed_event_attributes")
    ]
    return [task.failure.message for task in failed if task.cause in CODE]


async def on_hold(handle: WorkflowHandle) -> None:
    """Wait until a workflow waits for its approval."""
    while (await handle.query(workflows.ConfigureNetwork.progress)).stage != "waiting for approval":
        await asyncio.sleep(0.5)


async def start_held(client: Client, queue: str = QUEUE) -> list[tuple[model.Change, WorkflowHandle]]:
    """Start changes that wait for their approval, and wait until they do."""
    held = [await start(client, queue, hold=True) for _ in range(HELD)]
    for _, handle in held:
        await asyncio.wait_for(on_hold(handle), RESULT_SECONDS)
    return held


async def ends_right(change: model.Change, handle: WorkflowHandle, *, refused: bool = False) -> WorkflowHistory:
    """Wait until a change has ended, as it must, and return its history.

    ``refused``: a build may not have gone on with it.
    """
    assert await asyncio.wait_for(handle.result(), RESULT_SECONDS) == model.expected_outcome(change)
    history = await handle.fetch_history()
    assert refused or failures(history) == []
    return history


@contextlib.asynccontextmanager
async def load(
    client: Client, queue: str = QUEUE, seconds: float = model.Device.seconds
) -> AsyncIterator[list[tuple[model.Change, WorkflowHandle]]]:
    """Start changes all the time; yield the list of them, which grows. One that cannot be started ends the test."""
    started: list[tuple[model.Change, WorkflowHandle]] = []

    async def go_on() -> None:
        while True:
            started.append(await start(client, queue, seconds=seconds))
            await asyncio.sleep(PAUSE_SECONDS)

    task = asyncio.ensure_future(go_on())
    try:
        yield started
    finally:
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task


async def judge(started: list[tuple[model.Change, WorkflowHandle]], *, refused: bool = False) -> dict[str, int]:
    """Look at what became of every change, see ``ends_right``; return how many each build did."""
    done: dict[str, int] = {}
    for change, handle in started:
        by = builds(await ends_right(change, handle, refused=refused))
        assert len(by) == 1, f"{change.change_id} was done by {by}"
        build = by.pop()
        done[build] = done.get(build, 0) + 1
    return done


async def come_and_go(fleet: Fleet) -> None:
    """What the test promises, in the order in which it happens to people."""
    workers = fleet.cluster.view.members("temporal_workers")
    client = await fleet.cluster.view.client("rollout@outside", namespace=fleet.namespace)
    # Nobody serves the queue yet, so it needs no steps.
    await fleet.run("deploy_workers", "1.0.0")
    assert await routing(client) == ("1.0.0", "")
    held = await start_held(client)
    async with load(client) as started:
        await fleet.interrupted(client, "1.1.0")
        assert await routing(client) == ("1.0.0", "1.1.0")
        # It fails a gate that is asked now, loses its half, and gets it again when somebody says so.
        absent = {**GATE, "workflow": "Absent", "timeout_seconds": 5}
        why = await fleet.run("deploy_workers", "1.1.0", succeeds=False, gate=absent)
        assert "does not pass its gate" in why
        assert "the share of the workflows that it had is taken back" in why
        assert await routing(client) == ("1.0.0", "")
        said = await fleet.run("deploy_workers", "1.1.0", gate=GATE, steps=[50], hold_seconds=5, again=True)
        assert "50 % of the workflows" in said
        assert await routing(client) == ("1.1.0", "")
        newest = await start(client)
        assert await judge([newest]) == {"1.1.0": 1}

        # It stands beside both others, fails its gate and gets nothing.
        why = await fleet.run("deploy_workers", "1.4.0", succeeds=False, gate={**GATE, "timeout_seconds": 5})
        assert "build 1.4.0 of rolled does not pass its gate" in why
        assert await routing(client) == ("1.1.0", "")
        assert fleet.present(workers[0])[0] == ["1.0.0", "1.1.0", "1.4.0"]

        # Without a gate it gets half, crashes, and loses it long before its time is over.
        why = await fleet.run("deploy_workers", "1.4.0", succeeds=False, steps=[50, 100], hold_seconds=600)
        assert "ended by itself" in why
        assert await routing(client) == ("1.1.0", "")
        assert "Declare 1.0.0" in await fleet.run("rollback_workers", "1.4.0", deployments=[DEPLOYMENT])
        assert await routing(client) == ("1.0.0", "")
    # Not one failed, and what the crashing build had begun to look at was done by others.
    shares = await judge(started)
    print(f"changes by build: {shares}")
    assert set(shares) == {"1.0.0", "1.1.0"}, shares
    for _, handle in held:
        await handle.signal(workflows.ConfigureNetwork.approve, "somebody")
    assert await judge(held) == {"1.0.0": HELD}

    # What nobody needs any more goes with the next run.
    await asyncio.wait_for(drained(client), DRAINED_SECONDS)
    await fleet.run("deploy_workers", "1.0.0")
    for host in workers:
        assert fleet.present(host) == (["1.0.0"], ["1.0.0"])


def test_builds_come_and_go_and_no_workflow_notices(fleet: Fleet) -> None:
    asyncio.run(come_and_go(fleet))


async def cannot_go_on(fleet: Fleet) -> None:
    """A build gets workflows that it cannot replay, and gives them back."""
    client = await fleet.cluster.view.client("rollout@outside", namespace=fleet.namespace)
    await fleet.run("deploy_workers", "1.5.0", steps=[])
    held = await start_held(client)
    process = fleet.begin("deploy_workers", "1.6.0", steps=[90, 100], hold_seconds=600)
    await fleet.ramped(process, client, "1.5.0", "1.6.0")
    for _, handle in held:
        await handle.signal(workflows.ConfigureNetwork.approve, "somebody")
    assert await asyncio.to_thread(process.wait) != 0
    said = fleet.log.read_text(encoding="utf-8")
    assert "got stuck" in said, said[-8000:]
    assert await routing(client) == ("1.5.0", "")
    assert await judge(held, refused=True) == {"1.5.0": HELD}


def test_a_build_that_is_not_deterministic_gives_back_what_it_got(fleet: Fleet) -> None:
    asyncio.run(cannot_go_on(fleet))


async def move_on(fleet: Fleet) -> None:
    """Workflows that may move begin on one build and end on the next."""
    client = await fleet.cluster.view.client("rollout@outside", namespace=fleet.namespace)
    moves = {"name": MOVING, "task_queue": MOVING_QUEUE, "versioning_behavior": "auto_upgrade"}
    await fleet.run("deploy_workers", "1.0.0", steps=[], declared=moves)
    held = await start_held(client, MOVING_QUEUE)
    for _, handle in held:
        assert builds(await handle.fetch_history()) == {"1.0.0"}
    await fleet.run("deploy_workers", "1.1.0", steps=[], declared=moves)
    for change, handle in held:
        await handle.signal(workflows.ConfigureNetwork.approve, "somebody")
        assert builds(await ends_right(change, handle)) == {"1.0.0", "1.1.0"}


def test_workflows_that_may_move_end_on_the_build_that_is_current(fleet: Fleet) -> None:
    asyncio.run(move_on(fleet))


async def ends_and_comes_back(fleet: Fleet) -> None:
    """A build has drained, its workers end by themselves, and somebody goes back to it."""
    workers = fleet.cluster.view.members("temporal_workers")
    client = await fleet.cluster.view.client("rollout@outside", namespace=fleet.namespace)
    soon = {"TEMPORAL_WORKER_DRAINED_CHECK_SECONDS": "20"}
    back = {"name": BACK, "task_queue": BACK_QUEUE, "environment": soon}
    await fleet.run("deploy_workers", "1.0.0", steps=[], declared=back)
    held = await start_held(client, BACK_QUEUE)
    await fleet.run("deploy_workers", "1.1.0", steps=[], declared=back)
    assert fleet.running("1.0.0", BACK) == workers
    for _, handle in held:
        await handle.signal(workflows.ConfigureNetwork.approve, "somebody")
    assert await judge(held) == {"1.0.0": HELD}

    async with asyncio.timeout(DRAINED_SECONDS):
        while fleet.running("1.0.0", BACK):
            await asyncio.sleep(5)
    assert fleet.running("1.1.0", BACK) == workers
    for host in workers:
        assert fleet.present(host, BACK) == (["1.0.0", "1.1.0"], ["1.0.0", "1.1.0"])
    assert f"@{BACK}-1.0.0-" not in await fleet.run("pending", "1.1.0", declared=back)

    async with load(client, BACK_QUEUE) as started:
        said = await fleet.run("rollback_workers", "1.1.0", deployments=[BACK], declared=back)
        assert "Declare 1.0.0" in said
        assert fleet.running("1.0.0", BACK) == workers
        assert await judge([await start(client, BACK_QUEUE)]) == {"1.0.0": 1}
    assert set(await judge(started)) == {"1.0.0", "1.1.0"}


def test_a_build_that_has_drained_ends_by_itself_and_serves_again_when_somebody_goes_back(fleet: Fleet) -> None:
    asyncio.run(ends_and_comes_back(fleet))


async def follows(fleet: Fleet) -> None:
    """A deployment that has all its instances, as it follows the load, gets a new build, which follows it in turn."""
    client = await fleet.cluster.view.client("rollout@outside", namespace=fleet.namespace)
    declared = {
        "name": FOLLOWING,
        "task_queue": FOLLOWING_QUEUE,
        "instances_min": FEWEST,
        "instances_max": MOST,
        "metrics_port": 9600,
        "environment": {"TEMPORAL_WORKER_MAX_CONCURRENT_ACTIVITIES": str(SLOTS)},
    }
    more = {"declared": declared, "temporal_worker_scaling": {"calm_seconds": 20}}
    hosts = len(fleet.cluster.view.members("temporal_workers"))

    async def has(build: str, *numbers: int) -> None:
        async with asyncio.timeout(RESULT_SECONDS):
            while not set(await asyncio.to_thread(fleet.instances, build, FOLLOWING)) <= set(numbers):
                await asyncio.sleep(LOOK_SECONDS)

    await fleet.run("deploy_workers", "1.0.0", steps=[], **more)
    assert fleet.instances("1.0.0", FOLLOWING) == [FEWEST] * hosts
    many = [await start(client, FOLLOWING_QUEUE, seconds=DEVICE_SECONDS) for _ in range(MANY)]
    async with load(client, FOLLOWING_QUEUE, DEVICE_SECONDS) as started:
        await has("1.0.0", MOST)
        await fleet.run("deploy_workers", "1.1.0", steps=[50], hold_seconds=20, **more)
        # What is new goes to the new build alone, which grows with it; the old one ends what it has, and shrinks.
        await has("1.1.0", *range(FEWEST + 1, MOST + 1))
        await has("1.0.0", 0, FEWEST)
    shares = await judge([*many, *started])
    print(f"changes by build: {shares}")
    assert set(shares) == {"1.0.0", "1.1.0"}, shares
    await has("1.1.0", FEWEST)


def test_a_build_of_a_deployment_that_follows_the_load_is_replaced_under_load(fleet: Fleet) -> None:
    asyncio.run(follows(fleet))


async def zone_by_zone(fleet: Fleet) -> None:
    """A build that is not versioned takes the place of another one while changes go on."""
    client = await fleet.cluster.view.client("rollout@outside", namespace=fleet.namespace)
    # With a port that the build before has.
    plain = {"name": PLAIN, "task_queue": PLAIN_QUEUE, "versioned": False, "metrics_port": 9500}
    await fleet.run("deploy_workers", "1.0.0", declared=plain)
    async with load(client, PLAIN_QUEUE) as started:
        said = await fleet.run("deploy_workers", "1.1.0", declared=plain)
    workers = fleet.cluster.view.members("temporal_workers")
    zones = {fleet.cluster.view.lab.host(name).zone for name in workers}
    assert said.count("PLAY [The declared builds run, zone after zone]") == len(zones)
    histories = [await ends_right(change, handle) for change, handle in started]
    assert {build for history in histories for build in identities(history)} == {"1.0.0", "1.1.0"}
    for host in workers:
        assert fleet.present(host, PLAIN)[0] == ["1.1.0"]


def identities(history: WorkflowHistory) -> set[str]:
    """Return the builds in the names of those that have done anything of a workflow."""
    return {task.identity.partition(":")[2].partition("@")[0] for task in completed(history)}


def test_a_build_without_versions_is_replaced_zone_by_zone(fleet: Fleet) -> None:
    asyncio.run(zone_by_zone(fleet))


async def wanted_again(fleet: Fleet) -> None:
    """A build that was about to go when its control node died is the declared one again."""
    again = {"name": AGAIN, "task_queue": AGAIN_QUEUE, "versioned": False}
    await fleet.run("deploy_workers", "1.0.0", declared=again)
    command = fleet.command("deploy_workers", "1.1.0", declared=again)
    await asyncio.to_thread(
        kill_when, command, "TASK .*_retire . Their settings are gone", after="_retire | Those that go"
    )
    client = await fleet.cluster.view.client("rollout@outside", namespace=fleet.namespace)
    async with load(client, AGAIN_QUEUE) as started:
        await fleet.run("deploy_workers", "1.0.0", declared=again)
    for change, handle in started:
        await ends_right(change, handle)
    for host in fleet.cluster.view.members("temporal_workers"):
        assert fleet.present(host, AGAIN)[0] == ["1.0.0"]


def test_a_build_whose_removal_was_killed_can_be_declared_again(fleet: Fleet) -> None:
    asyncio.run(wanted_again(fleet))
