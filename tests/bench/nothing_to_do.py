"""What a run of site.yml costs in which nothing is to be done: tasks, seconds, seconds for each host.

python -m tests.bench.nothing_to_do --profile ha_postgresql --name lab

On a lab that `make lab` has made. Nothing is asserted: the figures are for docs/operations.md. The number of tasks is
bounded by tests/cluster/test_site.py.
"""

from __future__ import annotations

import argparse
import os
import re
import resource
import subprocess
import sys
import time

from lab.cluster import ROOT, Cluster

TASK = re.compile(r"^TASK \[", re.MULTILINE)
PLAY = re.compile(r"^PLAY \[", re.MULTILINE)
RECAP = re.compile(r"^(?P<host>\S+)\s+: ok=(?P<ok>\d+)\s+changed=(?P<changed>\d+)", re.MULTILINE)


def main() -> int:
    """Run the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--profile", default="ha_postgresql", help="inventory of the lab")
    parser.add_argument("--name", default="lab", help="name of the lab")
    parser.add_argument("--runs", type=int, default=3, help="how often")
    options = parser.parse_args()
    command = Cluster(options.profile, options.name).playbook("site")
    print(f"{'plays':>5}  {'tasks':>5}  {'hosts':>5}  {'on hosts':>8}  {'seconds':>7}  {'a host':>6}  {'processor':>9}")
    for _ in range(options.runs):
        used, started = resource.getrusage(resource.RUSAGE_CHILDREN), time.monotonic()
        done = subprocess.run(
            command, cwd=ROOT, env=os.environ | {"ANSIBLE_NOCOLOR": "1"}, capture_output=True, text=True, check=False
        )
        seconds, spent = time.monotonic() - started, resource.getrusage(resource.RUSAGE_CHILDREN)
        hosts = list(RECAP.finditer(done.stdout))
        if done.returncode != 0 or any(int(host["changed"]) for host in hosts):
            sys.exit(f"not a run in which nothing was to be done:\n{done.stdout[-4000:]}{done.stderr[-4000:]}")
        processor = spent.ru_utime + spent.ru_stime - used.ru_utime - used.ru_stime
        plays, tasks = len(PLAY.findall(done.stdout)), len(TASK.findall(done.stdout))
        on_hosts = sum(int(host["ok"]) for host in hosts)
        print(
            f"{plays:>5}  {tasks:>5}  {len(hosts):>5}  {on_hosts:>8}"
            f"  {seconds:>7.1f}  {seconds / len(hosts):>6.2f}  {processor:>9.1f}",
            flush=True,
        )
    return 0


if __name__ == "__main__":
    sys.exit(main())
