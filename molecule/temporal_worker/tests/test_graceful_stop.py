"""A worker that is stopped in the middle of an activity ends it; nothing is lost and nothing is done twice."""

from __future__ import annotations

import asyncio
import time
import uuid

from outside import connect, host_named
from temporalio.api.workflow.v1 import PendingActivityInfo
from temporalio.client import WorkflowHandle
from testinfra.host import Host

from lab.sample import model, workflows

UNIT = "temporal-sdk-worker@networking-1.0.0-1.service"
DEVICE_SECONDS = 6


def host_of(identity: str) -> Host:
    """Return the host in the identity of a worker, ``networking@worker-a#1``."""
    return host_named(identity.partition("@")[2].partition("#")[0])


async def running_activity(handle: WorkflowHandle, name: str) -> PendingActivityInfo:
    """Wait until the activity ``name`` runs on a worker."""
    while True:
        for activity in (await handle.describe()).raw_description.pending_activities:
            if activity.activity_type.name == name and activity.last_worker_identity:
                return activity
        await asyncio.sleep(0.2)


async def stop_in_the_middle() -> None:
    change = model.Change(f"stop-{uuid.uuid4().hex[:6]}", 10, [model.Device("slow", seconds=DEVICE_SECONDS)])
    client = await connect()
    handle = await client.start_workflow(
        workflows.ConfigureNetwork.run, change, id=change.change_id, task_queue="networking-queue"
    )
    activity = await asyncio.wait_for(running_activity(handle, "apply_configuration"), 60)
    host = host_of(activity.last_worker_identity)
    try:
        began = time.monotonic()
        host.check_output(f"systemctl stop '{UNIT}'")
        assert time.monotonic() - began > 1, "it did not wait for its activity"
        assert await asyncio.wait_for(handle.result(), 60) == model.expected_outcome(change)
        started = [
            event.activity_task_started_event_attributes
            for event in (await handle.fetch_history()).events
            if event.HasField("activity_task_started_event_attributes")
        ]
        assert {event.attempt for event in started} == {1}
        assert activity.last_worker_identity in {event.identity for event in started}
        assert host.check_output(f"systemctl show --property=Result --value '{UNIT}'") == "success"
        assert "INFO temporal_worker: stopped after" in host.check_output(
            f"journalctl --output=cat --unit='{UNIT}' | tail -n 20"
        )
    finally:
        host.check_output(f"systemctl start '{UNIT}'")


def test_the_running_activity_is_done_once_and_the_workflow_is_right() -> None:
    asyncio.run(stop_in_the_middle())
