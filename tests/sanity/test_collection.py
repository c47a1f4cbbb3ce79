"""The built collection works from an empty directory, with the rest of the repository absent."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from tests.installed import Installed, install

ROOT = Path(__file__).resolve().parents[2]
PLAYBOOKS = sorted(path.stem for path in (ROOT / "playbooks").glob("*.yml"))
PROFILES = sorted(path.parent.name for path in (ROOT / "inventories").glob("*/hosts.yml"))
PLUGINS = {
    "module": sorted(path.stem for path in (ROOT / "plugins" / "modules").glob("*.py")),
    "filter": sorted(path.stem for path in (ROOT / "plugins" / "filter").glob("*.yml")),
}


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Installed:
    """Return the installed collection, with the example inventories beside it."""
    there = install(tmp_path_factory.mktemp("elsewhere"))
    shutil.copytree(ROOT / "inventories", there.place / "inventories")
    return there


@pytest.mark.parametrize("part", ["inventories", "lab", "molecule", "tests", "samples", ".ci"])
def test_the_archive_holds_nothing_that_only_the_repository_needs(installed: Installed, part: str) -> None:
    assert not (installed.collection / part).exists()


@pytest.mark.parametrize("playbook", PLAYBOOKS)
def test_playbooks_are_found_by_name_and_parse(installed: Installed, playbook: str) -> None:
    """The syntax of a playbook is the same for every inventory; each of these is read for its report."""
    installed.run(
        ["ansible-playbook", "--syntax-check", f"zerospof.temporal.{playbook}", "-i", f"inventories/{PROFILES[0]}"]
    )


@pytest.mark.parametrize("playbook", PLAYBOOKS)
def test_no_playbook_takes_an_inventory_without_hosts_for_a_cluster(installed: Installed, playbook: str) -> None:
    """A misspelt path is one: each play would be skipped, and all would be well."""
    done = installed.attempt(["ansible-playbook", f"zerospof.temporal.{playbook}", "-i", "inventories/misspelt"])
    assert done.returncode != 0
    assert "inventory: " in done.stdout + done.stderr


@pytest.mark.parametrize("profile", PROFILES)
def test_the_spof_report_needs_no_host(installed: Installed, profile: str) -> None:
    report = installed.place / f"{profile}.json"
    installed.run(
        [
            "ansible-playbook",
            "zerospof.temporal.spof_report",
            "-i",
            f"inventories/{profile}",
            "-e",
            f"spof_report_file={report}",
        ]
    )
    assert json.loads(report.read_text(encoding="utf-8"))


@pytest.mark.parametrize(
    ("asked", "reason"),
    [
        ({"workflow_id_range": "1-9"}, "no namespace is named"),
        ({"namespace": "production"}, "no workflow is named"),
        ({"namespace": "production", "workflow_id_range": "4000-1000"}, "runs backwards; write 1000-4000"),
        ({"namespace": "production", "workflow_ids": [1000]}, "has 1000, which is no text"),
    ],
)
def test_placement_refuses_an_unclear_question_before_it_asks_a_host(
    installed: Installed, asked: dict, reason: str
) -> None:
    refused = installed.attempt(
        ["ansible-playbook", "zerospof.temporal.placement", "-i", "inventories/basic", "-e", json.dumps(asked)]
    )
    assert refused.returncode == 2
    assert reason in refused.stdout
    assert "PLAY [Temporal tells" not in refused.stdout


@pytest.fixture(scope="module")
def documentation(installed: Installed) -> dict[str, dict[str, Any]]:
    """What Ansible says of the plugins of each kind, by their whole names."""
    return {
        kind: json.loads(
            installed.run(["ansible-doc", "--type", kind, "--json", *(f"zerospof.temporal.{name}" for name in names)])
        )
        for kind, names in PLUGINS.items()
    }


@pytest.mark.parametrize(("kind", "name"), [(kind, name) for kind, names in PLUGINS.items() for name in names])
def test_plugins_document_themselves(documentation: dict[str, dict[str, Any]], kind: str, name: str) -> None:
    documented = documentation[kind][f"zerospof.temporal.{name}"]
    assert documented["doc"]["short_description"]
    assert documented["examples"]
    assert documented["return"]
