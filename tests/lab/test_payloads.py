"""Runs of the lab make the payload of a module once, and again when a source has changed."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest

from lab.callback.payloads import fingerprint

ROOT = Path(__file__).resolve().parents[2]
CALLBACK = ROOT / "lab" / "callback" / "payloads.py"
PLAY = """
- hosts: localhost
  connection: local
  gather_facts: false
  tasks:
    - ansible.builtin.stat: {path: /etc}
      register: seen
    - ansible.builtin.assert: {that: seen.stat.isdir}
"""
SOURCES = ("plugins/modules/one.py", "plugins/module_utils/_two.py", "other/MANIFEST.json")


def play(directory: Path) -> dict[str, int]:
    """Run a play with the callback in ``directory``; return what it keeps and when each file was made."""
    (directory / "play.yml").write_text(PLAY, encoding="utf-8")
    folder = directory / "lab" / "callback"
    folder.mkdir(parents=True, exist_ok=True)
    shutil.copy(CALLBACK, folder)
    subprocess.run(
        ["ansible-playbook", "-i", "localhost,", str(directory / "play.yml")],
        cwd=ROOT,
        env=os.environ | {"ANSIBLE_CALLBACK_PLUGINS": str(folder)},
        check=True,
    )
    kept = directory / ".cache" / "payloads"
    return {str(file.relative_to(kept)): file.stat().st_mtime_ns for file in kept.rglob("*") if file.is_file()}


def test_a_payload_is_made_by_the_first_run_and_kept_for_the_next(tmp_path: Path) -> None:
    made = play(tmp_path)
    assert [name for name in made if ".stat-" in name and not name.endswith(".lock")]
    assert play(tmp_path) == made


@pytest.mark.parametrize("changed", SOURCES)
def test_what_payloads_are_made_of_names_them(tmp_path: Path, changed: str) -> None:
    for name in SOURCES:
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text("1", encoding="utf-8")

    def named() -> str:
        return fingerprint(tmp_path / "plugins", [tmp_path / "other" / "MANIFEST.json"])

    before = named()
    assert named() == before
    (tmp_path / changed).write_text("2", encoding="utf-8")
    assert named() != before
