"""Start Airflow with Celery, Redis and PostgreSQL on hosts of the lab, break it, and count what became of its jobs.

python -m tests.baseline.run                                        every experiment once, on hosts made for it
python -m tests.baseline.run --experiment worker --runs 3           one of them three times
python -m tests.baseline.run --keep                                 the hosts stay, for --running afterwards
python -m tests.baseline.run --running test-baseline                on hosts that --keep left

Every outcome goes to tests/baseline/results; `make docs` makes the table of them. What was broken is brought back in
any case, and hosts that were made are removed. Exit code 1 when an experiment has no outcome.
"""

from __future__ import annotations

import argparse
import contextlib
import hashlib
import os
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from lab import faults, hosts, state
from lab.cluster import StepError, stream
from lab.machine import LabError
from lab.view import View, ViewError
from tests.baseline.judge import gap, has_resumed, is_quiet, judge, pinned, table, under_way, unfinished
from tests.baseline.ledger import Ledger, LedgerError, listening, submitting
from tests.baseline.result import DIRECTORY, EXPERIMENTS, Outcome, write
from tests.chaos.evidence import FaultError
from tests.chaos.run import exit_code, heed_stops, lab, machine, said, uninterrupted
from tests.chaos.whole import UnsettledError, until

HERE = Path(__file__).parent
NAME = "test-baseline"
QUEUES = ("a", "b")
DATABASE = "database"
# Of each queue. Faster, and two cores have no time left: Airflow takes about a second of one for each job.
PERIOD_SECONDS = 3.0
# So many jobs of each queue have to end before the fault, and after the repair.
WARM_ENDS, RESUMED_ENDS = 5, 3
WARM_SECONDS, RESUME_SECONDS = 240, 180
HELD_SECONDS = 60
# A fault of a host outlives its time by this long when nobody heals it.
HEAL_SECONDS = 120
# Airflow gives up a task that is queued and that nobody takes after 600 s, one that shows no sign of life after 300 s.
SETTLE_SECONDS = 720
# Why an experiment has no outcome: none of these says anything about what Airflow bears.
EXPECTED = (
    UnsettledError,
    LedgerError,
    FaultError,
    ViewError,
    LabError,
    StepError,
    subprocess.SubprocessError,
    OSError,
)


@dataclass(frozen=True)
class Target:
    """What an experiment takes away: all processes of a unit, or the host when there is none."""

    host: str
    unit: str = ""

    @property
    def command(self) -> str:
        """The fault, as a command of the lab."""
        return f"kill-process {self.host} --process {self.unit}" if self.unit else f"kill-host {self.host}"


TARGETS = {
    "scheduler": Target("scheduler", "airflow-scheduler.service"),
    "broker": Target("scheduler", "redis-server.service"),
    "database": Target(DATABASE, "postgresql@15-main.service"),
    "worker": Target("worker-b", "airflow-worker.service"),
    "host": Target("scheduler"),
}
# The queue in the middle of whose task the fault has to come.
MIDDLE = {"worker": "b"}


def keep_away(unit: str) -> str:
    """Return the command after which systemd does not start a unit again that is killed."""
    folder = f"/run/systemd/system/{unit}.d"
    return f"mkdir -p {folder} && printf '[Service]\\nRestart=no\\n' >{folder}/away.conf && systemctl daemon-reload"


def bring_back(unit: str) -> str:
    """Return the command after which a unit runs as before it was kept away."""
    return f"rm -rf /run/systemd/system/{unit}.d && systemctl daemon-reload && systemctl start {unit}"


def is_away(view: View, target: Target) -> bool:
    """Tell whether nothing of a target runs, by what its host says, or by what the lab says of its host."""
    if target.unit:
        return view.on(target.host, f"systemctl is-active {target.unit} || true").strip() in ("failed", "inactive")
    return hosts.states(view.lab)[view.lab.container(view.lab.host(target.host))] != "running"


@contextlib.contextmanager
def ready(view: View, target: Target) -> Iterator[None]:
    """Let a target stay away when it is killed during the body, and bring it back afterwards, however that ends."""
    try:
        if target.unit:
            view.on(target.host, keep_away(target.unit))
        yield
    finally:
        with uninterrupted():
            if target.unit:
                view.on(target.host, bring_back(target.unit))
            else:
                lab(view.lab.name, "start-host", target.host)


