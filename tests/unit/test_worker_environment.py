"""A build is tried with the variables that it is to run with, before anything is written for its workers."""

from __future__ import annotations

import json
import re
import stat
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml
from ansible_collections.zerospof.temporal.plugins.modules import worker_environment

VERSION = "3.13"


class Failed(Exception):
    """The module failed."""


class Module:
    """What the module sees of Ansible, and a host whose package is imported unless its variables say otherwise."""

    def __init__(self, place: Path, environment: dict[str, Any], *, check_mode: bool = False) -> None:
        self.check_mode = check_mode
        self.imports: list[dict[str, str]] = []
        self.changed = False
        self.version = VERSION
        self.params = {
            "path": str(place / "1.0.0"),
            "package": "networking-worker==1.0.0",
            "wheels": str(place),
            "runner": str(place / "runner.py"),
            "workflows": ["networking_worker.workflows"],
            "activities": [],
            "main": "",
            "python": sys.executable,
            "user": "nobody",
            "environment": json.dumps(environment),
            "keep": None,
        }
        self.no_log_values: set[str] = set()

    def run_command(
        self, command: list[str], cwd: str, environ_update: dict[str, str] | None = None
    ) -> tuple[int, str, str]:
        assert cwd == "/"
        if "venv" in command:
            (Path(command[-1]) / "bin").mkdir(parents=True)
        if "-c" in command:
            return 0, f"{self.version}\n", ""
        if "--check" in command:
            self.imports.append(environ_update or {})
            if (environ_update or {}).get("ROUTERS") == "none":
                return 2, "", "error: there are no routers"
        return 0, "", ""

    def fail_json(self, msg: str) -> None:
        raise Failed(msg)

    def exit_json(self, changed: bool, **_: object) -> None:
        self.changed = changed


def run(
    monkeypatch: pytest.MonkeyPatch,
    place: Path,
    *,
    check_mode: bool = False,
    version: str = VERSION,
    keep: list[str] | None = None,
    **environment: object,
) -> Module:
    """Run the module and return what it saw; raise what it fails with."""
    module = Module(place, environment, check_mode=check_mode)
    module.version = version
    module.params["keep"] = keep
    monkeypatch.setattr(worker_environment, "AnsibleModule", lambda **_: module)
    worker_environment.main()
    return module


def test_other_variables_are_tried_before_they_are_used(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    first = run(monkeypatch, tmp_path, ROUTERS="all")
    assert (first.changed, len(first.imports)) == (True, 1)
    manifest = (tmp_path / "1.0.0" / "MANIFEST").read_text()

    same = run(monkeypatch, tmp_path, ROUTERS="all")
    assert (same.changed, same.imports) == (False, [])
    asked = run(monkeypatch, tmp_path, check_mode=True, ROUTERS="none")
    assert (asked.changed, asked.imports) == (False, [])
    # What fails once fails again: it was not remembered.
    for _ in range(2):
        with pytest.raises(Failed, match="there are no routers"):
            run(monkeypatch, tmp_path, ROUTERS="none")

    other = run(monkeypatch, tmp_path, ROUTERS="some", NUMBER=1)
    assert other.imports[0].items() >= {"ROUTERS": "some", "NUMBER": "1"}.items()
    assert run(monkeypatch, tmp_path, NUMBER="1", ROUTERS="some").imports == []
    # The units are restarted for another manifest, not for this.
    assert (tmp_path / "1.0.0" / "MANIFEST").read_text() == manifest
    assert not other.changed


@pytest.mark.parametrize("check_mode", [True, False])
def test_a_python_that_workers_cannot_do_with_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, check_mode: bool
) -> None:
    with pytest.raises(Failed, match=r"is Python 3\.9, and workers need 3\.11 at least"):
        run(monkeypatch, tmp_path, check_mode=check_mode, version="3.9")
    assert run(monkeypatch, tmp_path, check_mode=check_mode, version="3.11").changed


def test_what_is_remembered_of_variables_is_no_secret(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run(monkeypatch, tmp_path, ROUTER_TOKEN="of-the-routers")
    remembered = tmp_path / "1.0.0" / worker_environment.TRIED
    assert "of-the-routers" not in remembered.read_text()
    assert stat.S_IMODE(remembered.stat().st_mode) == 0o600
    assert stat.S_IMODE((tmp_path / "1.0.0" / "MANIFEST").stat().st_mode) == 0o644


def test_what_may_be_a_secret_is_hidden_and_what_is_short_does_not_garble_what_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    module = run(monkeypatch, tmp_path, ROUTER_TOKEN="of-the-routers", SLOTS=4, LEVEL="INFO")
    assert module.no_log_values == {"of-the-routers"}


def test_what_is_of_no_worker_goes_and_nothing_else(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("0.8.0", "0.9.0", ".0.7.0.new"):
        (tmp_path / name).mkdir()
    for name in ("0.8.0", "0.9.0"):
        (tmp_path / name / worker_environment.MANIFEST).write_text("{}")
    # Not made by the module.
    (tmp_path / "notes").mkdir()

    def names() -> set[str]:
        return {path.name for path in tmp_path.iterdir()}

    before = names()
    assert run(monkeypatch, tmp_path, check_mode=True, keep=["0.9.0"]).changed
    assert names() == before
    with pytest.raises(Failed, match="there are no routers"):
        run(monkeypatch, tmp_path, keep=["0.9.0"], ROUTERS="none")
    assert names() == before
    run(monkeypatch, tmp_path)
    assert names() == before | {"1.0.0"}
    assert run(monkeypatch, tmp_path, keep=["0.9.0"]).changed
    assert names() == {"0.9.0", "1.0.0", "notes"}
    assert not run(monkeypatch, tmp_path, keep=["0.9.0"]).changed


def test_an_installation_that_was_killed_is_done_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What is left of the build itself is cleared away on the way."""
    (tmp_path / ".1.0.0.new").mkdir()
    assert run(monkeypatch, tmp_path, keep=[]).changed
    assert {path.name for path in tmp_path.iterdir()} == {"1.0.0"}


def test_no_item_of_a_loop_has_an_environment() -> None:
    """Items are printed; with no_log nobody would read why a build cannot be imported."""
    role = Path(__file__).resolve().parents[2] / "roles/temporal_worker/tasks"
    tasks = [task for path in role.glob("*.yml") for task in yaml.safe_load(path.read_text())]
    nested = [inner for task in tasks for inner in (task, *task.get("block", []))]
    loops = [str(task["loop"]) for task in nested if "loop" in task]
    assert len(loops) > 10
    whole = re.compile(
        r"__temporal_worker_(deployments|versioned|instances|scaled)(?!\s*\|\s*map\(attribute='name'\))\b"
    )
    assert not [loop for loop in loops if whole.search(loop) and " if __temporal_worker_scaled " not in loop]
