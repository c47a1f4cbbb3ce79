"""Which snapshot may become the ring, and which of its keys must not.

Pure functions; nothing here touches a file or a ring.

A *manifest* says what a backup is of: ``{tag, cluster, name, members, version, revision, hash, keys, bytes, sha256}``;
``version`` is the one of etcd, ``hash`` what etcd computes of the content.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from ansible_collections.zerospof.temporal.plugins.module_utils import _backup

Manifest = Mapping[str, Any]

# Patroni's lease, its list of standbys that hold every write, and an order to fail over are true at one moment alone. A
# member that reads in them that it leads becomes primary, whatever it has missed since. Patroni makes them anew.
MOMENTARY = ("leader", "sync", "failover")


def momentary_keys(keys: Iterable[str]) -> list[str]:
    """Return those of ``keys`` that must not come back."""
    return [key for key in keys if key.rpartition("/")[2] in MOMENTARY]


def restore_problems(
    manifest: Manifest,
    *,
    cluster: str,
    members: Sequence[str],
    present: Sequence[str],
    version: str,
    data: str,
    is_forced: bool,
) -> Iterator[str]:
    """Yield why the snapshot of ``manifest`` must not become the ring.

    ``members``: those of the inventory. ``present``: hosts of this run. ``version``: the one of etcd on this host.
    ``data``: when the member last wrote what it holds, as words; empty when it holds nothing.
    """
    if manifest["cluster"] != cluster:
        yield f"the backup is of the cluster {manifest['cluster']}, and this one is {cluster}"
    # A later patch of the same release reads the same format.
    if _backup.release(manifest["version"])[:2] > _backup.release(version)[:2]:
        yield f"the backup was made by etcd {manifest['version']}, which {version} may not read"
    problems = (
        _backup.missing_members(members, present),
        _backup.data_problem("etcd_restore_over_data", data, is_forced),
    )
    yield from filter(None, problems)


def damage(manifest: Manifest, *, sha256: str, status: Mapping[str, Any]) -> str | None:
    """Return how the file differs from what was written, ``None`` when it does not.

    ``sha256``: the one of the file. ``status``: output of ``snapshot status``.
    """
    if sha256 != manifest["sha256"]:
        return "the backup is damaged: the checksum of snapshot.db is another one"
    if (status.get("hash"), status.get("revision")) != (manifest["hash"], manifest["revision"]):
        return f"the backup is damaged: etcd reads revision {status.get('revision')} of {manifest['revision']} in it"
    return None
