"""Which nodes of a Cassandra ring hold which rows, and which of them can be lost.

The placement is that of NetworkTopologyStrategy in Cassandra 4.0 to 5.0 within one data centre
(``NetworkTopologyStrategy.calculateNaturalReplicas``): from the first token at or after that of a row, walk round the
ring. A node of a rack that has no replica yet gets one; a node of any other rack only while there are replicas left
over, ``replication_factor`` less the number of racks. With fewer nodes than replicas, every node gets one.

A range is *lost* when fewer of its replicas live than LOCAL_QUORUM and LOCAL_SERIAL need; a set of nodes is *safe* when
its loss, together with the nodes that are down already, loses no range. Shares are of all tokens, from 0 to 1.
"""

from __future__ import annotations

from bisect import bisect_left
from collections import Counter, OrderedDict
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from heapq import nsmallest
from itertools import combinations, islice
from math import comb
from typing import Any

from ansible_collections.zerospof.temporal.plugins.module_utils import _cassandra, _murmur3

SET_SIZES = (1, 2, 3)
"""Sizes of the sets of nodes that a report counts."""
MOST_SETS_TRIED = 200_000
"""Sets that are tried one by one, a quarter of a second, where there is no shorter way to count them."""
SETS_LISTED = 20


def quorum(replicas: int) -> int:
    """Return the smallest majority of ``replicas``."""
    return replicas // 2 + 1


def most_replicas_lost(racks: Sequence[str], lost: Sequence[str], replication_factor: int) -> int:
    """Return how many replicas of one range the lost nodes can hold, whatever the tokens are.

    ``racks`` has the rack of each node of the ring and ``lost`` that of each lost node. A range has a replica in a rack
    once, and ``replication_factor`` less the number of racks more in racks that have one. Some tokens reach this
    number: those with which the lost nodes follow each other.
    """
    touched = len(set(lost))
    repeats = max(0, replication_factor - len(set(racks)))
    return min(replication_factor, touched + min(repeats, len(lost) - touched))


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
        ValueError: there is no member, a member has no token, a token is out of range, two have the same token or name,
            or the factor is not positive.
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
        # Founders of one name would have the same tokens, too.
        names = Counter(member.name for member in self.members)
        if several := [name for name, many in names.items() if many > 1]:
            raise ValueError(f"two nodes of a ring cannot have the same name: {', '.join(several)}")
        highest = _cassandra.FIRST_TOKEN + _cassandra.TOKENS - 1
        if self.tokens[0] < _cassandra.FIRST_TOKEN or self.tokens[-1] > highest:
            raise ValueError(f"tokens of a ring are from {_cassandra.FIRST_TOKEN} to {highest}")
        if len(set(self.tokens)) < len(self.tokens):
            raise ValueError("two nodes of a ring cannot have the same token")

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


@dataclass(frozen=True)
class Loss:
    """What is lost: a share of the ranges, and history shards by their numbers."""

    ranges: float
    shards: tuple[int, ...]


