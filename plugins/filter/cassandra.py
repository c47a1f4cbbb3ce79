"""Filters about the ring of Cassandra; the arithmetic is in ``module_utils/_cassandra.py``."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from ansible_collections.zerospof.temporal.plugins.module_utils import _cassandra


class FilterModule:
    """Filters about Cassandra."""

    def filters(self) -> dict[str, Callable[..., Any]]:
        """Filter names and their functions."""
        return {"cassandra_founding_tokens": _cassandra.founding_tokens}
