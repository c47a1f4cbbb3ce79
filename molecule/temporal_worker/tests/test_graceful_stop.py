"""A worker that is stopped in the middle of an activity ends it, or hands it on when it takes longer than the grace."""

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
# Less than the grace of these workers, and more.
ENDS_SECONDS = 6
OUTLASTS_SECONDS = 15


def host_of(identity: str) -> Host:
    """Return the host in the identity of a worker, ``networking:1.0.0@worker-a#1``."""
    return host_named(identity.partition("@")[2].partition("#")[0])


async def running_activity(handle: WorkflowHandle, name: str) -> PendingActivityInfo:
    """Wait until the activity ``name`` runs on a worker."""
    while True:
        for activity in (await handle.describe()).raw_description.pending_activities:
            if activity.activity_type.name == name and activity.last_worker_identity:
                return activity
        await asyncio.sleep(0.2)


async def stop_in_the_middle(seconds: float, attempt: int) -> None:
    """Stop the worker of an activity of so many seconds, which is done in its ``attempt``."""
    change = model.Change(f"stop-{uuid.uuid4().hex[:6]}", 10, [model.Device("slow", seconds=seconds)])
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
        events = (await handle.fetch_history()).events
        scheduled = {
            event.event_id: event.activity_task_scheduled_event_attributes.activity_type.name
            for event in events
            if event.HasField("activity_task_scheduled_event_attributes")
        }
        started = {
            scheduled[event.activity_task_started_event_attributes.scheduled_event_id]: (
                event.activity_task_started_event_attributes
            )
            for event in events
            if event.HasField("activity_task_started_event_attributes")
        }
        done = started.pop("apply_configuration")
        assert done.attempt == attempt
        # Whoever was stopped ended what it could end, and another one did what it could not.
        assert (done.identity == activity.last_worker_identity) == (attempt == 1)
        assert not done.last_failure.HasField("timeout_failure_info")
        assert {event.attempt for event in started.values()} == {1}
        assert host.check_output(f"systemctl show --property=Result --value '{UNIT}'") == "success"
        assert "INFO temporal_worker: stopped after" in host.check_output(
            f"journalctl --output=cat --unit='{UNIT}' | tail -n 20"
        )
    finally:
        host.check_output(f"systemctl start '{UNIT}'")


def test_the_running_activity_is_done_once_and_the_workflow_is_right() -> None:
    asyncio.run(stop_in_the_middle(ENDS_SECONDS, attempt=1))


def test_an_activity_that_outlasts_the_grace_is_done_by_another_worker_at_once() -> None:
    asyncio.run(stop_in_the_middle(OUTLASTS_SECONDS, attempt=2))
