"""How long the certificates of a cluster last, and which of them end too soon.

``found``: ``{host: [{path, name, issued, days, trusts, ...}]}``, as ``certificates_info`` returns them.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from ansible_collections.zerospof.temporal.plugins.module_utils._text import counted, table

Found = Mapping[str, Sequence[Mapping[str, Any]]]
# An authority is not of one host.
EVERYWHERE = "every host"


def _lasting(found: Found) -> list[dict[str, Any]]:
    """Return ``[{host, what, days}]`` of all certificates and, once, of the authorities that are trusted."""
    rows = [
        {"host": host, "what": one["path"], "days": one["days"]}
        for host, certificates in found.items()
        for one in certificates
    ]
    authorities = {
        authority["id"]: {"host": EVERYWHERE, "what": f"authority '{authority['name']}'", "days": authority["days"]}
        for certificates in found.values()
        for one in certificates
        for authority in one["trusts"]
    }
    return rows + list(authorities.values())


def certificates_text(found: Found) -> str:
    """Return for people how long each certificate lasts, the shortest first."""
    rows = sorted(_lasting(found), key=lambda row: (row["days"], row["host"], row["what"]))
    lines = table([("host", "certificate", "days left"), *((row["host"], row["what"], row["days"]) for row in rows)])
    return "\n".join(lines) if rows else "There are no certificates."


def certificate_problems(found: Found, least_days: int, authorities: bool = True) -> list[str]:
    """Return which certificates end in less than ``least_days``, and what to do about it."""
    return [
        f"{row['host']}: {row['what']} {_end(row['days'])}; run {_remedy(row['host'])}"
        for row in _lasting(found)
        if row["days"] < least_days and (authorities or row["host"] != EVERYWHERE)
    ]


def _end(days: int) -> str:
    return "has ended" if days < 0 else f"ends in {counted(days, 'day')}"


def _remedy(host: str) -> str:
    return "rotate_certificates.yml" + (" with -e rotate_authority=trust" if host == EVERYWHERE else "")
