"""site.yml makes a cluster, changes nothing the second time, and shows no secret."""

from __future__ import annotations

import yaml

from tests.cluster.conftest import LiveCluster


def secrets_of(cluster: LiveCluster) -> dict[str, str]:
    """Return the generated passwords of the lab by their names."""
    text = (cluster.directory / "inventory" / "group_vars" / "all" / "secrets.yml").read_text(encoding="utf-8")
    return yaml.safe_load(text)["temporal_secrets"]


def test_a_second_run_changes_nothing_and_shows_no_secret(cluster: LiveCluster) -> None:
    second = cluster.run("site", "--diff", "-vvv")
    first = (cluster.directory / "logs" / "site.log").read_text(encoding="utf-8")
    assert second.code == 0, second.reasons
    assert second.changed
    assert {host: changed for host, changed in second.changed.items() if changed} == {}
    assert len(secrets_of(cluster)) >= 6
    assert not [name for name, secret in secrets_of(cluster).items() if secret in second.output + first]


def test_check_mode_on_a_live_cluster_finds_nothing_to_do(cluster: LiveCluster) -> None:
    check = cluster.run("site", "--check", "--diff")
    assert check.code == 0, check.reasons
    assert {host: changed for host, changed in check.changed.items() if changed} == {}


def test_every_tier_is_healthy_and_serves_each_namespace(cluster: LiveCluster) -> None:
    verified = cluster.run("verify")
    assert verified.code == 0, verified.reasons
