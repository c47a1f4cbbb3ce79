"""Whether the disks of databases have room."""

from __future__ import annotations

import os
from pathlib import Path
from types import SimpleNamespace

import pytest

import tests.conftest  # noqa: F401  makes the checkout importable as the collection that it is

# isort: split
from ansible_collections.zerospof.temporal.plugins.module_utils import _disk


def space(blocks: int, free: int, available: int) -> SimpleNamespace:
    return SimpleNamespace(f_blocks=blocks, f_bfree=free, f_bavail=available, f_frsize=4096)


@pytest.mark.parametrize(
    ("blocks", "free", "available", "percent"),
    [
        (100, 100, 100, 100),
        (100, 60, 50, 50 / 90 * 100),  # ten are for root alone
        (100, 5, 0, 0),
        (0, 0, 0, 0),
    ],
)
def test_what_is_free_is_what_users_can_have(blocks: int, free: int, available: int, percent: float) -> None:
    assert _disk.free_percent(space(blocks, free, available)) == pytest.approx(percent)


def test_each_disk_is_told_once_and_what_is_not_there_is_left_out(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    other = tmp_path / "log"
    other.mkdir()
    monkeypatch.setattr(os, "statvfs", lambda _: space(1_000_000, 90_000, 90_000))
    assert _disk.disks_of([tmp_path / "absent", tmp_path, other]) == [
        {"directory": str(tmp_path), "free_percent": 9.0, "free_bytes": 90_000 * 4096}
    ]


def test_a_disk_with_too_little_room_is_named_with_its_host() -> None:
    disks = {"db-a": [{"directory": "/var/lib/etcd", "free_percent": 9.0, "free_bytes": 2**28}], "db-b": []}
    assert _disk.disk_problems(disks, 9) == []
    assert _disk.disk_problems(disks, 10) == [
        "db-a: the disk of /var/lib/etcd has 9.0 % free (0.2 GiB), less than 10 % (temporal_disk_free_least_percent)"
    ]