class RingSafety:
    """What the loss of nodes of a ring takes.

    Ranges with the same replicas are lost together, so every question is asked of the distinct replica sets. With
    ``spare`` replicas of a range that may be lost, the smallest sets of nodes that are not safe are the subsets of
    ``spare + 1`` nodes of a replica set; no other set of nodes need be looked at.
    """

    def __init__(self, ring: TokenRing, history_shards: int = 0) -> None:
        self.ring = ring
        self.history_shards = history_shards
        self.quorum = quorum(ring.replication_factor)
        self.spare = min(ring.replication_factor, len(ring.members)) - self.quorum
        self.down = frozenset(number for number, member in enumerate(ring.members) if not member.is_up)
        self.up = [number for number in range(len(ring.members)) if number not in self.down]
        self._breaking: dict[int, dict[tuple[int, ...], int]] = {}
        ordered = [tuple(sorted(replicas)) for replicas in ring.replica_sets]
        self.widths: dict[tuple[int, ...], int] = dict.fromkeys(ordered, 0)
        for before, token, replicas in zip([ring.tokens[-1], *ring.tokens], ring.tokens, ordered, strict=False):
            self.widths[replicas] += (token - before - 1) % _cassandra.TOKENS + 1
        self.shards: dict[tuple[int, ...], list[int]] = {}
        for shard in range(1, history_shards + 1):
            self.shards.setdefault(ordered[ring.range_of(_murmur3.history_shard_token(shard))], []).append(shard)

    @cached_property
    def _sets_of(self) -> list[list[tuple[int, ...]]]:
        found: list[list[tuple[int, ...]]] = [[] for _ in self.ring.members]
        for replicas in self.widths:
            for number in replicas:
                found[number].append(replicas)
        return found

    def loss(self, names: Collection[str] = ()) -> Loss:
        """Return what is lost without the nodes ``names``, and without those that are down already."""
        names = set(names)
        return self._loss(number for number, member in enumerate(self.ring.members) if member.name in names)

    def _loss(self, numbers: Iterable[int]) -> Loss:
        gone = Counter(replicas for number in {*numbers, *self.down} for replicas in self._sets_of[number])
        lost = self.widths if self.spare < 0 else [replicas for replicas, many in gone.items() if many > self.spare]
        return Loss(
            sum(self.widths[replicas] for replicas in lost) / _cassandra.TOKENS,
            tuple(sorted(shard for replicas in lost for shard in self.shards.get(replicas, ()))),
        )

    def breaking(self, size: int) -> dict[tuple[int, ...], int]:
        """Return the unsafe sets of ``size`` nodes that have no smaller one in them, with the tokens that each loses.

        The sets are ascending positions in the members of the ring. An empty set means that ranges are lost now.
        """
        if size not in self._breaking:
            found: Counter[tuple[int, ...]] = Counter()
            for replicas, width in self.widths.items():
                alive = [number for number in replicas if number not in self.down]
                if max(0, self.spare + 1 - len(replicas) + len(alive)) == size:
                    for numbers in combinations(alive, size):
                        found[numbers] += width
            smaller = [self.breaking(less) for less in range(size)]
            if any(smaller):
                found = Counter({numbers: width for numbers, width in found.items() if not _holds(numbers, smaller)})
            self._breaking[size] = dict(found)
        return self._breaking[size]

    def count_safe(self, size: int) -> int | None:
        """Return how many sets of ``size`` nodes that are up are safe; ``None`` when there is no short way to count.

        Up to three nodes there always is one.
        """
        if self.breaking(0):
            return 0
        single = {number for numbers in self.breaking(1) for number in numbers}
        free = [number for number in self.up if number not in single]
        total = comb(len(free), size)
        if size < 2:
            return total
        if not any(self.breaking(less) for less in range(2, size)):
            return total - len(self.breaking(size))
        if size == 3:
            return total - self._triples_with_a_pair(len(free)) - len(self.breaking(3))
        return sum(1 for _ in self._safe_sets(free, size)) if total <= MOST_SETS_TRIED else None

    def _triples_with_a_pair(self, nodes: int) -> int:
        """Return how many sets of three of so many nodes have an unsafe pair in them: one, or two, or three."""
        others: dict[int, set[int]] = {}
        for one, other in self.breaking(2):
            others.setdefault(one, set()).add(other)
            others.setdefault(other, set()).add(one)
        three = sum(len(others[one] & others[other]) for one, other in self.breaking(2)) // 3
        with_two = sum(comb(len(partners), 2) for partners in others.values())
        return len(self.breaking(2)) * (nodes - 2) - with_two + three

    def _safe_sets(self, free: Sequence[int], size: int) -> Iterable[tuple[int, ...]]:
        unsafe = [self.breaking(less) for less in range(size + 1)]
        return (numbers for numbers in combinations(free, size) if not _holds(numbers, unsafe))

    def count_guaranteed(self, size: int) -> int:
        """Return how many sets of ``size`` of the nodes that are up are safe whatever the tokens of the nodes are.

        That depends on how many nodes a set has and how many racks it touches, so sets are counted by those two.
        """
        racks = [member.rack for member in self.ring.members]
        away = [racks[number] for number in self.down]
        # By nodes taken and racks touched; the nodes that are down have touched theirs.
        ways: dict[tuple[int, int], int] = {(0, len(set(away))): 1}
        for rack, nodes in Counter(racks[number] for number in self.up).items():
            grown: Counter[tuple[int, int]] = Counter()
            for (taken, touched), count in ways.items():
                for more in range(min(nodes, size - taken) + 1):
                    grown[taken + more, touched + (more > 0 and rack not in away)] += count * comb(nodes, more)
            ways = dict(grown)
        repeats = max(0, self.ring.replication_factor - len(set(racks)))
        return sum(
            count
            for (taken, touched), count in ways.items()
            if taken == size and touched + min(repeats, taken + len(away) - touched) <= self.spare
        )

    def is_guaranteed(self, names: Collection[str]) -> bool:
        """Tell whether the set of nodes is safe whatever the tokens of the nodes are."""
        members, names = self.ring.members, set(names)
        lost = [member.rack for member in members if member.name in names or not member.is_up]
        racks = [member.rack for member in members]
        return most_replicas_lost(racks, lost, self.ring.replication_factor) <= self.spare

    def load(self) -> dict[str, dict[str, float]]:
        """Return the share of all ``ranges`` and the number of history ``shards`` that each node holds."""
        return {
            member.name: {
                "ranges": shown(sum(self.widths[replicas] for replicas in mine) / _cassandra.TOKENS),
                "shards": sum(len(self.shards.get(replicas, ())) for replicas in mine),
            }
            for member, mine in zip(self.ring.members, self._sets_of, strict=True)
        }

    def worst(self, size: int, most: int = 1) -> list[tuple[tuple[str, ...], Loss]]:
        """Return up to ``most`` sets of :meth:`breaking` with what they lose, the largest share of ranges first."""
        found = nsmallest(most, self.breaking(size).items(), key=lambda item: (-item[1], item[0]))
        return [(self._names(numbers), self._loss(numbers)) for numbers, _ in found]

    def _names(self, numbers: Iterable[int]) -> tuple[str, ...]:
        return tuple(self.ring.members[number].name for number in numbers)

    def sets(self, size: int) -> dict[str, Any]:
        """Return what :meth:`report` tells of the sets of ``size`` nodes."""
        total, safe = comb(len(self.up), size), self.count_safe(size)
        is_listed = safe is not None and safe <= SETS_LISTED and total <= MOST_SETS_TRIED
        return {
            "size": size,
            "total": total,
            "safe": safe,
            "guaranteed": self.count_guaranteed(size),
            "safe_sets": [list(self._names(numbers)) for numbers in self._safe_sets(self.up, size)]
            if is_listed
            else [],
            "breaking": len(self.breaking(size)),
            "worst": [
                {"nodes": list(names), "ranges": shown(loss.ranges), "shards": len(loss.shards)}
                for names, loss in self.worst(size, SETS_LISTED)
            ],
        }

    def zones(self) -> list[dict[str, Any]]:
        """Return what :meth:`report` tells of the loss of each zone."""
        names: dict[str, list[str]] = {}
        for member in self.ring.members:
            names.setdefault(member.zone, []).append(member.name)
        found = []
        for zone, nodes in names.items():
            loss = self.loss(nodes)
            found.append(
                {
                    "name": zone,
                    "nodes": nodes,
                    "safe": not loss.ranges,
                    "guaranteed": self.is_guaranteed(nodes),
                    "ranges": shown(loss.ranges),
                    "shards": len(loss.shards),
                }
            )
        return found

    def report(self, sizes: Sequence[int] = SET_SIZES) -> dict[str, Any]:
        """Return what the ring bears, in the schema of ``docs/fault_tolerance.md``.

        Raises:
            ValueError: one of ``sizes`` is not positive.
        """
        if wrong := [size for size in sizes if size < 1]:
            raise ValueError(f"a set has at least one node, not {wrong[0]}")
        now = self.loss()
        return {
            "replication_factor": self.ring.replication_factor,
            "quorum": self.quorum,
            "nodes": len(self.ring.members),
            "racks": len({member.rack for member in self.ring.members}),
            "history_shards": self.history_shards,
            "down": list(self._names(sorted(self.down))),
            "now": {"ranges": shown(now.ranges), "shards": len(now.shards)},
            "sets": [self.sets(size) for size in sizes],
            "zones": self.zones(),
            "load": self.load(),
        }


