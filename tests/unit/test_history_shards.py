"""Shards and their owners are those that the libraries of Temporal's server compute (data/history_shards.go)."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from ansible_collections.zerospof.temporal.plugins.module_utils._farmhash import fingerprint32
from ansible_collections.zerospof.temporal.plugins.module_utils._history_shards import HistoryRing, history_shard
from hypothesis import given
from hypothesis import strategies as st

VECTORS = json.loads((Path(__file__).parent / "data" / "history_shards.json").read_text(encoding="utf-8"))
SHARDS = range(1, 513)

addresses = st.sets(
    st.from_regex(r"10\.[0-9]{1,3}\.[0-9]{1,3}\.[0-9]{1,3}:7234", fullmatch=True), min_size=2, max_size=6
)


def high_bytes(length: int) -> bytes:
    return bytes(255 - (i * 37 + length * 11) % 251 for i in range(length))


@pytest.mark.parametrize("length", range(201))
def test_the_hash_of_every_length_is_that_of_the_reference(length: int) -> None:
    assert fingerprint32(VECTORS["text"].encode()[:length]) == VECTORS["hash_of_text"][length]
    assert fingerprint32(high_bytes(length)) == VECTORS["hash_of_high_bytes"][length]


@pytest.mark.parametrize("workflow", VECTORS["workflows"], ids=lambda workflow: workflow["workflow_id"])
def test_the_shard_of_a_workflow_is_that_of_the_server(workflow: dict) -> None:
    found = {n: history_shard(workflow["namespace_id"], workflow["workflow_id"], int(n)) for n in workflow["shards"]}
    assert found == workflow["shards"]


@pytest.mark.parametrize("ring", VECTORS["rings"], ids=lambda ring: f"{len(ring['members'])}x{ring['replica_points']}")
def test_the_owner_of_a_shard_is_that_of_the_server(ring: dict) -> None:
    hashed = HistoryRing(ring["members"], ring["replica_points"])
    assert [hashed.owner(shard) for shard in SHARDS] == [ring["members"][int(number)] for number in ring["owners"]]


@given(st.text(min_size=1), st.integers(1, 2**31 - 1))
def test_every_id_has_a_shard(workflow_id: str, shards: int) -> None:
    assert 1 <= history_shard("32049b68-7872-4094-8e63-d0dd59896a83", workflow_id, shards) <= shards


@given(addresses)
def test_the_loss_of_a_host_moves_its_own_shards_only(members: set[str]) -> None:
    lost = min(members)
    before, after = HistoryRing(sorted(members)), HistoryRing(members - {lost})
    for shard in SHARDS:
        owner = before.owner(shard)
        assert after.owner(shard) == owner if owner != lost else after.owner(shard) in members - {lost}


def test_a_ring_without_hosts_has_no_owner() -> None:
    assert HistoryRing([]).owner(1) is None
