#!/usr/bin/python
# Copyright: (c) 2026, The zerospof.temporal maintainers
# Apache License 2.0 (see LICENSE or https://www.apache.org/licenses/LICENSE-2.0)
"""Ansible module: systemd units that never restart behind the operator's back."""

from __future__ import annotations

DOCUMENTATION = r"""
module: systemd_units
short_description: Put systemd units in place without ever restarting a running one
version_added: 0.1.0
author: The zerospof.temporal maintainers (@zerospof)
description:
  - Writes unit files or drop-ins, reloads the systemd manager when one changed, enables the units, and
    starts only those that have never run on this host.
  - Each unit gets a drop-in that records, at every start, the SHA-256 of its O(units[].tracked_files).
    A unit whose files differ from its record, or that is not running, is reported as V(pending); restarting it
    is the task of a rolling playbook, not of this module.
  - A unit that has not read its O(units[].reloaded_files) as they are is reloaded;
    M(zerospof.temporal.systemd_reload) does that alone.
  - A timer or a socket follows its file without a restart, so it records nothing; it is started whenever it does not
    run.
attributes:
  check_mode:
    description: Can run in check mode and report what would change.
    support: full
  diff_mode:
    description: Shows the changes of unit files.
    support: full
options:
  units:
    description: The units, in the order in which they start.
    type: list
    elements: dict
    required: true
    suboptions:
      name:
        description: Name of the unit with its suffix, for example V(etcd.service).
        type: str
        required: true
      content:
        description: Text of the unit file. Leave out for a unit that a package brings.
        type: str
      drop_in:
        description: Text of a drop-in that changes settings of a packaged unit.
        type: str
      tracked_files:
        description:
          - Absolute paths of the files whose content decides whether a restart is due.
          - The unit file and the drop-in of this module are always tracked.
        type: list
        elements: str
        default: []
      reloaded_files:
        description:
          - Absolute paths of the files that the unit reads again when it is reloaded, such as certificates.
          - It is reloaded when it has not read them as they are.
        type: list
        elements: str
        default: []
      on_demand:
        description: Whether something else starts the unit, such as a timer; then only its files are put in place.
        type: bool
        default: false
      optional:
        description:
          - Whether something else starts and stops the unit as it is needed. It records what it starts with like any
            other, but is neither enabled nor started, and it is due for a restart only while it runs.
        type: bool
        default: false
"""

EXAMPLES = r"""
- name: The edge balancer runs
  zerospof.temporal.systemd_units:
    units:
      - name: haproxy-edge.service
        content: "{{ lookup('ansible.builtin.template', 'haproxy.service.j2') }}"
        tracked_files: [/var/lib/dpkg/info/haproxy.md5sums]
"""

RETURN = r"""
units:
  description: The state of every unit before this module started the new ones.
  returned: always
  type: list
  elements: dict
  contains:
    name:
      description: Name of the unit.
      type: str
    state:
      description: One of V(new), V(pending) and V(current).
      type: str
    reasons:
      description: Why the unit is not current.
      type: list
      elements: str
started:
  description: The units that this run started for the first time.
  returned: always
  type: list
  elements: str
"""

from pathlib import Path

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.zerospof.temporal.plugins.module_utils import _files, _systemd, _units


def _write(module: AnsibleModule, path: str, content: str) -> dict[str, str] | None:
    """Make ``path`` hold ``content``; return the difference or ``None`` when it did already."""
    before = _systemd.read_text(path)
    if before == content:
        return None
    if not module.check_mode:
        Path(path).parent.mkdir(mode=0o755, parents=True, exist_ok=True)
        _files.replace({Path(path): content}, 0o644)
    return {"before_header": path, "after_header": path, "before": before or "", "after": content}


def _place(module: AnsibleModule, unit: dict) -> tuple[list[str], list[dict[str, str]]]:
    """Write the files of ``unit``; return its tracked files and the differences made."""
    name = unit["name"]
    files = {}
    if unit["content"] is not None:
        files[_units.unit_path(name)] = unit["content"]
    if unit["drop_in"] is not None:
        files[_units.drop_in_path(name, _systemd.SETTINGS)] = unit["drop_in"]
    tracked = sorted({*unit["tracked_files"], *files})
    if not _follows_its_file(unit):
        files[_units.drop_in_path(name, _systemd.RECORDER)] = _systemd.with_listed_files(
            _units.recorder(name, tracked, unit["reloaded_files"]), tracked, unit["reloaded_files"], unit["optional"]
        )
    differences = [_write(module, path, content) for path, content in files.items()]
    return tracked, [difference for difference in differences if difference]


