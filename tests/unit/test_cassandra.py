"""A ring is founded once, evenly; later nodes join it or take the place of a dead one, and nothing else."""

from __future__ import annotations

import itertools
import re
import uuid
from dataclasses import replace
from pathlib import Path

import pytest
import yaml
from ansible_collections.zerospof.temporal.plugins.module_utils import _cassandra as start
from hypothesis import given
from hypothesis import strategies as st

STATUS = """Datacenter: dc1
===============
Status=Up/Down
|/ State=Normal/Leaving/Joining/Moving
--  Address      Load        Tokens  Owns (effective)  Host ID                               Rack
UN  192.0.2.13   116.25 KiB  16      66.7%             cb00b5cb-55ee-4ae7-840b-1b8acdab8055  az_c
DN  192.0.2.12   ?           16      66.7%             0c382cd0-8947-4b2a-8c52-143346464fdc  az_b
UJ  192.0.2.11   118.99 KiB  16      ?                 0c8428f8-d551-42c8-948f-4cf0e533241f  az_a

"""


def node(address: str, up: bool = True, state: str = "N") -> start.RingNode:
    return start.RingNode(address, up, state, "az_a")


def plan(**said: object) -> str:
    defaults = {"has_data": False, "is_unfinished": False, "established": ["b"], "ring": None}
    return start.plan("a", "192.0.2.11", **(defaults | said))


def layout(*counts: int) -> list[dict[str, str]]:
    return [
        {"name": f"{rack}{number}", "zone": f"az_{rack}"}
        for rack, count in zip("abcdefgh", counts, strict=False)
        for number in range(count)
    ]


def test_the_status_of_a_ring_is_read() -> None:
    assert start.parse_status(STATUS) == [
        start.RingNode("192.0.2.13", True, "N", "az_c", "cb00b5cb-55ee-4ae7-840b-1b8acdab8055", "dc1", 16),
        start.RingNode("192.0.2.12", False, "N", "az_b", "0c382cd0-8947-4b2a-8c52-143346464fdc", "dc1", 16),
        start.RingNode("192.0.2.11", True, "J", "az_a", "0c8428f8-d551-42c8-948f-4cf0e533241f", "dc1", 16),
    ]


def test_the_status_of_a_ring_of_one_token_a_node_is_read() -> None:
    """Its columns are others."""
    row = "UN  192.0.2.13  116.25 KiB  ?  cb00b5cb-55ee-4ae7-840b-1b8acdab8055  -4069959284402364209  az_c"
    assert start.parse_status(f"Datacenter: dc2\n===\n{row}\n") == [
        start.RingNode("192.0.2.13", True, "N", "az_c", "cb00b5cb-55ee-4ae7-840b-1b8acdab8055", "dc2", 1)
    ]


def test_a_node_that_is_joining_lives_and_one_that_is_down_does_not() -> None:
    assert start.down_addresses([STATUS]) == ["192.0.2.12"]


def status(up: str, down: str) -> str:
    """What a node prints that sees the nodes 192.0.2.N up and down."""
    rows = [
        f"{how}  192.0.2.{number}  1 KiB  16  ?  {uuid.UUID(int=int(number))}  az_a"
        for how, numbers in (("UN", up), ("DN", down))
        for number in numbers.split()
    ]
    return "\n".join(rows)


@pytest.mark.parametrize(
    ("views", "down"),
    [
        # The first is cut off.
        ([("1", "2 3"), ("2 3", "1"), ("2 3", "1")], ["192.0.2.1"]),
        ([("1 2", "3"), ("1 2", "3")], ["192.0.2.3"]),
        # One has not noticed yet.
        ([("1 2 3", ""), ("1 2", "3"), ("1 2", "3")], ["192.0.2.3"]),
        ([("1 2", "")], []),
        ([], []),
    ],
)
def test_most_of_the_nodes_that_answer_say_who_is_down(views: list[tuple[str, str]], down: list[str]) -> None:
    assert start.down_addresses([status(*view) for view in views]) == down


def test_text_without_a_ring_has_no_nodes() -> None:
    assert start.parse_status("error: Failed to connect to '127.0.0.1:7199'") == []


def test_a_node_with_data_stays_in_its_ring() -> None:
    assert plan(has_data=True) == start.STAY


def test_without_any_data_there_is_a_new_ring() -> None:
    assert plan(established=[]) == start.FOUND