def kill(view: View, target: Target) -> None:
    """Kill a target at once: not by a command of its own, which a short task would not wait for."""
    with faults.locked(view.lab):
        if target.unit:
            faults.kill_process(view.lab, (target.host,), target.unit)
        else:
            deadline = time.time() + HELD_SECONDS + HEAL_SECONDS
            faults.inject(view.lab, faults.Fault(f"kill-{target.host}", "kill", (target.host,), deadline))


def wait_for_task(ledger: Ledger, queue: str) -> set[str]:
    """Return the jobs of a queue that are under way as soon as one has just started.

    Raises:
        UnsettledError: none does.
    """
    seen, deadline = under_way(ledger.books(), queue), time.monotonic() + WARM_SECONDS
    while not (now := under_way(ledger.books(), queue)) - seen:
        if time.monotonic() > deadline:
            raise UnsettledError(f"no job of queue {queue} started in {WARM_SECONDS} s")
        seen = now
        time.sleep(0.05)
    return now


def states(view: View, name: str) -> dict[str, str]:
    """Return what Airflow says of each run whose id begins with ``name``."""
    query = f"select run_id, state from dag_run where run_id like '{name}-%'"
    rows = view.on(DATABASE, f'runuser -u postgres -- psql -At -F " " airflow -c "{query}"')
    return dict(line.split() for line in rows.splitlines())


def settled(view: View, ledger: Ledger, healed: float, seconds: float) -> tuple[dict[str, str], dict[str, str]]:
    """Wait until Airflow is done with all jobs or the time is up.

    Returns:
        the states when nothing had happened for a while though some were not done, empty when that was never so, and
        those at the end.
    """
    quiet: dict[str, str] = {}
    while True:
        books, found = ledger.books(), states(view, ledger.name)
        if not unfinished(books, found) or time.time() > healed + seconds:
            return quiet, found
        if not quiet and is_quiet(books, healed, time.time()):
            quiet = found
            said(f"   nothing goes on, and not done: {', '.join(sorted(unfinished(books, found)))}")
        time.sleep(2)


def run_once(experiment: str, view: View, settle_seconds: float) -> Outcome:
    """Run an experiment on hosts where everything runs; return its outcome."""
    target, began = TARGETS[experiment], time.gmtime()
    ledger = Ledger(f"{experiment}-{time.time():.0f}", QUEUES)

    def ended(since: float, ends: int) -> bool:
        return has_resumed(ledger.books(), QUEUES, since, ends)

    with listening(ledger, view.lab.gateway) as url:
        with submitting(ledger, view.lab, view.lab.host(DATABASE), url, PERIOD_SECONDS):
            until("jobs of both queues end", lambda: ended(0, WARM_ENDS), WARM_SECONDS)
            with ready(view, target):
                queue = MIDDLE.get(experiment)
                victims = wait_for_task(ledger, queue) if queue else set()
                fault = time.time()
                said(f"   {target.command}")
                kill(view, target)
                time.sleep(max(fault + HELD_SECONDS - time.time(), 0))
                if not is_away(view, target):
                    raise FaultError(f"{target.command}: it came back by itself before its time")
                if queue and not victims & under_way(ledger.books(), queue):
                    raise FaultError(f"{target.command}: no task was in the middle any more")
                healed = time.time()
            said(f"   brought back after {healed - fault:.0f} s")
            with contextlib.suppress(UnsettledError):
                until("jobs end again", lambda: ended(healed, RESUMED_ENDS), RESUME_SECONDS)
            stopped = time.time()
        quiet, final = settled(view, ledger, healed, settle_seconds)
    watched = time.time() - healed
    books = ledger.books()
    verdict, worst = judge(books, quiet, final), gap(books, QUEUES, fault, stopped)
    print(table(books), flush=True)
    return Outcome(
        experiment=experiment,
        started=time.strftime("%Y-%m-%dT%H:%M:%SZ", began),
        command=f"{target.command}; watched for {watched:.0f} s after it was back",
        held_seconds=round(healed - fault, 1),
        gap=worst.seconds,
        gap_from=worst.since,
        jobs=verdict.jobs,
        lost=verdict.lost,
        duplicated=verdict.duplicated,
        stuck=verdict.stuck,
        machine=machine(),
        versions=versions(view),
    )


