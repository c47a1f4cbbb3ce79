"""What clients see when the host of a Temporal server dies without a word: two workflows a second, before and after.

python -m tests.bench.server_death --name lab [--victim server-b]

Prints one row per group of workflows by the second in which they started, and the longest of each figure. Nothing is
asserted: the figures are for docs/operations.md.
"""

from __future__ import annotations

import argparse
import statistics
import subprocess
import sys
import time

from lab import state
from lab.load import Load, Record, load
from lab.view import View

PER_SECOND = 2
BEFORE_SECONDS = 10
AFTER_SECONDS = 60
GROUP_SECONDS = 5


def measure(view: View, victim: str) -> tuple[Load, float]:
    """Start workflows and kill ``victim`` meanwhile; return them and the second of the death."""
    kill = [sys.executable, "-m", "lab", "kill-host", victim, "--for", str(AFTER_SECONDS * 3), "--name", view.lab.name]
    with load(view, PER_SECOND) as made:
        time.sleep(BEFORE_SECONDS)
        subprocess.run(kill, cwd=state.REPOSITORY, check=True)
        died = made.now
        time.sleep(AFTER_SECONDS)
    return made, died


def table(made: Load, died: float) -> str:
    """Return the figures for people; seconds count from the death."""
    lines = [f"{'started':>12}  {'workflows':>9}  {'acknowledged (median, max)':>26}  {'done (median, max)':>18}"]
    groups: dict[int, list[Record]] = {}
    for record in made.records:
        groups.setdefault(int((record.started - died) // GROUP_SECONDS), []).append(record)
    for number, group in sorted(groups.items()):
        acknowledged = [row.acknowledged - row.started for row in group if row.acknowledged is not None] or [0.0]
        done = [row.done - row.started for row in group if row.done is not None] or [0.0]
        lines.append(
            f"{number * GROUP_SECONDS:>4} to {(number + 1) * GROUP_SECONDS:>3} s  {len(group):>9}"
            f"  {statistics.median(acknowledged):>17.2f}, {max(acknowledged):>5.2f} s"
            f"  {statistics.median(done):>9.2f}, {max(done):>5.2f} s"
        )
    lines.append(made.summary())
    return "\n".join(lines + [f"  {error}" for error in made.errors])


def main() -> None:
    """Run the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--name", default="lab", help="name of the lab (default: lab)")
    parser.add_argument("--victim", help="a host of temporal_servers (default: the first)")
    options = parser.parse_args()
    view = View(state.load(options.name))
    victim = options.victim or view.members("temporal_servers")[0]
    try:
        print(f"{victim} dies at 0 s\n{table(*measure(view, victim))}")
    finally:
        subprocess.run([sys.executable, "-m", "lab", "heal", "--name", options.name], cwd=state.REPOSITORY, check=True)


if __name__ == "__main__":
    main()
