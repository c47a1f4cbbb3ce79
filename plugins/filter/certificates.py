"""Filters about certificates; the decisions are in ``module_utils``."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from ansible_collections.zerospof.temporal.plugins.module_utils import _expiry, _renewal


class FilterModule:
    """Filters about certificates."""

    def filters(self) -> dict[str, Callable[..., Any]]:
        """Filter names and their functions."""
        return {
            "renewal_plan": _renewal.renewal_plan,
            "authority_plan": _renewal.authority_plan,
            "waiting_for_certificates": _renewal.waiting,
            "renewal_text": _renewal.renewal_text,
            "renewal_groups": _renewal.renewal_groups,
            "certificates_text": _expiry.certificates_text,
            "certificate_problems": _expiry.certificate_problems,
        }
