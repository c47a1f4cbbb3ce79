"""Which nodes of a Cassandra ring hold which rows, and which of them can be lost.

The placement is that of NetworkTopologyStrategy in Cassandra 4.0 to 5.0 within one data centre
(``NetworkTopologyStrategy.calculateNaturalReplicas``): from the first token at or after that of a row, walk round the
ring. A node of a rack that has no replica yet gets one; a node of any other rack only while there are replicas left
over, ``replication_factor`` less the number of racks. With fewer nodes than replicas, every node gets one.
"""

from __future__ import annotations

from bisect import bisect_left
from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import islice


@dataclass(frozen=True)
class RingMember:
    """One node of the ring with all its ``tokens``, each in -2^63 to 2^63 - 1."""

    name: str
    zone: str
    rack: str
    tokens: tuple[int, ...]
    is_up: bool = True
    address: str = ""


class TokenRing:
    """The nodes of a ring and the replicas that each range of it has.

    ``replica_sets`` has the replicas of each range, as positions in ``members``, in the order of ``tokens``: a range
    ends at its token, and the first begins after the last.

    Raises:
        ValueError: there is no member, a member has no token, two have the same token or name, or the factor is not
            positive.
    """

    def __init__(self, members: Sequence[RingMember], replication_factor: int) -> None:
        self.members = tuple(members)
        self.replication_factor = replication_factor
        owners = sorted((token, number) for number, member in enumerate(self.members) for token in member.tokens)
        self.tokens = [token for token, _ in owners]
        self._refuse_nonsense()
        self.replica_sets = self._walk([owner for _, owner in owners])

    def _refuse_nonsense(self) -> None:
        if not self.members or self.replication_factor < 1:
            raise ValueError("a ring has at least one node and one replica")
        if idle := [member.name for member in self.members if not member.tokens]:
            raise ValueError(f"a node of a ring has tokens, but not {', '.join(idle)}")
        if len(set(self.tokens)) < len(self.tokens):
            raise ValueError("two nodes of a ring cannot have the same token")
        if len({member.name for member in self.members}) < len(self.members):
            raise ValueError("two nodes of a ring cannot have the same name")

    def _walk(self, owners: Sequence[int]) -> list[tuple[int, ...]]:
        """Return the replicas of the range that ends at each token, by its owner.

        Walking backwards twice round the ring keeps the nodes and the racks in the order in which a walk forwards from
        the present token would meet them, so that no range costs more than its replicas.
        """
        racks = [member.rack for member in self.members]
        repeats = self.replication_factor - len(set(racks))
        nodes: OrderedDict[int, None] = OrderedDict()
        next_of_rack: OrderedDict[str, int] = OrderedDict()
        found: list[tuple[int, ...]] = []
        for is_known in (False, True):
            for owner in reversed(owners):
                nodes[owner] = None
                nodes.move_to_end(owner, last=False)
                next_of_rack[racks[owner]] = owner
                next_of_rack.move_to_end(racks[owner], last=False)
                if is_known:
                    found.append(self._replicas(nodes, next_of_rack, racks, repeats))
        return found[::-1]

    def _replicas(
        self, nodes: OrderedDict[int, None], next_of_rack: OrderedDict[str, int], racks: Sequence[str], repeats: int
    ) -> tuple[int, ...]:
        if repeats <= 0:
            return tuple(islice(next_of_rack.values(), self.replication_factor))
        chosen: list[int] = []
        seen: set[str] = set()
        for node in nodes:
            if racks[node] in seen:
                repeats -= 1
            seen.add(racks[node])
            chosen.append(node)
            if not repeats:
                break
        return (*chosen, *(node for rack, node in next_of_rack.items() if rack not in seen))

    def replicas(self, token: int) -> tuple[str, ...]:
        """Return the names of the nodes that hold ``token``, in the order of ``nodetool getendpoints``."""
        return tuple(self.members[number].name for number in self.replica_sets[self.range_of(token)])

    def range_of(self, token: int) -> int:
        """Return the position in ``tokens`` of the range that has ``token``."""
        return bisect_left(self.tokens, token) % len(self.tokens)
