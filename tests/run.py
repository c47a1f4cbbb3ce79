"""Run the tests in order, show what each took, and end with one table.

python -m tests.run check    lint, unit tests, templates (under 3 minutes)
python -m tests.run all      everything, on real clusters
python -m tests.run STEP...  the named steps
"""

from __future__ import annotations

import argparse
import itertools
import os
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
LOGS = ROOT / ".cache" / "logs"
TAIL_LINES = 60
LANES = 2
BESIDE = ("check", "tool", "role")
# The gaps that these measure are tenths of a second: they run alone.
ALONE = ("keepalived",)
# Only by name, python -m tests.run "cluster basic": the hour of the suite has no room for eighteen hosts, and every
# tier of basic stands in three_machines too.
ASKED = ("basic", "ha_cassandra")
REASONS = 40
# What pytest, Ansible, Molecule and the lab put in front of the reason of a failure.
REASON = re.compile(r"^(E  |FAILED|ERROR|CRITICAL|fatal:|failed:|\[ERROR\]|flow: error|lab: error)")
OF_A_TASK = re.compile(r"^(fatal:|failed:|\[ERROR\])")
LINES_OF_A_TASK = 8
# Who sees no more than the end of what is printed sees every step that failed, and the first reasons of each.
DIGEST_LINES = 18
DIGEST_WIDTH = 220
# Not the lines of Molecule, which end in the same words and name no reason.
OF_PYTEST = re.compile(r"^(FAILED|ERROR) \S")
# Molecule colours what it prints and draws a line at the left of what Ansible prints; so does the lab.
DECORATION = re.compile(r"\x1b\[[0-9;]*m")
FRAME = re.compile(r"^ +[│|] ?")
HEARTBEAT_SECONDS = 30
PYTEST_SUMMARY = re.compile(r"^(?:=+ )?(\d+ (?:passed|failed|error).*?) in [\d.]+s", re.MULTILINE)


@dataclass(frozen=True)
class Step:
    """One command of the suite.

    ``group``: ``check`` needs no host, ``tool`` needs no cluster, ``role`` has hosts of its own: these run beside
    their like. ``host`` runs alone; so does ``asked``, by name.
    """

    name: str
    command: tuple[str, ...]
    group: str


@dataclass(frozen=True)
class Outcome:
    """What became of a step; ``seconds`` is wall-clock time."""

    step: Step
    code: int
    seconds: float
    summary: str
    reasons: tuple[str, ...] = ()


def scenarios() -> list[str]:
    """Return the names of the Molecule scenarios of the suite."""
    return sorted(path.parent.name for path in (ROOT / "molecule").glob("*/molecule.yml"))


def profiles() -> list[str]:
    """Return the names of the example inventories that a cluster test brings up."""
    return sorted(path.parent.name for path in (ROOT / "inventories").glob("*/hosts.yml"))


def steps() -> list[Step]:
    """Return the whole suite in the order in which it runs: cheap checks first."""
    pytest = ("python", "-m", "pytest", "-q", "--tb=short", "--durations=15", "-p", "no:cacheprovider")
    suite = [
        Step("ruff", ("ruff", "check", "."), "check"),
        Step("ruff format", ("ruff", "format", "--check", "."), "check"),
        Step("yamllint", ("yamllint", "--strict", "."), "check"),
        Step("ansible-lint", ("ansible-lint", "--strict", "--offline"), "check"),
        Step("documentation", ("python", "-m", "tests.docs"), "check"),
        Step("unit", (*pytest, "tests/unit"), "check"),
        Step("templates", (*pytest, "tests/templates"), "check"),
        # Scenarios of roles install it; on a fresh machine this is where it is made.
        Step("software", ("python", "-m", "lab.software"), "host"),
        # The longest first: two lanes end at about the same time then.
        Step("sanity", (*pytest, "tests/sanity"), "tool"),
        Step("compatibility", (*pytest, "tests/compatibility"), "tool"),
        Step("lab", (*pytest, "tests/lab"), "tool"),
        Step("artifacts", (*pytest, "tests/artifacts"), "tool"),
    ]
    suite += [
        Step(f"molecule {name}", ("molecule", "test", "--scenario-name", name), "host" if name in ALONE else "role")
        for name in sorted(scenarios(), key=lambda name: name in ALONE)
    ]
    suite += [
        Step(f"cluster {name}", (*pytest, "tests/cluster", f"--profile={name}"), "asked" if name in ASKED else "host")
        for name in profiles()
    ]
    # With what the hour of the suite has no room for: only by name.
    suite += [
        Step(f"whole {name}", (*pytest, "tests/cluster", f"--profile={name}", "--whole"), "asked")
        for name in profiles()
    ]
    return [
        step
        for step in suite
        if step.command[-1].startswith("-") or "tests/" not in step.command[-1] or (ROOT / step.command[-1]).exists()
    ]


def duration(seconds: float) -> str:
    """Return ``seconds`` as minutes and seconds."""
    return f"{int(seconds) // 60}:{int(seconds) % 60:02d}"


