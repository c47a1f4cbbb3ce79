"""The placement names shard, owner and copies of every workflow, counts what each host has, and says what is left."""

from __future__ import annotations

import json
from collections import Counter
from typing import Any
from xml.etree import ElementTree

import pytest
from ansible_collections.zerospof.temporal.plugins.module_utils import _cassandra, _placement
from ansible_collections.zerospof.temporal.plugins.module_utils._history_shards import HistoryRing, history_shard
from ansible_collections.zerospof.temporal.plugins.module_utils._murmur3 import history_shard_token
from ansible_collections.zerospof.temporal.plugins.module_utils._placement_chart import placement_chart
from ansible_collections.zerospof.temporal.plugins.module_utils._placement_text import placement_text
from ansible_collections.zerospof.temporal.plugins.module_utils._ring_safety import RingMember, TokenRing

NAMESPACE = {"name": "production", "id": "32049b68-7872-4094-8e63-d0dd59896a83"}
SHARDS = 512
SERVERS = [
    {"name": f"temporal-{zone}", "zone": f"az_{zone}", "address": f"10.77.0.2{number}"}
    for number, zone in enumerate("abc", 1)
]
RING = [f"{server['address']}:7234" for server in SERVERS]
IDS = _placement.question("production", workflow_id_range="1000-4000")["workflow_ids"]


def cassandra(*down: str) -> list[RingMember]:
    """Two nodes in each of three zones; those named are down."""
    members = [
        {"name": f"cassandra-{zone}{number}", "zone": f"az_{zone}", "address": f"10.77.0.{50 + 2 * rack + number}"}
        for rack, zone in enumerate("abc")
        for number in (1, 2)
    ]
    tokens = _cassandra.founding_tokens(members, 16)
    return [
        RingMember(
            name=member["name"],
            zone=member["zone"],
            rack=member["zone"],
            tokens=tuple(tokens[member["name"]]),
            is_up=member["name"] not in down,
            address=member["address"],
        )
        for member in members
    ]


def place(*down: str, **changes: Any) -> dict[str, Any]:  # noqa: ANN401
    """Place the workflows 1000 to 4000 while the nodes ``down`` are down."""
    options = {
        "namespace": NAMESPACE,
        "workflow_ids": IDS,
        "store": "cassandra",
        "shards": SHARDS,
        "servers": SERVERS,
        "history_ring": RING,
        "nodes": cassandra(*down),
        "replication_factor": 3,
    }
    return _placement.placement(**(options | changes))


@pytest.mark.parametrize(
    ("workflow_ids", "workflow_id_range", "expected"),
    [
        (["a", "b"], None, ["a", "b"]),
        ('["a","b"]', None, ["a", "b"]),
        ("[a,b]", None, ["a", "b"]),
        ("['a', 'b']", "", ["a", "b"]),
        ("[1000,0077]", None, ["1000", "0077"]),
        ("order-7", None, ["order-7"]),
        ('["a,b","[c]"]', None, ["a,b", "[c]"]),
        (["größe", "注文"], None, ["größe", "注文"]),
        (None, "8-11", ["8", "9", "10", "11"]),
        (None, "order-8-10", ["order-8", "order-9", "order-10"]),
        (None, "008-010", ["008", "009", "010"]),
        (None, "7-7", ["7"]),
        (["2", "x", "x"], "1-3", ["2", "x", "1", "3"]),
    ],
)
def test_what_the_command_line_says_becomes_ids(workflow_ids: Any, workflow_id_range: str, expected: list[str]) -> None:  # noqa: ANN401
    asked = _placement.question("production", workflow_ids, workflow_id_range)
    assert asked == {"problem": "", "workflow_ids": expected}


