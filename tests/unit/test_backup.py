"""The newest backups stay, and what is wrong with one is said in a line that tells what to do."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.zerospof.temporal.plugins.module_utils import _backup as backup
from ansible_collections.zerospof.temporal.plugins.module_utils import _backup_directory

TAGS = [f"zerospof-2026112{day}T063000Z" for day in range(5)]


class FailedError(Exception):
    """What a module says when it ends in failure."""


class Module:
    """A module with the parameters that a directory of backups needs."""

    def __init__(self, directory: Path, tag: str) -> None:
        self.params = {"directory": str(directory), "tag": tag}

    def fail_json(self, msg: str) -> None:
        raise FailedError(msg)


def directory(path: Path, tag: str = TAGS[4]) -> _backup_directory.BackupDirectory:
    module: Any = Module(path, tag)
    return _backup_directory.BackupDirectory(module, "etcd on a")


@pytest.mark.parametrize(("kept", "gone"), [(3, TAGS[:2]), (5, []), (9, []), (0, TAGS[:4])])
def test_the_newest_are_kept_and_the_last_one_always(kept: int, gone: list[str]) -> None:
    assert backup.expired(reversed(TAGS), kept) == gone


def test_what_somebody_else_named_is_not_cleared() -> None:
    assert backup.expired(["before-upgrade", "1764052200000", "zerospof-mine", TAGS[0]], 1) == []


@pytest.mark.parametrize("tag", ["", "../../etc", "zerospof-", "zerospof-20261125", f"{TAGS[0]}/.."])
def test_a_path_is_no_tag(tag: str) -> None:
    assert not backup.is_tag(tag)


def test_a_backup_that_is_not_there_is_answered_with_those_that_are() -> None:
    assert backup.missing("/b", TAGS[0], [TAGS[2], "mine", TAGS[1]]) == (
        f"/b has no backup {TAGS[0]}; it has {TAGS[1]}, {TAGS[2]}"
    )
    assert backup.missing("/b", "", []) == "/b has no backup without a tag; it has none"


def test_releases_compare_by_their_numbers() -> None:
    assert backup.release("5.0.10") > backup.release("5.0.6")
    assert backup.release("3.5.16+dfsg1") == (3, 5, 16)


def test_live_data_are_given_up_only_on_demand() -> None:
    problem = backup.data_problem("x_restore_over_data", "2026-11-25 06:30 UTC", is_forced=False)
    assert problem is not None
    assert "set x_restore_over_data: true" in problem
    assert backup.data_problem("x_restore_over_data", "2026-11-25 06:30 UTC", is_forced=True) is None
    assert backup.data_problem("x_restore_over_data", "", is_forced=False) is None


def test_a_part_of_the_members_is_not_restored() -> None:
    assert backup.missing_members("abc", "a") == "b, c would not be restored with it; run on all members at once"
    assert backup.missing_members("abc", "cab") is None


def test_what_does_not_fit_is_said_with_both_numbers() -> None:
    assert backup.too_full("/b", 3 << 20, 1 << 20) == "/b needs 3 MiB more, and 1 MiB are free"
    assert backup.too_full("/b", 1, 1) is None


def test_a_backup_has_its_name_when_it_is_complete(tmp_path: Path) -> None:
    backups = directory(tmp_path / "new")
    assert backups.is_new
    with backups.begun() as place:
        assert not backups.backup.exists()
        _backup_directory.write_manifest(place, {"tag": backups.tag})
    assert backups.backup.stat().st_mode & 0o777 == 0o700
    assert (backups.backup / "manifest.json").stat().st_mode & 0o777 == 0o600
    assert directory(tmp_path / "new").read_manifest() == {"tag": backups.tag}


def test_a_backup_that_broke_off_is_none_and_goes_with_the_next(tmp_path: Path) -> None:
    (tmp_path / f".{TAGS[0]}").mkdir()
    (tmp_path / f".{TAGS[0]}" / "data").write_text("half")
    with directory(tmp_path).begun() as place:
        (place / "manifest.json").write_text(json.dumps({}))
    assert [path.name for path in tmp_path.iterdir()] == [TAGS[4]]


def test_a_missing_backup_ends_the_module(tmp_path: Path) -> None:
    with pytest.raises(FailedError, match=f"etcd on a: .* has no backup {TAGS[4]}; it has none"):
        directory(tmp_path).read_manifest()


def test_more_than_the_disk_holds_ends_the_module(tmp_path: Path) -> None:
    with pytest.raises(FailedError, match=r"etcd on a: .* MiB are free"):
        directory(tmp_path / "not" / "yet").check_room(1 << 62)
    directory(tmp_path).check_room(1)


def test_size_and_age_are_those_of_the_files(tmp_path: Path) -> None:
    assert _backup_directory.last_written((tmp_path, "*/x")) == ""
    (tmp_path / "d").mkdir()
    (tmp_path / "d" / "x").write_bytes(b"12345")
    (tmp_path / "link").symlink_to(tmp_path / "d" / "x")
    assert _backup_directory.size(tmp_path) == 5
    assert _backup_directory.last_written((tmp_path, "*/x")).endswith("UTC")
