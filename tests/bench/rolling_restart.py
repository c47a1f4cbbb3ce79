"""What clients see of a rolling restart under load, and how long each batch takes.

python -m tests.bench.rolling_restart --name lab                                      every tier, whether due or not
python -m tests.bench.rolling_restart --name lab --chart restart.svg -e tiers=[etcd]  other wishes for the playbook

Prints the table of the ledger and the seconds of each batch. Nothing is asserted; docs/operations.md has the figures.
"""

from __future__ import annotations

import argparse
import os
import re
import subprocess
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from lab import state
from lab.cluster import Cluster
from lab.end import leave
from lab.view import View
from tests.chaos.ledger import PER_SECOND, Ledger, ledger

# What the playbook says when a batch begins, and the play in which the leadership of PostgreSQL moves.
BATCH = re.compile(r"^(?P<label>\w+, batch \d+ of \d+ \(.*\): .*)$")
SWITCHOVER = re.compile(r"^PLAY \[(?P<label>The leadership moves)\]")
QUIET_SECONDS = 5


@dataclass
class Measured:
    """One run: its exit code, what it printed, and the seconds that each part of it took."""

    code: int = 0
    output: str = ""
    parts: list[tuple[str, float]] = field(default_factory=list)
    seconds: float = 0.0


def run(command: Sequence[str], books: Ledger) -> Measured:
    """Run the playbook, with a mark in the record where each batch begins."""
    made, began, label = Measured(), time.monotonic(), ""
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
                now = time.monotonic()
                if label:
                    made.parts.append((label, now - since))
                label, since = found["label"] if found else "", now
                books.record.mark(label or "end of the playbook")
            elif line.startswith("skipping: no hosts matched") and SWITCHOVER.match(f"PLAY [{label}]"):
                label = ""
    made.code, made.output, made.seconds = process.returncode, "".join(lines), time.monotonic() - began
    return made


def main() -> int:
    """Run the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--name", default="lab", help="name of the lab (default: lab)")
    parser.add_argument("--chart", type=Path, help="SVG file to write")
    parser.add_argument("--log", type=Path, help="file for the output of the playbook")
    options, wishes = parser.parse_known_args()
    command = Cluster.running(options.name).playbook("rolling_restart", "-e", "force=true", *wishes)
    with tempfile.TemporaryDirectory() as directory:
        with ledger(View(state.load(options.name)), Path(directory) / "ledger.sqlite") as books:
            time.sleep(QUIET_SECONDS)
            made = run(command, books)
            time.sleep(QUIET_SECONDS)
        print(f"{PER_SECOND:g} workflows a second and client")
        print(books.table)
        print("\n".join(f"{seconds:>6.1f} s  {label}" for label, seconds in made.parts))
        print(f"{made.seconds:>6.1f} s  all, with code {made.code}")
        if options.chart:
            options.chart.write_text(books.chart, encoding="utf-8")
    if options.log:
        options.log.write_text(made.output, encoding="utf-8")
    return made.code


if __name__ == "__main__":
    leave(main())