def reasons(log: str) -> tuple[str, ...]:
    """Return the last lines of ``log`` that say why a step failed, as their program wrote them.

    Of a program whose reasons look otherwise, as those of ruff do, they are the last lines of all.
    """
    lines = [FRAME.sub("", DECORATION.sub("", line)).rstrip()[:300] for line in log.splitlines()]
    wanted: set[int] = set()
    for number, line in enumerate(lines):
        if REASON.match(line):
            wanted.update(range(number, number + (LINES_OF_A_TASK if OF_A_TASK.match(line) else 1)))
    found = tuple(line for number, line in enumerate(lines) if number in wanted and line)[-REASONS:]
    return found or tuple(line for line in lines if line)[-LINES_OF_A_TASK:]


def digest(outcomes: Sequence[Outcome]) -> list[str]:
    """Return the last lines of a run: of each step that failed why, in few words, and how many did."""
    failed = [outcome for outcome in outcomes if outcome.code != 0]
    lines = []
    for outcome in failed:
        of_pytest = [line for line in outcome.reasons if OF_PYTEST.match(line)]
        kept = (of_pytest or outcome.reasons)[: max(1, DIGEST_LINES // len(failed))]
        lines += [f"{outcome.step.name}: {line}"[:DIGEST_WIDTH] for line in kept or ("no reason was printed",)]
    names = f": {', '.join(outcome.step.name for outcome in failed)}" if failed else ""
    return [*lines, f"{len(outcomes) - len(failed)} passed, {len(failed)} failed{names}"]


def run(step: Step, position: str) -> Outcome:
    """Run one step with its output in a log; show the end of the log when it fails."""
    log = LOGS / f"{step.name.replace(' ', '-')}.log"
    print(f"[{position}] {step.name} ...", flush=True)
    started = time.monotonic()
    with log.open("w", encoding="utf-8") as output:
        process = subprocess.Popen(step.command, cwd=ROOT, stdout=output, stderr=subprocess.STDOUT)
        while True:
            try:
                code = process.wait(timeout=HEARTBEAT_SECONDS)
                break
            except subprocess.TimeoutExpired:
                print(f"[{position}] {step.name}: {duration(time.monotonic() - started)} so far", flush=True)
    seconds = time.monotonic() - started
    text = log.read_text(encoding="utf-8", errors="replace")
    found = PYTEST_SUMMARY.findall(text)
    summary = found[-1] if found else ""
    print(f"[{position}] {step.name}: {'ok' if code == 0 else 'FAILED'} in {duration(seconds)} {summary}", flush=True)
    if code != 0:
        print("\n".join(f"    {line}" for line in text.splitlines()[-TAIL_LINES:]), flush=True)
    return Outcome(step, code, seconds, summary, reasons(text) if code != 0 else ())


def run_all(suite: Sequence[Step]) -> list[Outcome]:
    """Run the steps in order, two at a time where nothing is shared: alone, most of them wait half of the time."""
    numbered = [(step, f"{number}/{len(suite)}") for number, step in enumerate(suite, start=1)]
    outcomes: list[Outcome] = []
    for kind, group in itertools.groupby(numbered, key=lambda pair: pair[0].group):
        with ThreadPoolExecutor(LANES if kind in BESIDE else 1) as pool:
            outcomes += pool.map(lambda pair: run(*pair), list(group))
    return outcomes


def table(outcomes: Sequence[Outcome], seconds: float) -> str:
    """Return the result of the suite for people; ``seconds`` is what it took altogether."""
    width = max(len(outcome.step.name) for outcome in outcomes)
    lines = [f"{'step':<{width}}  {'time':>6}  result"]
    lines += [
        f"{outcome.step.name:<{width}}  {duration(outcome.seconds):>6}  "
        f"{'ok' if outcome.code == 0 else 'FAILED'}  {outcome.summary}".rstrip()
        for outcome in outcomes
    ]
    lines.append(f"{'all':<{width}}  {duration(seconds):>6}")
    return "\n".join(lines)


def selected(wanted: Sequence[str]) -> list[Step]:
    """Return the steps that the words of the command line mean."""
    suite = steps()
    if "all" in wanted:
        return [step for step in suite if step.group != "asked"]
    names = {step.name for step in suite} | {step.group for step in suite}
    unknown = [word for word in wanted if word not in names]
    if unknown:
        sys.exit(f"unknown step {', '.join(unknown)}; there are: {', '.join(sorted(names))}")
    return [step for step in suite if step.name in wanted or step.group in wanted]


def remove_former_labs() -> None:
    """Remove the lab hosts that an interrupted run of the suite left; a lab that people made stays."""
    subprocess.run([sys.executable, "-m", "lab", "down", "--tests"], cwd=ROOT, check=True)


def main() -> int:
    """Run the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("steps", nargs="+", metavar="STEP")
    suite = selected(parser.parse_args().steps)
    shutil.rmtree(LOGS, ignore_errors=True)
    LOGS.mkdir(parents=True)
    os.environ["PYTHONDONTWRITEBYTECODE"] = "1"
    on_hosts = any(step.group != "check" for step in suite)
    started = time.monotonic()
    if on_hosts:
        remove_former_labs()
    outcomes = run_all(suite)
    if on_hosts:
        remove_former_labs()
    print(f"\n{table(outcomes, time.monotonic() - started)}")
    print()
    for outcome in outcomes:
        for reason in outcome.reasons:
            print(f"{outcome.step.name}: {reason}")
    print("\n".join(digest(outcomes)))
    return 1 if any(outcome.code != 0 for outcome in outcomes) else 0


if __name__ == "__main__":
    sys.exit(main())
