"""A replica that streams is copied, and a copy becomes the database of its own cluster again, whole and undamaged."""

from __future__ import annotations

from typing import Any

import pytest
from ansible_collections.zerospof.temporal.plugins.module_utils import _patroni_backup as backup

MANIFEST = {
    "tag": "zerospof-20261120T063000Z",
    "cluster": "temporal",
    "name": "b",
    "version": "17",
    "system_identifier": "7576543210987654321",
    "timeline": 1,
    "start_lsn": "0/4000028",
    "stop_lsn": "0/4000158",
    "bytes": 40 << 20,
}


def member(name: str, role: str = "replica", state: str = "streaming") -> dict:
    return {"name": name, "role": role, "state": state, "lag": 0}


LEADER = member("a", "leader", "running")


@pytest.mark.parametrize(
    ("members", "candidates", "source"),
    [
        ([LEADER, member("b"), member("c")], "abc", "b"),
        ([LEADER, member("b"), member("c", "quorum_standby")], "acb", "c"),
        ([LEADER, member("b", state="start failed"), member("c", "sync_standby")], "abc", "c"),
        ([LEADER, member("b", state="creating replica")], "abc", "a"),
        ([LEADER, member("b")], "a", "a"),
        ([LEADER], "abc", "a"),
        ([LEADER, member("b", state="starting")], "b", None),
        ([member("a"), member("b", state="stopped")], "b", None),
        ([], "abc", None),
    ],
)
def test_a_replica_that_streams_is_copied_before_the_leader(members: list, candidates: str, source: str | None) -> None:
    assert backup.source({"members": members}, "4.0.5", candidates) == source


@pytest.mark.parametrize(
    ("status", "position"),
    [
        ({"xlog": {"location": 67108864}}, 67108864),
        ({"xlog": {"received_location": 9, "replayed_location": 7, "paused": False}}, 7),
        ({"xlog": {"replayed_location": None}}, 0),
        ({"state": "starting"}, 0),
    ],
)
def test_a_member_is_where_it_has_written_or_replayed(status: dict, position: int) -> None:
    assert backup.position(status) == position


def test_the_log_of_a_copy_goes_from_its_first_to_its_last_position() -> None:
    ranges = [
        {"Timeline": 1, "Start-LSN": "0/4000028", "End-LSN": "0/5000000"},
        {"Timeline": 2, "Start-LSN": "0/5000000", "End-LSN": "0/5000158"},
    ]
    assert backup.log_range({"WAL-Ranges": ranges}) == {
        "timeline": 2,
        "start_lsn": "0/4000028",
        "stop_lsn": "0/5000158",
    }


def test_a_database_is_known_by_its_number() -> None:
    text = "pg_control version number:            1700\nDatabase system identifier:           7576543210987654321\n"
    assert backup.system_identifier(text) == "7576543210987654321"
    with pytest.raises(ValueError, match="names no system identifier"):
        backup.system_identifier("pg_control version number: 1700\n")


def problems(**said: Any) -> list[str]:  # noqa: ANN401
    defaults = {
        "cluster": "temporal",
        "version": "17",
        "members": "abc",
        "present": "abc",
        "data": "",
        "is_forced": False,
    }
    return list(backup.restore_problems(MANIFEST, **(defaults | said)))


def test_an_empty_cluster_takes_its_backup() -> None:
    assert problems() == []


def test_the_backup_of_another_cluster_is_refused() -> None:
    assert problems(cluster="blue") == ["the backup is of the cluster temporal, and this one is blue"]


@pytest.mark.parametrize("version", ["15", "18"])
def test_another_major_version_is_refused_older_or_newer(version: str) -> None:
    [problem] = problems(version=version)
    assert problem.endswith('cannot read; set patroni_postgresql_version: "17"')


def test_a_member_that_is_left_out_is_named() -> None:
    [problem] = problems(present="bc")
    assert problem.startswith("a would not be restored")


def test_data_are_replaced_only_on_demand() -> None:
    [problem] = problems(data="2026-11-25 06:30 UTC")
    assert "set patroni_restore_over_data: true" in problem
    assert problems(data="2026-11-25 06:30 UTC", is_forced=True) == []


def test_a_copy_needs_more_room_than_what_is_copied() -> None:
    assert backup.needed(1000) == 1100
