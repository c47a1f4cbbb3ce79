"""Many changes at once in a running lab: when the instances of a deployment come, and when they are gone again.

python -m tests.bench.autoscaling_run --name LAB [--deployment networking] [--changes 500] [--chart SVG] [--record JSON]

The lab must have been set up with instances_min and instances_max for the deployment (docs/autoscaling.md). An instance
counts while it answers at the port of its metrics, as its own host sees it. Nothing is asserted but that no change is
lost; the figures are for docs/autoscaling.md. With --record, the moment of each activity and for how long it ran are
written for the simulation (tests/bench/autoscaling.py).
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import itertools
import json
import time
import uuid
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from temporalio.api.history.v1 import HistoryEvent
from temporalio.client import Client

import tests.workers  # noqa: F401  (lets the programs of worker hosts be imported)
from lab import state
from lab.end import leave
from lab.load import outcome_of
from lab.sample import model, workflows
from lab.view import View
from tests.bench import autoscaling

# isort: split
import temporal_worker_scaler as scaler
from ansible_collections.zerospof.temporal.plugins.module_utils._svg import document

SETTINGS = "/etc/temporal-workers/scaling.json"
PAUSE_SECONDS = 0.5
AT_ONCE = 50
BEFORE_SECONDS = 5.0
GIVE_UP_SECONDS = 400.0


@dataclass
class Run:
    """What was seen; ``curve`` has (second since the first change was sent, instances, waiting tasks, open changes).

    ``tasks`` are the activities: when each was scheduled, in seconds of the epoch, and for how many seconds it ran.
    ``fewest`` and ``most`` are those of all hosts together.
    """

    fewest: int
    most: int
    began: float = field(default_factory=time.monotonic)
    curve: list[tuple[float, int, int, int]] = field(default_factory=list)
    tasks: list[tuple[float, float]] = field(default_factory=list)
    open: int = 0
    wrong: int = 0
    sent: float = 0.0
    ended: float | None = None

    @property
    def now(self) -> float:
        """Seconds since the first change was sent."""
        return time.monotonic() - self.began

    def first(self, instances: int, after: float = 0.0) -> float | None:
        """Return when there were ``instances`` for the first time after a moment."""
        return next((at for at, number, _, _ in self.curve if at >= after and number == instances), None)

    @property
    def is_over(self) -> bool:
        """Tell whether all changes have ended and the fewest instances are left."""
        return self.ended is not None and self.first(self.fewest, self.ended) is not None

    def summary(self) -> str:
        """Return the figures as lines of text."""
        full, back = self.first(self.most), self.first(self.fewest, self.ended or 0.0)
        most = max(number for _, number, _, _ in self.curve)
        # For who reads the journals of the agents beside it.
        at_zero = datetime.now(UTC) - timedelta(seconds=self.now)
        return "\n".join(
            [
                f"first change sent at 0 s ({at_zero:%H:%M:%S.%f} UTC), last at {self.sent:.1f} s",
                f"wrong or lost: {self.wrong}",
                f"all {self.most} instances serve at {full:.1f} s" if full else f"at most {most} of {self.most}",
                f"last change done at {self.ended:.1f} s" if self.ended else f"{self.open} changes are open",
                f"the fewest, {self.fewest}, at {back:.1f} s" if back else f"there are {self.curve[-1][1]} instances",
                "instances over time: "
                + ", ".join(
                    f"{number} at {at:.1f} s"
                    for place, (at, number, _, _) in enumerate(self.curve)
                    if place == 0 or self.curve[place - 1][1] != number
                ),
            ]
        )

    def drawing(self) -> str:
        """Return the curves as SVG."""
        parts: list[str] = []
        down, seconds = float(autoscaling.MARGIN), self.curve[-1][0]
        titles = ("instances", "tasks that wait, as the server tells", "changes that are not done")
        for column, title in enumerate(titles, 1):
            points = [(max(0.0, point[0]), float(point[column])) for point in self.curve]
            top = max(value for _, value in points) or 1
            parts.append(f'<text x="{autoscaling.MARGIN}" y="{down - 8}">{title}, up to {top:.0f}</text>')
            parts += autoscaling.panel(autoscaling.MARGIN, down, seconds, top, [(autoscaling.COLOURS[0], points)])
            down += autoscaling.PANEL + autoscaling.GAP
        return document(parts, autoscaling.WIDTH + 2 * autoscaling.MARGIN, down, autoscaling.FONT_SIZE)


def tasks_of(events: Sequence[HistoryEvent]) -> list[tuple[float, float]]:
    """Return the activities of a workflow that were completed: when each was scheduled, and for how long it ran."""
    at = {event.event_id: event.event_time.ToNanoseconds() / 1e9 for event in events}
    ends = [(event.event_id, event.activity_task_completed_event_attributes) for event in events]
    return [
        (at[end.scheduled_event_id], at[event_id] - at[end.started_event_id])
        for event_id, end in ends
        if end.scheduled_event_id
    ]


def serving(view: View, host: str, addresses: list[str]) -> int:
    """Return how many instances of a host serve: the firewall keeps strangers away from the ports of their metrics."""
    looks = (f"if (: </dev/tcp/{address.replace(':', '/')}) 2>&-; then echo; fi" for address in addresses)
    return view.on(host, "\n".join(looks)).count("\n")


async def watch(run: Run, view: View, instances: dict[str, list[str]], settings: scaler.Settings) -> None:
    """Look at the instances and the task queue until all is over."""
    server, waiting, deployment = scaler.Server(), 0, settings.deployments[0]
    while not run.is_over and run.now < GIVE_UP_SECONDS:
        looks = (asyncio.to_thread(serving, view, host, addresses) for host, addresses in instances.items())
        number = sum(await asyncio.gather(*looks))
        # A look that fails leaves a gap in the curve, and no more.
        with contextlib.suppress(OSError, RuntimeError):
            waiting = sum(queue.backlog for queue in (await server.queues(settings, deployment)).values())
        run.curve.append((run.now, number, waiting, run.open))
        await asyncio.sleep(PAUSE_SECONDS)


async def change(run: Run, client: Client, task_queue: str, seconds: float, gate: asyncio.Semaphore) -> None:
    """Carry out one change, and look at what became of it."""
    name = f"run-{uuid.uuid4().hex[:12]}"
    wanted = model.Change(name, 10, [model.Device(f"device-{name}", seconds=seconds)])
    async with gate:
        handle = await client.start_workflow(workflows.ConfigureNetwork.run, wanted, id=name, task_queue=task_queue)
        run.open += 1
        run.sent = run.now
    try:
        outcome = await asyncio.wait_for(outcome_of(handle), GIVE_UP_SECONDS)
        run.wrong += outcome != model.expected_outcome(wanted)
    finally:
        run.open -= 1
    async with gate:
        run.tasks += tasks_of((await handle.fetch_history()).events)


async def drive(view: View, name: str, changes: int, seconds: float) -> Run:
    """Start the changes and return what was seen."""
    hosts = view.members("temporal_workers")
    told: list[dict[str, Any]] = [json.loads(view.on(host, f"cat {SETTINGS}")) for host in hosts]
    rows = [row for values in told for row in values["deployments"] if row["name"] == name]
    instances = {host: list(itertools.chain(*row["metrics"])) for host, row in zip(hosts, rows, strict=True)}
    run = Run(sum(row["fewest"] for row in rows), sum(len(row["units"]) for row in rows))
    pki = view.lab.directory / "pki"
    operator = {
        "authority": str(pki / "ca.crt"),
        "certificate": str(pki / "clients" / "operator.crt"),
        "key": str(pki / "clients" / "operator.key"),
    }
    values = told[0] | {"tls": told[0]["tls"] | operator, "deployments": [rows[0]]}
    settings = scaler.Settings.from_text(json.dumps(values))
    deployment = settings.deployments[0]
    client = await view.client("bench@outside", settings.addresses[0], deployment.namespace)
    run.began = time.monotonic() + BEFORE_SECONDS
    watching = asyncio.create_task(watch(run, view, instances, settings))
    await asyncio.sleep(BEFORE_SECONDS)
    gate = asyncio.Semaphore(AT_ONCE)
    ended = await asyncio.gather(
        *(change(run, client, deployment.task_queue, seconds, gate) for _ in range(changes)), return_exceptions=True
    )
    run.wrong += sum(isinstance(one, BaseException) for one in ended)
    run.ended = run.now
    await watching
    return run


def main() -> int:
    """Run the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--name", default="lab", help="name of the lab (default: lab)")
    parser.add_argument("--deployment", default="networking", help="the deployment (default: networking)")
    parser.add_argument("--changes", type=int, default=500, help="how many changes at once (default: 500)")
    parser.add_argument("--seconds", type=float, default=5.0, help="what a device takes for its change (default: 5)")
    parser.add_argument("--chart", type=Path, help="SVG file to write")
    parser.add_argument("--record", type=Path, help="JSON file to write the activities into, for the simulation")
    options = parser.parse_args()
    run = asyncio.run(drive(View(state.load(options.name)), options.deployment, options.changes, options.seconds))
    print(run.summary())
    if options.chart:
        options.chart.write_text(run.drawing(), encoding="utf-8")
    if options.record:
        first = min(at for at, _ in run.tasks)
        rows = sorted([round(at - first, 1), round(seconds, 2)] for at, seconds in run.tasks)
        options.record.write_text(json.dumps(rows) + "\n", encoding="utf-8")
    return 1 if run.wrong else 0


if __name__ == "__main__":
    leave(main())
