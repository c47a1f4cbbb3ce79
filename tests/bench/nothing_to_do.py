"""What a run of site.yml costs in which nothing is to be done: tasks, seconds, seconds for each host.

python -m tests.bench.nothing_to_do --name lab

On a lab that `make lab` has made. Nothing is asserted: the figures are for docs/operations.md. The number of tasks is
bounded by tests/cluster/test_site.py; nothing_to_do_debops.py has something to compare with.
"""

from __future__ import annotations

import argparse
import re
import resource
import sys
import time
from collections.abc import Callable

from tests.cluster.conftest import LiveCluster, Run

PLAY = re.compile(r"^PLAY \[", re.MULTILINE)
COLUMNS = ("plays", "tasks", "hosts", "on hosts", "a host", "changes", "seconds", "a host", "processor")
SHOWN_OF_A_FAILURE = 8000


def row(*cells: object) -> str:
    """Return a line of the table."""
    return "  ".join(f"{cell:>9}" for cell in cells)


def measure(play: Callable[[], Run]) -> Run:
    """Run playbooks, print what it cost as a row, and return the run; one that fails ends everything."""
    used, started = resource.getrusage(resource.RUSAGE_CHILDREN), time.monotonic()
    run = play()
    seconds, spent = time.monotonic() - started, resource.getrusage(resource.RUSAGE_CHILDREN)
    if run.code != 0:
        sys.exit(f"the run failed:\n{run.output[-SHOWN_OF_A_FAILURE:]}")
    hosts, changes = len(run.changed), sum(run.changed.values())
    processor = spent.ru_utime + spent.ru_stime - used.ru_utime - used.ru_stime
    counted = (len(PLAY.findall(run.output)), run.tasks, hosts, run.done, f"{run.done / hosts:.1f}", changes)
    print(row(*counted, f"{seconds:.1f}", f"{seconds / hosts:.2f}", f"{processor:.1f}"), flush=True)
    return run


def main() -> int:
    """Run the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--name", default="lab", help="name of the lab")
    parser.add_argument("--runs", type=int, default=3, help="how often")
    options = parser.parse_args()
    cluster = LiveCluster.running(options.name)
    print(row(*COLUMNS))
    for _ in range(options.runs):
        run = measure(lambda: cluster.run("site"))
        if any(run.changed.values()):
            sys.exit(f"not a run in which nothing was to be done:\n{run.output[-SHOWN_OF_A_FAILURE:]}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
