"""A backup goes back only to where it came from."""

from __future__ import annotations

from typing import Any

import pytest
from ansible_collections.zerospof.temporal.plugins.module_utils import _cassandra_backup as backup

NODE = {"name": "c-a", "address": "192.0.2.11", "cluster": "temporal", "datacenter": "dc1", "rack": "az_a"}
RING = ["192.0.2.11", "192.0.2.12", "192.0.2.13"]
MANIFEST = NODE | {"tag": "zerospof-20261120T063000Z", "ring": RING, "version": "5.0.6"}


def problems(**said: Any) -> list[str]:  # noqa: ANN401
    defaults = {"ring": RING, "version": "5.0.6", "data": "", "is_forced": False}
    return list(backup.restore_problems(said.pop("manifest", MANIFEST), NODE, **(defaults | said)))


def test_a_backup_goes_back_to_its_empty_node() -> None:
    assert problems() == []
    assert problems(version="5.0.10", ring=RING[::-1]) == []


@pytest.mark.parametrize("key", NODE)
def test_the_backup_of_another_node_is_refused(key: str) -> None:
    assert problems(manifest=MANIFEST | {key: "other"}) == [
        f"the backup is of {key} other, and this node has {NODE[key]}"
    ]


def test_a_part_of_a_ring_is_not_restored() -> None:
    [problem] = problems(ring=RING[:2])
    assert "restore all of its nodes at once, and no other" in problem


def test_files_of_a_newer_release_are_refused() -> None:
    [problem] = problems(manifest=MANIFEST | {"version": "5.0.10"})
    assert problem == "the backup was made by Cassandra 5.0.10, which 5.0.6 may not read"


def test_live_data_are_given_up_only_on_demand() -> None:
    [problem] = problems(data="2026-11-25 06:30")
    assert "set cassandra_restore_over_data: true" in problem
    assert problems(data="2026-11-25 06:30", is_forced=True) == []
