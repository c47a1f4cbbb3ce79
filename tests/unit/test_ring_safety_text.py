"""The table of a live ring says what the model says, and where the inventory promised more."""

from __future__ import annotations

import itertools
import re
from typing import Any

import pytest
from ansible_collections.zerospof.temporal.plugins.module_utils import _ring_safety, _ring_safety_text
from ansible_collections.zerospof.temporal.plugins.module_utils._text import percent
from hypothesis import given, settings

from tests.unit.test_ring_safety import rings
from tests.unit.test_spof_report import placed, report

WHOLE = """\
What the ring of Cassandra bears now
  copies (RF)    3, of which 2 must live
  nodes          6 in 3 zones
  down           none
  load per node  50 % of all data

loss of        borne                         stands still otherwise
-------------  ----------------------------  ---------------------------------------------------
any one node   yes, 6 of 6
any two nodes  NO, 3 of 15: two of one zone  up to 33 % of the ranges, 166 of 512 history shards
zone az_a      yes
zone az_b      yes
zone az_c      yes"""

WITHOUT_A_NODE = """\
What the ring of Cassandra bears now
  copies (RF)    3, of which 2 must live
  nodes          6 in 3 zones
  down           a1
  load per node  50 % of all data

loss of          borne           stands still otherwise
---------------  --------------  ------------------------------------------------------
no further node  yes
any one node     NO, 1 of 5: a2  up to 33 % of the ranges, 166 of 512 history shards
any two nodes    NO, none of 10  33 % of the ranges, 166 of 512 history shards, or more
zone az_a        yes
zone az_b        NO              50 % of the ranges, 255 of 512 history shards
zone az_c        NO              50 % of the ranges, 255 of 512 history shards

Promised by the inventory, but not borne now: the loss of any one node, zone az_b or zone az_c."""


def told(*sizes: int, copies: int = 3, down: tuple[str, ...] = ()) -> dict[str, Any]:
    """What the module returns of a ring with so many nodes in zone after zone."""
    members = [
        {"name": name, "zone": f"az_{name[0]}", "is_up": name not in down}
        for name in placed("cassandra", *sizes)["cassandra"]
    ]
    safety = _ring_safety.ring_safety(members, copies, history_shards=512, tokens_per_node=16)
    return {"safety": safety, "members": members, "missing": []}


def promised(*sizes: int, copies: int = 3) -> dict[str, Any]:
    """The report of an inventory with so many nodes in zone after zone."""
    groups = placed("cassandra", *sizes)
    hostvars = {host: {"cassandra_replication_factor": copies} for host in groups["cassandra"]}
    return report(groups, "ha_cassandra", hostvars=hostvars)


def row(text: str, loss: str) -> list[str]:
    """The cells of the row about ``loss``; none where there is no such row."""
    return next((re.split(r"  +", line) for line in text.splitlines() if line.startswith(f"{loss}  ")), [])


@pytest.mark.parametrize(("down", "text"), [((), WHOLE), (("a1",), WITHOUT_A_NODE)], ids=["whole", "without a node"])
def test_people_read_what_is_borne_now_and_what_stands_still_otherwise(down: tuple[str, ...], text: str) -> None:
    assert _ring_safety_text.ring_safety_text(told(2, 2, 2, down=down), promised(2, 2, 2)) == text


@pytest.mark.parametrize(
    ("sizes", "options", "loss", "cell"),
    [
        ((2, 2, 2), {"down": ("a1", "b1")}, "no further node", "NO"),
        ((2, 2, 2), {"down": ("a1", "b1")}, "any one node", "NO, none of 4"),
        ((2, 2, 2), {"down": ("a1", "a2")}, "zone az_a", "yes"),
        ((2, 2, 2), {"copies": 5, "down": ("a1",)}, "any one node", "yes, 5 of 5"),
        ((2, 2, 2), {"copies": 5}, "any two nodes", "yes, 15 of 15"),
        ((3, 3, 3), {}, "any two nodes", "NO, 18 of 36: two of one zone, and others"),
        ((3, 3, 3), {"down": ("a1",)}, "any two nodes", "NO, 1 of 28: a2 + a3"),
        ((3, 3, 3), {"down": ("a1",)}, "any one node", "NO, 4 of 8"),
        ((1, 1, 1), {}, "any two nodes", "NO, none of 3"),
        ((1,), {"copies": 1}, "any one node", "NO, none of 1"),
        ((1,), {"copies": 3}, "no further node", "NO"),
    ],
)
def test_the_sets_that_can_be_lost_are_named_when_they_are_few(
    sizes: tuple[int, ...], options: dict[str, Any], loss: str, cell: str
) -> None:
    assert row(_ring_safety_text.ring_safety_text(told(*sizes, **options)), loss)[1] == cell


