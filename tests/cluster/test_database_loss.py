"""What the PostgreSQL cluster bears while clients go on: the loss of etcd as a whole."""

from __future__ import annotations

import time
from collections.abc import Iterator

import pytest

from lab.view import View
from tests.chaos.whole import database_is_whole
from tests.cluster.losses import nothing_lost, stopped, whole_again

pytestmark = pytest.mark.profiles("ha_postgresql")

# Patroni's lease is 20 s (ttl): by then a primary that nothing else keeps has given up.
WITHOUT_ETCD_SECONDS = 30
ETCD = "etcd.service"


@pytest.fixture
def whole(view: View) -> Iterator[None]:
    """A whole cluster after the test."""
    with whole_again(view, "all replicas follow the primary", lambda: database_is_whole(view)):
        yield


@pytest.mark.usefixtures("whole")
def test_without_etcd_the_primary_stays_and_every_acknowledged_workflow_completes(view: View) -> None:
    """Patroni asks the replicas themselves whether anybody else leads (failsafe mode)."""
    before = view.database_primary()
    with nothing_lost(view, "no etcd") as made, stopped(view, view.members("etcd"), ETCD):
        began = made.now
        time.sleep(WITHOUT_ETCD_SECONDS)
        served = made.acknowledged_since(began + WITHOUT_ETCD_SECONDS - 5)
        meanwhile = view.database_primary()
    assert served, made.summary()
    assert meanwhile == view.database_primary() == before
