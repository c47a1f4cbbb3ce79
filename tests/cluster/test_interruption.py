"""Wherever a rolling restart is killed with its control node, the next one completes it and restarts nothing twice."""

from __future__ import annotations

import re
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from lab.view import View
from tests.bench.rolling_restart import BATCH
from tests.chaos.ledger import ledger
from tests.cluster.conftest import LiveCluster
from tests.cluster.losses import break_for, whole_again
from tests.cluster.test_rolling_restart import on_hosts, restarted, starts
from tests.cluster.test_rolling_upgrade import at_line, judged, kill_when

# Minutes under load.
pytestmark = pytest.mark.profiles(whole=["ha_postgresql"])

# What of each tier is changed on disk, so that its hosts wait for a restart.
FILES = {
    "postgresql": "/etc/patroni/conf.d/member.yml",
    "temporal_servers": "/etc/temporal/server.yaml",
    "load_balancers": "/etc/systemd/system/keepalived.service.d/zerospof.conf",
    "cassandra": "/etc/cassandra/cassandra-rackdc.properties",
    "temporal_workers": "/opt/temporal-workers/temporal_worker_runner.py",
}
KEPT = "/root/before-the-interruption"
# Workflows in a second and client. Eighteen hosts with six nodes of Cassandra have no room for more on two cores, and
# even so a write may time out while Ansible asks them all: what they promise their clients is measured where nobody is
# killed (docs/operations.md), and here that nothing is lost.
PER_SECOND = {"ha_postgresql": 1.0, "ha_cassandra": 0.5}
CROWDED = {"ha_cassandra"}
# A host of the batch in which the run was killed may still carry out the task that it was given.
SETTLE_SECONDS = 15


@dataclass(frozen=True)
class Point:
    """Where the run is killed: when it names the task ``task`` for the first time behind ``after``.

    Ansible names one that includes others before those are carried out, and any other one with its first result.
    ``restarted``: the services of the batch have restarted by then.
    """

    tier: str
    after: str
    task: str
    restarted: bool = False


MIDDLE = {tier: f"{tier}, batch 2 of" for tier in FILES}
POINTS = {
    "mark": Point("temporal_servers", MIDDLE["temporal_servers"], "The host is out of traffic"),
    "drain": Point("temporal_servers", MIDDLE["temporal_servers"], "The services restart"),
    "resume": Point("temporal_servers", MIDDLE["temporal_servers"], "The host is back in traffic", restarted=True),
    "peers": Point("temporal_servers", MIDDLE["temporal_servers"], "Its peers see it again", restarted=True),
    "pause": Point("postgresql", "The leadership moves", "drain . Running transactions have ended"),
    "switchover": Point("postgresql", "The leadership moves", "The primary is told to hand over"),
    "old-primary": Point("postgresql", "postgresql_primary, batch 1 of 1", "The services restart"),
    "address": Point("load_balancers", "load_balancers, batch 3 of", "The services restart"),
}
# What was drained of these answers nobody, or does not run, before it has restarted.
WORKER_POINTS = {
    "stopped": Point("temporal_workers", MIDDLE["temporal_workers"], "The services restart"),
    "polling": Point("temporal_workers", MIDDLE["temporal_workers"], "The host is back in traffic", restarted=True),
}
RING_POINTS = {
    "drained": Point("cassandra", MIDDLE["cassandra"], "The services restart"),
    "in-the-ring": Point("cassandra", MIDDLE["cassandra"], "The host is back in traffic", restarted=True),
}
RING, BOTH = pytest.mark.profiles(whole=["ha_cassandra"]), pytest.mark.profiles(whole=["ha_cassandra", "ha_postgresql"])


def change(view: View, tier: str) -> None:
    """Change a file of each host of ``tier`` that its services read at their start, or change it back."""
    file = FILES[tier]
    back = f"mv {KEPT} {file}"
    forth = f"cp --archive {file} {KEPT}; echo '# changed' >> {file}"
    for host in view.members(tier):
        view.on(host, f"if test -e {KEPT}; then {back}; else {forth}; fi")


