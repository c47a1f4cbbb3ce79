"""Builds come and go under load: no workflow fails, each ends where it began, and a bad build loses what it got."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import signal
import subprocess
import uuid
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import yaml
from outside import LAB, WORKERS, connect, host_named
from temporalio.api.deployment.v1 import WorkerDeploymentInfo
from temporalio.api.enums.v1 import WorkerDeploymentVersionStatus
from temporalio.api.workflowservice.v1 import DescribeWorkerDeploymentRequest
from temporalio.client import Client, WorkflowHandle

from lab.sample import model, workflows

ROOT = Path(os.environ["MOLECULE_PROJECT_DIRECTORY"])
SCENARIO = ROOT / "molecule" / "temporal_worker"
VARIABLES = yaml.safe_load((SCENARIO / "vars" / "workers.yml").read_text())
QUEUE, NAMESPACE, DEPLOYMENT = "rolled-queue", "production", "rolled"
GATE = {"workflow": "ConfigureNetwork", "arguments": [{"change_id": "gate", "vlan": 10, "devices": [{"name": "gate"}]}]}
HELD = 3
PAUSE_SECONDS = 0.4
RESULT_SECONDS = 120


def playbook(name: str, build: str, **more: Any) -> subprocess.Popen[str]:  # noqa: ANN401
    """Begin a playbook with ``build`` of the versioned deployment declared; ``more`` is its gate, and wishes."""
    declared = VARIABLES["rolled"] | {"package": f"networking-worker=={build}"}
    declared |= {"gate": more.pop("gate")} if "gate" in more else {}
    others = [VARIABLES[other] for other in ("networking", "devices", "scaled")]
    extra = more | {"temporal_worker_deployments": [*others, declared]}
    return subprocess.Popen(
        [
            "ansible-playbook",
            f"--inventory={SCENARIO / 'inventory'}",
            f"--inventory={LAB / 'inventory'}",
            f"--extra-vars=@{SCENARIO / 'vars' / 'workers.yml'}",
            f"--extra-vars={json.dumps(extra)}",
            f"playbooks/{name}.yml",
        ],
        cwd=ROOT,
        env=os.environ | {"ANSIBLE_CONFIG": str(ROOT / "ansible.cfg")},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    )


async def run(name: str, build: str, *, succeeds: bool = True, **more: Any) -> str:  # noqa: ANN401
    """Run a playbook, see ``playbook``, and return what Ansible said."""
    process = playbook(name, build, **more)
    said, _ = await asyncio.to_thread(process.communicate)
    assert (process.returncode == 0) is succeeds, said
    return said


async def interrupted(client: Client, build: str) -> None:
    """Begin to roll ``build`` out, and let the control node die in the middle of a step."""
    process = playbook("deploy_workers", build, steps=[50], hold_seconds=3600)
    while process.poll() is None and await routing(client) != ("1.0.0", build):
        await asyncio.sleep(0.5)
    assert process.poll() is None, process.communicate()[0]
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()


async def deployment(client: Client) -> WorkerDeploymentInfo:
    """Return what the server knows of the deployment."""
    request = DescribeWorkerDeploymentRequest(namespace=NAMESPACE, deployment_name=DEPLOYMENT)
    return (await client.workflow_service.describe_worker_deployment(request)).worker_deployment_info


async def drained(client: Client) -> None:
    """Wait until all builds but the current one have drained."""
    wanted = {"WORKER_DEPLOYMENT_VERSION_STATUS_CURRENT", "WORKER_DEPLOYMENT_VERSION_STATUS_DRAINED"}
    while {
        WorkerDeploymentVersionStatus.Name(row.status) for row in (await deployment(client)).version_summaries
    } != wanted:
        await asyncio.sleep(1)


async def routing(client: Client) -> tuple[str, str]:
    """Return the builds that are current and that ramp."""
    config = (await deployment(client)).routing_config
    return config.current_deployment_version.build_id, config.ramping_deployment_version.build_id


async def start(client: Client, *, hold: bool = False) -> tuple[model.Change, WorkflowHandle]:
    """Start one change of the network."""
    change = model.Change(f"rolled-{uuid.uuid4().hex[:8]}", 10, [model.Device("device")], hold=hold)
    handle = await client.start_workflow(workflows.ConfigureNetwork.run, change, id=change.change_id, task_queue=QUEUE)
    return change, handle


async def builds(handle: WorkflowHandle) -> set[str]:
    """Return the builds that have done anything of a workflow."""
    return {
        event.workflow_task_completed_event_attributes.deployment_version.build_id
        for event in (await handle.fetch_history()).events
        if event.HasField("workflow_task_completed_event_attributes")
    }


async def on_hold(handle: WorkflowHandle) -> None:
    """Wait until a workflow waits for its approval."""
    while (await handle.query(workflows.ConfigureNetwork.progress)).stage != "waiting for approval":
        await asyncio.sleep(0.5)


@contextlib.asynccontextmanager
async def load(client: Client) -> AsyncIterator[list[tuple[model.Change, WorkflowHandle]]]:
    """Start changes all the time; yield the list of them, which grows."""
    started: list[tuple[model.Change, WorkflowHandle]] = []

    async def go_on() -> None:
        while True:
            started.append(await start(client))
            await asyncio.sleep(PAUSE_SECONDS)

    task = asyncio.ensure_future(go_on())
    try:
        yield started
    finally:
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task


async def judge(started: list[tuple[model.Change, WorkflowHandle]]) -> dict[str, int]:
    """Look at what became of every change; return how many each build did."""
    done: dict[str, int] = {}
    for change, handle in started:
        assert await asyncio.wait_for(handle.result(), RESULT_SECONDS) == model.expected_outcome(change)
        by = await builds(handle)
        assert len(by) == 1, f"{change.change_id} was done by {by}"
        build = by.pop()
        done[build] = done.get(build, 0) + 1
    return done


def present(name: str) -> tuple[list[str], list[str]]:
    """Return the builds of a host: those that have units, and those that are installed."""
    host = host_named(name)
    units = host.check_output("ls /etc/systemd/system").split()
    return (
        sorted({unit.split("-")[-2] for unit in units if unit.startswith(f"temporal-sdk-worker@{DEPLOYMENT}-")}),
        sorted(host.check_output(f"ls /opt/temporal-workers/{DEPLOYMENT}").split()),
    )


async def come_and_go() -> None:
    client = await connect()
    assert await routing(client) == ("1.0.0", "")
    held = [await start(client, hold=True) for _ in range(HELD)]
    for _, handle in held:
        await asyncio.wait_for(on_hold(handle), RESULT_SECONDS)
    async with load(client) as started:
        await interrupted(client, "1.1.0")
        assert await routing(client) == ("1.0.0", "1.1.0")
        said = await run("deploy_workers", "1.1.0", gate=GATE, steps=[50], hold_seconds=5)
        assert "50 % of the workflows" in said
        assert await routing(client) == ("1.1.0", "")
        newest = await start(client)
        assert await judge([newest]) == {"1.1.0": 1}

        # It stands beside both others, fails its gate and gets nothing.
        why = await run("deploy_workers", "1.4.0", succeeds=False, gate={**GATE, "timeout_seconds": 5})
        assert "build 1.4.0 of rolled does not pass its gate" in why
        assert await routing(client) == ("1.1.0", "")
        assert present(WORKERS[0])[0] == ["1.0.0", "1.1.0", "1.4.0"]

        # Without a gate it gets half, crashes, and loses it long before its time is over.
        why = await run("deploy_workers", "1.4.0", succeeds=False, steps=[50, 100], hold_seconds=600)
        assert "ended by itself" in why
        assert await routing(client) == ("1.1.0", "")
        assert "Declare 1.0.0" in await run("rollback_workers", "1.4.0", deployments=[DEPLOYMENT])
        assert await routing(client) == ("1.0.0", "")
    # Not one failed, and what the crashing build had begun to look at was done by others.
    shares = await judge(started)
    assert set(shares) == {"1.0.0", "1.1.0"}, shares
    for _, handle in held:
        await handle.signal(workflows.ConfigureNetwork.approve, "somebody")
    assert await judge(held) == {"1.0.0": HELD}

    # What nobody needs any more goes with the next run.
    await asyncio.wait_for(drained(client), RESULT_SECONDS)
    await run("deploy_workers", "1.0.0")
    for name in WORKERS:
        assert present(name) == (["1.0.0"], ["1.0.0"])


def test_builds_come_and_go_and_no_workflow_notices() -> None:
    asyncio.run(come_and_go())
