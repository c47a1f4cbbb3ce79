"""The built collection works from an empty directory, with the rest of the repository absent."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from collections.abc import Sequence
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
PLAYBOOKS = sorted(path.stem for path in (ROOT / "playbooks").glob("*.yml"))
PROFILES = sorted(path.parent.name for path in (ROOT / "inventories").glob("*/hosts.yml"))
PLUGINS = [
    *(("module", path.stem) for path in sorted((ROOT / "plugins" / "modules").glob("*.py"))),
    *(("filter", path.stem) for path in sorted((ROOT / "plugins" / "filter").glob("*.yml"))),
]


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Build the archive, install it into an empty path, and return a working directory beside it."""
    place = tmp_path_factory.mktemp("elsewhere")
    run(["ansible-galaxy", "collection", "build", "--output-path", str(place), str(ROOT)], place)
    archive = next(place.glob("zerospof-temporal-*.tar.gz"))
    run(["ansible-galaxy", "collection", "install", "--no-deps", "-p", str(place / "collections"), str(archive)], place)
    shutil.copytree(ROOT / "inventories", place / "inventories")
    return place


def run(command: Sequence[str], place: Path) -> str:
    """Run ``command`` in ``place`` with only the collection installed there; return its output."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("ANSIBLE_", "PYTHONPATH"))}
    environment |= {"ANSIBLE_COLLECTIONS_PATH": str(place / "collections"), "ANSIBLE_HOME": str(place / "home")}
    done = subprocess.run(command, cwd=place, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.mark.parametrize("part", ["inventories", "lab", "molecule", "tests", "samples", ".ci"])
def test_the_archive_holds_nothing_that_only_the_repository_needs(installed: Path, part: str) -> None:
    assert not (installed / "collections" / "ansible_collections" / "zerospof" / "temporal" / part).exists()


@pytest.mark.parametrize("profile", PROFILES)
@pytest.mark.parametrize("playbook", PLAYBOOKS)
def test_playbooks_are_found_by_name_and_parse(installed: Path, playbook: str, profile: str) -> None:
    run(
        ["ansible-playbook", "--syntax-check", f"zerospof.temporal.{playbook}", "-i", f"inventories/{profile}"],
        installed,
    )


@pytest.mark.parametrize("profile", PROFILES)
def test_the_spof_report_needs_no_host(installed: Path, profile: str) -> None:
    report = installed / f"{profile}.json"
    run(
        [
            "ansible-playbook",
            "zerospof.temporal.spof_report",
            "-i",
            f"inventories/{profile}",
            "-e",
            f"spof_report_file={report}",
        ],
        installed,
    )
    assert json.loads(report.read_text(encoding="utf-8"))


@pytest.mark.parametrize(("kind", "name"), PLUGINS)
def test_plugins_document_themselves(installed: Path, kind: str, name: str) -> None:
    text = run(["ansible-doc", "--type", kind, "--json", f"zerospof.temporal.{name}"], installed)
    documented = json.loads(text)[f"zerospof.temporal.{name}"]
    assert documented["doc"]["short_description"]
    assert documented["examples"]
    assert documented["return"]
