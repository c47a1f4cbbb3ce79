"""Which backup may be put back on a Cassandra node.

Pure functions; nothing here touches a file.

A *manifest* says what a backup is of: ``{tag, name, address, cluster, datacenter, rack, host_id, tokens, ring,
version}``, where ``ring`` has the addresses of all nodes at that time.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from ansible_collections.zerospof.temporal.plugins.module_utils import _backup

Manifest = Mapping[str, Any]


def restore_problems(
    manifest: Manifest,
    node: Mapping[str, str],
    *,
    ring: Sequence[str],
    version: str,
    data: str,
    is_forced: bool,
) -> Iterator[str]:
    """Yield why the backup of ``manifest`` must not be put on a node.

    ``node``: its name, address, cluster, datacenter and rack; all are part of what is put back.
    ``ring``: addresses of all nodes that get their backup now.
    ``version``: release of Cassandra that will read the files.
    ``data``: when the node last wrote what it holds, as words; empty when it holds nothing.
    """
    for key, value in node.items():
        if manifest[key] != value:
            yield f"the backup is of {key} {manifest[key]}, and this node has {value}"
    if sorted(manifest["ring"]) != sorted(ring):
        yield (
            f"the backup is of a ring of {', '.join(sorted(manifest['ring']))}, and this would be one of "
            f"{', '.join(sorted(ring))}; restore all of its nodes at once, and no other"
        )
    if _backup.release(manifest["version"]) > _backup.release(version):
        yield f"the backup was made by Cassandra {manifest['version']}, which {version} may not read"
    problem = _backup.data_problem("cassandra_restore_over_data", data, is_forced)
    if problem:
        yield problem
