"""What clients see when hosts are lost: two workflows a second, before and after.

python -m tests.bench.host_loss --name lab                                  the first Temporal server dies
python -m tests.bench.host_loss --name lab --fault cut-host cassandra-b1    no packet from or to a node arrives
python -m tests.bench.host_loss --name lab worker-a worker-b                workers

Prints one row per group of workflows by the second in which they started, the longest of each figure, and for how long
tasks waited for a worker, by the second in which they were scheduled. Nothing is asserted: the figures are for docs/.
"""

from __future__ import annotations

import argparse
import asyncio
import statistics
import subprocess
import sys
import time
from collections.abc import Iterable, Iterator, Sequence
from typing import TypeVar

from temporalio.api.history.v1 import HistoryEvent
from temporalio.client import Client

from lab import state
from lab.load import Load, load
from lab.view import View

PER_SECOND = 2
BEFORE_SECONDS = 10
AFTER_SECONDS = 60
GROUP_SECONDS = 5
AT_ONCE = 8
# Moment in seconds since the epoch at which a task was scheduled, and for how many seconds it waited for a worker.
Wait = tuple[float, float]
Row = TypeVar("Row")


def grouped(rows: Iterable[tuple[float, Row]]) -> Iterator[tuple[str, list[Row]]]:
    """Yield what belongs to each span of seconds since the loss, with the words for it."""
    groups: dict[int, list[Row]] = {}
    for second, row in rows:
        groups.setdefault(int(second // GROUP_SECONDS), []).append(row)
    for number, group in sorted(groups.items()):
        yield f"{number * GROUP_SECONDS:>4} to {(number + 1) * GROUP_SECONDS:>3} s", group


def waits_of(events: Sequence[HistoryEvent]) -> list[Wait]:
    """Return the tasks of a workflow that a worker took; of an activity that was retried, none: its wait is another."""
    scheduled = {event.event_id: event.event_time.ToNanoseconds() / 1e9 for event in events}
    waits = []
    for event in events:
        if event.HasField("workflow_task_started_event_attributes"):
            began = scheduled[event.workflow_task_started_event_attributes.scheduled_event_id]
        elif event.HasField("activity_task_started_event_attributes"):
            if event.activity_task_started_event_attributes.attempt > 1:
                continue
            began = scheduled[event.activity_task_started_event_attributes.scheduled_event_id]
        else:
            continue
        waits.append((began, event.event_time.ToNanoseconds() / 1e9 - began))
    return waits


async def waits_for_workers(view: View, made: Load) -> list[Wait]:
    """Return the waits of all workflows that were acknowledged."""
    client: Client = await view.client("bench@outside", namespace=view.deployment["namespace"])
    lanes = asyncio.Semaphore(AT_ONCE)

    async def one(name: str) -> list[Wait]:
        async with lanes:
            return waits_of((await client.get_workflow_handle(name).fetch_history()).events)

    acknowledged = [record.workflow_id for record in made.records if record.acknowledged is not None]
    return [wait for waits in await asyncio.gather(*map(one, acknowledged)) for wait in waits]


def table_of_waits(waits: Sequence[Wait], lost: float) -> str:
    """Return for people how long tasks waited; ``lost`` is in seconds since the epoch."""
    lines = [f"{'scheduled':>12}  {'tasks':>9}  {'waited (median, 99 %, max)':>28}"]
    for label, group in grouped((began - lost, seconds) for began, seconds in waits):
        rank = sorted(group)[max(0, -(-99 * len(group) // 100) - 1)]
        lines.append(f"{label}  {len(group):>9}  {statistics.median(group):>10.2f}, {rank:>5.2f}, {max(group):>5.2f} s")
    return "\n".join(lines)


def measure(view: View, fault: str, victims: Sequence[str]) -> tuple[Load, float]:
    """Start workflows and lose ``victims`` meanwhile; return them and the second of the loss."""
    command = [sys.executable, "-m", "lab", fault, *victims, "--for", str(AFTER_SECONDS * 3), "--name", view.lab.name]
    with load(view, PER_SECOND) as made:
        time.sleep(BEFORE_SECONDS)
        subprocess.run(command, cwd=state.REPOSITORY, check=True)
        lost = made.now
        time.sleep(AFTER_SECONDS)
    return made, lost


def table(made: Load, lost: float) -> str:
    """Return the figures for people; seconds count from the loss."""
    lines = [f"{'started':>12}  {'workflows':>9}  {'acknowledged (median, max)':>26}  {'done (median, max)':>18}"]
    for label, group in grouped((record.started - lost, record) for record in made.records):
        acknowledged = [row.acknowledged - row.started for row in group if row.acknowledged is not None] or [0.0]
        done = [row.done - row.started for row in group if row.done is not None] or [0.0]
        lines.append(
            f"{label}  {len(group):>9}"
            f"  {statistics.median(acknowledged):>17.2f}, {max(acknowledged):>5.2f} s"
            f"  {statistics.median(done):>9.2f}, {max(done):>5.2f} s"
        )
    lines.append(made.summary())
    return "\n".join(lines + [f"  {error}" for error in made.errors])


def main() -> None:
    """Run the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--name", default="lab", help="name of the lab (default: lab)")
    parser.add_argument("--fault", choices=("kill-host", "cut-host", "pause-host"), default="kill-host")
    parser.add_argument("victims", nargs="*", metavar="HOST", help="default: the first of temporal_servers")
    options = parser.parse_args()
    view = View(state.load(options.name))
    victims = options.victims or view.members("temporal_servers")[:1]
    try:
        made, lost = measure(view, options.fault, victims)
        print(f"{options.fault} {' '.join(victims)} at 0 s\n{table(made, lost)}")
        waits = asyncio.run(waits_for_workers(view, made))
        print(table_of_waits(waits, time.time() - (made.now - lost)))
    finally:
        subprocess.run([sys.executable, "-m", "lab", "heal", "--name", options.name], cwd=state.REPOSITORY, check=True)


if __name__ == "__main__":
    main()
