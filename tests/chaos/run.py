"""Break a running cluster of the lab case by case, judge each with the ledger, and write what was seen.

python -m tests.chaos.run --running lab --profile ha_postgresql                 every case of the profile, once
python -m tests.chaos.run --running lab --case primary-host --runs 3            one case three times
python -m tests.chaos.run --running lab --random 20                             20 by lot, from a seed that is printed
python -m tests.chaos.run --running lab --control one-copy                      weaken it for good: the case must fail
python -m tests.chaos.run --profile ha_cassandra --list                         names, targets, what has been run

Every result goes to tests/chaos/results; `make docs` makes the report of all of them. What was broken is healed in any
case: after each run, after Ctrl-C, and by the lab itself when this process is killed. Exit code 1 when something that
was acknowledged was not kept, a target was missed, or a client with the collection's settings saw an error.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import platform
import random
import secrets
import signal
import subprocess
import sys
import tempfile
import time
import traceback
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from types import FrameType

import temporalio.service
import yaml
from temporalio.runtime import LoggingConfig, Runtime, TelemetryConfig, TelemetryFilter

import tests.conftest  # noqa: F401  makes the checkout importable as the collection that it is

# isort: split
from ansible_collections.zerospof.temporal.plugins.module_utils._calls import CLIENTS

from lab import state
from lab.end import leave
from lab.machine import LabError
from lab.view import View, ViewError
from tests.chaos import controls
from tests.chaos.cases import FILL, PROFILES, Case, find, of_profile
from tests.chaos.controls import Control
from tests.chaos.evidence import FaultError, traces, watch
from tests.chaos.ledger import Ledger, ledger
from tests.chaos.result import DIRECTORY, Result, books_of, read_all, rows, shortcomings, write
from tests.chaos.second_opinion import Cli, CliError, disputed, unpacked
from tests.chaos.victims import CHOICES
from tests.chaos.whole import UnsettledError, cluster_is_whole, ring_is_whole, until

# Workflows of each client. More of them fill two cores, on which either cluster fits.
PER_SECOND = {"basic": 2.0, "ha_postgresql": 2.0, "ha_cassandra": 1.0}
PULSES = 5.0
BEFORE_SECONDS = 8
AFTER_SECONDS = 8
WHOLE_SECONDS = 300
# What of the checkout makes the cluster.
PRODUCT = ("lab", "playbooks", "plugins", "roles", "inventories")
# A fault outlives its case by this long when nobody heals it.
HEAL_SECONDS = 120
# What a case takes beside its fault, for the guess how long all of them will.
BESIDE_SECONDS = 120
HEALINGS = 3
STOPS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
# Cases one after the other without a result: the cluster or this program is broken, and more of them tell nothing new.
GIVE_UP = 3
# How long a control lets its weakness grow before the fault.
PRELUDE_SECONDS = 6
# Why a case has no result: none of these says anything about what the cluster bears.
EXPECTED = (UnsettledError, CliError, ViewError, FaultError, LabError, subprocess.SubprocessError)


def lab(name: str, *words: str) -> None:
    """Run a command of the lab."""
    subprocess.run([sys.executable, "-m", "lab", *words, "--name", name], cwd=state.REPOSITORY, check=True)


def said(line: str) -> None:
    """Print a line at once, also through a pipe, with the time of the day."""
    print(f"{time.strftime('%H:%M:%S')} {line}", flush=True)


@contextlib.contextmanager
def uninterrupted() -> Iterator[None]:
    """Let neither this process nor those that it starts be stopped by anything in ``STOPS`` during the body."""
    former = {number: signal.signal(number, signal.SIG_IGN) for number in STOPS}
    try:
        yield
    finally:
        for number, handler in former.items():
            signal.signal(number, handler)


@contextlib.contextmanager
def healed(name: str) -> Iterator[None]:
    """End every fault of the lab after the body, however it ends.

    Raises:
        SystemExit: that did not succeed; nothing that is measured on such a cluster means anything.
    """
    try:
        yield
    finally:
        with uninterrupted():
            heal(name)


def heal(name: str) -> None:
    """End every fault of the lab, in more than one attempt where it has to be.

    Raises:
        SystemExit: that did not succeed.
    """
    for _ in range(HEALINGS):
        with contextlib.suppress(subprocess.SubprocessError):
            return lab(name, "heal")
    raise SystemExit(f"faults of {name} are not healed: python -m lab status --name {name} tells which")


@dataclass(frozen=True)
class Broken:
    """A fault that is over.

    ``started``: the command line could start a workflow meanwhile. ``left``: what is still there of the fault.
    """

    victims: list[str]
    began: float
    ended: float
    started: bool
    command: str
    left: list[str]


def broken_for(case: Case, view: View, books: Ledger, cli: Cli, control: Control | None = None) -> Broken:
    """Make the fault of a case and heal it; ``control`` says what comes before it."""
    first = made(case, view, books, cli, control)
    if not case.then:
        return first
    if case.rejoined:
        try:
            until("every node of Cassandra is up", lambda: ring_is_whole(view), WHOLE_SECONDS)
        except UnsettledError as error:
            return replace(first, left=[*first.left, str(error)])
    second = made(case.second, view, books, cli)
    return replace(
        first,
        victims=first.victims + second.victims,
        ended=second.ended,
        started=first.started or second.started,
        left=first.left + second.left,
        command=f"{first.command}, then {second.command}",
    )


def made(case: Case, view: View, books: Ledger, cli: Cli, control: Control | None = None) -> Broken:
    """Make one fault and heal it, see :func:`broken_for`."""
    victims = CHOICES[case.victims](view)
    words = case.words(victims)
    watched = watch(view, case, victims)
    # A process that was killed needs nobody to end the fault.
    deadline = [] if case.command == "kill-process" else ["--for", str(case.seconds + HEAL_SECONDS)]
    with healed(view.lab.name):
        if control and (before := control.prelude(view, victims)):
            for first in before:
                books.record.mark(" ".join(first))
                lab(view.lab.name, *first, "--for", str(case.seconds + HEAL_SECONDS))
            time.sleep(PRELUDE_SECONDS)
        books.record.mark(" ".join(words))
        began = time.time()
        said(f"   {' '.join(words)} for {case.seconds} s")
        lab(view.lab.name, *words, *deadline)
        watched.check("after it was made")
        started = cli.start(name_of_cli(books))
        time.sleep(max(began + case.seconds - time.time(), 0))
        watched.check("when it was to be healed")
        books.record.mark("heal")
        ended = time.time()
    books.record.mark("healed")
    return Broken(victims, began, ended, started, " ".join(words), [*traces(view), *watched.remains()])


def run_case(
    case: Case, profile: str, view: View, control: Control | None = None, made_of: str | None = None
) -> tuple[Result, str]:
    """Run a case on a whole cluster, or on one that is weakened then; return its result and the picture of its load.

    ``made_of``: the commit that the cluster was made from, for whoever has no repository to ask.
    """
    if left := traces(view):
        raise FaultError(f"left behind by another case: {', '.join(left)}")
    until("the cluster is whole", lambda: cluster_is_whole(view), WHOLE_SECONDS)
    if control:
        controls.mark(view.lab, control)
        control.weaken(view)
    started, before, per_second = time.gmtime(), processor_times(), PER_SECOND[profile] * case.share
    with tempfile.TemporaryDirectory() as directory:
        path = Path(directory) / "ledger.sqlite"
        with unpacked(view) as cli:
            with ledger(view, path, per_second, CLIENTS, PULSES) as books:
                time.sleep(BEFORE_SECONDS)
                broken = broken_for(case, view, books, cli, control)
                time.sleep(AFTER_SECONDS)
                busy = busy_percent(before, processor_times())
            print(books.table, flush=True)
            doubts = second_opinion(cli, books, broken.started)
        books.verdict.broken.extend(f"left behind: {trace}" for trace in broken.left)
        if not control:
            books.verdict.broken.extend(still_broken(view))
        calls = books.record.calls()
        result = Result(
            case=case.name,
            profile=profile,
            started=time.strftime("%Y-%m-%dT%H:%M:%SZ", started),
            command=broken.command,
            victims=broken.victims,
            held_seconds=round(broken.ended - broken.began, 1),
            second_judge="during" if broken.started else "after",
            per_second=per_second,
            **books_of(case, [*calls, *books.completions], books.verdict, doubts, broken.began),
            hosts=len(view.lab.hosts),
            machine=machine(),
            busy_percent=busy,
            versions=versions(view),
            commit=commit(view.lab.inventory) if made_of is None else made_of,
        )
        return result, books.chart


def still_broken(view: View) -> list[str]:
    """Return what the cluster lacks long after everything was healed: empty when it has come back by itself."""
    try:
        until("the cluster is whole", lambda: cluster_is_whole(view), WHOLE_SECONDS)
    except UnsettledError as error:
        return [str(error)]
    return []


def second_opinion(cli: Cli, books: Ledger, started: bool) -> list[str]:
    """Return where the command line and the ledger disagree about what became of the load.

    ``started``: it could start its workflow during the fault; if not, it has to afterwards.
    """
    starts = [call for call in books.record.calls() if call.kind == "start"]
    acknowledged, begun = [call.workflow_id for call in starts if call.acked], {call.workflow_id for call in starts}
    name = name_of_cli(books)
    try:
        if not started:
            until("the command line can start a workflow", lambda: cli.start(name))
        return disputed(acknowledged, begun, cli.listed(f"{books.name}-"), cli.story(name))
    except (CliError, UnsettledError) as error:
        return [f"the command line was not served: {error}"]


def name_of_cli(books: Ledger) -> str:
    """Return the id of the workflow of the command line."""
    return f"cli-{books.name}"


def machine() -> str:
    """Describe the machine that all hosts of the lab share."""
    lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    model = next((line.partition(":")[2].strip() for line in lines if line.startswith("model name")), "")
    gigabytes = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    return f"{os.cpu_count()} cores ({model or platform.machine()}), {gigabytes:.0f} GiB of memory"


def processor_times() -> tuple[int, int]:
    """Return the time that the processors have spent, and how much of it idle, in ticks."""
    times = [int(word) for word in Path("/proc/stat").read_text(encoding="utf-8").splitlines()[0].split()[1:9]]
    return sum(times), times[3] + times[4]


def busy_percent(before: tuple[int, int], after: tuple[int, int]) -> int:
    """Return the share of the processors that was in use between two looks at their times."""
    spent, idle = after[0] - before[0], after[1] - before[1]
    return round(100 * (spent - idle) / spent) if spent else 0


def versions(view: View) -> dict[str, str]:
    """Return what is tested, by name."""
    galaxy = yaml.safe_load((state.REPOSITORY / "galaxy.yml").read_text(encoding="utf-8"))
    found = {
        "zerospof.temporal": galaxy["version"],
        "Temporal": view.variable("temporal_version"),
        "SDK": f"Python {temporalio.service.__version__}",
        "hosts": ", ".join(sorted({host.image for host in view.lab.hosts})),
    }
    return found | ({"Cassandra": view.variable("temporal_versions")["cassandra"]} if view.members("cassandra") else {})


def profile_of(inventory: str) -> str:
    """Return the profile that a lab was made from, by its inventory.

    Raises:
        LabError: there are no cases for it.
    """
    found = [profile for profile in PROFILES if profile in Path(inventory).parts]
    if len(found) != 1:
        raise LabError(f"the lab was made from {inventory}, which is none of {', '.join(PROFILES)}")
    return found[0]


def commit(inventory: str) -> str:
    """Return the commit of the checkout that the lab was made from, with a plus when it has changes of its own."""

    path = Path(inventory)
    checkout = path if path.is_dir() else path.parent

    def git(*words: str) -> str:
        return subprocess.run(
            ["git", "-C", checkout, *words], capture_output=True, text=True, check=True
        ).stdout.strip()

    changed = git("status", "--porcelain", "--", *(f":/{name}" for name in PRODUCT))
    return git("rev-parse", "--short=12", "HEAD") + ("+" if changed else "")


def schedule(options: argparse.Namespace, disks: bool) -> list[Case]:
    """Return the cases in the order in which they are to be run: all of them once before any runs again.

    ``disks``: databases have disks of their own. Where they have none, cases that fill one are left out, with a word.

    Raises:
        KeyError: there is no such case, or it is asked for by name and left out.
    """
    known = of_profile(options.profile)
    possible = [case for case in known if disks or case.command != FILL]
    if left_out := [case.name for case in known if case not in possible]:
        if asked := sorted(set(left_out).intersection(options.case or [])):
            raise KeyError(f"{', '.join(asked)}: databases have no disks of their own: make lab DISKS=1")
        said(f"left out, because databases have no disks of their own (make lab DISKS=1): {', '.join(left_out)}")
    if options.random:
        seed = options.seed or secrets.token_hex(4)
        print(f"--random {options.random} --seed {seed} draws these cases again", flush=True)
        # Of all, so that a lab without disks runs those of the same seed that it can.
        drawn = random.Random(seed).choices(known, k=options.random)
        return [case for case in drawn if case in possible]
    names = options.case or [case.name for case in possible]
    return [find(options.profile, name) for name in names] * options.runs


def run_all(cases: Sequence[Case], profile: str, name: str, directory: Path) -> int:
    """Run the cases one after the other; return how many were not as they must be."""
    view, bad, silent = View(state.load(name)), 0, 0
    # What a run that was killed has left.
    heal(name)
    for number, case in enumerate(cases, start=1):
        left = sum(one.seconds + BESIDE_SECONDS for one in cases[number - 1 :]) / 60
        said(f"[{number}/{len(cases)}, about {left:.0f} min left] {case.name}: {case.tier}, {case.title}")
        try:
            result, chart = run_case(case, profile, view)
        except Exception as error:  # the others can still tell something
            said(f"   no result: {type(error).__name__}: {error}")
            if not isinstance(error, EXPECTED):
                traceback.print_exc()
            bad, silent = bad + 1, silent + 1
            if silent == GIVE_UP:
                said(f"{GIVE_UP} cases without a result one after the other: given up")
                break
            continue
        silent = 0
        path = write(result, chart, directory)
        wrong = shortcomings(case, result)
        bad += bool(wrong)
        gaps = ", ".join(f"{client} {seen.longest_gap:.1f} s" for client, seen in result.clients.items())
        said(f"   {result.command}: longest gap {gaps}; processors {result.busy_percent} % busy")
        said(f"   {'; '.join(wrong) or 'as it must be'}; {os.path.relpath(path)}")
    said(f"{len(cases)} cases, {bad} of them not as they must be")
    return bad


def run_control(control: Control, profile: str, name: str, directory: Path) -> int:
    """Weaken a lab and run the case of a control on it; return 0 when it failed as it has to, else 1."""
    view, case = View(state.load(name)), find(profile, control.case)
    heal(name)
    said(f"control {control.name}: {control.title}; {case.name}: {case.title}")
    result, chart = run_case(case, profile, view, control)
    path = write(result, chart, directory / control.name)
    wrong = shortcomings(case, result)
    seen = controls.bitten(control, wrong, result)
    said(f"   {'; '.join(wrong) or 'as it must be'}; {os.path.relpath(path)}")
    said("   the judge bites" if seen else f"   the judge does not bite: expected {' or '.join(control.expected)}")
    said(f"   {name} is weakened for good: python -m lab down --name {name}")
    return 0 if seen else 1


def listing(profile: str, directory: Path) -> str:
    """Return all cases of a profile with what is known of them."""
    lines = []
    for row in rows(profile, of_profile(profile), read_all(directory)):
        target = "-" if row.target is None else f"{row.target:g} s"
        worst = f"{len(row.runs)} runs, worst {max(row.gaps):.1f} s" if row.runs else "not measured"
        lines.append(f"{row.case.name:<26} {row.case.tier}: {row.case.title}; target {target}; {worst}")
    return "\n".join(lines)


def quiet() -> None:
    """Let the SDK keep to itself what it does about refused calls: the ledger has each of them."""
    errors_only = TelemetryFilter(core_level="ERROR", other_level="ERROR")
    Runtime.set_default(Runtime(telemetry=TelemetryConfig(logging=LoggingConfig(filter=errors_only))))


def terminate(number: int, frame: FrameType | None) -> None:
    """End as Ctrl-C does, so that everything is healed."""
    raise KeyboardInterrupt


def heed_stops() -> None:
    """End at anything in ``STOPS`` as Ctrl-C does."""
    for number in STOPS:
        # Whoever is told to outlive its terminal (nohup) does.
        if signal.getsignal(number) != signal.SIG_IGN:
            signal.signal(number, terminate)


def exit_code(work: Callable[[], int], expected: tuple[type[Exception], ...], undone: str) -> int:
    """Return the exit code of ``work``, also of one that ends early.

    ``expected``: what ends it with its reason and 1. ``undone``: what has become of its faults when somebody stops it.
    """
    try:
        return work()
    except expected as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print(f"interrupted; {undone}", file=sys.stderr)
        return 130


def main() -> int:
    """Run the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--running", metavar="LAB", default="lab", help="name of the lab (default: lab)")
    parser.add_argument("--profile", choices=PROFILES, help="of which to --list (default: that of the lab)")
    parser.add_argument("--case", action="append", metavar="CASE", help="this one only; may be repeated")
    parser.add_argument("--runs", type=int, default=1, help="how often each (default: 1)")
    parser.add_argument("--random", type=int, metavar="NUMBER", help="so many cases by lot instead")
    parser.add_argument("--seed", help="of the lot (default: a new one)")
    parser.add_argument("--control", metavar="CONTROL", help="weaken the lab for good, and see that its case fails")
    parser.add_argument("--results", type=Path, default=DIRECTORY, help="directory for the files")
    parser.add_argument("--list", action="store_true", help="only show the cases")
    options = parser.parse_args()
    return exit_code(lambda: act(parser, options), EXPECTED, "every fault is healed")


def act(parser: argparse.ArgumentParser, options: argparse.Namespace) -> int:
    """Do what the command line asks for; return the exit code."""
    if not (options.list and options.profile):
        made = profile_of(state.load(options.running).inventory)
        if made != (options.profile or made):
            parser.error(f"{options.running} was made from {made}, not {options.profile}")
        options.profile = made
    if options.list:
        print(listing(options.profile, options.results))
        return 0
    if weakness := controls.weakness(state.load(options.running)):
        parser.error(f"{options.running} was weakened by the control {weakness}: take it down")
    try:
        cases = schedule(options, state.load(options.running).disks)
        control = controls.find(options.profile, options.control) if options.control else None
    except KeyError as error:
        parser.error(error.args[0])
    quiet()
    heed_stops()
    if control:
        return run_control(control, options.profile, options.running, controls.DIRECTORY)
    return 1 if run_all(cases, options.profile, options.running, options.results) else 0


if __name__ == "__main__":
    leave(main())
