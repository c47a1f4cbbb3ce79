"""Workers that restart under load end what they have begun; the ledger sees those that do not."""

from __future__ import annotations

import pytest

from tests.bench.worker_restarts import restart_in_turn
from tests.chaos.ledger import Ledger, ledger
from tests.cluster.conftest import LiveCluster

# Minutes under load.
pytestmark = pytest.mark.profiles(whole=["basic"])

RESTARTS = 30
PAUSE_SECONDS = 1.5
PER_SECOND = 2.0
# So that a worker has something to do at any time, which it ends or leaves to others.
DEVICE_SECONDS = 2.0
# Workers that stop politely, against those that are killed: of two hundred workflows 1 to 3 wait for a timeout on an
# idle machine (docs/operations.md) and 19 did on a busy one, where what a task waits for may be a processor. Of those
# whose workers are killed it was nine of ten.
LARGEST_PART = 0.15


def books_of(cluster: LiveCluster, signal: str = "") -> Ledger:
    """The books of a load while workers restart, one after the other."""
    with ledger(cluster.view, ":memory:", PER_SECOND, device_seconds=DEVICE_SECONDS) as books:
        restart_in_turn(cluster.view, RESTARTS, PAUSE_SECONDS, signal)
    print(books.table, f"{len(books.waited)} of {len(books.seen)} waited for a timeout", sep="\n")
    return books


def test_nothing_is_lost_and_who_stops_rudely_is_seen(cluster: LiveCluster) -> None:
    polite, rude = books_of(cluster), books_of(cluster, "SIGKILL")
    assert polite.verdict.problems == []
    assert rude.verdict.problems == []
    assert rude.waited
    assert len(polite.waited) / len(polite.seen) <= LARGEST_PART * len(rude.waited) / len(rude.seen)