def test_a_ring_of_which_no_node_has_data_is_not_founded_anew() -> None:
    """As when no disk is mounted after all hosts were down."""
    with pytest.raises(start.RefusalError, match=r"it was in a ring whose data no node has now.* mount the disks"):
        plan(established=[], was_in_ring=True)
    assert plan(was_in_ring=True, ring=[node("192.0.2.11", up=False), node("192.0.2.12")]) == start.REPLACE


def test_the_record_of_a_ring_is_where_the_role_keeps_it() -> None:
    role = Path(__file__).resolve().parents[2] / "roles/cassandra"
    state = yaml.safe_load((role / "vars/main.yml").read_text(encoding="utf-8"))["__cassandra_state"]
    assert f"{state}/ring" == start.RING_RECORD


def test_founding_that_was_interrupted_goes_on() -> None:
    assert plan(established=[], has_data=True, is_unfinished=True) == start.FOUND


def test_a_new_host_joins_the_live_ring() -> None:
    assert plan(ring=[node("192.0.2.12"), node("192.0.2.13")]) == start.JOIN


def test_a_node_that_died_with_its_disk_is_replaced_not_added() -> None:
    assert plan(ring=[node("192.0.2.11", up=False), node("192.0.2.12")]) == start.REPLACE


def test_an_unfinished_node_that_the_ring_knows_stays() -> None:
    assert plan(has_data=True, is_unfinished=True, ring=[node("192.0.2.11"), node("192.0.2.12")]) == start.STAY


def test_a_ring_that_does_not_answer_is_not_founded_anew() -> None:
    with pytest.raises(start.RefusalError, match="no node of the ring answers, while b may hold the data"):
        plan()


def test_an_address_that_a_live_node_has_is_refused() -> None:
    with pytest.raises(start.RefusalError, match=r"the ring has a live node with its address 192\.0\.2\.11"):
        plan(ring=[node("192.0.2.11"), node("192.0.2.12")])


@pytest.mark.parametrize("away", [node("192.0.2.12", up=False), node("192.0.2.12", state="J")])
@pytest.mark.parametrize("mine", [[], [node("192.0.2.11", up=False)]])
def test_nobody_comes_while_another_is_away(away: start.RingNode, mine: list[start.RingNode]) -> None:
    with pytest.raises(start.RefusalError, match=r"192\.0\.2\.12 is down or not settled"):
        plan(ring=[*mine, away, node("192.0.2.13")])


def test_the_commit_log_of_lost_data_is_not_replayed() -> None:
    with pytest.raises(start.RefusalError, match="a commit log but no data; mount the disk"):
        plan(ring=[node("192.0.2.11", up=False), node("192.0.2.12")], has_commit_log=True)
    assert plan(has_data=True, has_commit_log=True) == start.STAY
    assert plan(established=[], is_unfinished=True, has_commit_log=True) == start.FOUND


@given(st.lists(st.integers(1, 5), min_size=1, max_size=6), st.sampled_from([1, 4, 16]))
def test_founding_tokens_are_distinct_and_even_in_each_rack(counts: list[int], tokens: int) -> None:
    found = start.founding_tokens(layout(*counts), tokens)
    everything = [token for mine in found.values() for token in mine]
    assert len(set(everything)) == len(everything) == tokens * sum(counts)
    assert all(start.FIRST_TOKEN <= token < -start.FIRST_TOKEN for token in everything)
    for rack, count in zip("abcdefgh", counts, strict=False):
        owners = sorted((token, name) for name, mine in found.items() if name[0] == rack for token in mine)
        share: dict[str, int] = {}
        for (before, _), (token, name) in zip([owners[-1], *owners], owners, strict=False):
            share[name] = share.get(name, 0) + (token - before) % start.TOKENS
        if tokens * count > 1:
            assert max(share.values()) - min(share.values()) <= 2 * start.GRAIN * tokens


def test_a_rack_of_its_own_counts_before_the_zone() -> None:
    members = [{"name": "a1", "zone": "az_a", "rack": "a-1"}, {"name": "a2", "zone": "az_a", "rack": "a-2"}]
    tokens = start.founding_tokens(members, 1)
    assert tokens["a2"][0] - tokens["a1"][0] == start.TOKENS // 2 + 1


def test_members_have_the_racks_of_their_hosts() -> None:
    found = start.with_racks(layout(2), {"a0": {"cassandra_rack": "a-0"}, "a1": {"cassandra_rack": ""}})
    assert found == [{"name": "a0", "zone": "az_a", "rack": "a-0"}, {"name": "a1", "zone": "az_a"}]


