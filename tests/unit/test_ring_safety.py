"""The model of a Cassandra ring places rows where Cassandra does, and says what its loss takes."""

from __future__ import annotations

import itertools
import math
import re
from collections import Counter
from pathlib import Path

import pytest
from ansible.errors import AnsibleFilterError
from ansible_collections.zerospof.temporal.plugins.filter.cassandra import FilterModule
from ansible_collections.zerospof.temporal.plugins.module_utils import _murmur3
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
        members.append(ring.RingMember(f"n{number}", zone, rack, tuple(mine), is_up=draw(st.integers(0, 5)) > 0))
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


@settings(max_examples=300)
@given(rings(), st.integers(LOWEST, HIGHEST))
def test_replicas_are_those_of_the_walk_of_cassandra(made: tuple[list[ring.RingMember], int], token: int) -> None:
    members, factor = made
    model = ring.TokenRing(members, factor)
    for asked in (token, LOWEST, HIGHEST, *(mine for member in members for mine in member.tokens)):
        assert model.replicas(asked) == tuple(member.name for member in walk(members, factor, asked))


@settings(max_examples=100)
@given(rings(), st.integers(LOWEST, HIGHEST))
def test_replicas_are_distinct_and_spread_over_racks(made: tuple[list[ring.RingMember], int], token: int) -> None:
    members, factor = made
    replicas = ring.TokenRing(members, factor).replicas(token)
    assert len(replicas) == len(set(replicas)) == min(factor, len(members))
    racks = {member.name: member.rack for member in members}
    held = Counter(racks[name] for name in replicas)
    if factor <= len(set(racks.values())):
        assert max(held.values()) == 1
    else:
        assert set(held) == set(racks.values()) or len(replicas) < len(set(racks.values()))


@pytest.mark.parametrize(
    ("members", "factor", "complaint"),
    [
        ([], 3, "at least one node and one replica"),
        ([ring.RingMember("a", "z", "r", (1,))], 0, "at least one node and one replica"),
        ([ring.RingMember("a", "z", "r", ())], 3, "a node of a ring has tokens, but not a"),
        ([ring.RingMember("a", "z", "r", (1,)), ring.RingMember("b", "z", "r", (1,))], 3, "the same token"),
        ([ring.RingMember("a", "z", "r", (1,)), ring.RingMember("a", "z", "r", (2,))], 3, "the same name: a"),
        ([ring.RingMember("a", "z", "r", (HIGHEST + 1,))], 1, f"tokens of a ring are from {LOWEST} to {HIGHEST}"),
        ([ring.RingMember("a", "z", "r", (LOWEST - 1, 0))], 1, f"tokens of a ring are from {LOWEST} to {HIGHEST}"),
    ],
)
def test_what_is_no_ring_is_refused(members: list[ring.RingMember], factor: int, complaint: str) -> None:
    with pytest.raises(ValueError, match=complaint):
        ring.TokenRing(members, factor)


# What a loss takes


SHARDS = 20
LARGEST = 4


