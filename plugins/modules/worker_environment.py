#!/usr/bin/python
# Copyright: (c) 2026, The zerospof.temporal maintainers
# Apache License 2.0 (see LICENSE or https://www.apache.org/licenses/LICENSE-2.0)
"""Ansible module: a virtual environment with one build of a worker package, whole or not there at all."""

from __future__ import annotations

DOCUMENTATION = r"""
module: worker_environment
short_description: Install one build of a worker package into a virtual environment of its own
version_added: 0.1.0
author: The zerospof.temporal maintainers (@zerospof)
description:
  - Makes the environment beside its place, imports everything that the worker is to serve, and moves it into its place
    only then. What fails leaves nothing behind and touches nothing that runs.
  - A build never changes. The same version from another wheel is refused.
  - An environment whose Python is not the one of the host any more is made anew.
  - The package is imported with the environment variables of the task, anew whenever they are others than the last
    time. What tells them apart is a digest in a file that root alone reads.
attributes:
  check_mode:
    description: Can run in check mode and report what would change.
    support: full
  diff_mode:
    description: Shows the changes of the manifest.
    support: full
options:
  path:
    description: Directory of the environment. Its file C(MANIFEST) says what is in it.
    type: path
    required: true
  package:
    description: Name and version of the package, for example V(networking-worker==1.0.0).
    type: str
    required: true
  wheels:
    description: Directory on the managed host with the wheels of the package and of all that it needs.
    type: path
    required: true
  runner:
    description: Program that imports the entry points when it is called with C(--check).
    type: path
    required: true
  workflows:
    description: References to workflows, C(module) or C(module:Class).
    type: list
    elements: str
    default: []
  activities:
    description: References to activities, C(module), C(module:function) or C(module:Class).
    type: list
    elements: str
    default: []
  main:
    description: Module with a program of its own, which the runner does not serve. It has to be there, and is not run.
    type: str
    default: ""
  python:
    description: Interpreter of the environment, Python 3.11 or newer.
    type: path
    default: /usr/bin/python3
  user:
    description: User as whom the package is imported.
    type: str
    required: true
  environment:
    description:
      - Variables with which the package is imported, as a JSON object. They may hold secrets, and a value of six
        characters or more is never shown, whatever the package prints.
    type: json
    default: "{}"
  keep:
    description:
      - Builds of the same deployment that workers of this host are of. Other environments beside this one are removed
        once it is whole. They are those of builds that were declared and never ran, as another one could not.
      - Where it is not given, none is removed.
    type: list
    elements: str
"""

EXAMPLES = r"""
- name: The build is installed
  zerospof.temporal.worker_environment:
    path: /opt/temporal-workers/networking/1.0.0
    package: networking-worker==1.0.0
    wheels: /opt/zerospof/wheels
    runner: /opt/temporal-workers/temporal_worker_runner.py
    workflows: [networking_worker.workflows]
    activities: [networking_worker.activities]
    user: temporal-worker
    keep: [0.9.0]
"""

RETURN = r"""
removed:
  description: Environments that were removed.
  returned: success
  type: list
  elements: str
  sample: [/opt/temporal-workers/networking/0.9.1]
manifest:
  description: What is in the environment.
  returned: success
  type: dict
  sample:
    package: networking-worker==1.0.0
    wheel: fd100e5c602d729a5eda1c5eab33e0c721e0d68f25c522b324afd506eabf5c1c
    python: "3.13"
    entry_points: [networking_worker.workflows, networking_worker.activities]
    runner: 0a4d55a8d778e5022fab701977c5d840bbc486d0f5b0a0a8a4d1a3f1c6b2c6d1
"""

import hashlib
import json
import os
import re
import shutil
from pathlib import Path
from typing import Any

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.zerospof.temporal.plugins.module_utils import _files, _units, _workers

PYTHON = _workers.DEFAULTS["python"]
MANIFEST = "MANIFEST"
# Digest of the variables with which the import was tried last. Not in the manifest: units are restarted for that.
TRIED = ".tried"
# The runner and the modules that look after workers need it (asyncio.timeout, datetime.UTC).
OLDEST_PYTHON = (3, 11)
# What is left of an environment beside its place when the module is killed.
REMAINS = re.compile(r"\..+\.(new|old)")
SHORTEST_SECRET = 6
# What an author sees of pip's output when it fails.
LAST_LINES = 4
# Finds a module that python -m can run: what it is in is imported, it itself is not.
FIND_MAIN = """
import importlib.util, sys
name = sys.argv[1]
found = importlib.util.find_spec(name)
if found and found.submodule_search_locations is not None:
    name += ".__main__"
    found = importlib.util.find_spec(name)
sys.exit(None if found else f"there is no module {name}")
"""


class EnvironmentFailure(Exception):
    """The environment cannot be as it should; the message says why."""


