"""How much room the disks have on which databases write."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

Disks = Mapping[str, Sequence[Mapping[str, Any]]]


def free_percent(space: os.statvfs_result) -> float:
    """Return the share of a file system that is left for its users, as ``df`` does: what root alone may use is not."""
    used = space.f_blocks - space.f_bfree
    return 100 * space.f_bavail / max(used + space.f_bavail, 1)


def disks_of(directories: Iterable[Path]) -> list[dict[str, Any]]:
    """Return the disks of those ``directories`` that exist, each once: ``{directory, free_percent, free_bytes}``.

    Raises:
        OSError: one cannot be looked at.
    """
    found: dict[int, dict[str, Any]] = {}
    for directory in directories:
        if directory.is_dir():
            space = os.statvfs(directory)
            disk = {
                "directory": str(directory),
                "free_percent": round(free_percent(space), 1),
                "free_bytes": space.f_bavail * space.f_frsize,
            }
            found.setdefault(directory.stat().st_dev, disk)
    return list(found.values())


def disk_problems(found: Disks, least_percent: float) -> list[str]:
    """Return which disks have less than ``least_percent`` free; ``found`` is what hosts said, by their names."""
    return [
        f"{host}: the disk of {disk['directory']} has {disk['free_percent']:.1f} % free "
        f"({disk['free_bytes'] / 2**30:.1f} GiB), less than {least_percent:g} % (temporal_disk_free_least_percent)"
        for host, disks in sorted(found.items())
        for disk in disks
        if disk["free_percent"] < least_percent
    ]
