"""site.yml plans without touching, makes a cluster, changes nothing the second time, and shows no secret."""

from __future__ import annotations

import json
import ssl
import urllib.request
from pathlib import Path
from secrets import token_urlsafe

import pytest
import yaml

from tests.cluster.conftest import GATE, LiveCluster, Plan
from tests.installed import Installed

KEY = "PRIVATE KEY-----"
# What a run in which nothing is to be done may take. Who adds a task for every host sees here that all runs pay for it.
TASKS = {"basic": 318, "three_machines": 418, "ha_postgresql": 318, "ha_cassandra": 415}

# Together they have every task; so have the scenarios of the roles, one by one. What stands on ha_postgresql stands on
# three_machines too, and the hour of the suite has no room for it twice.
ALL_TASKS = pytest.mark.profiles("basic", "three_machines", "ha_cassandra", whole=["ha_postgresql"])


@ALL_TASKS
def test_check_mode_on_virgin_hosts_plans_everything(plan: Plan, virgin: LiveCluster) -> None:
    assert plan.run.code == 0, plan.run.reasons
    assert {host for host, changes in plan.run.changed.items() if changes} >= virgin.hosts
    assert "+numHistoryShards" in plan.run.output.replace(" ", "")
    assert not [name for name, secret in virgin.secrets.items() if secret in plan.run.output]
    assert KEY not in plan.run.output


@ALL_TASKS
def test_check_mode_on_virgin_hosts_touches_nothing(plan: Plan) -> None:
    assert plan.touched == {}


@ALL_TASKS
def test_a_second_run_from_the_installed_collection_changes_nothing_and_shows_no_secret(
    cluster: LiveCluster, installed: Installed
) -> None:
    second = cluster.run_installed(installed, "site", "--diff", "-vvv")
    first = cluster.site_log.read_text(encoding="utf-8")
    assert second.code == 0, second.reasons
    assert set(second.changed) >= cluster.hosts
    assert "No service waits for a restart." in second.output
    assert {host: changed for host, changed in second.changed.items() if changed} == {}
    assert len(cluster.secrets) >= 6
    assert not [name for name, secret in cluster.secrets.items() if secret in second.output + first]
    assert KEY not in second.output + first
    assert second.tasks <= TASKS[cluster.profile]


@pytest.mark.profiles("ha_postgresql", whole=["basic", "ha_cassandra", "three_machines"])
def test_check_mode_on_a_live_cluster_finds_what_is_new_and_nothing_else(cluster: LiveCluster, tmp_path: Path) -> None:
    """One server gets a new setting: it is planned there and shown, and no other host changes."""
    server = cluster.view.members("temporal_servers")[0]
    inventory = tmp_path / "new.yml"
    new = {"temporal_server_config_overrides": {"log": {"level": "warn"}}}
    inventory.write_text(yaml.safe_dump({"all": {"hosts": {server: new}}}), encoding="utf-8")
    check = cluster.run("site", "-i", str(inventory), "--check", "--diff")
    assert check.code == 0, check.reasons
    assert set(check.changed) >= cluster.hosts
    assert [host for host, changed in check.changed.items() if changed] == [server]
    assert "+  level: warn" in check.output
    assert not [name for name, secret in cluster.secrets.items() if secret in check.output]


@GATE
def test_check_mode_shows_no_new_secret(cluster: LiveCluster, tmp_path: Path) -> None:
    secrets = cluster.secrets | {"temporal_database": token_urlsafe(24)}
    new = tmp_path / "new.yml"
    new.write_text(yaml.safe_dump({"temporal_secrets": secrets}), encoding="utf-8")
    server = cluster.view.members("temporal_servers")[0]
    check = cluster.run("site", "--check", "--diff", f"--extra-vars=@{new}", "--limit", server)
    assert check.code == 0, check.reasons
    assert check.changed[server]
    assert not [name for name, secret in secrets.items() if secret in check.output]


@GATE
def test_a_change_beside_a_running_service_is_listed(cluster: LiveCluster) -> None:
    host = cluster.view.members("etcd")[-1]
    cluster.view.on(host, "cp /etc/etcd/etcd.env /root/etcd.env; echo '# changed' >> /etc/etcd/etcd.env")
    try:
        listed = cluster.run("pending")
    finally:
        cluster.view.on(host, "mv /root/etcd.env /etc/etcd/etcd.env")
    assert listed.code == 0, listed.reasons
    assert "Waiting for a restart: 1 service" in listed.output
    assert "etcd.service  /etc/etcd/etcd.env has changed since its start" in listed.output


def test_who_trusts_the_authority_trusts_the_web_ui_at_the_virtual_address(cluster: LiveCluster) -> None:
    trust = ssl.create_default_context(cafile=cluster.directory / "pki" / "ca.crt")
    address = f"https://{cluster.view.vip}:{cluster.view.variable('temporal_ports')['ui_vip']}/"
    with urllib.request.urlopen(address, timeout=30, context=trust) as page:
        assert b"kit.start(app" in page.read()


@pytest.mark.profiles("ha_postgresql", whole=["basic"])
def test_another_build_of_live_workers_is_refused_before_anything_is_touched(cluster: LiveCluster) -> None:
    host = cluster.view.members("temporal_workers")[0]
    declared = cluster.view.variable("temporal_worker_deployments", host)
    others = {"temporal_worker_deployments": [row | {"build": "another"} for row in declared]}
    refused = cluster.run("site", "-e", json.dumps(others))
    assert refused.code != 0
    assert "build another would take the place of" in refused.reasons
    assert "deploy_workers.yml does that zone by zone" in " ".join(refused.reasons.split())
    assert "TASK [zerospof.temporal.common" not in refused.output
