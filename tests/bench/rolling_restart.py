"""What clients see of a rolling restart or upgrade under load, and how long each batch takes.

python -m tests.bench.rolling_restart --name lab                                      every tier, whether due or not
python -m tests.bench.rolling_restart --name lab --chart restart.svg -e tiers=[etcd]  other wishes for the playbook
python -m tests.bench.rolling_restart --name lab --playbook rolling_upgrade           to the release of the inventory

Prints the table of the ledger, what clients saw of each tier, and the seconds of each batch. Nothing is asserted;
docs/operations.md has the figures.
"""

from __future__ import annotations

import argparse
import itertools
import os
import re
import subprocess
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import tests.conftest  # noqa: F401  makes the checkout importable as the collection that it is

# isort: split
from ansible_collections.zerospof.temporal.plugins.module_utils._calls import Call

from lab import state
from lab.cluster import Cluster
from lab.end import leave
from lab.view import View
from tests.chaos.ledger import PER_SECOND, Ledger, ledger

# What the playbook says when a batch begins, and the play in which the leadership of PostgreSQL moves.
BATCH = re.compile(r"^(?P<label>\w+, batch \d+ of \d+ \(.*\): .*)$")
SWITCHOVER = re.compile(r"^PLAY \[(?P<label>The leadership moves)\]")
QUIET_SECONDS = 5


@dataclass(frozen=True)
class Part:
    """A batch, or the switchover; ``began`` and ``ended`` are seconds of the wall clock."""

    label: str
    began: float
    ended: float

    @property
    def step(self) -> str:
        """What it is a part of: a tier, or the switchover."""
        return self.label.partition(",")[0]

    @property
    def seconds(self) -> float:
        """How long it took."""
        return self.ended - self.began

    def __str__(self) -> str:
        """Return its row for people."""
        return f"{self.seconds:>6.1f} s  {self.label}"


@dataclass
class Measured:
    """One run: its exit code, what it printed, and its parts."""

    code: int = 0
    output: str = ""
    parts: list[Part] = field(default_factory=list)
    seconds: float = 0.0


def within(part: Part, calls: Sequence[Call]) -> float:
    """Return the longest time between acknowledged starts of one client that reaches into ``part``, in seconds."""
    acked = sorted(call.ended for call in calls if call.kind == "start" and call.acked and call.ended is not None)
    pairs = itertools.pairwise(acked)
    return max((end - begin for begin, end in pairs if begin < part.ended and end > part.began), default=0.0)


def by_step(parts: Sequence[Part], calls: Sequence[Call]) -> str:
    """Return what each client saw of each step, for people."""
    clients = list(dict.fromkeys(call.flavour for call in calls if call.kind == "start"))
    rows = [f"{'step':<18}  batches  seconds of each  {'  '.join(f'{client}: errors, gap' for client in clients)}"]
    for step in dict.fromkeys(part.step for part in parts):
        own = [part for part in parts if part.step == step]
        durations = [part.seconds for part in own]
        seen = []
        for client in clients:
            its = [call for call in calls if call.flavour == client]
            gap = max(within(part, its) for part in own)
            failed = sum(not call.acked and part.began <= call.began < part.ended for call in its for part in own)
            seen.append(f"{failed:>{len(client) + 8}}, {gap:.1f} s")
        span = f"{min(durations):.0f} to {max(durations):.0f}"
        rows.append(f"{step:<18}  {len(own):>7}  {span:>15}  {'  '.join(seen)}")
    return "\n".join(rows)


def run(command: Sequence[str], books: Ledger) -> Measured:
    """Run the playbook, with a mark in the record where each batch begins."""
    made, began, label = Measured(), time.time(), ""
    since, lines = began, []
    environment = os.environ | {"ANSIBLE_NOCOLOR": "1", "PYTHONUNBUFFERED": "1"}
    with subprocess.Popen(
        command, cwd=state.REPOSITORY, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    ) as process:
        assert process.stdout is not None
        for line in process.stdout:
            lines.append(line)
            found = BATCH.match(line) or SWITCHOVER.match(line)
            if found or line.startswith("PLAY RECAP"):
                now = time.time()
                if label:
                    made.parts.append(Part(label, since, now))
                label, since = found["label"] if found else "", now
                books.record.mark(label or "end of the playbook")
            elif line.startswith("skipping: no hosts matched") and SWITCHOVER.match(f"PLAY [{label}]"):
                label = ""
    made.code, made.output, made.seconds = process.returncode, "".join(lines), time.time() - began
    return made


def main() -> int:
    """Run the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--name", default="lab", help="name of the lab (default: lab)")
    parser.add_argument(
        "--rate", type=float, default=PER_SECOND, help=f"workflows per second and client ({PER_SECOND:g})"
    )
    parser.add_argument("--chart", type=Path, help="SVG file to write")
    parser.add_argument("--log", type=Path, help="file for the output of the playbook")
    parser.add_argument(
        "--playbook",
        default="rolling_restart",
        choices=("rolling_restart", "rolling_upgrade", "rollback", "rolling_cassandra", "rotate_certificates"),
        help="the first one restarts all that it is to, whether due or not (default: rolling_restart)",
    )
    options, wishes = parser.parse_known_args()
    asked = ("-e", "force=true") if options.playbook == "rolling_restart" else ()
    command = Cluster.running(options.name).playbook(options.playbook, *asked, *wishes)
    with tempfile.TemporaryDirectory() as directory:
        with ledger(View(state.load(options.name)), Path(directory) / "ledger.sqlite", options.rate) as books:
            time.sleep(QUIET_SECONDS)
            made = run(command, books)
            time.sleep(QUIET_SECONDS)
        print(f"{options.rate:g} workflows a second and client")
        print(books.table)
        print(by_step(made.parts, books.record.calls()))
        print(*made.parts, sep="\n")
        print(f"{made.seconds:>6.1f} s  all, with code {made.code}")
        if options.chart:
            options.chart.write_text(books.chart, encoding="utf-8")
    if options.log:
        options.log.write_text(made.output, encoding="utf-8")
    return made.code


if __name__ == "__main__":
    leave(main())
