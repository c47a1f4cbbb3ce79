#!/usr/bin/python
# Copyright: (c) 2026, The zerospof.temporal maintainers
# Apache License 2.0 (see LICENSE or https://www.apache.org/licenses/LICENSE-2.0)
"""Ansible module: whether units run with the files that are on disk."""

from __future__ import annotations

DOCUMENTATION = r"""
module: systemd_units_info
short_description: Tell which systemd units are due for a restart, and why
version_added: 0.1.0
author: The zerospof.temporal maintainers (@zerospof)
description:
  - Compares what each unit recorded at its last start with the files as they are now.
  - Knows only units that M(zerospof.temporal.systemd_units) put in place.
extends_documentation_fragment: zerospof.temporal.reads_only
options:
  units:
    description:
      - Names of the units with their suffix. Without them, all units that were ever put in place, except those that
        run when they are needed and do not run now.
    type: list
    elements: str
  marks:
    description: How the paths of the files begin by which a playbook marks a host between its begin and its end.
    type: path
seealso:
  - module: zerospof.temporal.systemd_units
"""

EXAMPLES = r"""
- name: The state of the Temporal services is known
  zerospof.temporal.systemd_units_info:
    units: [temporal-frontend.service, temporal-history.service]
  register: services
"""

RETURN = r"""
units:
  description: The state of every unit; a unit that was never put in place is V(new).
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
unread:
  description: The running units that have not read, of the files that they read at a reload, those which are on disk.
  returned: always
  type: list
  elements: str
interrupted:
  description: What comes after O(marks) in the names of such files, the tiers of the inventory that are half-way here.
  returned: always
  type: list
  elements: str
pending:
  description: Whether any of the units is due for a restart.
  returned: always
  type: bool
"""

from pathlib import Path

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.zerospof.temporal.plugins.module_utils import _systemd, _units


def interrupted(marks: str) -> list[str]:
    """Return how the names of the files go on that begin with ``marks``."""
    beginning = Path(marks)
    found = beginning.parent.glob(f"{beginning.name}*")
    return sorted(path.name.removeprefix(beginning.name) for path in found)


def main() -> None:
    """Run the module."""
    module = AnsibleModule(
        argument_spec={"units": {"type": "list", "elements": "str"}, "marks": {"type": "path"}},
        supports_check_mode=True,
    )
    verdicts = []
    units = module.params["units"]
    if units is None:
        units = [
            name
            for name in _systemd.managed_units()
            if not _systemd.is_optional(name) or _systemd.is_active(module, name)
        ]
    for name in units:
        tracked = _systemd.tracked_files_of(name)
        verdicts.append(
            _units.Verdict(name, _units.NEW, ("it is not installed",))
            if tracked is None
            else _systemd.judge(module, name, tracked)
        )
    module.exit_json(
        changed=False,
        units=[verdict.as_dict() for verdict in verdicts],
        unread=[name for name in units if _systemd.unread(module, name, _systemd.reloaded_files_of(name))],
        interrupted=interrupted(module.params["marks"]) if module.params["marks"] else [],
        pending=any(verdict.state == _units.PENDING for verdict in verdicts),
    )


if __name__ == "__main__":
    main()
