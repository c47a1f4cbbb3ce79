# Copyright: (c) 2026, The zerospof.temporal maintainers
# Apache License 2.0 (see LICENSE or https://www.apache.org/licenses/LICENSE-2.0)
"""Filters about where workflows are; the work is done in ``module_utils``."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from ansible_collections.zerospof.temporal.plugins.module_utils import _placement, _placement_chart, _placement_text


class FilterModule:
    """Filters about where workflows are."""

    def filters(self) -> dict[str, Callable[..., Any]]:
        """Filter names and their functions."""
        return {
            "placement_question": _placement.question,
            "placement_text": _placement_text.placement_text,
            "placement_chart": _placement_chart.placement_chart,
        }
