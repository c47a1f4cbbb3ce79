"""Thin I/O around a directory with one backup per tag, shared by the modules that make and read backups."""

from __future__ import annotations

import contextlib
import json
import shutil
import time
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ansible_collections.zerospof.temporal.plugins.module_utils import _backup

if TYPE_CHECKING:
    from ansible.module_utils.basic import AnsibleModule

MANIFEST = "manifest.json"


class BackupDirectory:
    """The directory ``directory`` of a module's parameters, in which ``tag`` is the one that it is about."""

    def __init__(self, module: AnsibleModule, whose: str) -> None:
        """Take the parameters of ``module``; messages begin with ``whose``."""
        self._module = module
        self._whose = whose
        self.path = Path(module.params["directory"])
        self.tag = module.params["tag"]
        self.names = [path.name for path in self.path.iterdir()] if self.path.exists() else []

    @property
    def backup(self) -> Path:
        """Where the backup is when it is complete."""
        return self.path / self.tag

    @property
    def is_new(self) -> bool:
        """Whether there is no such backup yet."""
        return self.tag not in self.names

    def expired(self, kept: int) -> list[str]:
        """Return the backups that are too many once this one is there."""
        return _backup.expired({*self.names, self.tag}, kept)

    def check_room(self, needed: int) -> None:
        """End with the numbers when ``needed`` bytes do not fit."""
        there = next(path for path in (self.path, *self.path.parents) if path.exists())
        problem = _backup.too_full(str(self.path), needed, shutil.disk_usage(there).free)
        if problem:
            self._module.fail_json(msg=f"{self._whose}: {problem}")

    @contextlib.contextmanager
    def begun(self) -> Iterator[Path]:
        """Give a directory that becomes the backup when all is written; for root alone."""
        self.path.mkdir(mode=0o700, parents=True, exist_ok=True)
        # Of a run that died.
        for left in self.path.glob(f".{_backup.PREFIX}*"):
            shutil.rmtree(left)
        place = self.path / f".{self.tag}"
        place.mkdir(mode=0o700)
        yield place
        place.rename(self.backup)

    def remove(self, tags: list[str]) -> None:
        """Remove the backups ``tags``."""
        for tag in tags:
            shutil.rmtree(self.path / tag)

    def read_manifest(self) -> dict[str, Any]:
        """Return what the backup says of itself; end with what there is when there is no such backup."""
        if not _backup.is_tag(self.tag) or not self.backup.is_dir():
            self._module.fail_json(msg=f"{self._whose}: {_backup.missing(str(self.path), self.tag, self.names)}")
        return json.loads((self.backup / MANIFEST).read_text(encoding="utf-8"))


def write_manifest(place: Path, manifest: dict[str, Any]) -> None:
    """Write what a backup says of itself."""
    path = place / MANIFEST
    path.touch(mode=0o600)
    path.write_text(json.dumps(manifest, indent=2) + "\n", encoding="utf-8")


def size(directory: Path) -> int:
    """Return the bytes of all files below ``directory``; one that goes meanwhile does not count."""
    total = 0
    for path in directory.rglob("*"):
        with contextlib.suppress(FileNotFoundError):
            total += path.lstat().st_size if path.is_file() and not path.is_symlink() else 0
    return total


def last_written(*patterns: tuple[Path, str]) -> str:
    """Return when the newest of the files was written, as words; empty when there is none."""
    times = [path.stat().st_mtime for directory, pattern in patterns for path in directory.glob(pattern)]
    return time.strftime("%Y-%m-%d %H:%M UTC", time.gmtime(max(times))) if times else ""
