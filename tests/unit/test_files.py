"""Files are replaced as a whole, or stay as they were, and nothing is left beside them."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace

import pytest
from ansible_collections.zerospof.temporal.plugins.module_utils import _files
from ansible_collections.zerospof.temporal.plugins.modules import systemd_units


def write(path: Path, content: str, check_mode: bool = False) -> dict[str, str] | None:
    """Write a unit file as systemd_units does."""
    return systemd_units._write(SimpleNamespace(check_mode=check_mode), str(path), content)


def test_a_file_has_its_text_and_its_mode_and_nothing_is_beside_it(tmp_path: Path) -> None:
    _files.replace({tmp_path / "one": "1\n", tmp_path / "two": "2\n"}, 0o640)
    assert {path.name: path.read_text() for path in tmp_path.iterdir()} == {"one": "1\n", "two": "2\n"}
    assert {path.stat().st_mode & 0o777 for path in tmp_path.iterdir()} == {0o640}


def test_a_unit_file_is_written_with_its_directory_and_its_difference_told(tmp_path: Path) -> None:
    unit = tmp_path / "x.service.d" / "drop.conf"
    header = {"before_header": str(unit), "after_header": str(unit)}
    assert write(unit, "new\n") == {**header, "before": "", "after": "new\n"}
    assert unit.read_text() == "new\n"
    assert unit.stat().st_mode & 0o777 == 0o644
    assert write(unit, "new\n") is None


def test_check_mode_tells_the_difference_and_writes_nothing(tmp_path: Path) -> None:
    assert write(tmp_path / "x.d" / "x.conf", "new\n", check_mode=True)
    assert list(tmp_path.iterdir()) == []


def test_a_unit_file_that_cannot_be_replaced_leaves_nothing_beside_it(tmp_path: Path) -> None:
    unit = tmp_path / "x.service"
    unit.mkdir()
    # As it is to a module: it is no text.
    with pytest.MonkeyPatch.context() as patch, pytest.raises(IsADirectoryError):
        patch.setattr(systemd_units._systemd, "read_text", lambda _: None)
        write(unit, "new\n")
    assert [path.name for path in tmp_path.iterdir()] == ["x.service"]
