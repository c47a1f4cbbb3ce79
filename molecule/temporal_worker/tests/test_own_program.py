"""A package that starts its worker itself is a deployment like any other, and every process keeps within its bounds."""

from __future__ import annotations

import asyncio
import uuid

from outside import WORKERS, connect
from testinfra.host import Host

from lab.sample import model, workflows

UNIT = "temporal-sdk-worker@own-1.0.0-1.service"
CHANGES = 8


async def configure() -> set[str]:
    """Start changes on the queue of the program, look at what became of them, and return who did the work."""
    client = await connect()
    who = set()
    for _ in range(CHANGES):
        change = model.Change(f"own-{uuid.uuid4().hex[:8]}", 10, [model.Device("switch")])
        handle = await client.start_workflow(
            workflows.ConfigureNetwork.run, change, id=change.change_id, task_queue="own-queue"
        )
        assert await asyncio.wait_for(handle.result(), 60) == model.expected_outcome(change)
        who |= {
            event.activity_task_started_event_attributes.identity
            for event in (await handle.fetch_history()).events
            if event.HasField("activity_task_started_event_attributes")
        }
    return who


def test_it_serves_under_the_names_that_it_was_given() -> None:
    who = asyncio.run(configure())
    assert who
    assert who <= {f"own:1.0.0@{name}#1" for name in WORKERS}


def test_it_ends_by_itself_when_it_is_stopped(host: Host) -> None:
    try:
        host.check_output(f"systemctl stop '{UNIT}'")
        ended = host.check_output(f"systemctl show --property=Result,ExecMainStatus '{UNIT}'").split()
        said = host.check_output(f"journalctl --no-pager --output=short-precise --lines=20 --unit='{UNIT}'")
        assert sorted(ended) == ["ExecMainStatus=0", "Result=success"], said
    finally:
        host.check_output(f"systemctl start '{UNIT}'")


def test_systemd_knows_its_bounds(host: Host) -> None:
    shown = host.check_output(f"systemctl show --property=MemoryMax,CPUQuotaPerSecUSec,TasksMax '{UNIT}'").split()
    assert sorted(shown) == ["CPUQuotaPerSecUSec=1.500000s", f"MemoryMax={400 * 2**20}", "TasksMax=100"]
