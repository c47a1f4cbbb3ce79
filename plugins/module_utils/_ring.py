"""Whether the membership ring of a Temporal cluster holds exactly the hosts that it should.

A server that boots while its database is away for a moment can form a ring of its own and still report
itself healthy (github.com/temporalio/temporal issue 9987), so health alone is not enough: the members that
the others see must be compared with those that the inventory names.

* ``members``: the Temporal hosts, each ``{name, address, ...}``.
* ``ports``: gRPC port by service name, for example ``{"history": 7234}``.
* ``rings``: ``host:port`` of the members by service name, as one frontend sees them.

The functions of this file do no I/O.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence

Rings = dict[str, list[str]]


class GossipError(ValueError):
    """tdbg did not tell the rings; the message says what it printed instead."""


def parse_gossip(text: str) -> Rings:
    """Return the rings from what ``tdbg membership list-gossip`` prints.

    Raises:
        GossipError: the text is not that output; the message holds its beginning.
    """
    try:
        return {
            str(ring["role"]): sorted(str(member["identity"]) for member in ring.get("members") or [])
            for ring in json.loads(text)
        }
    except (ValueError, TypeError, KeyError, AttributeError) as error:
        raise GossipError(f"tdbg did not print a list of rings but: {text.strip()[:200]!r}") from error


def reason_of(error: str) -> str:
    """Return the reason from what tdbg prints on failure: one line, followed by a hint about stack traces."""
    lines = [line.strip() for line in error.splitlines() if line.strip() and "stack traces" not in line]
    return lines[-1].removeprefix("Error: ") if lines else "it gave no reason"


def identity(address: str, port: int) -> str:
    """Return ``address:port`` as Temporal writes it, with brackets around an IPv6 address."""
    return f"[{address}]:{port}" if ":" in address else f"{address}:{port}"


def judge(
    rings: Mapping[str, Sequence[str]], members: Sequence[Mapping[str, str]], ports: Mapping[str, int]
) -> list[str]:
    """Return what is wrong with ``rings``, one sentence per finding; an empty list means that they are complete."""
    problems = []
    for service, port in ports.items():
        expected = {identity(member["address"], port): member["name"] for member in members}
        present = set(rings.get(service, ()))
        count = f"seen: {len(present)}, expected: {len(expected)}"
        problems += [
            f"{service}: {name} ({peer}) is missing; {count}" for peer, name in expected.items() if peer not in present
        ]
        problems += [
            f"{service}: {peer} is not a member of this cluster; {count}" for peer in sorted(present - set(expected))
        ]
    return problems
