# Copyright: (c) 2026, The zerospof.temporal maintainers
# Apache License 2.0 (see LICENSE or https://www.apache.org/licenses/LICENSE-2.0)
"""Action plugin behind zerospof.temporal.artifacts: it works on the control node and says where it is."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ansible.plugins.action import ActionBase
from ansible.utils.display import Display
from ansible_collections.zerospof.temporal.plugins.module_utils._artifact_sources import (
    RegistrySource,
    ReleaseSource,
    Source,
    download_wheels,
    package_wheels,
)
from ansible_collections.zerospof.temporal.plugins.module_utils._artifacts import (
    LOCAL,
    PRODUCTS,
    REGISTRY,
    RELEASE,
    WHEELS,
    ArtifactDirectory,
    ArtifactError,
    Report,
    Wanted,
    local_faults,
    pack,
    wanted,
)

ARGUMENT_SPEC = {
    "source": {"type": "str", "required": True, "choices": [RELEASE, REGISTRY, LOCAL]},
    "directory": {"type": "path", "required": True},
    "mirror": {"type": "str", "default": "https://github.com"},
    "apache_mirror": {"type": "str", "default": "https://archive.apache.org/dist"},
    "versions": {
        "type": "dict",
        "required": True,
        "options": {product.key: {"type": "str", "required": not product.optional} for product in PRODUCTS},
    },
    "wheels": {"type": "list", "elements": "str", "default": []},
    "packages": {
        "type": "list",
        "elements": "dict",
        "default": [],
        "options": {"package": {"type": "str", "required": True}, "source": {"type": "str", "required": True}},
    },
}

display = Display()


@dataclass(frozen=True)
class Step:
    """One thing to make: its ``key`` in the record, the ``origin`` noted there, and how to make it in a directory."""

    key: str
    origin: str
    make: Callable[[Path, Report], Mapping[str, Path]]


def archive_step(item: Wanted, origin: str, source: Source) -> Step:
    """Return the step that makes the archive of ``item``."""

    def make(work: Path, report: Report) -> Mapping[str, Path]:
        archive = work / item.file_name
        pack(archive, source.programs(item, work, report))
        return {item.file_name: archive}

    return Step(item.file_name, origin, make)


def wheels_step(requirements: Sequence[str]) -> Step:
    """Return the step that downloads ``requirements`` and all they depend on."""

    def make(work: Path, report: Report) -> Mapping[str, Path]:
        return {f"{WHEELS}/{path.name}": path for path in download_wheels(requirements, work, report)}

    return Step(f"{WHEELS} of {', '.join(requirements)}", "pip", make)


def package_step(package: str, source: str, directory: ArtifactDirectory) -> Step:
    """Return the step that makes the wheel of a package and gets all it depends on.

    One that was made and is whole is kept when something else is missing: hosts refuse other bytes of a version.
    """
    key = f"{WHEELS} of {package}"

    def make(work: Path, report: Report) -> Mapping[str, Path]:
        kept = directory.wheel_of(package, key, source)
        return {f"{WHEELS}/{path.name}": path for path in package_wheels(package, kept or source, work, report)}

    return Step(key, source, make)


def fill(directory: ArtifactDirectory, steps: Sequence[Step], *, check_mode: bool) -> list[str]:
    """Make what is missing, damaged or came from another source; return the names of what was (or would be) made.

    Each finished step is recorded at once, so a run that dies continues where it stopped.
    """

    def due() -> list[Step]:
        return [step for step in steps if directory.faults(step.key, step.origin)]

    if check_mode or not (due() or directory.given_wheels()):
        return [*(step.key for step in due()), *directory.given_wheels()]
    with directory.lock(display.display):
        # Another run may have done it while this one waited.
        todo = due()
        for number, step in enumerate(todo, start=1):
            prefix = f"artifacts {number}/{len(todo)}: {step.key}"
            display.display(f"{prefix}: {'; '.join(directory.faults(step.key, step.origin))}")
            started = time.monotonic()
            with directory.workspace() as work:
                try:
                    files = step.make(work, lambda text, prefix=prefix: display.display(f"{prefix}: {text}"))
                except ArtifactError as error:
                    raise ArtifactError(f"{step.key}: {error}") from error
                directory.add(step.key, step.origin, files)
            display.display(f"{prefix}: done in {time.monotonic() - started:.0f} s")
        given = directory.given_wheels()
        directory.record(given)
    return [*(step.key for step in todo), *given]


def toolchain_cache() -> Path:
    """Return where fetched Go toolchains are kept between runs."""
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "zerospof-temporal" / "go"


class ActionModule(ActionBase):
    """Fills or verifies the artifact directory. It never touches the host it runs for."""

    TRANSFERS_FILES = False
    _requires_connection = False

    def run(self, tmp: str | None = None, task_vars: dict[str, Any] | None = None) -> dict[str, Any]:
        """Run the action and return ``changed`` and ``made``."""
        result = super().run(tmp, task_vars)
        _validation, options = self.validate_argument_spec(ARGUMENT_SPEC)
        try:
            archives = wanted({key: version for key, version in options["versions"].items() if version})
            directory = ArtifactDirectory(Path(options["directory"]).absolute())
            made = self._provide(directory, archives, options)
        except (ArtifactError, OSError) as error:
            return result | {"failed": True, "msg": str(error)}
        return result | {
            "changed": bool(made),
            "made": made,
            "sha256": {item.file_name: directory.sums.get(item.file_name, "") for item in archives},
        }

    def _provide(self, directory: ArtifactDirectory, archives: Sequence[Wanted], options: dict[str, Any]) -> list[str]:
        origin, requirements, packages = options["source"], options["wheels"], options["packages"]
        if origin == LOCAL:
            needed = [*requirements, *(package["package"] for package in packages)]
            if faults := local_faults(directory, archives, needed):
                listed = "".join(f"  - {fault}\n" for fault in faults)
                raise ArtifactError(
                    f"{directory.path} is not complete:\n{listed}"
                    "Copy the directory again from the control node that filled it (docs/air_gap.md)."
                )
            return []
        mirrors = {"github": options["mirror"], "apache": options["apache_mirror"]}
        source = ReleaseSource(mirrors) if origin == RELEASE else RegistrySource(archives, toolchain_cache())
        steps = [archive_step(item, origin, source) for item in archives]
        if requirements:
            steps.append(wheels_step(requirements))
        steps += [package_step(package["package"], package["source"], directory) for package in packages]
        return fill(directory, steps, check_mode=self._task.check_mode)
