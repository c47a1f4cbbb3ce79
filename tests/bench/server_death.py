"""What clients see when the host of a Temporal server dies without a word: two workflows a second, before and after.

python -m tests.bench.server_death --name lab [--victim server-b]

Prints one row per group of workflows by the second in which they started, and the longest of each figure. Nothing is
asserted: the figures are for docs/operations.md.
"""

from __future__ import annotations

import argparse
import asyncio
import statistics
import subprocess
import sys
import time
import uuid
from dataclasses import dataclass

from lab import state
from lab.sample import model, workflows
from lab.view import View

PAUSE_SECONDS = 0.5
BEFORE_SECONDS = 10
AFTER_SECONDS = 60
GROUP_SECONDS = 5
GIVE_UP_SECONDS = 180


@dataclass(frozen=True)
class Sample:
    """One workflow: when it was started, how long until that was acknowledged, and until it was done (seconds)."""

    started: float
    acknowledged: float
    done: float


async def measure(view: View, victim: str) -> tuple[list[Sample], list[str], float]:
    """Start workflows and kill ``victim`` meanwhile; return samples, errors and the second of the death."""
    client = await view.client("bench@outside", namespace=view.deployment["namespace"])
    began = time.monotonic()
    samples: list[Sample] = []
    errors: list[str] = []

    async def one() -> None:
        name = f"bench-{uuid.uuid4().hex[:10]}"
        change = model.Change(name, vlan=7, devices=[model.Device("switch-1")])
        started = time.monotonic()
        try:
            handle = await client.start_workflow(
                workflows.ConfigureNetwork.run, change, id=name, task_queue=view.deployment["task_queue"]
            )
            acknowledged = time.monotonic()
            await asyncio.wait_for(handle.result(), GIVE_UP_SECONDS)
        except Exception as error:  # every kind of failure is a figure here
            errors.append(f"{type(error).__name__}: {error}")
            return
        samples.append(Sample(started - began, acknowledged - started, time.monotonic() - started))

    async def load(seconds: float) -> list[asyncio.Task[None]]:
        tasks = []
        until = time.monotonic() + seconds
        while time.monotonic() < until:
            tasks.append(asyncio.create_task(one()))
            await asyncio.sleep(PAUSE_SECONDS)
        return tasks

    tasks = await load(BEFORE_SECONDS)
    kill = [sys.executable, "-m", "lab", "kill-host", victim, "--for", str(AFTER_SECONDS * 3), "--name", view.lab.name]
    await asyncio.to_thread(subprocess.run, kill, cwd=state.REPOSITORY, check=True)
    died = time.monotonic() - began
    tasks += await load(AFTER_SECONDS)
    await asyncio.gather(*tasks)
    return sorted(samples, key=lambda sample: sample.started), errors, died


def table(samples: list[Sample], errors: list[str], died: float) -> str:
    """Return the figures for people; seconds count from the death."""
    lines = [f"{'started':>12}  {'workflows':>9}  {'acknowledged (median, max)':>26}  {'done (median, max)':>18}"]
    groups: dict[int, list[Sample]] = {}
    for sample in samples:
        groups.setdefault(int((sample.started - died) // GROUP_SECONDS), []).append(sample)
    for number, group in sorted(groups.items()):
        acknowledged, done = ([getattr(sample, name) for sample in group] for name in ("acknowledged", "done"))
        lines.append(
            f"{number * GROUP_SECONDS:>4} to {(number + 1) * GROUP_SECONDS:>3} s  {len(group):>9}"
            f"  {statistics.median(acknowledged):>17.2f}, {max(acknowledged):>5.2f} s"
            f"  {statistics.median(done):>9.2f}, {max(done):>5.2f} s"
        )
    lines.append(f"errors: {len(errors)}" + "".join(f"\n  {error}" for error in sorted(set(errors))))
    return "\n".join(lines)


def main() -> None:
    """Run the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--name", default="lab", help="name of the lab (default: lab)")
    parser.add_argument("--victim", help="a host of temporal_servers (default: the first)")
    options = parser.parse_args()
    view = View(state.load(options.name))
    victim = options.victim or view.members("temporal_servers")[0]
    try:
        print(f"{victim} dies at 0 s\n{table(*asyncio.run(measure(view, victim)))}")
    finally:
        subprocess.run([sys.executable, "-m", "lab", "heal", "--name", options.name], cwd=state.REPOSITORY, check=True)


if __name__ == "__main__":
    main()
