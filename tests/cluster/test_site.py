"""site.yml plans without touching, makes a cluster, changes nothing the second time, and shows no secret."""

from __future__ import annotations

from tests.cluster.conftest import LiveCluster, Plan
from tests.installed import Installed


def test_check_mode_on_virgin_hosts_plans_everything(plan: Plan, virgin: LiveCluster) -> None:
    assert plan.run.code == 0, plan.run.reasons
    assert all(plan.run.changed[host] for host in plan.run.changed)
    assert "+numHistoryShards" in plan.run.output.replace(" ", "")
    assert not [name for name, secret in virgin.secrets.items() if secret in plan.run.output]


def test_check_mode_on_virgin_hosts_touches_nothing(plan: Plan) -> None:
    assert plan.touched == {}


def test_a_second_run_from_the_installed_collection_changes_nothing_and_shows_no_secret(
    cluster: LiveCluster, installed: Installed
) -> None:
    second = cluster.run_installed(installed, "site", "--diff", "-vvv")
    first = (cluster.directory / "logs" / "site.log").read_text(encoding="utf-8")
    assert second.code == 0, second.reasons
    assert second.changed
    assert {host: changed for host, changed in second.changed.items() if changed} == {}
    assert len(cluster.secrets) >= 6
    assert not [name for name, secret in cluster.secrets.items() if secret in second.output + first]


def test_check_mode_on_a_live_cluster_finds_nothing_to_do(cluster: LiveCluster) -> None:
    check = cluster.run("site", "--check", "--diff")
    assert check.code == 0, check.reasons
    assert {host: changed for host, changed in check.changed.items() if changed} == {}


def test_every_tier_is_healthy_and_serves_each_namespace(cluster: LiveCluster) -> None:
    verified = cluster.run("verify")
    assert verified.code == 0, verified.reasons
