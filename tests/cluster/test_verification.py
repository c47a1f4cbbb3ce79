"""verify.yml finds a whole cluster whole, after all that it has been through, and says what is wrong with another."""

from __future__ import annotations

from tests.cluster.conftest import GATE, LiveCluster


def test_every_tier_is_healthy_and_serves_each_namespace(cluster: LiveCluster) -> None:
    verified = cluster.run("verify")
    assert verified.code == 0, verified.reasons
    assert set(verified.changed) >= cluster.hosts


@GATE
def test_verification_names_a_service_that_does_not_serve(cluster: LiveCluster) -> None:
    host = cluster.view.members("temporal_servers")[-1]
    cluster.view.on(host, "systemctl stop temporal-matching.service")
    try:
        verified = cluster.run("verify", "-e", "temporal_server_health_timeout_seconds=5")
    finally:
        cluster.view.on(host, "systemctl start temporal-matching.service")
    assert verified.code != 0
    assert f"[{host}]" in verified.reasons
    assert "MatchingService" in verified.reasons


@GATE
def test_verification_refuses_a_tier_that_is_not_there(cluster: LiveCluster) -> None:
    verified = cluster.run("verify", "-e", "etcd_group=etdc")
    assert verified.code != 0
    assert "etdc: the group has no host, but profile" in verified.reasons
