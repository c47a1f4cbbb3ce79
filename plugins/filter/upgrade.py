# Copyright: (c) 2026, The zerospof.temporal maintainers
# Apache License 2.0 (see LICENSE or https://www.apache.org/licenses/LICENSE-2.0)
"""Filters about releases of Temporal; the decisions are in ``module_utils/_upgrade.py``."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from ansible_collections.zerospof.temporal.plugins.module_utils import _upgrade


class FilterModule:
    """Filters about releases of Temporal."""

    def filters(self) -> dict[str, Callable[..., Any]]:
        """Filter names and their functions."""
        return {
            "release_problems": _upgrade.release_problems,
            "rollback_plan": _upgrade.rollback_plan,
            "upgrade_plan": _upgrade.upgrade_plan,
            "upgrade_text": _upgrade.upgrade_text,
        }