def secrets_of(environment: dict[str, str]) -> set[str]:
    """Return the values of environment variables that nothing may show.

    Short ones are none: to hide each "4" makes every message unreadable.
    """
    return {value for value in environment.values() if len(value) >= SHORTEST_SECRET}


def wheel_of(parameters: dict[str, Any]) -> Path | None:
    """Return the wheel of the package, ``None`` when there is none."""
    prefix = _workers.wheel_prefix(parameters["package"])
    found = [path for path in Path(parameters["wheels"]).glob("*.whl") if path.name.lower().startswith(prefix)]
    return min(found, default=None)


def digest(path: Path | None) -> str:
    """Return the SHA-256 of a file, an empty text for none."""
    return hashlib.sha256(path.read_bytes()).hexdigest() if path and path.exists() else ""


def manifest_of(path: Path) -> dict[str, Any]:
    """Return the manifest of an environment, an empty one when it is not whole."""
    try:
        return json.loads((path / MANIFEST).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}


def digest_of(variables: dict[str, str]) -> str:
    """Return the SHA-256 of environment variables, the same in whatever order they are."""
    return _units.digest(json.dumps(variables, sort_keys=True).encode())


class Environment:
    """The environment that the options of the module describe."""

    def __init__(self, module: AnsibleModule, variables: dict[str, str]) -> None:
        """Read what is there and decide what is to be there; ``variables``: those of the import."""
        self._module = module
        self._own = variables
        self._parameters = module.params
        self.path = Path(module.params["path"])
        self._main = module.params["main"]
        self.present = manifest_of(self.path)
        wheel = digest(wheel_of(module.params))
        self._variables = digest_of(variables)
        self._python = module.params["python"]
        if not Path(self._python).exists():
            raise EnvironmentFailure(f"{self.path}: this host has no {self._python}")
        version = self._run(
            [self._python, "-c", "import sys; print('%d.%d' % sys.version_info[:2])"], "ask its version"
        )
        if tuple(map(int, version.split("."))) < OLDEST_PYTHON:
            oldest = ".".join(map(str, OLDEST_PYTHON))
            raise EnvironmentFailure(
                f"{self.path}: {self._python} is Python {version.strip()}, and workers need {oldest} at least; name"
                " another interpreter as python of the deployment"
            )
        self.wanted = {
            "package": module.params["package"],
            # A wheel that has been cleared away since leaves nothing to compare with.
            "wheel": wheel or self.present.get("wheel", ""),
            "python": version.strip(),
            "entry_points": [*module.params["workflows"], *module.params["activities"], *filter(None, [self._main])],
            "runner": "" if self._main else digest(Path(module.params["runner"])),
        }
        # Not of the usual one, or all environments of before would be made anew.
        if self._python != PYTHON:
            self.wanted["interpreter"] = self._python

    def refuse_another_wheel(self) -> None:
        """Stop when this build was installed from other bytes.

        Raises:
            EnvironmentFailure: it was.
        """
        installed = self.present.get("wheel", "")
        if installed and installed != self.wanted["wheel"]:
            raise EnvironmentFailure(
                f"{self.path} was installed from another wheel of {self.present['package']}: SHA-256 {installed}, and"
                f" {self._parameters['wheels']} has {self.wanted['wheel']}. A build never changes: give the new wheel a"
                " new version"
            )

    @property
    def is_whole(self) -> bool:
        """Tell whether the packages in place are the wanted ones, whatever the entry points."""
        names = ("package", "wheel", "python", "interpreter")
        return all(self.present.get(name) == self.wanted.get(name) for name in names)

    @property
    def is_tried(self) -> bool:
        """Tell whether the entry points were imported with these variables."""
        try:
            return (self.path / TRIED).read_text(encoding="utf-8").strip() == self._variables
        except OSError:
            return False

    @property
    def unused(self) -> list[Path]:
        """The environments beside this one that are of no worker, and what is left of some that were never whole."""
        keep, beside = self._parameters["keep"], self.path.parent
        if keep is None or not beside.exists():
            return []
        return sorted(
            place
            for place in beside.iterdir()
            if place.name not in {self.path.name, *keep}
            and ((place / MANIFEST).exists() or REMAINS.fullmatch(place.name))
        )

    def try_variables(self) -> None:
        """Import the entry points of an environment that is as it should be with other variables than the last time.

        Raises:
            EnvironmentFailure: that fails.
        """
        self._import_entry_points(self.path)
        self._remember_variables(self.path)

    def converge(self) -> None:
        """Install the packages where needed and import the entry points.

        Raises:
            EnvironmentFailure: pip or the import fails; what was there before is untouched.
        """
        if self.is_whole:
            self.try_variables()
            self._write_manifest(self.path)
            return
        aside, replaced = (self.path.with_name(f".{self.path.name}.{suffix}") for suffix in ("new", "old"))
        for remains in (aside, replaced):
            shutil.rmtree(remains, ignore_errors=True)
        aside.parent.mkdir(mode=0o755, parents=True, exist_ok=True)
        try:
            self._install(aside)
            self._import_entry_points(aside)
            self._remember_variables(aside)
            self._move_scripts(aside)
            self._write_manifest(aside)
            if self.path.exists():
                self.path.rename(replaced)
            aside.rename(self.path)
        finally:
            for remains in (aside, replaced):
                shutil.rmtree(remains, ignore_errors=True)

    def _install(self, aside: Path) -> None:
        self._run([self._python, "-m", "venv", str(aside)], "make a virtual environment")
        wheels = self._parameters["wheels"]
        # Only wheels: nothing that a package brings is run as root.
        pip = [f"{aside}/bin/python", "-m", "pip", "--isolated", "--disable-pip-version-check", "--no-input", "install"]
        self._run(
            [
                *pip,
                "--quiet",
                "--no-index",
                f"--find-links={wheels}",
                "--only-binary=:all:",
                self.wanted["package"],
                "temporalio",
            ],
            f"install {self.wanted['package']} from {wheels}",
        )

    def _import_entry_points(self, place: Path) -> None:
        """Let the runner import everything as the user of the workers, or look for a program of its own."""
        options = [
            "setpriv",
            f"--reuid={self._parameters['user']}",
            f"--regid={self._parameters['user']}",
            "--clear-groups",
        ]
        environment = self._own | {
            "TEMPORAL_ADDRESS": "127.0.0.1:7233",
            "TEMPORAL_NAMESPACE": "default",
            "TEMPORAL_WORKER_IDENTITY": "check",
            "TEMPORAL_WORKER_TASK_QUEUE": "check",
            "TEMPORAL_WORKER_WORKFLOWS": " ".join(self._parameters["workflows"]),
            "TEMPORAL_WORKER_ACTIVITIES": " ".join(self._parameters["activities"]),
            "PYTHONDONTWRITEBYTECODE": "1",
        }
        check = ["-c", FIND_MAIN, self._main] if self._main else [self._parameters["runner"], "--check"]
        self._run([*options, f"{place}/bin/python", *check], f"serve {self.wanted['package']}", environment)

    def _move_scripts(self, aside: Path) -> None:
        """Let the scripts name the interpreter where it will be, not where it is made."""
        for script in (aside / "bin").iterdir():
            if script.is_file() and not script.is_symlink():
                content = script.read_bytes()
                script.write_bytes(content.replace(os.fsencode(aside), os.fsencode(self.path)))

    def _write_manifest(self, place: Path) -> None:
        _files.replace({place / MANIFEST: json.dumps(self.wanted, indent=2) + "\n"}, 0o644)

    def _remember_variables(self, place: Path) -> None:
        _files.replace({place / TRIED: f"{self._variables}\n"}, 0o600)

    def _run(self, command: list[str], what: str, environment: dict[str, str] | None = None) -> str:
        code, output, error = self._module.run_command(command, cwd="/", environ_update=environment)
        if code != 0:
            lines = [
                line.removeprefix("ERROR: ").removeprefix("error: ")
                for line in (error or output).splitlines()
                if line.strip()
            ]
            raise EnvironmentFailure(f"{self.path}: cannot {what}: {' | '.join(lines[-LAST_LINES:])}")
        return output


