# Copyright: (c) 2026, The zerospof.temporal maintainers
# Apache License 2.0 (see LICENSE or https://www.apache.org/licenses/LICENSE-2.0)
"""Filters about releases and packages; the decisions are in ``module_utils``."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from ansible_collections.zerospof.temporal.plugins.module_utils import (
    _cassandra_upgrade,
    _package_upgrade,
    _releases,
    _upgrade,
)


class FilterModule:
    """Filters about releases and packages."""

    def filters(self) -> dict[str, Callable[..., Any]]:
        """Filter names and their functions."""
        return {
            "cassandra_upgrade_plan": _cassandra_upgrade.cassandra_upgrade_plan,
            "cassandra_upgrade_text": _cassandra_upgrade.cassandra_upgrade_text,
            "package_plan": _package_upgrade.package_plan,
            "package_text": _package_upgrade.package_text,
            "release_problems": _releases.release_problems,
            "rollback_plan": _upgrade.rollback_plan,
            "upgrade_plan": _upgrade.upgrade_plan,
            "upgrade_text": _upgrade.upgrade_text,
        }
