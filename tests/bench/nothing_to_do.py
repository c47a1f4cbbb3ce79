"""What a run of site.yml costs in which nothing is to be done: tasks, seconds, seconds for each host.

python -m tests.bench.nothing_to_do --name lab

On a lab that `make lab` has made. Nothing is asserted: the figures are for docs/operations.md. The number of tasks is
bounded by tests/cluster/test_site.py.
"""

from __future__ import annotations

import argparse
import re
import resource
import sys
import time

from tests.cluster.conftest import LiveCluster

PLAY = re.compile(r"^PLAY \[", re.MULTILINE)


def main() -> int:
    """Run the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--name", default="lab", help="name of the lab")
    parser.add_argument("--runs", type=int, default=3, help="how often")
    options = parser.parse_args()
    cluster = LiveCluster.running(options.name)
    print(f"{'plays':>5}  {'tasks':>5}  {'hosts':>5}  {'on hosts':>8}  {'seconds':>7}  {'a host':>6}  {'processor':>9}")
    for _ in range(options.runs):
        used, started = resource.getrusage(resource.RUSAGE_CHILDREN), time.monotonic()
        run = cluster.run("site")
        seconds, spent = time.monotonic() - started, resource.getrusage(resource.RUSAGE_CHILDREN)
        if run.code != 0 or any(run.changed.values()):
            sys.exit(f"not a run in which nothing was to be done:\n{run.output[-8000:]}")
        processor = spent.ru_utime + spent.ru_stime - used.ru_utime - used.ru_stime
        plays, hosts = len(PLAY.findall(run.output)), len(run.changed)
        print(
            f"{plays:>5}  {run.tasks:>5}  {hosts:>5}  {run.done:>8}"
            f"  {seconds:>7.1f}  {seconds / hosts:>6.2f}  {processor:>9.1f}",
            flush=True,
        )
    return 0


if __name__ == "__main__":
    sys.exit(main())
