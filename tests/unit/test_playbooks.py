"""Playbooks are put together of others as they promise."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

PLAYBOOKS = Path(__file__).resolve().parents[2] / "playbooks"


def imported(playbook: Path) -> Iterator[Path]:
    """The playbooks that ``playbook`` imports, and those that they import, each as often as it is played."""
    for play in yaml.safe_load(playbook.read_text(encoding="utf-8")):
        if "ansible.builtin.import_playbook" in play:
            path = (playbook.parent / play["ansible.builtin.import_playbook"]).resolve()
            yield path
            yield from imported(path)


@pytest.mark.parametrize("playbook", sorted(PLAYBOOKS.glob("*.yml")), ids=lambda path: path.stem)
def test_every_playbook_refuses_an_inventory_without_hosts_in_one_place(playbook: Path) -> None:
    assert list(imported(playbook)).count(PLAYBOOKS / "shared/inventory.yml") == 1


READING = [
    (path, task)
    for path in sorted(PLAYBOOKS.rglob("*.yml"))
    for play in yaml.safe_load(path.read_text(encoding="utf-8"))
    if isinstance(play, dict)
    for task in play.get("tasks", ())
    if "ansible.builtin.command" in task and task.get("changed_when") is False
]


@pytest.mark.parametrize(("path", "task"), READING, ids=lambda of: of.stem if isinstance(of, Path) else of["name"])
def test_a_command_that_only_reads_does_so_in_check_mode_too(path: Path, task: dict[str, Any]) -> None:
    """Without, it is taken for one that succeeded and said nothing."""
    assert task.get("check_mode") is False, path


@pytest.mark.parametrize("path", sorted((PLAYBOOKS / "rolling").glob("*.yml")), ids=lambda path: path.stem)
def test_no_gate_of_a_rolling_restart_stands_on_a_host_that_a_limit_may_leave_out(path: Path) -> None:
    """A play whose one host is left out is skipped without a word."""
    for play in yaml.safe_load(path.read_text(encoding="utf-8")):
        assert not play.get("hosts", "").endswith("_group }}[0]"), play["name"]


def plays_of(playbook: Path) -> list[dict[str, Any]]:
    """The plays of ``playbook`` and of all that it imports."""
    read = [yaml.safe_load(path.read_text(encoding="utf-8")) for path in dict.fromkeys((playbook, *imported(playbook)))]
    return [play for plays in read for play in plays if "hosts" in play]


@pytest.mark.parametrize("play", plays_of(PLAYBOOKS / "failover_drill.yml"), ids=lambda play: play["name"])
def test_no_play_of_a_drill_is_skipped_because_of_a_limit(play: dict[str, Any]) -> None:
    """A limit leaves the control node out; every host of the cluster has to be in it, or the plan refuses."""
    assert play["hosts"] == "localhost:all" or "localhost" not in play["hosts"]


def test_no_fault_is_made_that_nobody_confirmed() -> None:
    [confirmation], [fault] = (
        yaml.safe_load((PLAYBOOKS / f"drill/{name}.yml").read_text(encoding="utf-8"))
        for name in ("confirmation", "fault")
    )
    [known] = [task["ansible.builtin.set_fact"] for task in confirmation["tasks"] if "ansible.builtin.set_fact" in task]
    first = fault["tasks"][0]
    assert "ansible.builtin.fail" in first
    assert first["any_errors_fatal"]
    assert [*known] == ["__drill_confirmed"]
    assert "__drill_confirmed | default('') != drill_plan.sentence" in first["when"]


def test_the_peers_of_every_host_on_which_something_serves_are_asked_before_it_restarts() -> None:
    """Its own health is not: to mend that it restarts."""
    [gate] = [
        task["block"]
        for task in yaml.safe_load((PLAYBOOKS / "tasks/rolling_batch.yml").read_text(encoding="utf-8"))
        if task["name"] == "A restart can be borne"
    ]
    seen, down, own, peers = gate
    assert seen["when"] == "rolling.down"
    assert down["when"] == "rolling.down and 'active' in __rolling_up.stdout_lines"
    assert own["when"] == "not rolling.ailing"
    assert (peers["ansible.builtin.include_role"]["tasks_from"], peers["when"]) == ("peers", "not rolling.down")


def test_workers_of_all_hosts_are_asked_before_the_first_of_them_restarts() -> None:
    plays = yaml.safe_load((PLAYBOOKS / "rolling/steps.yml").read_text(encoding="utf-8"))
    [restart] = [
        place for place, play in enumerate(plays) if play.get("vars", {}).get("rolling_step") == "temporal_workers"
    ]
    asked = plays[restart - 1]
    [task] = asked["tasks"]
    assert asked["any_errors_fatal"]
    assert asked["hosts"].startswith("{{ temporal_workers_group if 'rolling_temporal_workers' in groups")
    assert task["ansible.builtin.include_role"]["tasks_from"] == "health"


def test_why_a_host_did_not_come_through_is_told_item_by_item_in_one_place() -> None:
    """Of a task with a loop, the result itself says that one or more items failed."""
    files = [path for name in ("rolling", "scaling", "tasks", "vars") for path in (PLAYBOOKS / name).glob("*.yml")]
    told = [path.name for path in files if "ansible_failed_result" in path.read_text(encoding="utf-8")]
    assert told == ["reason.yml"]


@pytest.mark.parametrize("playbook", sorted(PLAYBOOKS.glob("*.yml")), ids=lambda path: path.stem)
def test_the_run_book_begins_with_every_playbook(playbook: Path) -> None:
    table = (PLAYBOOKS.parent / "docs/operations.md").read_text(encoding="utf-8").partition("\n## ")[0]
    assert f"`{playbook.name}" in table


def test_the_place_of_the_tools_is_told_once() -> None:
    files = [*PLAYBOOKS.rglob("*.yml"), *(PLAYBOOKS.parent / "roles").glob("*/*/*")]
    told = [path.parts[-3:] for path in files if path.is_file() and "/opt/zerospof/tools" in path.read_text()]
    assert told == [("temporal", "vars", "main.yml")]


ROLES = PLAYBOOKS.parent / "roles"
SITE = yaml.safe_load((PLAYBOOKS / "site.yml").read_text(encoding="utf-8"))
SPECIFICATIONS = {
    path.parts[-3]: yaml.safe_load(path.read_text(encoding="utf-8"))["argument_specs"]
    for path in ROLES.glob("*/meta/argument_specs.yml")
}


def unchecked(plays: list[dict[str, Any]]) -> list[tuple[str, str, str]]:
    """Inputs that nobody looks at, as role, entry point and name: neither this one nor an earlier one on its hosts."""
    seen: set[tuple[str, str, str]] = set()
    missing = []
    for play in plays:
        for task in play.get("tasks", ()):
            included = task.get("ansible.builtin.include_role", {"name": "{{ none }}"})
            role, entry_point = included["name"].rpartition(".")[2], included.get("tasks_from", "main")
            # What is included follows from the host.
            if "{{" in included["name"] + entry_point:
                continue
            options = set(SPECIFICATIONS[role][entry_point].get("options") or ()) - set(task.get("vars", ()))
            if included.get("rolespec_validate", True):
                seen |= {(play["hosts"], role, name) for name in options}
            missing += [(role, entry_point, name) for name in options if (play["hosts"], role, name) not in seen]
    return missing


def test_every_input_of_site_is_validated() -> None:
    assert unchecked(SITE) == []


def test_an_entry_point_that_nobody_validated_before_is_found() -> None:
    first = next(play for play in SITE if play.get("name") == "A majority of etcd members decides who is primary")
    alone = {**first, "tasks": [task for task in first["tasks"] if task["name"] == "The etcd ring is healthy"]}
    assert ("etcd", "health", "etcd_members") in unchecked([alone])


@pytest.mark.parametrize("playbook", sorted(PLAYBOOKS.glob("*.yml")), ids=lambda path: path.stem)
def test_a_file_that_somebody_names_may_begin_with_the_home_directory(playbook: Path) -> None:
    """The shell leaves the ~ alone in -e placement_file=~/placement.json."""
    for play in yaml.safe_load(playbook.read_text(encoding="utf-8")):
        for task in play.get("tasks", ()):
            place = str(task.get("ansible.builtin.copy", {}).get("dest", ""))
            if "{{" in place:
                assert "expanduser" in place, task["name"]
