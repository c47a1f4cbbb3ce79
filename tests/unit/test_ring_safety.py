"""The model of a Cassandra ring places rows where Cassandra does, and says what its loss takes."""

from __future__ import annotations

from ansible_collections.zerospof.temporal.plugins.module_utils import _ring_safety as ring
from hypothesis import given, settings
from hypothesis import strategies as st

LOWEST, HIGHEST = -(2**63), 2**63 - 1


@st.composite
def rings(draw: st.DrawFn) -> tuple[list[ring.RingMember], int]:
    """Small rings: up to 7 nodes with 1 to 3 tokens each in up to 5 racks of up to 3 zones, and a factor."""
    count = draw(st.integers(1, 7))
    amounts = draw(st.lists(st.integers(1, 3), min_size=count, max_size=count))
    tokens = draw(
        st.lists(
            st.integers(LOWEST, HIGHEST) | st.integers(-9, 9), min_size=sum(amounts), max_size=sum(amounts), unique=True
        )
    )
    members = []
    for number, amount in enumerate(amounts):
        rack = draw(st.sampled_from("pqrst"))
        zone = draw(st.sampled_from("abc"))
        mine, tokens = tokens[:amount], tokens[amount:]
        members.append(ring.RingMember(f"n{number}", zone, rack, tuple(mine)))
    return members, draw(st.integers(1, 7))


def walk(members: list[ring.RingMember], factor: int, token: int) -> list[ring.RingMember]:
    """Replicas of a token as Cassandra's source says it: one walk, token by token."""
    owners = sorted((mine, member.name, member) for member in members for mine in member.tokens)
    start = [entry for entry in owners if entry[0] >= token]
    replicas_left = min(factor, len(members))
    repeats_left = factor - len({member.rack for member in members})
    seen_racks: set[str] = set()
    replicas: list[ring.RingMember] = []
    for _, _, member in [*start, *owners[: len(owners) - len(start)]]:
        if replicas_left == 0:
            break
        if member in replicas:
            continue
        if member.rack not in seen_racks:
            seen_racks.add(member.rack)
        elif repeats_left > 0:
            repeats_left -= 1
        else:
            continue
        replicas_left -= 1
        replicas.append(member)
    return replicas


@settings(max_examples=300, deadline=None)
@given(rings(), st.integers(LOWEST, HIGHEST))
def test_replicas_are_those_of_the_walk_of_cassandra(made: tuple[list[ring.RingMember], int], token: int) -> None:
    members, factor = made
    model = ring.TokenRing(members, factor)
    for asked in (token, LOWEST, HIGHEST, *(mine for member in members for mine in member.tokens)):
        assert model.replicas(asked) == tuple(member.name for member in walk(members, factor, asked))
