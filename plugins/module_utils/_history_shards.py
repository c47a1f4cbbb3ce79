"""In which history shard Temporal keeps a workflow, and which host owns a shard.

Both are arithmetic that every server does for itself, as it is in go.temporal.io/server v1.31 and before:
``common.WorkflowIDToHistoryShard``, and the hash ring of github.com/temporalio/ringpop-go that
``common/membership/ringpop`` asks for the decimal number of the shard. Nothing here does I/O.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterable

from ansible_collections.zerospof.temporal.plugins.module_utils._farmhash import fingerprint32

REPLICA_POINTS = 100
"""Places of one host on the ring: the default of Temporal's dynamic setting ``system.ringpopReplicaPoints``."""


def history_shard(namespace_id: str, workflow_id: str, shards: int) -> int:
    """Return the shard, from 1 to ``shards``, of a workflow; ``namespace_id`` is the UUID and not the name."""
    return fingerprint32(f"{namespace_id}_{workflow_id}".encode()) % shards + 1


class HistoryRing:
    """The hosts of the history service. ``addresses``: ``host:port`` of its members as Temporal knows them."""

    def __init__(self, addresses: Iterable[str], replica_points: int = REPLICA_POINTS) -> None:
        # An address is followed by the number with nothing between them: 10.0.0.1:7234 has a place at 10.0.0.1:723412.
        self._places = sorted(
            (fingerprint32(f"{address}{point}".encode()), address)
            for address in set(addresses)
            for point in range(replica_points)
        )

    def owner(self, shard: int) -> str | None:
        """Return the member that owns ``shard``: the first from the hash of its number on; an empty ring has none."""
        if not self._places:
            return None
        place = bisect_left(self._places, (fingerprint32(str(shard).encode()), ""))
        return self._places[place % len(self._places)][1]