MEMBERS = [{"name": f"c-{zone}", "address": f"192.0.2.1{n}", "zone": f"az_{zone}"} for n, zone in enumerate("abc", 1)]
WHOLE = [start.RingNode(row["address"], True, "N", row["zone"]) for row in MEMBERS]
AGREED = {node.address: "v1" for node in WHOLE}


def test_a_whole_ring_has_no_problems() -> None:
    assert start.ring_problems(MEMBERS, WHOLE, AGREED) == []


@pytest.mark.parametrize(
    ("third", "problem"),
    [
        ([], "c-c is in the inventory but not in the ring"),
        ([start.RingNode("192.0.2.13", False, "N", "az_c")], "c-c is down"),
        ([start.RingNode("192.0.2.13", True, "J", "az_c")], "c-c is joining"),
        (
            [start.RingNode("192.0.2.13", True, "N", "az_b")],
            "c-c is in rack az_b of the ring and in az_c of the inventory",
        ),
        (
            [WHOLE[2], start.RingNode("192.0.2.14", True, "N", "az_c")],
            "192.0.2.14 is in the ring but not in the inventory",
        ),
    ],
)
def test_every_difference_to_the_inventory_is_named(third: list[start.RingNode], problem: str) -> None:
    assert start.ring_problems(MEMBERS, [*WHOLE[:2], *third], AGREED) == [problem]


def test_nodes_of_two_schemas_are_named() -> None:
    [problem] = start.ring_problems(MEMBERS, WHOLE, AGREED | {"192.0.2.12": "v2"})
    assert "'192.0.2.12': 'v2'" in problem


KEPT = {"temporal": start.replication({"dc1": 3}), "system_auth": start.replication({"dc1": 5, "dc2": 1})}
WANTED = {"temporal": {"dc1": 3}, "system_auth": {"dc1": 3}}


def test_copies_that_are_kept_as_often_or_more_often_have_no_problems() -> None:
    assert start.copies_problems(WANTED, KEPT, []) == []


@pytest.mark.parametrize(
    ("present", "due", "problem"),
    [
        ({"temporal": start.replication({"dc1": 1})}, [], "1 instead of 3 copies in dc1: temporal;"),
        ({"temporal": start.replication({"dc2": 3})}, [], "0 instead of 3 copies in dc1: temporal;"),
        (
            {name: start.replication({"dc1": 2}) for name in WANTED},
            [],
            "2 instead of 3 copies in dc1: system_auth, temporal;",
        ),
        (
            {"system_auth": {"class": "SimpleStrategy", "replication_factor": "3"}},
            [],
            "copies without regard to racks: system_auth;",
        ),
        ({}, ["c-b"], "c-b did not repair"),
    ],
)
def test_copies_that_are_too_few_or_empty_are_named(
    present: dict[str, dict[str, str]], due: list[str], problem: str
) -> None:
    [found] = start.copies_problems(WANTED, KEPT | present, due)
    assert problem in found


def test_a_keyspace_that_is_missing_is_named() -> None:
    [found] = start.copies_problems(WANTED, {"temporal": KEPT["temporal"]}, [])
    assert "0 instead of 3 copies in dc1: system_auth" in found


def test_replication_reads_as_the_ring_stores_it() -> None:
    assert start.replication({"dc1": 3}) == {
        "class": "org.apache.cassandra.locator.NetworkTopologyStrategy",
        "dc1": "3",
    }


LIVING = start.RingNode("192.0.2.11", True, "N", "az_a", datacenter="dc1", tokens=16)


@pytest.mark.parametrize("ring", [[LIVING], [replace(LIVING, state="J", tokens=1)], [WHOLE[1]], []])
def test_a_node_that_is_described_as_it_lives_has_no_problem(ring: list[start.RingNode]) -> None:
    """Nor one that is on its way in, or that the ring does not know."""
    assert start.lifelong_problems(MEMBERS[0], "dc1", 16, ring) == []


@pytest.mark.parametrize(
    ("datacenter", "tokens", "rack", "problem"),
    [
        ("dc1", 8, "", "cassandra_tokens_per_node: 8, but c-a has 16 in the live ring, .* set 16 again"),
        ("main", 16, "", "cassandra_datacenter: main, but c-a is in dc1 in the live ring, .* set dc1 again"),
        ("dc1", 16, "a-1", "cassandra_rack: a-1, but c-a is in az_a in the live ring, .* set cassandra_rack: az_a"),
    ],
)
def test_what_is_fixed_for_the_life_of_a_node_is_refused_with_what_it_has(
    datacenter: str, tokens: int, rack: str, problem: str
) -> None:
    [found] = start.lifelong_problems(MEMBERS[0] | {"rack": rack}, datacenter, tokens, [LIVING])
    assert re.match(problem, found)


