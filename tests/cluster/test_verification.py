"""verify.yml finds a whole cluster whole, after all that it has been through, and says what is wrong with another."""

from __future__ import annotations

import itertools
import re

from lab.view import View
from tests.cluster.conftest import GATE, LiveCluster


def ring_rows(view: View) -> list[tuple[str, str]]:
    """How the rows of the table of a whole ring begin, from the inventory and from what a node says of its ranges."""
    nodes = view.members("cassandra")
    if not nodes:
        return []
    zones = sorted({view.lab.host(node).zone for node in nodes})
    copies = view.variable("cassandra_replication_factor", nodes[0])
    quorum = copies // 2 + 1
    replicas = [set(holders) for _, holders in view.cassandra_ranges()]
    pairs = [set(pair) for pair in itertools.combinations(nodes, 2)]
    safe = sum(all(len(mine - pair) >= quorum for mine in replicas) for pair in pairs)
    return [
        ("copies (RF)", f"{copies}, of which {quorum} must live"),
        ("nodes", f"{len(nodes)} in {len(zones)} zones"),
        ("down", "none"),
        ("any one node", f"yes, {len(nodes)} of {len(nodes)}"),
        ("any two nodes", f"{'yes' if safe == len(pairs) else 'NO'}, {safe or 'none'} of {len(pairs)}"),
        *((f"zone {zone}", "yes") for zone in zones),
    ]


def test_every_tier_is_healthy_and_serves_each_namespace(cluster: LiveCluster) -> None:
    verified = cluster.run("verify")
    assert verified.code == 0, verified.reasons
    assert set(verified.changed) >= cluster.hosts
    rows = ring_rows(cluster.view)
    assert ("What the ring of Cassandra bears now\n" in verified.output) == bool(rows)
    for name, cell in rows:
        assert re.search(rf"^ *{re.escape(name)} +{re.escape(cell)}\b", verified.output, re.MULTILINE), (name, cell)
    assert "Promised by the inventory, but not borne now" not in verified.output


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
def test_verification_names_a_host_that_a_killed_restart_left_half_way(cluster: LiveCluster) -> None:
    host = cluster.view.members("temporal_servers")[-1]
    mark = "/var/lib/zerospof/rolling-temporal_servers"
    cluster.view.on(host, f"touch {mark}")
    try:
        listed, verified = cluster.run("pending"), cluster.run("verify")
    finally:
        cluster.view.on(host, f"rm {mark}")
    assert "Half-way through a restart: 1 host" in listed.output
    assert listed.code == 0
    assert verified.code != 0
    assert f"{host} is half-way through a restart (temporal_servers)" in " ".join(verified.output.split())


@GATE
def test_verification_refuses_a_tier_that_is_not_there(cluster: LiveCluster) -> None:
    verified = cluster.run("verify", "-e", "etcd_group=etdc")
    assert verified.code != 0
    assert "etdc: the group has no host, but profile" in verified.reasons


@GATE
def test_verification_names_disks_of_databases_with_too_little_room(cluster: LiveCluster) -> None:
    verified = cluster.run("verify", "-e", "temporal_disk_free_least_percent=101")
    assert verified.code != 0
    for host in {host for tier in ("etcd", "postgresql", "cassandra") for host in cluster.view.members(tier)}:
        assert f"{host}: the disk of /var/lib/" in verified.output
    assert "less than 101 %" in verified.output