@pytest.fixture(scope="module", autouse=True)
def unchanged(cluster: LiveCluster) -> Iterator[None]:
    """Every file is in the end as it was."""
    yield
    tiers = [tier for tier in FILES if cluster.view.members(tier)]
    left = [tier for tier in tiers if cluster.view.on(cluster.view.members(tier)[0], f"ls {KEPT} || true").strip()]
    for tier in left:
        change(cluster.view, tier)
    if left:
        cluster.run("rolling_restart")


@pytest.mark.parametrize(
    "point",
    [pytest.param(point, id=name) for name, point in POINTS.items()]
    + [pytest.param(point, id=name, marks=BOTH) for name, point in WORKER_POINTS.items()]
    + [pytest.param(point, id=name, marks=RING) for name, point in RING_POINTS.items()],
)
def test_a_restart_that_is_killed_is_completed_by_the_next(cluster: LiveCluster, tmp_path: Path, point: Point) -> None:
    view = cluster.view
    change(view, point.tier)
    before = starts(view)
    with ledger(view, tmp_path / "ledger.sqlite", PER_SECOND[cluster.profile]) as books:
        said = kill_when(cluster.playbook("rolling_restart"), f"TASK .*{point.task}", after=point.after)
        books.record.mark(f"killed at: {point.task}")
        time.sleep(SETTLE_SECONDS)
        middle = starts(view)
        run = cluster.run("rolling_restart")
    assert run.code == 0, run.output[-8000:]
    judged(books, least=10, crowded=cluster.profile in CROWDED)
    after = starts(view)
    assert on_hosts(restarted(before, after)) == set(view.members(point.tier))
    assert done(said, with_last=point.restarted) & on_hosts(restarted(middle, after)) == set()
    assert "Nothing is to be restarted" in cluster.run("rolling_restart", "--check").output


def test_a_host_that_dies_while_others_restart_ends_the_run_and_nothing_is_lost(
    cluster: LiveCluster, tmp_path: Path
) -> None:
    """A fault in the middle of planned work: its turn would have come next."""
    view, tier = cluster.view, "temporal_servers"
    first, second, third = view.members(tier)
    change(view, tier)
    before = starts(view)
    with ledger(view, tmp_path / "ledger.sqlite") as books, whole_again(view, "all serve", view.every_server_is_up):
        failed = at_line(
            cluster.playbook("rolling_restart"),
            "TASK .*The services restart",
            MIDDLE[tier],
            lambda _process: break_for(view, "kill-host", third),
        )
        books.record.mark("the run has ended")
    print(books.table)
    assert books.verdict.problems == []
    assert failed.code != 0
    assert f"({tier}, {view.lab.host(second).zone}, batch 2 of 3) did not come through" in failed.output
    assert re.search(rf"{third} \(\S+\) is missing", " ".join(failed.output.split())), failed.reasons
    middle = starts(view)
    run = cluster.run("rolling_restart")
    assert run.code == 0, run.output[-8000:]
    after = starts(view)
    assert on_hosts(restarted(before, after)) >= set(view.members(tier))
    assert first not in on_hosts(restarted(middle, after))


def done(said: str, *, with_last: bool) -> set[str]:
    """The hosts of all batches that a run had behind it, by what it said; ``with_last``: also of the one it was in."""
    lines = said.splitlines()
    batches = [number for number, line in enumerate(lines) if BATCH.match(line)]
    plays = [number for number, line in enumerate(lines) if line.startswith("PLAY [")]
    # The last one was left when another play began: that of the switchover.
    ended = batches if with_last or plays[-1] > batches[-1] else batches[:-1]
    return {host for number in ended for host in lines[number].partition("): ")[2].split(", ")}
