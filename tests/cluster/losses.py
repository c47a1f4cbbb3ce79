"""What tests share that break a live cluster under load."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Iterator, Sequence

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
