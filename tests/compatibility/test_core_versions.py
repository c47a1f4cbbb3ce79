"""The collection works with the oldest ansible-core that it names and with the newest for this Python.

The newest is the one that everything else is tested with; the oldest gets an environment of its own.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import pytest
import yaml
from packaging.specifiers import SpecifierSet

from lab.state import cache_root

ROOT = Path(__file__).resolve().parents[2]
REQUIREMENTS = Path(__file__).with_name("requirements.txt")
PROFILES = sorted(path.parent.name for path in (ROOT / "inventories").glob("*/hosts.yml"))
PLAYBOOKS = sorted((ROOT / "playbooks").glob("*.yml"))


@dataclass(frozen=True)
class Environment:
    """A virtual environment with an ansible-core."""

    directory: Path

    def run(self, command: Sequence[str | Path]) -> str:
        """Run ``command`` of the environment in the checkout; return its output. It must succeed."""
        variables = {name: value for name, value in os.environ.items() if not name.startswith("ANSIBLE_")}
        # The collections of others come from the package ``ansible``, which the oldest environment does not have.
        collections = f"{ROOT / '.cache' / 'collections'}:{site_packages()}"
        done = subprocess.run(
            [self.directory / "bin" / command[0], *command[1:]],
            cwd=ROOT,
            env=variables | {"ANSIBLE_COLLECTIONS_PATH": collections, "ANSIBLE_NOCOLOR": "1"},
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, (done.stdout + done.stderr)[-4000:]
        return done.stdout + done.stderr


def site_packages() -> Path:
    """Where the collections of the package ``ansible`` are."""
    return next((Path(sys.prefix) / "lib").glob("python*/site-packages"))


def oldest() -> Environment:
    """The environment of the oldest ansible-core, made when its requirements have changed."""
    key = hashlib.sha256(REQUIREMENTS.read_bytes()).hexdigest()[:12]
    directory = cache_root() / f"oldest-core-{key}"
    if not (directory / ".done").exists():
        shutil.rmtree(directory, ignore_errors=True)
        subprocess.run([sys.executable, "-m", "venv", directory], check=True)
        subprocess.run([directory / "bin" / "pip", "install", "--quiet", "--requirement", REQUIREMENTS], check=True)
        (directory / ".done").touch()
    return Environment(directory)


@pytest.fixture(scope="module", params=["oldest", "newest"])
def environment(request: pytest.FixtureRequest) -> Environment:
    return oldest() if request.param == "oldest" else Environment(Path(sys.prefix))


def core_version(environment: Environment) -> str:
    """Version of the ansible-core of an environment."""
    match = re.search(r"core (\d+\.\d+\.\d+)", environment.run(["ansible", "--version"]))
    assert match
    return match[1]


def test_the_oldest_is_the_one_that_the_collection_names() -> None:
    named = SpecifierSet(yaml.safe_load((ROOT / "meta" / "runtime.yml").read_text())["requires_ansible"])
    version = core_version(oldest())
    assert version in named
    least = next(iter(named)).version
    assert version.rsplit(".", 1)[0] == least.rsplit(".", 1)[0]


def test_unit_tests_pass_with_the_oldest() -> None:
    said = oldest().run(["python", "-m", "pytest", "-q", "--tb=short", "-p", "no:cacheprovider", "tests/unit"])
    assert re.search(r"\d+ passed", said)


@pytest.mark.parametrize("playbook", PLAYBOOKS, ids=lambda path: path.stem)
def test_playbooks_parse(environment: Environment, playbook: Path) -> None:
    environment.run(["ansible-playbook", "--syntax-check", playbook, "-i", ROOT / "inventories" / PROFILES[0]])


def test_every_entry_point_parses(environment: Environment, tmp_path: Path) -> None:
    """Playbooks include roles when they run, so their syntax check does not read them; importing does."""
    tasks = [
        {"ansible.builtin.import_role": {"name": f"zerospof.temporal.{path.parts[-3]}", "tasks_from": path.name}}
        for path in sorted((ROOT / "roles").glob("*/tasks/*.yml"))
    ]
    assert tasks
    play = tmp_path / "all.yml"
    play.write_text(yaml.safe_dump([{"hosts": "all", "gather_facts": False, "tasks": tasks}]))
    environment.run(["ansible-playbook", "--syntax-check", play, "-i", ROOT / "inventories" / PROFILES[0]])


@pytest.mark.parametrize("profile", PROFILES)
def test_the_report_is_the_same(environment: Environment, profile: str, tmp_path: Path) -> None:
    report = tmp_path / "report.json"
    environment.run(
        [
            "ansible-playbook",
            ROOT / "playbooks" / "spof_report.yml",
            "-i",
            ROOT / "inventories" / profile,
            "-e",
            f"spof_report_file={report}",
        ]
    )
    found = json.loads(report.read_text())
    assert [spof["name"] for spof in found["single_points_of_failure"]] == (["db-a"] if profile == "basic" else [])