def _follows_its_file(unit: dict) -> bool:
    """Tell whether the unit needs no restart to be what its file says."""
    return unit["on_demand"] or unit["name"].endswith((".timer", ".socket"))


def _judge(module: AnsibleModule, unit: dict, tracked: list[str], was_optional: bool) -> _units.Verdict:
    """Judge a unit.

    One that follows its file is new when it should run and does not; so is one that ran when it was needed and that is
    to run always. One that may stand still and does is current.
    """
    name = unit["name"]
    if not _follows_its_file(unit):
        if (unit["optional"] or was_optional) and not _systemd.is_active(module, name):
            return _units.Verdict(name, _units.CURRENT if unit["optional"] else _units.NEW)
        return _systemd.judge(module, name, tracked)
    is_new = not unit["on_demand"] and not _systemd.is_active(module, name)
    return _units.Verdict(name, _units.NEW if is_new else _units.CURRENT)


def _systemctl(module: AnsibleModule, *arguments: str) -> None:
    """Run systemctl; on failure end with the journal of the units named."""
    code, _, error = module.run_command(["systemctl", *arguments])
    if code != 0:
        units = [argument for argument in arguments if "." in argument]
        _, journal, _ = module.run_command(
            ["journalctl", "--no-pager", "--lines=20", *(f"--unit={unit}" for unit in units)]
        )
        module.fail_json(msg=f"systemctl {' '.join(arguments)} failed: {error.strip()}", journal=journal.splitlines())


def main() -> None:
    """Run the module."""
    module = AnsibleModule(
        argument_spec={
            "units": {
                "type": "list",
                "elements": "dict",
                "required": True,
                "options": {
                    "name": {"type": "str", "required": True},
                    "content": {"type": "str"},
                    "drop_in": {"type": "str"},
                    "tracked_files": {"type": "list", "elements": "str", "default": []},
                    "reloaded_files": {"type": "list", "elements": "str", "default": []},
                    "on_demand": {"type": "bool", "default": False},
                    "optional": {"type": "bool", "default": False},
                },
            },
        },
        supports_check_mode=True,
    )
    were_optional = {unit["name"] for unit in module.params["units"] if _systemd.is_optional(unit["name"])}
    tracked_of: dict[str, list[str]] = {}
    differences: list[dict[str, str]] = []
    for unit in module.params["units"]:
        tracked_of[unit["name"]], changes = _place(module, unit)
        differences.extend(changes)
    if differences and not module.check_mode:
        _systemctl(module, "daemon-reload")

    verdicts = [
        _judge(module, unit, tracked_of[unit["name"]], unit["name"] in were_optional) for unit in module.params["units"]
    ]
    optional = [unit["name"] for unit in module.params["units"] if unit["optional"]]
    lasting = [unit["name"] for unit in module.params["units"] if not unit["on_demand"] and not unit["optional"]]
    disabled = [name for name in lasting if not _systemd.is_enabled(module, name)]
    enabled = [name for name in optional if _systemd.is_enabled(module, name)]
    new = [verdict.name for verdict in verdicts if verdict.state == _units.NEW and verdict.name not in optional]
    listed = {unit["name"]: unit["reloaded_files"] for unit in module.params["units"] if unit["name"] not in new}
    unread = [name for name, files in listed.items() if _systemd.unread(module, name, files)]
    if not module.check_mode:
        if disabled:
            _systemctl(module, "enable", "--quiet", *disabled)
        if enabled:
            _systemctl(module, "disable", "--quiet", *enabled)
        for name in unread:
            _systemctl(module, "reload", name)
        for name in new:
            # Not "start": a package may have started the unit with the settings of the distribution.
            _systemctl(module, "restart", name)
    module.exit_json(
        changed=bool(differences or disabled or enabled or new or unread),
        diff=differences,
        units=[verdict.as_dict() for verdict in verdicts],
        started=new,
    )


if __name__ == "__main__":
    main()
