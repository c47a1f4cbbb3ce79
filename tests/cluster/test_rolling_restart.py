"""A loaded cluster restarts and no client notices; a host that does not come back stops it, the rest is done later."""

from __future__ import annotations

import re
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml
from ansible_collections.zerospof.temporal.plugins.module_utils._calls import RETRYING, SINGLE
from ansible_collections.zerospof.temporal.plugins.module_utils._rolling import LAST, PRIMARY, TITLES, UNITS

from lab.view import View
from tests.bench.rolling_restart import by_step
from tests.bench.rolling_restart import run as run_marked
from tests.chaos.ledger import ledger
from tests.chaos.whole import until
from tests.cluster.conftest import LiveCluster

# Minutes of a busy machine, which the hour of make test has no room for.
pytestmark = pytest.mark.profiles(whole=["ha_postgresql"])
EVERY = pytest.mark.profiles(whole=["ha_postgresql", "ha_cassandra"])

ASKED = ("-e", "force=true")
RECORDS = "cd /var/lib/zerospof/started && stat --format='%n %.9Y' *"
BROKEN = "/etc/systemd/system/temporal-matching.service.d/broken.conf"


def every_tier(view: View) -> list[str]:
    """The tiers that the cluster has."""
    return [tier for tier in UNITS if view.members(tier)]


def starts(view: View, *tiers: str) -> dict[tuple[str, str], float]:
    """When each service of the hosts of ``tiers``, of all by default, was started, by host and unit."""
    hosts = dict.fromkeys(host for tier in tiers or every_tier(view) for host in view.members(tier))
    rows = [(host, *line.split()) for host in hosts for line in view.on(host, RECORDS).splitlines()]
    return {(host, unit): float(moment) for host, unit, moment in rows if unit != "zerospof-firewall.service"}


def restarted(before: dict[tuple[str, str], float], after: dict[tuple[str, str], float]) -> set[tuple[str, str]]:
    return {service for service, moment in after.items() if moment > before[service]}


def on_hosts(services: set[tuple[str, str]]) -> set[str]:
    return {host for host, _ in services}


def wait_for_every_server(view: View) -> None:
    """Return when the balancer's health checks pass for every server."""
    until("every server is up", view.every_server_is_up)


@EVERY
def test_check_mode_shows_the_plan_and_changes_nothing(cluster: LiveCluster) -> None:
    view = cluster.view
    before = starts(view)
    check = cluster.run("rolling_restart", *ASKED, "--check")
    assert check.code == 0, check.reasons
    assert set(check.changed.values()) == {0}
    hosts = {host for tier in every_tier(view) for host in view.members(tier)}
    zones = [zone for zone in view.groups if zone.startswith("az_")]
    assert f"To be restarted: {len(hosts)} hosts in {len(zones) * len(every_tier(view))} batches" in check.output
    found = re.findall(
        r"^\d+\. (.+): \d batch\w*\n((?:   \d/\d  az_\w  \S+ +asked for\n)+)", check.output, re.MULTILINE
    )
    plan = {title: re.findall(r"(\d)/\d  (az_\w)  (\S+)", rows) for title, rows in found}
    # Those of which nobody moves anything go zone by zone, with all hosts of the zone.
    for tier in set(every_tier(view)) - LAST:
        assert {(batch, zone) for batch, zone, _ in plan[TITLES[tier]]} == set(zip("123", zones, strict=True))
        assert sorted(host for _, _, host in plan[TITLES[tier]]) == sorted(view.members(tier))
    assert [host for _, _, host in plan[TITLES[PRIMARY]]] == [view.database_primary()]
    assert plan[TITLES["load_balancers"]][-1][-1] == view.vip_holder()
    assert starts(view) == before


def test_a_limit_that_leaves_out_the_poolers_is_refused_before_anything_restarts(cluster: LiveCluster) -> None:
    before = starts(cluster.view)
    refused = cluster.run("rolling_restart", *ASKED, "--limit", "postgresql")
    assert refused.code != 0
    assert "leads PostgreSQL. While the leadership moves" in refused.output
    assert starts(cluster.view) == before