@pytest.mark.parametrize(
    ("namespace", "workflow_ids", "workflow_id_range", "reason"),
    [
        ("", ["a"], None, "no namespace is named"),
        ("production", None, None, "no workflow is named"),
        ("production", [], "", "no workflow is named"),
        ("production", None, "4000-1000", "runs backwards; write 1000-4000"),
        ("production", None, "order-9-2", "runs backwards; write order-2-9"),
        ("production", None, "1000", "'1000'; write the first and the last number"),
        ("production", None, "1000..4000", "'1000..4000'; write the first and the last number"),
        ("production", None, "1-9999999", "has 9999999 workflows; 100000 are the most"),
        ("production", [1000], None, 'has 1000, which is no text; write "1000"'),
        ("production", ["a", None], None, "has None, which is no text"),
        ("production", 1000, None, "is 1000; write a list of texts"),
        ("production", ["a", ""], None, "has an empty text"),
        ("production", "a,,b", None, "has an empty text"),
        ("production", '["a",', None, 'is cut off: ["a",'),
    ],
)
def test_an_unclear_question_has_one_clear_answer(
    namespace: str,
    workflow_ids: Any,  # noqa: ANN401
    workflow_id_range: str,
    reason: str,
) -> None:
    asked = _placement.question(namespace, workflow_ids, workflow_id_range)
    assert reason in asked["problem"]
    assert asked["workflow_ids"] == []


def test_every_workflow_has_its_shard_owner_and_copies() -> None:
    servers = {f"{server['address']}:7234": server["name"] for server in SERVERS}
    owners, ring = HistoryRing(RING), TokenRing(cassandra(), 3)
    found = place()
    assert [row["workflow_id"] for row in found["workflows"]] == IDS
    for row in found["workflows"]:
        shard = history_shard(NAMESPACE["id"], row["workflow_id"], SHARDS)
        assert row["shard"] == shard
        assert row["owner"] == servers[owners.owner(shard)]
        assert tuple(row["copies"]) == ring.replicas(history_shard_token(shard))


def test_with_three_racks_every_zone_has_one_copy() -> None:
    zones = {node["name"]: node["zone"] for node in place()["nodes"]}
    for row in place()["workflows"]:
        assert sorted(zones[name] for name in row["copies"]) == ["az_a", "az_b", "az_c"]


def test_what_the_hosts_have_adds_up_to_all_workflows() -> None:
    found = place()
    assert sum(server["workflows"] for server in found["servers"]) == len(IDS)
    assert {node["name"]: node["workflows"] for node in found["nodes"]} == Counter(
        name for row in found["workflows"] for name in row["copies"]
    )
    assert sum(node["workflows"] for node in found["nodes"]) == 3 * len(IDS)


def test_a_lost_node_leaves_a_quorum_of_every_workflow() -> None:
    summary = place("cassandra-b1")["summary"]
    lost = sum("cassandra-b1" in row["copies"] for row in place()["workflows"])
    assert summary == {
        "workflows": 3001,
        "with_all_copies": 3001 - lost,
        "with_a_quorum": 3001,
        "without_a_quorum": 0,
    }


def test_a_lost_zone_leaves_a_quorum_of_every_workflow() -> None:
    summary = place("cassandra-b1", "cassandra-b2")["summary"]
    assert (summary["with_all_copies"], summary["with_a_quorum"]) == (0, 3001)


def test_a_pair_in_two_zones_takes_the_quorum_of_exactly_those_workflows_that_both_hold() -> None:
    found = place("cassandra-b1", "cassandra-c1")
    stuck = [row for row in found["workflows"] if {"cassandra-b1", "cassandra-c1"} <= set(row["copies"])]
    assert found["summary"]["without_a_quorum"] == len(stuck) > 0
    assert {row["copies_up"] for row in stuck} == {1}


def test_a_server_that_left_the_ring_owns_nothing_and_is_named() -> None:
    found = place(history_ring=RING[1:])
    assert found["servers"][0] == SERVERS[0] | {"is_member": False, "workflows": 0}
    assert sum(server["workflows"] for server in found["servers"]) == len(IDS)
    assert "temporal-a     0     not in the ring" in placement_text(found).replace("  az_a  ", "")