def shown(share: float) -> float:
    """Return a share with as many digits as mean something; only nothing is 0."""
    return float(f"{share:.6g}")


def _holds(numbers: tuple[int, ...], sets: Iterable[Collection[tuple[int, ...]]]) -> bool:
    """Tell whether ``numbers`` has one of the sets, which are grouped by their size, from none on, in it."""
    return any(part in same for size, same in enumerate(sets) if same for part in combinations(numbers, size))


def founding_ring(members: Sequence[_cassandra.Member], replication_factor: int, tokens_per_node: int) -> TokenRing:
    """Return the ring that ``members`` found together.

    Raises:
        ValueError: there is no member, or one of the numbers is not positive.
    """
    tokens = _cassandra.founding_tokens(members, tokens_per_node)
    return TokenRing([_member(one, tokens[str(one["name"])]) for one in members], replication_factor)


def _member(member: Mapping[str, Any], tokens: Iterable[int | str]) -> RingMember:
    return RingMember(
        name=str(member["name"]),
        zone=str(member.get("zone") or ""),
        rack=_cassandra.rack_of(member),
        tokens=_tokens(str(member["name"]), tokens),
        is_up=bool(member.get("is_up", True)),
        address=str(member.get("address") or ""),
    )


def _tokens(name: str, tokens: Iterable[int | str]) -> tuple[int, ...]:
    try:
        return tuple(sorted(int(token) for token in tokens))
    except (TypeError, ValueError):
        raise ValueError(f"the tokens of {name} must be a list of numbers") from None


