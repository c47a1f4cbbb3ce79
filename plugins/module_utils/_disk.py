"""How much room the disks have on which a member of a database writes."""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path
from typing import Any

ARGUMENTS: dict[str, dict[str, Any]] = {
    "directories": {"type": "list", "elements": "path", "default": []},
    "disk_free_least_percent": {"type": "int", "default": 10},
}


def free_percent(space: os.statvfs_result) -> float:
    """Return the share of a file system that is left for its users, as ``df`` does: what root alone may use is not."""
    used = space.f_blocks - space.f_bfree
    return 100 * space.f_bavail / max(used + space.f_bavail, 1)


def problems(name: str, directories: Iterable[str], least_percent: int) -> list[str]:
    """Return on which disks of the host ``name`` less than ``least_percent`` are free, each disk once."""
    found, seen = [], set()
    for directory in directories:
        try:
            disk, space = Path(directory).stat().st_dev, os.statvfs(directory)
        except OSError as error:
            found.append(f"{directory} on {name} cannot be read: {error.strerror}")
            continue
        free = free_percent(space)
        if disk not in seen and free < least_percent:
            left = space.f_bavail * space.f_frsize / 2**30
            found.append(
                f"the disk of {directory} on {name} has {free:.1f} % ({left:.1f} GiB) free, "
                f"less than {least_percent} % (temporal_disk_free_least_percent)"
            )
        seen.add(disk)
    return found
