"""A snapshot becomes the ring of its own cluster again, whole, undamaged, and without who led then."""

from __future__ import annotations

from typing import Any

import pytest
from ansible_collections.zerospof.temporal.plugins.module_utils import _etcd_backup as backup

MANIFEST = {
    "tag": "zerospof-20261120T063000Z",
    "cluster": "temporal",
    "name": "a",
    "members": ["a", "b", "c"],
    "version": "3.5.16",
    "revision": 42,
    "hash": 7,
    "keys": 12,
    "bytes": 20480,
    "sha256": "00ff",
}
STATUS = {"hash": 7, "revision": 42}


def problems(manifest: dict = MANIFEST, **said: Any) -> list[str]:  # noqa: ANN401
    defaults = {
        "cluster": "temporal",
        "members": "abc",
        "present": "abc",
        "version": "3.5.16",
        "data": "",
        "is_forced": False,
    }
    return list(backup.restore_problems(manifest, **(defaults | said)))


def test_an_empty_ring_takes_its_backup() -> None:
    assert problems() == []


def test_the_backup_of_another_cluster_is_refused() -> None:
    assert problems(cluster="blue") == ["the backup is of the cluster temporal, and this one is blue"]


@pytest.mark.parametrize("version", ["3.5.1", "3.5.16", "3.6.0"])
def test_the_same_release_and_later_ones_read_it(version: str) -> None:
    assert problems(version=version) == []


def test_an_older_release_is_refused() -> None:
    assert problems(version="3.4.23") == ["the backup was made by etcd 3.5.16, which 3.4.23 may not read"]


def test_a_member_that_is_left_out_is_named() -> None:
    [problem] = problems(present="ab")
    assert problem.startswith("c would not be restored")


def test_data_are_replaced_only_on_demand() -> None:
    [problem] = problems(data="2026-11-25 06:30 UTC")
    assert "set etcd_restore_over_data: true" in problem
    assert problems(data="2026-11-25 06:30 UTC", is_forced=True) == []


def test_a_file_that_is_what_it_was_is_not_damaged() -> None:
    assert backup.damage(MANIFEST, sha256="00ff", status=STATUS) is None


@pytest.mark.parametrize(
    ("sha256", "status", "reason"),
    [
        ("00fe", STATUS, "the checksum of snapshot.db is another one"),
        ("00ff", {"hash": 8, "revision": 42}, "etcd reads revision 42 of 42"),
        ("00ff", {}, "etcd reads revision None of 42"),
    ],
)
def test_a_damaged_file_is_refused(sha256: str, status: dict, reason: str) -> None:
    assert reason in str(backup.damage(MANIFEST, sha256=sha256, status=status))


def test_who_led_is_forgotten_and_what_the_cluster_is_stays() -> None:
    keys = [
        f"/service/temporal/{name}"
        for name in ("config", "failover", "history", "initialize", "leader", "members/db-a", "sync")
    ]
    assert backup.momentary_keys([*keys, "/service/temporal/members/leader-1"]) == [
        "/service/temporal/failover",
        "/service/temporal/leader",
        "/service/temporal/sync",
    ]