def test_one_node_has_no_pairs() -> None:
    assert row(_ring_safety_text.ring_safety_text(told(1, copies=1)), "any two nodes") == []


@settings(max_examples=100)
@given(rings())
def test_every_answer_is_that_of_trying_out_every_loss(made: tuple[list[_ring_safety.RingMember], int]) -> None:
    members, copies = made
    model = _ring_safety.RingSafety(_ring_safety.TokenRing(members, copies))
    said = {"safety": model.report(), "members": [vars(member) for member in members], "missing": []}
    text = _ring_safety_text.ring_safety_text(said)
    up = [member.name for member in members if member.is_up]
    for size, loss in _ring_safety_text.SETS.items():
        lost = [_ring_safety.shown(model.loss(names).ranges) for names in itertools.combinations(up, size)]
        if not lost:
            assert row(text, loss) == []
            continue
        safe = lost.count(0)
        assert row(text, loss)[1].startswith(f"{'NO' if any(lost) else 'yes'}, {safe or 'none'} of {len(lost)}")
        if any(lost):
            [share] = re.findall(r"[\de.-]+ %", row(text, loss)[2])
            exact = row(text, loss)[2].startswith("up to ")
            assert (share == percent(max(lost))) if exact else float(share[:-2]) <= 100 * max(lost) + 1
    for zone in {member.zone for member in members}:
        ranges = _ring_safety.shown(model.loss([member.name for member in members if member.zone == zone]).ranges)
        assert row(text, f"zone {zone}")[1:] == (["NO", f"{percent(ranges)} of the ranges"] if ranges else ["yes"])


def test_the_nodes_with_most_and_least_data_are_named_where_they_differ() -> None:
    assert "  load per node  25 % (a1) to 100 % (b1) of all data\n" in _ring_safety_text.ring_safety_text(told(4, 1, 1))


def test_what_the_ring_and_the_inventory_do_not_share_is_said() -> None:
    ring = told(2, 2, 2)
    ring["members"].append({"name": "192.0.2.9", "zone": "", "is_up": True})
    ring["missing"] = ["d1"]
    text = _ring_safety_text.ring_safety_text(ring, promised(2, 2, 2, copies=5))
    assert text.splitlines()[-4:] == [
        "In the inventory, but not in the ring: d1.",
        "In the ring, but not in the inventory: 192.0.2.9.",
        "The inventory asks for 5 copies of every row; the ring keeps 3.",
        "Promised by the inventory, but not borne now: the loss of any two nodes.",
    ]


def test_what_no_inventory_promised_is_not_missed() -> None:
    whole = _ring_safety_text.ring_safety_text(told(3, 3, 3, copies=5), promised(3, 3, 3, copies=5))
    broken = _ring_safety_text.ring_safety_text(told(3, 3, 3, copies=5, down=("a1",)), promised(3, 3, 3, copies=5))
    assert "Promised" not in whole
    assert broken.splitlines()[-1] == "Promised by the inventory, but not borne now: the loss of any two nodes."


@pytest.mark.parametrize(
    ("ring", "reason"),
    [
        ({}, "no node has told its ring"),
        ({"msg": "no node of Cassandra answers: refused\nsecond line"}, "no node of Cassandra answers: refused"),
    ],
)
def test_a_ring_that_nobody_tells_is_not_known(ring: dict[str, Any], reason: str) -> None:
    assert _ring_safety_text.ring_safety_text(ring, promised(2, 2, 2)) == (
        f"What the ring of Cassandra bears now is not known: {reason}"
    )
