"""A drill on a live cluster: what is not survived or not confirmed is refused, and each fault is over afterwards."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from ansible_collections.zerospof.temporal.plugins.module_utils._drill import TABLE
from ansible_collections.zerospof.temporal.plugins.modules.drill_fault import TIMER

from tests.chaos.whole import until
from tests.cluster.conftest import LiveCluster, Run

pytestmark = pytest.mark.profiles(whole=["basic", "ha_postgresql"])

SECONDS = 20
UNITS = "systemctl show --property=ActiveEnterTimestamp 'temporal-*.service'"


def drill(cluster: LiveCluster, fault: str, victim: str, *options: str, sentence: str | None = None) -> Run:
    said = sentence or f"{fault} {victim} for {SECONDS} s"
    wishes = {"fault": fault, "victims": victim, "seconds": SECONDS, "confirmation": said}
    words = [word for name, wish in wishes.items() for word in ("-e", json.dumps({f"drill_{name}": wish}))]
    return cluster.run("failover_drill", *words, *options)


@pytest.fixture
def victim(cluster: LiveCluster) -> Iterator[str]:
    """A Temporal host; afterwards it has no part in what the drill did, and its balancer knows it."""
    view = cluster.view
    host = next(host for host in view.members("temporal_servers") if host != view.vip_holder())
    until("every server is up", view.every_server_is_up)
    yield host
    until("every server is up again", view.every_server_is_up)


def test_what_nobody_has_confirmed_is_not_done(cluster: LiveCluster, victim: str) -> None:
    before = cluster.view.on(victim, UNITS)
    refused = drill(cluster, "kill", victim, sentence="yes")
    assert refused.code != 0
    assert "Nothing was done: 'yes' is not 'kill" in refused.output
    assert cluster.view.on(victim, UNITS) == before


def test_what_is_not_well_is_not_drilled(cluster: LiveCluster, victim: str) -> None:
    other = next(host for host in cluster.view.members("temporal_servers") if host != victim)
    before = cluster.view.on(victim, UNITS)
    cluster.view.on(other, "systemctl stop temporal-matching.service")
    try:
        refused = drill(cluster, "kill", victim)
    finally:
        cluster.view.on(other, "systemctl start temporal-matching.service")
    assert refused.code != 0
    assert f"{other}: temporal-matching.service does not run" in refused.output
    assert cluster.view.on(victim, UNITS) == before


@pytest.mark.parametrize("fault", ["kill", "hang", "cut"])
def test_a_fault_is_made_and_over_and_its_report_is_there(
    cluster: LiveCluster, victim: str, tmp_path: Path, fault: str
) -> None:
    run = drill(cluster, fault, victim, "-e", f"drill_directory={tmp_path}")
    print(run.output[run.output.find("TASK [What the drill showed") :])
    [file] = tmp_path.glob("*/*/*.json")
    result = json.loads(file.read_text(encoding="utf-8"))
    assert result["victims"] == [victim]
    assert result["starts"] > 0
    assert not result["problems"]
    assert file.with_suffix(".svg").read_text(encoding="utf-8").startswith("<svg")
    # How long clients waited is judged by the playbook and published; what was acknowledged is kept on any machine.
    assert not any(result["found"].values()), result["found"]
    left = f"nft list tables | grep {TABLE}; systemctl list-timers --all --no-legend '{TIMER}*'"
    assert cluster.view.on(victim, left).strip() == ""