@EVERY
def test_a_rolling_restart_under_load_is_seen_by_no_client(cluster: LiveCluster, tmp_path: Path) -> None:
    before = starts(cluster.view)
    with ledger(cluster.view, tmp_path / "ledger.sqlite") as books:
        run = run_marked(cluster.playbook("rolling_restart", *ASKED), books)
    print(books.table, by_step(run.parts, books.record.calls()), *run.parts, sep="\n")
    (cluster.directory / "rolling_restart.svg").write_text(books.chart)
    assert run.code == 0, run.output[-8000:]
    assert books.verdict.problems == []
    assert books.failed(RETRYING) == [], books.table
    assert len(books.of(RETRYING)) > 50
    assert restarted(before, starts(cluster.view)) == before.keys()


@pytest.fixture(scope="module")
def changed(cluster: LiveCluster, tmp_path_factory: pytest.TempPathFactory, running: str | None) -> Iterator[None]:
    """Every Temporal server has a new setting on disk."""
    inventory = tmp_path_factory.mktemp("changed") / "new.yml"
    new = {"temporal_server_config_overrides": {"log": {"level": "warn"}}}
    inventory.write_text(yaml.safe_dump({"all": {"vars": new}}), encoding="utf-8")
    site = cluster.run("site", "-i", str(inventory), "--limit", "temporal_servers")
    assert site.code == 0, site.reasons
    assert "Waiting for a restart: 12 services" in site.output
    yield
    if running is not None:
        for playbook in ("site", "rolling_restart"):
            cluster.run(playbook, "--limit", "temporal_servers")


@pytest.mark.usefixtures("changed")
def test_a_host_that_does_not_come_back_stops_everything_and_the_rest_is_done_later(cluster: LiveCluster) -> None:
    view = cluster.view
    first, second, third = view.members("temporal_servers")
    before = starts(view, "temporal_servers")
    view.on(second, f"mkdir -p {BROKEN.rpartition('/')[0]}; printf '[Service]\\nExecStartPre=/bin/false\\n' > {BROKEN}")
    try:
        failed = cluster.run("rolling_restart")
        middle = starts(view, "temporal_servers")
    finally:
        view.on(second, f"rm {BROKEN}; systemctl daemon-reload")
    assert failed.code != 0
    assert f"{second} (temporal_servers, az_b, batch 2 of 3) did not come through" in failed.output
    assert "Job for temporal-matching.service failed" in failed.output
    assert "Meanwhile the watching client started" in failed.output
    assert on_hosts(restarted(before, middle)) == {first, second}
    assert third not in failed.output.rpartition("batch 2 of 3 (az_b)")[2].partition("PLAY RECAP")[0]
    # A frontend is no part of what failed, so the host still has traffic.
    wait_for_every_server(view)

    again = cluster.run("rolling_restart")
    assert again.code == 0, again.output[-8000:]
    after = starts(view, "temporal_servers")
    assert on_hosts(restarted(middle, after)) == {second, third}
    # Neither poolers nor database proxies nor the web UI had anything new.
    assert {unit for _, unit in restarted(before, after)} == {
        f"temporal-{service}.service" for service in ("frontend", "history", "matching", "worker")
    }
    wait_for_every_server(view)
    idle = cluster.run("rolling_restart", "--check")
    assert "Nothing is to be restarted" in idle.output


def test_servers_of_two_zones_that_run_in_part_are_whole_again(cluster: LiveCluster) -> None:
    """None of them could be healthy alone: its ring lacks the other."""
    view = cluster.view
    for server in view.members("temporal_servers")[:2]:
        view.on(server, "systemctl stop temporal-matching.service")
    run = cluster.run("rolling_restart")
    assert run.code == 0, run.output[-8000:]
    wait_for_every_server(view)
    assert cluster.run("verify").code == 0


def test_the_ledger_sees_a_restart_that_is_rude(cluster: LiveCluster, tmp_path: Path) -> None:
    """The control: without drain and without turns there are errors, and the same books show them."""
    view = cluster.view
    with ledger(view, tmp_path / "ledger.sqlite", per_second=10) as books:
        time.sleep(3)
        for server in view.members("temporal_servers"):
            view.on(server, "systemctl kill --signal=SIGKILL temporal-frontend.service")
        time.sleep(10)
    print(books.table)
    assert books.failed(SINGLE), books.table
    assert books.verdict.lost == []
    wait_for_every_server(view)
