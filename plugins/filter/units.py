"""Filters about services and their disks; the decisions are in ``module_utils/_units.py`` and ``_disk.py``."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from ansible_collections.zerospof.temporal.plugins.module_utils import _disk, _units


class FilterModule:
    """Filters about services."""

    def filters(self) -> dict[str, Callable[..., Any]]:
        """Filter names and their functions."""
        return {
            "pending_text": _units.pending_text,
            "guard_units": _units.guard_units,
            "watcher_units": _units.watcher_units,
            "disk_problems": _disk.disk_problems,
        }