def test_a_member_that_the_inventory_does_not_name_has_its_address() -> None:
    found = place(history_ring=["10.9.9.9:7234", "[2001:db8::1]:7234"])
    strays = {server["name"]: server["workflows"] for server in found["servers"] if server["is_member"]}
    assert set(strays) == {"10.9.9.9", "2001:db8::1"}
    assert sum(strays.values()) == len(IDS)


def test_workflows_outside_of_cassandra_have_an_owner_and_no_copies() -> None:
    found = place(store="postgres12_pgx")
    assert {tuple(row["copies"]) for row in found["workflows"]} == {()}
    assert (found["nodes"], found["replication_factor"], found["quorum"]) == ([], 0, 0)
    text = placement_text(found)
    assert "copy" not in text.splitlines()[2]
    assert "No copies are shown: postgres12_pgx keeps these workflows" in text
    assert "Cassandra node" not in placement_chart(found)


def test_a_ring_that_was_not_asked_is_not_taken_for_one_without_copies() -> None:
    assert "the ring of Cassandra was not asked" in placement_text(place(nodes=[]))


def test_nobody_owns_a_shard_of_an_empty_history_ring() -> None:
    assert "nobody" in placement_text(place(history_ring=[])).splitlines()[4]


def test_the_table_shows_the_first_workflows_and_says_how_many_more_there_are() -> None:
    lines = placement_text(place()).splitlines()
    assert lines[0].startswith("Namespace production (32049b68-7872-4094-8e63-d0dd59896a83): 3001 workflows in ")
    rows = [line.split()[0] for line in lines if line[:4].isdigit()]
    assert rows == IDS[:20]
    assert any(line.startswith("and 2981 more") for line in lines)
    assert "more" not in placement_text(place(workflow_ids=IDS[:20]))


def test_a_copy_on_a_dead_node_is_marked_and_a_lost_quorum_is_named() -> None:
    text = placement_text(place("cassandra-b1", "cassandra-c1"), rows=3001)
    rows = [line for line in text.splitlines() if line[:4].isdigit()]
    assert all(("no quorum" in row) == (row.count(" down") == 2) for row in rows)
    assert any("2 of 3  " in row and "cassandra-b1 (az_b) down" in row for row in rows)
    assert not any("cassandra-a1 (az_a) down" in row for row in rows)
    assert text.splitlines()[-1].endswith("without a quorum, which stand still: 972.")


def test_the_bars_are_as_long_as_the_counts() -> None:
    found = place()
    lines = placement_text(found).splitlines()
    bars = lines[lines.index("Copies on each Cassandra node") + 1 :][:6]
    most = max(node["workflows"] for node in found["nodes"])
    assert [bar.count("#") for bar in bars] == [round(40 * node["workflows"] / most) for node in found["nodes"]]
    assert [bar.split()[-2] for bar in bars] == [str(node["workflows"]) for node in found["nodes"]]


def test_the_chart_is_svg_with_a_bar_and_a_count_for_every_host() -> None:
    found = place("cassandra-b1", history_ring=RING[1:])
    root = ElementTree.fromstring(placement_chart(found))
    name = "{http://www.w3.org/2000/svg}"
    texts = [text.text for text in root.iter(f"{name}text")]
    for node in found["nodes"]:
        assert node["name"] in texts
        assert f"{node['workflows']}{'' if node['is_up'] else ', down'}" in texts
    assert "0, not in the ring" in texts
    lengths = [float(bar.get("width")) for bar in root.iter(f"{name}rect") if bar.get("fill", "").startswith("url")]
    assert len(lengths) == 2
    assert max(float(bar.get("width")) for bar in root.iter(f"{name}rect") if bar.get("y")) == 480


def test_names_of_the_inventory_cannot_break_the_chart() -> None:
    odd = [SERVERS[0] | {"name": "<t&a>", "zone": 'az_"<'}]
    root = ElementTree.fromstring(placement_chart(place(servers=odd, history_ring=RING[:1], nodes=[])))
    assert "<t&a>" in [text.text for text in root.iter("{http://www.w3.org/2000/svg}text")]


def test_the_placement_is_json() -> None:
    assert json.loads(json.dumps(place()))["schema_version"] == 1
