"""The collection works with the oldest ansible-core that it names and with the newest for any supported Python.

Everything else is tested with the newest for the Python of this machine. Newer ones need the Python of Debian 13: they
run in a container of its image.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path

import pytest
import yaml
from packaging.specifiers import SpecifierSet
from packaging.version import Version

from lab import images, machine
from lab.state import cache_root

ROOT = Path(__file__).resolve().parents[2]
REQUIREMENTS = Path(__file__).with_name("requirements.txt")
PROFILES = sorted(path.parent.name for path in (ROOT / "inventories").glob("*/hosts.yml"))
PLAYBOOKS = sorted((ROOT / "playbooks").glob("*.yml"))
NAMED = SpecifierSet(yaml.safe_load((ROOT / "meta" / "runtime.yml").read_text())["requires_ansible"])
IMAGE = "debian-13"
SETTINGS = {
    "ANSIBLE_HOME": str(ROOT / ".cache" / "ansible"),
    "ANSIBLE_NOCOLOR": "1",
    "LC_ALL": "C.UTF-8",
    "PYTHONDONTWRITEBYTECODE": "1",
}
MAKE_IN_CONTAINER = (
    "apt-get install --quiet=2 --yes --no-download --no-install-recommends python3-venv && python3 -m venv {place}"
)


def contained(image: str, command: Sequence[str | Path], settings: Mapping[str, str]) -> list[str]:
    """The command line that runs ``command`` in a container that sees checkout and caches where they are here."""
    places = {ROOT, cache_root(), Path(sys.prefix), Path(tempfile.gettempdir())}
    return machine.podman_command(
        "run",
        "--rm",
        # The next run replaces what an interrupted one left. This is no lab of the tests, all of which are removed by a
        # test of the lab that may run beside it.
        "--name=compatibility.newest",
        "--replace",
        "--network=host",
        *machine.container_options(),
        *[f"--volume={place}:{place}" for place in sorted(places)],
        *[f"--env={name}={value}" for name, value in settings.items()],
        f"--workdir={ROOT}",
        image,
        *command,
    )


@dataclass(frozen=True)
class Environment:
    """A virtual environment with an ansible-core; it runs in a container of ``image``, or on this machine."""

    directory: Path
    image: str = ""

    def run(self, command: Sequence[str | Path]) -> str:
        """Run ``command`` of the environment in the checkout; return its output. It must succeed."""
        # The collections of others come from the package ``ansible``, which the environment does not have.
        collections = f"{ROOT / '.cache' / 'collections'}:{site_packages()}"
        program = [self.directory / "bin" / command[0], *command[1:]]
        return self.attempt(program, {"ANSIBLE_COLLECTIONS_PATH": collections})

    def attempt(self, command: Sequence[str | Path], settings: Mapping[str, str] | None = None) -> str:
        """Run ``command`` where the environment runs; return its output. It must succeed."""
        own = SETTINGS | dict(settings or {})
        kept = {name: value for name, value in os.environ.items() if not name.startswith("ANSIBLE_")}
        words = contained(self.image, command, own) if self.image else command
        done = subprocess.run(words, cwd=ROOT, env=kept | own, capture_output=True, text=True, check=False)
        assert done.returncode == 0, (done.stdout + done.stderr)[-4000:]
        return done.stdout + done.stderr


def site_packages() -> Path:
    """Where the collections of the package ``ansible`` are."""
    return next((Path(sys.prefix) / "lib").glob("python*/site-packages"))


def made(name: str, core: str, image: str = "") -> Environment:
    """The environment with ``core``; made anew when its requirements change and, like images, when it is old."""
    key = hashlib.sha256(core.encode() + REQUIREMENTS.read_bytes()).hexdigest()[:12]
    environment = Environment(cache_root() / f"{name}-{key}", image)
    place = environment.directory
    done = place / ".done"
    days = images.MAXIMUM_AGE_DAYS
    if not done.exists() or time.time() - done.stat().st_mtime > days * images.SECONDS_PER_DAY:
        shutil.rmtree(place, ignore_errors=True)
        venv = ["sh", "-c", MAKE_IN_CONTAINER.format(place=place)] if image else [sys.executable, "-m", "venv", place]
        environment.attempt(venv, {"DEBIAN_FRONTEND": "noninteractive"})
        environment.run(["pip", "install", "--quiet", core, "--requirement", REQUIREMENTS])
        done.touch()
    return environment


@pytest.fixture(scope="module", params=["oldest", "newest"])
def environment(request: pytest.FixtureRequest) -> Environment:
    if request.param == "oldest":
        return made("oldest-core", f"ansible-core~={next(iter(NAMED)).version}")
    machine.prepare()
    return made(f"newest-core-{IMAGE}", "ansible-core", images.ensure({IMAGE})[IMAGE])


def test_it_is_an_end_of_the_range_that_the_collection_names(environment: Environment) -> None:
    match = re.search(r"core (\d+\.\d+\.\d+)", environment.run(["ansible", "--version"]))
    assert match
    assert match[1] in NAMED
    if environment.image:
        assert Version(match[1]) >= Version(version("ansible-core"))
    else:
        assert match[1].startswith(next(iter(NAMED)).version.rpartition(".")[0])


def test_unit_tests_pass(environment: Environment) -> None:
    said = environment.run(["python", "-m", "pytest", "-q", "--tb=short", "-p", "no:cacheprovider", "tests/unit"])
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
