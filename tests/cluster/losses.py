"""What tests share that break a live cluster under load."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from lab.load import Load, load
from lab.view import View
from tests.chaos.whole import until
from tests.cluster.conftest import lab

BEFORE_SECONDS = 4
AFTER_SECONDS = 4
FAULT_SECONDS = 600


@contextlib.contextmanager
def whole_again(view: View, what: str, look: Callable[[], bool]) -> Iterator[None]:
    """Heal every fault of the body, and wait until ``look`` finds the cluster whole."""
    try:
        yield
    finally:
        lab("heal", "--name", view.lab.name)
        until(what, look)


@contextlib.contextmanager
def nothing_lost(view: View, what: str) -> Iterator[Load]:
    """Start workflows before the body, which breaks something, and after it: each acknowledged one ends right."""
    with load(view) as made:
        time.sleep(BEFORE_SECONDS)
        yield made
        time.sleep(AFTER_SECONDS)
    print(f"{what}: {made.summary()}", *made.errors, sep="\n  ")
    assert made.lost == [], made.summary()


def break_for(view: View, *fault: str) -> None:
    """Inject a fault of the lab, which somebody has to heal."""
    lab(*fault, "--for", str(FAULT_SECONDS), "--name", view.lab.name)


@contextlib.contextmanager
def stopped(view: View, hosts: Sequence[str], units: str) -> Iterator[None]:
    """Units of hosts do not run during the body; when they serve again, somebody else has to see."""
    try:
        for host in hosts:
            view.on(host, f"systemctl stop {units}")
        yield
    finally:
        # The first member of a cluster waits for a second.
        for host in hosts:
            view.on(host, f"systemctl start --no-block {units}")


def lose(process: subprocess.Popen[bytes] | subprocess.Popen[str]) -> None:
    """Kill a process with all that it started, as when its machine loses power.

    Workers of ansible-core lead sessions of their own, which no signal to its group reaches: they would hang for ever.
    """
    for number in (signal.SIGSTOP, signal.SIGKILL):
        # What is stopped starts nothing more.
        for pid in (process.pid, *started_by(process.pid)):
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, number)
    process.wait()


def started_by(pid: int) -> list[int]:
    """Return the processes that ``pid`` has started, and those that they have."""
    children: dict[int, list[int]] = {}
    for file in Path("/proc").glob("[0-9]*/stat"):
        with contextlib.suppress(OSError):
            # The name of the program is in parentheses, and may have spaces; then come the state and the parent.
            parent = int(file.read_text().rpartition(")")[2].split()[1])
            children.setdefault(parent, []).append(int(file.parent.name))
    found, todo = [], [pid]
    while todo:
        new = children.get(todo.pop(), [])
        found += new
        todo += new
    return found
