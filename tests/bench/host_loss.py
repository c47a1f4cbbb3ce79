"""What clients see when hosts are lost: two workflows a second, before and after.

python -m tests.bench.host_loss --name lab                                  the first Temporal server dies
python -m tests.bench.host_loss --name lab --fault cut-host cassandra-b1    no packet from or to a node arrives

Prints one row per group of workflows by the second in which they started, and the longest of each figure. Nothing is
asserted: the figures are for docs/operations.md.
"""

from __future__ import annotations

import argparse
import statistics
import subprocess
import sys
import time
from collections.abc import Sequence

from lab import state
from lab.load import Load, Record, load
from lab.view import View

PER_SECOND = 2
BEFORE_SECONDS = 10
AFTER_SECONDS = 60
GROUP_SECONDS = 5


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
    groups: dict[int, list[Record]] = {}
    for record in made.records:
        groups.setdefault(int((record.started - lost) // GROUP_SECONDS), []).append(record)
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
    parser.add_argument("--fault", choices=("kill-host", "cut-host", "pause-host"), default="kill-host")
    parser.add_argument("victims", nargs="*", metavar="HOST", help="default: the first of temporal_servers")
    options = parser.parse_args()
    view = View(state.load(options.name))
    victims = options.victims or view.members("temporal_servers")[:1]
    try:
        print(f"{options.fault} {' '.join(victims)} at 0 s\n{table(*measure(view, options.fault, victims))}")
    finally:
        subprocess.run([sys.executable, "-m", "lab", "heal", "--name", options.name], cwd=state.REPOSITORY, check=True)


if __name__ == "__main__":
    main()
