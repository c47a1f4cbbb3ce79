"""How many workflows wait for a timeout when their workers restart all the time.

python -m tests.bench.worker_restarts --name lab                        100 restarts, 3 s apart, by systemd
python -m tests.bench.worker_restarts --name lab --signal SIGKILL       workers that stop without ending anything
python -m tests.bench.worker_restarts --name lab --device-seconds 2     steps that last, so that a stop waits for some

A task that a stopping worker was handed, or that was on its way to one, waits for its timeout and is then given to
another worker: its workflow ends right, and late. Prints the table of the ledger and the share of such workflows.
Nothing is asserted; docs/operations.md has the figures.
"""

from __future__ import annotations

import argparse
import itertools
import random
import time
from collections import Counter
from collections.abc import Iterable

from temporalio.client import WorkflowHistory

from lab import state
from lab.end import leave
from lab.view import View
from tests.chaos.ledger import Ledger, ledger, timeout_of

RESTARTS = 100
PAUSE_SECONDS = 3.0
PER_SECOND = 2.0


def restart_in_turn(view: View, restarts: int, pause_seconds: float, signal: str = "") -> None:
    """Restart the workers one after the other, ``pause_seconds`` apart on average; with a ``signal``, by that.

    The pauses differ: in step with a load of regular beats, every restart would hit its workflows at the same point.
    """
    due, chance = time.monotonic(), random.Random(0)
    for worker in itertools.islice(itertools.cycle(view.workers()), restarts):
        how = f"kill --signal={signal}" if signal else "restart --no-block"
        view.on(worker.host, f"systemctl {how} '{worker.unit}'")
        due += pause_seconds * chance.uniform(0.5, 1.5)
        time.sleep(max(due - time.monotonic(), 0))


def kinds_of(histories: Iterable[WorkflowHistory]) -> Counter[str]:
    """Return how many tasks waited for which timeout."""
    return Counter(kind for history in histories for event in history.events if (kind := timeout_of(event)))


def main() -> int:
    """Run the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--name", default="lab", help="name of the lab (default: lab)")
    parser.add_argument("--restarts", type=int, default=RESTARTS, help=f"how many ({RESTARTS})")
    parser.add_argument(
        "--pause", type=float, default=PAUSE_SECONDS, help=f"seconds between two on average ({PAUSE_SECONDS:g})"
    )
    parser.add_argument(
        "--rate", type=float, default=PER_SECOND, help=f"workflows per second and client ({PER_SECOND:g})"
    )
    parser.add_argument(
        "--device-seconds",
        type=float,
        default=Ledger.device_seconds,
        help=f"how long each step lasts ({Ledger.device_seconds:g})",
    )
    parser.add_argument("--signal", default="", help="kill the process by this, and let systemd start it again")
    options = parser.parse_args()
    view = View(state.load(options.name))
    with ledger(view, ":memory:", options.rate, device_seconds=options.device_seconds) as books:
        restart_in_turn(view, options.restarts, options.pause, options.signal)
    how = options.signal or "restarts"
    share = 100 * len(books.waited) / len(books.seen)
    print(f"{options.restarts} x {how} of {len(view.workers())} workers, {options.pause:g} s apart")
    print(books.table)
    print(f"{len(books.waited)} of {len(books.seen)} workflows waited for a timeout: {share:.2f} %")
    for kind, number in kinds_of(books.histories[name] for name in books.waited).most_common():
        print(f"  {number} x {kind.replace('TIMEOUT_TYPE_', '').replace('_', ' ').lower()}")
    return 1 if books.verdict.problems else 0


if __name__ == "__main__":
    leave(main())