def live_members(
    members: Sequence[_cassandra.Member], nodes: Sequence[Mapping[str, Any]], down: Collection[str] = ()
) -> list[RingMember]:
    """Return the members of a live ring, those of the inventory first and in its order.

    ``nodes`` has ``address``, ``rack`` and ``tokens`` of every node as one of them tells it, and ``down`` the addresses
    of those that do not live. A node without tokens is not in the ring yet. A node that is not in the inventory has its
    address as its name and no zone.
    """
    named = {str(member["address"]): member for member in members}
    order = {address: number for number, address in enumerate(named)}
    found = [
        _member({"name": at, **named.get(at, {}), **node, "is_up": at not in down}, node["tokens"])
        for node in nodes
        if node["tokens"]
        for at in [node["address"]]
    ]
    return sorted(found, key=lambda one: (order.get(one.address, len(order)), one.address))


def copies_in(replication: Mapping[str, str], datacenter: str) -> int:
    """Return how many copies a keyspace keeps in a data centre; ``replication`` is that of ``system_schema.keyspaces``.

    Raises:
        ValueError: the keyspace is placed in another way; the text says how.
    """
    kind = str(replication.get("class")).rpartition(".")[2]
    if kind != "NetworkTopologyStrategy":
        raise ValueError(f"is placed by {kind}, not by NetworkTopologyStrategy")
    copies = str(replication.get(datacenter, 0))
    if not copies.isdecimal() or not int(copies):
        raise ValueError(f"keeps {copies} copies in data centre {datacenter}")
    return int(copies)


def ring_safety(
    members: Sequence[Mapping[str, Any]],
    replication_factor: int,
    history_shards: int = 0,
    tokens_per_node: int = 0,
    lost: Sequence[str] = (),
    sizes: Sequence[int] = SET_SIZES,
) -> dict[str, Any]:
    """Return :meth:`RingSafety.report` of a ring for sets of these ``sizes``, with ``lost`` also what their loss takes.

    ``members`` have ``tokens``, or get those of founders when ``tokens_per_node`` is given.

    Raises:
        ValueError: there is no such ring, no node of a name in ``lost``, one of ``sizes`` is not positive, or a value
            is of a wrong type.
    """
    numbers = {
        "replication_factor": replication_factor,
        "history_shards": history_shards,
        "tokens_per_node": tokens_per_node,
    }
    for option, number in numbers.items():
        if not isinstance(number, int):
            raise ValueError(f"{option} must be a number, not {number!r}")
    for member in members:
        if not member.get("name"):
            raise ValueError("a node has no name")
        if not (member.get("rack") or member.get("zone")):
            raise ValueError(f"{member['name']} has neither a zone nor a rack")
    if tokens_per_node:
        founders = _cassandra.founding_tokens(members, tokens_per_node)
        members = [{**one, "tokens": founders[str(one["name"])]} for one in members]
    ring = TokenRing([_member(one, one.get("tokens") or ()) for one in members], replication_factor)
    if unknown := set(lost) - {member.name for member in ring.members}:
        raise ValueError(f"no node of the ring is {', '.join(sorted(unknown))}")
    safety = RingSafety(ring, history_shards)
    if not lost:
        return safety.report(sizes)
    loss = safety.loss(lost)
    return {**safety.report(sizes), "lost": {"nodes": [*lost], "ranges": shown(loss.ranges), "shards": [*loss.shards]}}
