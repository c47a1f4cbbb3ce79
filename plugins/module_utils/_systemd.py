"""Thin I/O around systemctl and the files of units, shared by the unit modules."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

from ansible_collections.zerospof.temporal.plugins.module_utils import _units

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ansible.module_utils.basic import AnsibleModule

RECORDER = "zz-zerospof-record"
SETTINGS = "zerospof"
_RECORDED_FILES_PREFIX = "# tracked: "
_RELOADED_FILES_PREFIX = "# read at a reload: "
_OPTIONAL = "# runs when it is needed"


def read_text(path: str) -> str | None:
    """Return the content of ``path`` or ``None`` when there is no such file."""
    try:
        return Path(path).read_text(encoding="utf-8")
    except FileNotFoundError:
        return None


def digest_of(path: str) -> str | None:
    """Return the SHA-256 of the file ``path`` or ``None`` when there is no such file."""
    try:
        return _units.digest(Path(path).read_bytes())
    except FileNotFoundError:
        return None


def managed_units() -> list[str]:
    """Return the names of all units that were ever put in place on this host."""
    drop_ins = Path(_units.UNIT_DIRECTORY).glob(f"*.d/{RECORDER}.conf")
    return sorted(path.parent.name.removesuffix(".d") for path in drop_ins)


def is_active(module: AnsibleModule, unit: str) -> bool:
    """Tell whether systemd runs ``unit`` (``active`` or ``reloading``)."""
    _, state, _ = module.run_command(["systemctl", "show", "--property=ActiveState", "--value", unit])
    return state.strip() in {"active", "reloading"}


def main_process(module: AnsibleModule, unit: str) -> Path:
    """Return the directory of the main process of ``unit`` in ``/proc``; nothing is there when it does not run."""
    _, identifier, _ = module.run_command(["systemctl", "show", "--property=MainPID", "--value", unit])
    return Path("/proc", identifier.strip())


def open_files(process: Path) -> Iterator[str]:
    """Yield what the process of ``/proc/<pid>`` has open; others open and close files meanwhile."""
    try:
        descriptors = list((process / "fd").iterdir())
    except OSError:
        return
    for descriptor in descriptors:
        with suppress(OSError):
            yield str(descriptor.readlink())


def is_enabled(module: AnsibleModule, unit: str) -> bool:
    """Tell whether ``unit`` starts at boot."""
    return module.run_command(["systemctl", "is-enabled", "--quiet", unit])[0] == 0


def judge(module: AnsibleModule, unit: str, tracked_files: list[str]) -> _units.Verdict:
    """Judge the live ``unit`` against the files it was started with."""
    text = read_text(_units.record_path(unit))
    return _units.judge(
        unit,
        None if text is None else _units.parse_record(text),
        {path: digest_of(path) for path in tracked_files},
        is_active(module, unit),
    )


def reloaded_files_of(unit: str) -> list[str]:
    """Return the files that ``unit`` reads when it is reloaded."""
    return _listed(unit, _RELOADED_FILES_PREFIX) or []


def unread(module: AnsibleModule, unit: str, reloaded_files: list[str]) -> list[str]:
    """Return those of ``reloaded_files`` that a running ``unit`` has not read as they are."""
    record = _units.parse_record(read_text(_units.loaded_path(unit)) or "")
    files = _units.unread(record, {path: digest_of(path) for path in reloaded_files})
    return files if files and is_active(module, unit) else []


def with_listed_files(
    recorder: str, tracked_files: list[str], reloaded_files: list[str], optional: bool = False
) -> str:
    """Add to a recorder drop-in what other modules have to know: the lists of files, and whether it may stand still."""
    notes = [_OPTIONAL] if optional else []
    notes += [f"{_RECORDED_FILES_PREFIX}{path}" for path in tracked_files]
    notes += [f"{_RELOADED_FILES_PREFIX}{path}" for path in reloaded_files]
    return "".join(f"{note}\n" for note in notes) + recorder


def is_optional(unit: str) -> bool:
    """Tell whether something else than Ansible starts and stops ``unit`` as it is needed."""
    return _OPTIONAL in (read_text(_units.drop_in_path(unit, RECORDER)) or "").splitlines()


def tracked_files_of(unit: str) -> list[str] | None:
    """Return the files that ``unit`` tracks, ``None`` when the unit is not managed."""
    return _listed(unit, _RECORDED_FILES_PREFIX)


def _listed(unit: str, prefix: str) -> list[str] | None:
    text = read_text(_units.drop_in_path(unit, RECORDER))
    if text is None:
        return None
    return [line.removeprefix(prefix) for line in text.splitlines() if line.startswith(prefix)]
