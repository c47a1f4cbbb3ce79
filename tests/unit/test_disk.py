"""Whether the disks of a database have room."""

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


def test_a_disk_is_named_once_when_it_has_too_little_room(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    other = tmp_path / "log"
    other.mkdir()
    monkeypatch.setattr(os, "statvfs", lambda _: space(1_000_000, 90_000, 90_000))
    assert _disk.problems("db-a", [str(tmp_path), str(other)], 9) == []
    (problem,) = _disk.problems("db-a", [str(tmp_path), str(other)], 10)
    assert problem.startswith(f"the disk of {tmp_path} on db-a has 9.0 % (0.3 GiB) free, less than 10 %")


def test_a_directory_that_is_not_there_is_named(tmp_path: Path) -> None:
    (problem,) = _disk.problems("db-a", [str(tmp_path / "absent")], 10)
    assert problem == f"{tmp_path}/absent on db-a cannot be read: No such file or directory"