def test_a_live_node_is_judged_before_anything_is_written() -> None:
    role = Path(__file__).resolve().parents[2] / "roles/cassandra"
    first, *_ = yaml.safe_load((role / "tasks/main.yml").read_text(encoding="utf-8"))
    assert first["register"] == "__cassandra_node"
    settings = {"datacenter": "cassandra_datacenter", "tokens_per_node": "cassandra_tokens_per_node"}
    called = first["zerospof.temporal.cassandra_node_check"]
    assert {name: called[name] for name in settings} == {name: f"{{{{ {var} }}}}" for name, var in settings.items()}


@pytest.mark.parametrize(
    ("factor", "racks", "problem"),
    [
        (3, "abc", ""),
        (3, "aabbcc", ""),
        (5, "aabbcc", ""),
        (1, "a", ""),
        (2, "aa", ""),
        (4, "abc", "cassandra_replication_factor: 4, but there are 3 nodes"),
        (3, "aabb", "cassandra_replication_factor: 3, but the nodes are in 2 racks (a, b): without one of them"),
    ],
)
def test_copies_that_racks_cannot_hold_are_refused(factor: int, racks: str, problem: str) -> None:
    names = [f"{rack}{number}" for number, rack in enumerate(racks)]
    found = start.replication_problem(factor, names, racks)
    assert found.startswith(problem)
    assert bool(found) == bool(problem)


def addressed(**zones: str) -> list[dict[str, str]]:
    """Members of zones, each named by a letter that is its address as well."""
    return [{"name": one, "address": one, "zone": f"az_{zone}"} for zone, names in zones.items() for one in names]


@pytest.mark.parametrize(
    ("zones", "found"),
    [
        ({"a": "xy", "b": "zw", "c": "v"}, "xzv"),
        # The order of zones in the inventory does not matter, nor does who comes behind the first.
        ({"c": "v", "b": "zwu", "a": "xy"}, "xzv"),
        # When the seed of a zone is removed, the next one is it; the others stay.
        ({"a": "xy", "b": "w", "c": "v"}, "xwv"),
        ({"a": "xy", "b": "zw"}, "xz"),
        ({"a": "xyz"}, "xy"),
        ({"a": "x"}, "x"),
        ({}, ""),
    ],
)
def test_each_zone_has_one_seed_and_a_single_zone_two(zones: dict[str, str], found: str) -> None:
    assert start.seeds(addressed(**zones)) == list(found)


@pytest.mark.parametrize(("joining", "found"), [("y", "xz"), ("x", "yz"), ("z", "xw"), ("new", "xz")])
def test_a_node_that_joins_is_not_its_own_seed(joining: str, found: str) -> None:
    assert start.seeds(addressed(a="xy", b="zw"), without=joining) == list(found)


def test_the_only_zone_of_a_ring_of_two_has_a_seed_for_who_joins() -> None:
    assert start.seeds(addressed(a="xy"), without="x") == ["y"]


@given(st.lists(st.integers(1, 4), min_size=1, max_size=6))
def test_every_zone_has_a_seed_whatever_its_size(counts: list[int]) -> None:
    members = [member | {"address": member["name"]} for member in layout(*counts)]
    found = set(start.seeds(members))
    assert {member["zone"] for member in members if member["name"] in found} == {member["zone"] for member in members}


def ring_of(*racks: str) -> list[start.RingNode]:
    """Settled nodes 192.0.2.11, .12 ... in these racks; the host id of each is its last octet."""
    return [start.RingNode(f"192.0.2.{n}", True, "N", rack, str(n)) for n, rack in enumerate(racks, 11)]


COPIES = {"system_auth": 3, "temporal": 3, "scratch": 1}


@pytest.mark.parametrize("racks", ["aabc", "abcd", "aabbcc", "abcde"])
def test_a_node_may_leave_when_nodes_and_racks_are_left_for_every_copy(racks: str) -> None:
    start.check_leaving("a", "192.0.2.11", ring_of(*racks), COPIES)


def test_the_node_of_a_rack_may_leave_when_there_are_more_racks_than_copies() -> None:
    start.check_leaving("d", "192.0.2.14", ring_of(*"abcd"), COPIES)