def versions(view: View) -> dict[str, str]:
    """Return what is measured, by name."""
    packages = pinned((HERE / "requirements.txt").read_text(encoding="utf-8"))

    def installed(host: str, package: str) -> str:
        return view.on(host, f"dpkg-query --show --showformat '${{Version}}' {package}").strip()

    return {
        "Airflow": packages["apache-airflow"],
        "Celery": packages["celery"],
        "Redis": installed("scheduler", "redis-server"),
        "PostgreSQL": installed(DATABASE, "postgresql-15"),
        "hosts": ", ".join(sorted({host.image for host in view.lab.hosts})),
    }


def archive() -> Path:
    """Return where the installed Airflow of these requirements is kept."""
    digest = hashlib.sha256((HERE / "requirements.txt").read_bytes()).hexdigest()[:12]
    return state.cache_root() / "artifacts" / f"airflow-{digest}.tar"


@contextlib.contextmanager
def system(name: str, subnet: str | None, keep: bool) -> Iterator[View]:
    """Make hosts with everything on them, and remove them after the body unless they are to be kept."""
    lab(name, "down", "--missing-ok")
    try:
        lab(name, "up", "--inventory", str(HERE / "hosts.yml"), *(["--subnet", subnet] if subnet else []))
        view = View(state.load(name))
        inventories = [f"--inventory={HERE / 'hosts.yml'}", f"--inventory={view.lab.directory / 'inventory'}"]
        playbook = ["ansible-playbook", *inventories, f"--extra-vars=airflow_archive={archive()}"]
        stream("Airflow", [*playbook, str(HERE / "airflow.yml")], state.REPOSITORY / ".cache" / "logs" / "airflow.log")
        yield view
    finally:
        if not keep:
            with uninterrupted():
                lab(name, "down", "--missing-ok")


def run_all(names: Sequence[str], view: View, settle_seconds: float, directory: Path) -> int:
    """Run the experiments one after the other; return how many have no outcome."""
    silent = 0
    for number, name in enumerate(names, start=1):
        said(f"[{number}/{len(names)}] {name}: {EXPERIMENTS[name]}")
        try:
            outcome = run_once(name, view, settle_seconds)
        except EXPECTED as error:
            said(f"   no outcome: {type(error).__name__}: {error}")
            silent += 1
            continue
        path = write(outcome, directory)
        told = "stopped until it was back" if outcome.stopped else "went on"
        harm = ", ".join(f"{kind} {count}" for kind, count in outcome.harm.items()) or "nothing lost"
        said(f"   {told}: longest gap {outcome.gap} s from {outcome.gap_from:+} s; of {outcome.jobs} jobs: {harm}")
        said(f"   {os.path.relpath(path)}")
    return silent


def main() -> int:
    """Run the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--experiment", action="append", choices=sorted(EXPERIMENTS), help="only this; may be repeated")
    parser.add_argument("--runs", type=int, default=1, help="how often each (default: 1)")
    parser.add_argument("--settle", type=float, default=SETTLE_SECONDS, metavar="SECONDS", help="at most, per run")
    parser.add_argument("--running", metavar="LAB", help="use the hosts of this lab, which --keep left")
    parser.add_argument("--keep", action="store_true", help=f"leave the hosts, as lab {NAME}")
    parser.add_argument("--subnet", help="a /24 instead of that of hosts.yml")
    parser.add_argument("--results", type=Path, default=DIRECTORY, help="directory for the files")
    options = parser.parse_args()
    names = [name for name in EXPERIMENTS if name in (options.experiment or EXPERIMENTS)] * options.runs
    heed_stops()

    def work() -> int:
        with contextlib.ExitStack() as stack:
            if options.running:
                view = View(state.load(options.running))
            else:
                view = stack.enter_context(system(NAME, options.subnet, options.keep))
            return 1 if run_all(names, view, options.settle, options.results) else 0

    return exit_code(work, EXPECTED, "what was broken is back")


if __name__ == "__main__":
    sys.exit(main())
