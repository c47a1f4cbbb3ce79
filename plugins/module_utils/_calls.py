"""What clients asked of a cluster and what they were told, while something was done to it: gaps, errors and sums.

Pure functions; the chaos suite of the repository and the drill on a cluster of somebody's own judge by the same ones.
"""

from __future__ import annotations

import bisect
import itertools
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

# Clients by what they were told: as the collection documents it, nothing at all, and never to ask twice.
PATIENT, RETRYING, SINGLE = "collection's settings", "SDK default", "single attempts"
# Whose gaps the targets are about.
OF_SDK = (PATIENT, RETRYING)
CLIENTS = (*OF_SDK, SINGLE)
# The kind of what nobody asked for: the end of a workflow, which shows whether anybody does the work.
COMPLETE = "complete"


@dataclass(frozen=True)
class Call:
    """One call; times are seconds of the wall clock, ``ended`` and ``error`` are ``None`` while nothing came back.

    ``kind`` is start, signal, query, list or describe; ``token`` is what a signal carries. ``error`` is empty for a
    success.
    """

    flavour: str
    kind: str
    workflow_id: str
    token: str
    began: float
    ended: float | None = None
    error: str | None = None

    @property
    def acked(self) -> bool:
        """Whether the cluster said that it has done it."""
        return self.error == ""


@dataclass(frozen=True)
class Mark:
    """Something that was done to the cluster."""

    at: float
    label: str


def longest_pause(calls: Sequence[Call]) -> tuple[float, float]:
    """Return when the longest time without an acknowledged call began and ended; the ends of the load count.

    Of the answers that come after the last call was made, the first ends a pause: between later ones nobody asked.
    """
    if not calls:
        return 0.0, 0.0
    acked = sorted(call.ended for call in calls if call.acked and call.ended is not None)
    first, last = min(call.began for call in calls), max(call.began for call in calls)
    number = bisect.bisect(acked, last)
    moments = [first, *acked[:number], *(acked[number : number + 1] or [last])]
    return max(itertools.pairwise(moments), key=lambda pair: pair[1] - pair[0])


def longest_gap(calls: Sequence[Call]) -> float:
    """Return the longest time between two acknowledged starts one after the other, the ends of the load included."""
    began, ended = longest_pause([call for call in calls if call.kind == "start"])
    return ended - began


def errors(calls: Sequence[Call]) -> Counter[str]:
    """Return how often each error was seen; a call without an answer is one of its own kind."""
    return Counter("no answer" if call.error is None else call.error for call in calls if not call.acked)


def summary(calls: Sequence[Call], fault_at: float, kinds: Sequence[str] = ("start",)) -> dict[str, Any]:
    """Return what one client saw, of its calls; gaps are those between calls of these ``kinds``.

    ``gap_from`` counts from the fault, ``gap_before`` is the longest gap before it. ``slowest`` is how long the slowest
    of these calls took: it shows what a gap hides when a part of the workflows stands still.
    """
    counted = [call for call in calls if call.kind in kinds]
    asked = [call for call in calls if call.kind != COMPLETE]
    began, ended = longest_pause(counted)
    quiet = longest_pause([call for call in counted if (call.ended or call.began) < fault_at])
    return {
        "calls": len(asked),
        "errors": dict(errors(asked).most_common()),
        "longest_gap": round(ended - began, 2),
        "gap_from": round(began - fault_at, 2) if counted else 0.0,
        "gap_before": round(quiet[1] - quiet[0], 2),
        "slowest": round(max((call.ended - call.began for call in counted if call.ended is not None), default=0.0), 2),
    }