@pytest.mark.parametrize("address", ["192.0.2.11", "192.0.2.13"])
def test_no_node_of_as_many_as_copies_may_leave(address: str) -> None:
    with pytest.raises(start.RefusalError, match=r"2 nodes would be left, but keyspace .* is kept 3 times; add a node"):
        start.check_leaving("a", address, ring_of(*"abc"), COPIES)


def test_the_last_node_of_a_rack_that_holds_copies_may_not_leave() -> None:
    with pytest.raises(start.RefusalError, match="the last node of rack c, 2 racks would be left"):
        start.check_leaving("c", "192.0.2.15", ring_of(*"aabbc"), COPIES)


@pytest.mark.parametrize("away", [node("192.0.2.99", up=False), node("192.0.2.99", state="J")])
def test_nobody_leaves_while_another_is_away(away: start.RingNode) -> None:
    with pytest.raises(start.RefusalError, match=r"192\.0\.2\.99 is down or not settled"):
        start.check_leaving("a", "192.0.2.11", [*ring_of(*"aabbcc"), away], COPIES)


@pytest.mark.parametrize(
    ("recorded", "new"),
    [
        ({"11", "12", "13"}, []),
        ({"11", "12"}, ["192.0.2.13"]),
        # A node that has left and come back, or was replaced, has another id.
        ({"11", "12", "old"}, ["192.0.2.13"]),
        (None, ["192.0.2.12", "192.0.2.13"]),
    ],
)
def test_who_came_since_the_last_cleanup_is_known(recorded: set[str] | None, new: list[str]) -> None:
    assert start.newcomers(recorded, ring_of(*"abc"), "192.0.2.11") == new


def test_nothing_is_given_up_to_a_node_that_is_away() -> None:
    with pytest.raises(start.RefusalError, match=r"192\.0\.2\.14 is down or not settled"):
        start.newcomers({"11"}, [*ring_of(*"abc"), node("192.0.2.14", up=False)], "192.0.2.11")


@pytest.mark.parametrize(
    ("memory", "wanted", "heap"),
    [(2_000, 0, 1024), (8_192, 0, 2048), (32_000, 0, 8000), (512_000, 0, 16384), (32_000, 384, 384)],
)
def test_the_heap_is_a_quarter_of_the_memory_within_bounds(memory: int, wanted: int, heap: int) -> None:
    assert start.heap_megabytes(memory, wanted) == heap


@given(st.integers(1, 9), st.integers(1, 9))
def test_on_the_way_to_other_copies_every_quorum_meets_what_the_one_before_acknowledged(
    before: int, after: int
) -> None:
    """Of those who acknowledged, all but one whose copy was taken away keep the row; nobody else has it."""
    steps = [before]
    while steps[-1] != after:
        reached = start.next_replication(start.replication({"dc1": steps[-1]}), start.replication({"dc1": after}))
        steps.append(int(reached["dc1"]))
        assert len(steps) <= 10
    for old, new in itertools.pairwise(steps):
        have = old // 2 + 1 - max(old - new, 0)
        assert have + new // 2 + 1 > new


def test_a_data_centre_comes_and_goes_copy_by_copy() -> None:
    three = start.replication({"dc1": 3})
    both = start.replication({"dc1": 3, "dc2": 2})
    assert start.next_replication(three, both) == start.replication({"dc1": 3, "dc2": 1})
    assert start.next_replication(start.replication({"dc1": 3, "dc2": 1}), three) == three


def test_only_who_has_repaired_after_the_last_change_of_copies_is_done() -> None:
    nodes = ["b", "a", "c"]
    assert start.unrepaired(nodes, {}) == []
    assert start.unrepaired(nodes, {"a": "1", "b": ""}) == []
    assert start.unrepaired(nodes, {start.THE_RING: "2", "a": "2", "b": "1"}) == ["b", "c"]


@pytest.mark.parametrize(
    ("reason", "refuses"),
    [
        ('code=0100 [Bad credentials] message="Provided username administrator and/or password are incorrect"', True),
        ('code=0100 [Bad credentials] message="administrator is not permitted to log in"', True),
        ('code=0100 [Bad credentials] message="Unable to perform authentication: Operation timed out"', False),
        ('code=1200 [Coordinator node timed out] message="Operation timed out"', False),
        ('code=0000 [Server error] message="java.lang.RuntimeException"', False),
    ],
)
def test_a_ring_that_could_not_look_a_user_up_refuses_nobody(reason: str, refuses: bool) -> None:
    reason = f"Failed to authenticate to 192.0.2.1:9042: Error from server: {reason}"
    assert start.refuses_login(reason) is refuses
