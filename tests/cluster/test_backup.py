"""One playbook copies what keeps data, and another takes a tier back to a copy; neither loses data unasked."""

from __future__ import annotations

from tests.cluster.conftest import GATE, LiveCluster

pytestmark = GATE

# The role that keeps the data of each tier.
ROLES = {"etcd": "etcd", "postgresql": "patroni", "cassandra": "cassandra"}


def test_a_backup_is_made_of_each_tier_and_replaces_no_data_unasked(cluster: LiveCluster) -> None:
    made = cluster.run("backup")
    assert made.code == 0, made.reasons
    tags = {}
    for tier, role in ROLES.items():
        host = next(iter(cluster.view.members(tier)), None)
        if host is None:
            continue
        # Each node of a ring has other rows, so its backup stands under its name.
        place = f"/var/backups/{role}/{host}" if role == "cassandra" else f"/var/backups/{role}"
        [tags[role]] = cluster.view.on(host, f"ls {place}").split()
        refused = cluster.run("restore", "-e", f"{role}_restore_tag={tags[role]}")
        assert refused.code != 0
        assert f"{role}_restore_over_data" in refused.reasons


def test_a_restore_without_a_backup_is_refused(cluster: LiveCluster) -> None:
    refused = cluster.run("restore")
    assert refused.code != 0
    assert "set etcd_restore_tag, patroni_restore_tag or cassandra_restore_tag" in " ".join(refused.reasons.split())
