"""Which snapshots and backups of a Cassandra node are kept, and which backup may be put back on it.

Pure functions; nothing here touches a file.

A *manifest* says what a backup is of: ``{tag, name, address, cluster, datacenter, rack, host_id, tokens, ring,
version}``, where ``ring`` has the addresses of all nodes at that time.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

# What others name otherwise is theirs to keep or to clear.
PREFIX = "zerospof-"
# Begins with the prefix and sorts by time: zerospof-20261125T063000Z.
_TAG = re.compile(rf"{PREFIX}\d{{8}}T\d{{6}}Z")

Manifest = Mapping[str, Any]


def is_tag(name: str) -> bool:
    """Tell whether ``name`` is one that this collection gives to snapshots and backups."""
    return bool(_TAG.fullmatch(name))


def expired(names: Iterable[str], kept: int) -> list[str]:
    """Return the tags of this collection among ``names`` except the ``kept`` newest, at least one."""
    return sorted(filter(is_tag, names))[: -max(kept, 1)]


def release(version: str) -> tuple[int, ...]:
    """Return ``version`` such that releases compare; what follows the numbers does not count."""
    return tuple(int(number) for number in re.findall(r"\d+", version)[:3])


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
    if release(manifest["version"]) > release(version):
        yield f"the backup was made by Cassandra {manifest['version']}, which {version} may not read"
    if data and not is_forced:
        yield (
            f"the node has data, last written {data}, which would be lost; take a backup of them first, and set "
            "cassandra_restore_over_data: true to give them up"
        )