def brute_losses(members: list[ring.RingMember], factor: int) -> dict[frozenset[str], tuple[int, list[int]]]:
    """Tokens and history shards without a quorum, range by range, for every loss of some nodes that are up."""
    down = {member.name for member in members if not member.is_up}
    tokens = sorted(token for member in members for token in member.tokens)
    width = {token: (token - before) % 2**64 or 2**64 for before, token in itertools.pairwise([tokens[-1], *tokens])}
    ranges = [(wide, {one.name for one in walk(members, factor, token)}) for token, wide in width.items()]
    shards = [
        (shard, {one.name for one in walk(members, factor, _murmur3.history_shard_token(shard))})
        for shard in range(1, SHARDS + 1)
    ]
    return {
        frozenset(lost): (
            sum(wide for wide, held in ranges if len(held - down - set(lost)) <= factor // 2),
            [shard for shard, held in shards if len(held - down - set(lost)) <= factor // 2],
        )
        for size in range(LARGEST + 1)
        for lost in itertools.combinations([member.name for member in members if member.is_up], size)
    }


@settings(max_examples=200)
@given(rings())
def test_every_answer_equals_trying_out_every_loss(made: tuple[list[ring.RingMember], int]) -> None:
    members, factor = made
    safety = ring.RingSafety(ring.TokenRing(members, factor), SHARDS)
    up = [member.name for member in members if member.is_up]
    lost = brute_losses(members, factor)
    for names, (tokens, shards) in lost.items():
        found = safety.loss(names)
        assert (found.ranges, list(found.shards)) == (pytest.approx(tokens / 2**64), shards)
    for size in range(LARGEST + 1):
        sets = [names for names in lost if len(names) == size]
        assert safety.count_safe(size) == sum(not lost[names][0] for names in sets)
        breaking = {
            names: lost[names][0]
            for names in sets
            if lost[names][0] and not any(lost[names - {one}][0] for one in names)
        }
        assert {
            frozenset(safety._names(numbers)): width for numbers, width in safety.breaking(size).items()
        } == breaking
        worst = [(frozenset(names), loss.ranges) for names, loss in safety.worst(size, 2)]
        assert [share for _, share in worst] == pytest.approx(
            [width / 2**64 for width in sorted(breaking.values(), reverse=True)[:2]]
        )
        guaranteed = [names for names in sets if safety.is_guaranteed(names)]
        assert safety.count_guaranteed(size) == len(guaranteed)
        assert not any(lost[names][0] for names in guaranteed)
        told = safety.sets(size)
        assert told["total"] == math.comb(len(up), size)
        assert len(told["safe_sets"]) == (told["safe"] if told["safe"] <= ring.SETS_LISTED else 0)
        assert all(not lost[frozenset(names)][0] for names in told["safe_sets"])


@settings(max_examples=100)
@given(rings(), st.data())
def test_a_part_of_a_safe_set_is_safe(made: tuple[list[ring.RingMember], int], data: st.DataObject) -> None:
    members, factor = made
    safety = ring.RingSafety(ring.TokenRing(members, factor), SHARDS)
    names = [member.name for member in members]
    lost = data.draw(st.sets(st.sampled_from(names)))
    part = data.draw(st.sets(st.sampled_from(sorted(lost)))) if lost else set()
    whole, less = safety.loss(lost), safety.loss(part)
    assert less.ranges <= whole.ranges + 1e-9
    assert set(less.shards) <= set(whole.shards)
    assert safety.is_guaranteed(part) or not safety.is_guaranteed(lost)


@settings(max_examples=200)
@given(st.lists(st.sampled_from("pqrst"), min_size=1, max_size=8), st.integers(1, 7), st.data())
def test_what_is_not_guaranteed_happens_with_some_tokens(racks: list[str], factor: int, data: st.DataObject) -> None:
    lost = data.draw(st.lists(st.booleans(), min_size=len(racks), max_size=len(racks)))
    order = sorted(range(len(racks)), key=lambda number: not lost[number])
    members = [ring.RingMember(f"n{number}", "z", racks[number], (token,)) for token, number in enumerate(order)]
    held = ring.TokenRing(members, factor).replicas(0)
    gone = [racks[number] for number in order if lost[number]]
    assert sum(lost[int(name[1:])] for name in held) == ring.most_replicas_lost(racks, gone, factor)


@given(rings())
def test_every_node_carries_what_the_ring_puts_on_it(made: tuple[list[ring.RingMember], int]) -> None:
    members, factor = made
    load = ring.RingSafety(ring.TokenRing(members, factor), SHARDS).load()
    copies = min(factor, len(members))
    assert sum(one["ranges"] for one in load.values()) == pytest.approx(copies, rel=1e-4)
    assert sum(one["shards"] for one in load.values()) == copies * SHARDS


# A ring before it is made


FOUNDERS = [{"name": f"{zone}{number}", "zone": f"az_{zone}"} for zone in "abc" for number in (1, 2)]


def founded(*sizes: int, factor: int, racks: tuple[int, ...] = (1, 1, 1)) -> ring.TokenRing:
    """The ring that so many nodes, in so many racks, in zone after zone found."""
    members = [
        {"name": f"{zone}{number}", "zone": f"az_{zone}", "rack": f"{zone}-{number % own}"}
        for zone, size, own in zip("abc", sizes, racks, strict=False)
        for number in range(1, size + 1)
    ]
    return ring.founding_ring(members, factor, 16)


def counts(made: ring.TokenRing, size: int) -> tuple[int | None, int, int]:
    """How many sets of a size are safe with these tokens, with any, and how many there are."""
    told = ring.RingSafety(made).sets(size)
    return told["safe"], told["guaranteed"], told["total"]


def zones(made: ring.TokenRing) -> tuple[bool, bool]:
    """Whether every zone can be lost with these tokens, and with any."""
    told = ring.RingSafety(made).zones()
    return all(zone["safe"] for zone in told), all(zone["guaranteed"] for zone in told)


@pytest.mark.parametrize(("sizes", "pairs"), [((2, 2, 2), (3, 3, 15)), ((2, 2, 1), (2, 2, 10)), ((1, 1, 1), (0, 0, 3))])
def test_three_copies_bear_a_zone_and_pairs_of_one_zone_alone(sizes: tuple[int, ...], pairs: tuple[int, ...]) -> None:
    made = founded(*sizes, factor=3)
    assert zones(made) == (True, True)
    assert counts(made, 2) == pairs
    for names in ring.RingSafety(made).sets(2)["safe_sets"]:
        assert names[0][0] == names[1][0]


def test_the_tokens_of_founders_spare_pairs_that_other_tokens_do_not() -> None:
    assert counts(founded(3, 3, 3, factor=3), 2) == (18, 9, 36)


@pytest.mark.parametrize(
    ("sizes", "racks", "guaranteed"),
    [
        ((2, 2, 1), (1, 1, 1), True),
        ((2, 2, 2), (1, 1, 1), True),
        ((4, 4, 2), (2, 2, 1), True),
        ((3, 3, 3), (1, 1, 1), False),
        ((4, 4, 4), (1, 1, 1), False),
    ],
)
def test_five_copies_bear_any_pair_and_any_zone_with_two_nodes_or_racks_in_it(
    sizes: tuple[int, ...], racks: tuple[int, ...], guaranteed: bool
) -> None:
    made = founded(*sizes, factor=5, racks=racks)
    assert counts(made, 2)[1] == counts(made, 2)[2]
    assert zones(made)[1] is guaranteed


def test_five_copies_on_three_nodes_a_zone_lose_the_zone_when_a_node_joins() -> None:
    members = founded(3, 3, 3, factor=5).members
    assert zones(ring.TokenRing(members, 5)) == (True, False)
    some_tokens = tuple(range(12345, 2**63, 2**59))
    assert zones(ring.TokenRing([*members, ring.RingMember("a4", "az_a", "a-0", some_tokens)], 5)) == (False, False)


def test_a_node_that_is_down_leaves_less_to_lose() -> None:
    members = [
        ring.RingMember(one.name, one.zone, one.rack, one.tokens, is_up=one.name != "a1")
        for one in founded(2, 2, 2, factor=3).members
    ]
    told = ring.RingSafety(ring.TokenRing(members, 3), 512).report()
    assert told["down"] == ["a1"]
    assert told["now"] == {"ranges": 0.0, "shards": 0}
    assert told["sets"][0]["safe_sets"] == [["a2"]]
    assert [zone["name"] for zone in told["zones"] if zone["safe"]] == ["az_a"]


def test_shares_of_a_founded_ring_are_even() -> None:
    told = ring.RingSafety(founded(2, 2, 2, factor=3), 512).report()
    assert {one["ranges"] for one in told["load"].values()} == {0.5}
    assert sum(one["shards"] for one in told["load"].values()) == 3 * 512


# What the documentation says


FAULT_TOLERANCE = (Path(__file__).resolve().parents[2] / "docs" / "fault_tolerance.md").read_text(encoding="utf-8")
LAYOUTS = [
    ((2, 2), (1, 1), 3),
    ((1, 1, 1), (1, 1, 1), 3),
    ((2, 2, 1), (1, 1, 1), 3),
    ((2, 2, 2), (1, 1, 1), 3),
    ((3, 3, 3), (1, 1, 1), 3),
    ((2, 2, 1), (1, 1, 1), 5),
    ((2, 2, 2), (1, 1, 1), 5),
    ((3, 3, 3), (1, 1, 1), 5),
    ((4, 4, 2), (2, 2, 1), 5),
    ((4, 4, 4), (2, 2, 2), 5),
]


@pytest.mark.parametrize(("sizes", "racks", "factor"), LAYOUTS)
def test_the_table_of_layouts_is_what_the_model_says(
    sizes: tuple[int, ...], racks: tuple[int, ...], factor: int
) -> None:
    told = ring.RingSafety(founded(*sizes, factor=factor, racks=racks)).report()
    one, two, _ = told["sets"]
    promises = (
        one["guaranteed"] == one["total"],
        all(zone["guaranteed"] for zone in told["zones"]),
        two["guaranteed"] == two["total"],
    )
    loads = sorted({f"{100 * node['ranges']:.0f}" for node in told["load"].values()}, key=int)
    cells = [
        "/".join(map(str, sizes)),
        "/".join(map(str, racks)),
        str(factor),
        *("yes" if promise else "**no**" for promise in promises),
        f"{two['guaranteed']} of {two['total']}",
        f"{100 * two['worst'][0]['ranges']:.0f} %" if two["worst"] else "nothing",
        f"{' to '.join(dict.fromkeys((loads[0], loads[-1])))} %",
    ]
    assert f"| {' | '.join(cells)} |" in FAULT_TOLERANCE


def test_the_documentation_has_a_row_for_each_layout_and_no_other() -> None:
    assert len(re.findall(r"^\| \d+(/\d+)+ \|", FAULT_TOLERANCE, re.MULTILINE)) == len(LAYOUTS)


def test_the_documented_schema_is_what_the_report_has() -> None:
    told = ring.ring_safety(FOUNDERS, 3, history_shards=8, tokens_per_node=16, lost=["a1"])
    keys = {*told, *told["sets"][1], *told["zones"][0], *told["sets"][1]["worst"][0], *told["lost"]}
    assert not [key for key in keys if f"`{key}`" not in FAULT_TOLERANCE]


# A live ring, and what is asked of one


INVENTORY = [{"name": f"c-{zone}", "address": f"192.0.2.1{n}", "zone": f"az_{zone}"} for n, zone in enumerate("ab", 1)]


def test_a_live_ring_has_the_names_of_the_inventory_and_the_tokens_and_racks_of_its_nodes() -> None:
    nodes = [
        {"address": "192.0.2.13", "rack": "r9", "tokens": {"7", "-7"}},
        {"address": "192.0.2.12", "rack": "az_b", "tokens": {"30", "4"}},
        {"address": "192.0.2.11", "rack": "az_a", "tokens": {"-100"}},
    ]
    assert ring.live_members(INVENTORY, nodes, down=["192.0.2.12"]) == [
        ring.RingMember("c-a", "az_a", "az_a", (-100,), True, "192.0.2.11"),
        ring.RingMember("c-b", "az_b", "az_b", (4, 30), False, "192.0.2.12"),
        ring.RingMember("192.0.2.13", "", "r9", (-7, 7), True, "192.0.2.13"),
    ]


def test_a_node_that_has_no_tokens_yet_is_not_in_the_ring() -> None:
    nodes = [{"address": "192.0.2.11", "rack": "az_a", "tokens": None}]
    assert ring.live_members(INVENTORY, nodes) == []


NETWORK = "org.apache.cassandra.locator.NetworkTopologyStrategy"


def test_the_copies_of_a_keyspace_are_those_of_its_data_centre() -> None:
    assert ring.copies_in({"class": NETWORK, "dc1": "3", "dc2": "5"}, "dc1") == 3


@pytest.mark.parametrize(
    ("replication", "complaint"),
    [
        (
            {"class": "org.apache.cassandra.locator.SimpleStrategy", "replication_factor": "3"},
            "by SimpleStrategy, not by",
        ),
        ({"class": NETWORK, "dc2": "3"}, "keeps 0 copies in data centre dc1"),
        ({"class": NETWORK, "dc1": "3/1"}, "keeps 3/1 copies in data centre dc1"),
    ],
)
def test_a_keyspace_that_is_placed_in_another_way_is_refused(replication: dict[str, str], complaint: str) -> None:
    with pytest.raises(ValueError, match=complaint):
        ring.copies_in(replication, "dc1")


def test_the_history_shards_that_a_loss_takes_are_named() -> None:
    told = ring.ring_safety(FOUNDERS, 3, history_shards=512, tokens_per_node=16, lost=["a1", "b1"])
    made = ring.founding_ring(FOUNDERS, 3, 16)
    pair = {"a1", "b1"}
    assert told["lost"]["nodes"] == ["a1", "b1"]
    assert told["lost"]["shards"] == [
        shard for shard in range(1, 513) if pair <= set(made.replicas(_murmur3.history_shard_token(shard)))
    ]
    assert told["sets"][1]["worst"][0] == {"nodes": ["a1", "b1"], "ranges": 0.333333, "shards": 166}


def test_nodes_with_tokens_of_their_own_keep_them() -> None:
    made = ring.founding_ring(FOUNDERS, 3, 16)
    nodes = [{"name": one.name, "zone": one.zone, "tokens": list(one.tokens)} for one in made.members]
    assert ring.ring_safety(nodes, 3) == ring.RingSafety(made).report()


@pytest.mark.parametrize(
    ("options", "complaint"),
    [({}, "has tokens, but not a1, a2"), ({"tokens_per_node": 16, "lost": ["a1", "a3"]}, "no node of the ring is a3")],
)
def test_a_question_that_has_no_answer_ends_the_play_with_the_reason(
    options: dict[str, object], complaint: str
) -> None:
    with pytest.raises(AnsibleFilterError, match=f"ring_safety: .*{complaint}"):
        FilterModule().filters()["ring_safety"](FOUNDERS, 3, **options)


@pytest.mark.parametrize(
    ("members", "factor", "options", "complaint"),
    [
        ([{"name": "a", "tokens": [1]}], 1, {}, "a has neither a zone nor a rack"),
        ([{"zone": "y", "tokens": [1]}], 1, {}, "a node has no name"),
        ([{"name": "a", "zone": "y", "tokens": [1]}], "3", {}, "replication_factor must be a number, not '3'"),
        ([{"name": "a", "zone": "y"}], 3, {"tokens_per_node": "16"}, "tokens_per_node must be a number, not '16'"),
        ([{"name": "a", "zone": "y", "tokens": ["x"]}], 1, {}, "the tokens of a must be a list of numbers"),
        ([{"name": "a", "zone": "y", "tokens": [str(HIGHEST + 1)]}], 1, {}, f"are from {LOWEST} to {HIGHEST}"),
        (
            [{"name": "a", "zone": "y"}, {"name": "a", "zone": "z"}],
            1,
            {"tokens_per_node": 4},
            "two nodes of a ring cannot have the same name: a",
        ),
    ],
)
def test_what_cannot_be_a_question_about_a_ring_ends_the_play_with_the_reason(
    members: list[dict[str, object]], factor: object, options: dict[str, object], complaint: str
) -> None:
    with pytest.raises(AnsibleFilterError, match=f"ring_safety: .*{complaint}$"):
        FilterModule().filters()["ring_safety"](members, factor, **options)


def test_sets_of_other_sizes_are_judged_when_asked() -> None:
    members = [{"name": f"{zone}{number}", "zone": zone} for zone in "abc" for number in range(2)]
    told = ring.ring_safety(members, 5, tokens_per_node=16, sizes=[2, 4])["sets"]
    assert [(one["size"], one["total"], one["safe"], one["guaranteed"]) for one in told] == [
        (2, 15, 15, 15),
        (4, 15, 0, 0),
    ]
    with pytest.raises(ValueError, match="a set has at least one node, not 0"):
        ring.ring_safety(members, 5, tokens_per_node=16, sizes=[0])