def main() -> None:
    """Run the module."""
    module = AnsibleModule(
        argument_spec={
            "path": {"type": "path", "required": True},
            "package": {"type": "str", "required": True},
            "wheels": {"type": "path", "required": True},
            "runner": {"type": "path", "required": True},
            "workflows": {"type": "list", "elements": "str", "default": []},
            "activities": {"type": "list", "elements": "str", "default": []},
            "main": {"type": "str", "default": ""},
            "python": {"type": "path", "default": PYTHON},
            "user": {"type": "str", "required": True},
            "environment": {"type": "json", "default": "{}", "no_log": True},
            "keep": {"type": "list", "elements": "str"},
        },
        supports_check_mode=True,
    )
    variables = {str(name): str(value) for name, value in json.loads(module.params["environment"]).items()}
    module.no_log_values |= secrets_of(variables)
    os.umask(0o022)
    try:
        environment = Environment(module, variables)
        environment.refuse_another_wheel()
        other = environment.present != environment.wanted
        if other and not module.check_mode:
            environment.converge()
        elif not module.check_mode and not environment.is_tried:
            environment.try_variables()
        # Not before: what a killed run has left of this build is gone by now.
        unused = environment.unused
        for place in () if module.check_mode else unused:
            shutil.rmtree(place)
    except (EnvironmentFailure, OSError) as error:
        module.fail_json(msg=str(error))
    manifest = f"{environment.path}/{MANIFEST}"
    module.exit_json(
        changed=other or bool(unused),
        removed=[str(place) for place in unused],
        manifest=environment.wanted,
        diff={
            "before_header": manifest,
            "after_header": manifest,
            "before": environment.present,
            "after": environment.wanted,
        },
    )


if __name__ == "__main__":
    main()
