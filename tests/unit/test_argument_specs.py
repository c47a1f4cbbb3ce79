"""The argument specifications are the documentation of the roles, so they must equal the defaults."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml

ROLES = Path(__file__).resolve().parents[2] / "roles"
NAMES = sorted(path.name for path in ROLES.iterdir() if path.is_dir())
MOST_PUBLIC_VARIABLES = 150
MOST_COLLECTION_INPUTS = 25


def load(role: str, part: str) -> dict:
    """Return the YAML file ``part`` of ``role``, empty when it has none."""
    path = ROLES / role / part
    return (yaml.safe_load(path.read_text(encoding="utf-8")) or {}) if path.exists() else {}


def specified(role: str) -> dict[str, dict]:
    """Return the options of every entry point of ``role``; the first declaration of a name counts."""
    options: dict[str, dict] = {}
    for entry_point in load(role, "meta/argument_specs.yml").get("argument_specs", {}).values():
        for name, option in (entry_point.get("options") or {}).items():
            options.setdefault(name, option)
    return options


@pytest.mark.parametrize("role", NAMES)
def test_every_default_is_specified_with_the_same_value(role: str) -> None:
    options = specified(role)
    differences = {
        name: (value, options.get(name, {}).get("default", "not specified"))
        for name, value in load(role, "defaults/main.yml").items()
        if options.get(name, {}).get("default", "not specified") != value
    }
    assert not differences


@pytest.mark.parametrize("role", NAMES)
def test_every_specified_default_is_a_default(role: str) -> None:
    defaults = load(role, "defaults/main.yml")
    assert not [name for name, option in specified(role).items() if "default" in option and name not in defaults]


@pytest.mark.parametrize("role", NAMES)
def test_every_task_file_is_a_declared_entry_point(role: str) -> None:
    declared = set(load(role, "meta/argument_specs.yml").get("argument_specs", {}))
    files = {path.stem for path in (ROLES / role / "tasks").glob("[!_]*.yml")}
    assert files <= declared


@pytest.mark.parametrize("role", NAMES)
def test_public_names_carry_the_prefix_of_their_role(role: str) -> None:
    assert not [name for name in specified(role) if not name.startswith(f"{role}_")]


@pytest.mark.parametrize("role", NAMES)
def test_roles_are_documented_and_depend_on_the_collection_inputs(role: str) -> None:
    assert (ROLES / role / "README.md").exists()
    parent = {"temporal": [], "topology": [], "common": [{"role": "zerospof.temporal.temporal"}]}
    assert load(role, "meta/main.yml")["dependencies"] == parent.get(role, [{"role": "zerospof.temporal.common"}])


def test_the_collection_keeps_its_number_of_variables_small() -> None:
    names = {name for role in NAMES for name in load(role, "defaults/main.yml")}
    assert len(names) < MOST_PUBLIC_VARIABLES
    assert len(specified("temporal")) < MOST_COLLECTION_INPUTS
