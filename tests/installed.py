"""The collection as users get it: built, and installed into an empty directory."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]


@dataclass(frozen=True)
class Installed:
    """A directory with the installed collection and nothing else of the repository."""

    place: Path

    @property
    def collection(self) -> Path:
        """Where the files of the collection are."""
        return self.place / "collections" / "ansible_collections" / "zerospof" / "temporal"

    @property
    def variables(self) -> dict[str, str]:
        """The environment in which nothing leads to the checkout."""
        kept = {name: value for name, value in os.environ.items() if not name.startswith(("ANSIBLE_", "PYTHONPATH"))}
        own = {
            "ANSIBLE_COLLECTIONS_PATH": str(self.place / "collections"),
            "ANSIBLE_HOME": str(self.place / "home"),
            "ANSIBLE_NOCOLOR": "1",
            # As README.md advises.
            "ANSIBLE_PIPELINING": "1",
            "ANSIBLE_FORKS": "25",
        }
        return kept | own

    def attempt(self, command: Sequence[str | Path]) -> subprocess.CompletedProcess[str]:
        """Run ``command`` there."""
        return subprocess.run(
            command,
            cwd=self.place,
            env=self.variables,
            capture_output=True,
            text=True,
            check=False,
            stdin=subprocess.DEVNULL,
        )

    def run(self, command: Sequence[str | Path]) -> str:
        """Run ``command``, which must succeed, and return what it printed."""
        done = self.attempt(command)
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout


def install(place: Path) -> Installed:
    """Build the archive in ``place`` and install it there."""
    installed = Installed(place)
    installed.run(["ansible-galaxy", "collection", "build", "--output-path", place, ROOT])
    archive = next(place.glob("zerospof-temporal-*.tar.gz"))
    installed.run(["ansible-galaxy", "collection", "install", "--no-deps", "-p", place / "collections", archive])
    return installed
