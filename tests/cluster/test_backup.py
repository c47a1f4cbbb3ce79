"""One playbook copies what keeps data, and another takes a tier back to a copy; neither loses data unasked."""

from __future__ import annotations

from tests.cluster.conftest import GATE, LiveCluster

pytestmark = GATE

# The role that keeps the data of each tier.
ROLES = {"etcd": "etcd", "postgresql": "patroni", "cassandra": "cassandra"}


def test_a_backup_is_made_of_each_tier_and_replaces_no_data_unasked(cluster: LiveCluster) -> None:
    made = cluster.run("backup")
    assert made.code == 0, made.reasons
    for tier, role in ROLES.items():
        members = cluster.view.members(tier)
        if not members:
            continue
        # One host has the copy of what all have alike; each node of a ring has other rows, under its own name.
        places = {host: f"/var/backups/{role}" + (f"/{host}" if role == "cassandra" else "") for host in members}
        [tag] = {
            name for host, place in places.items() for name in cluster.view.on(host, f"ls {place} || true").split()
        }
        refused = cluster.run("restore", "-e", f"{role}_restore_tag={tag}")
        assert refused.code != 0
        assert f"{role}_restore_over_data" in refused.reasons


def test_a_restore_without_a_backup_is_refused(cluster: LiveCluster) -> None:
    refused = cluster.run("restore")
    assert refused.code != 0
    assert "set etcd_restore_tag, patroni_restore_tag or cassandra_restore_tag" in " ".join(refused.reasons.split())
