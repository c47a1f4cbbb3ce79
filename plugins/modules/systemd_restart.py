#!/usr/bin/python
# Copyright: (c) 2026, The zerospof.temporal maintainers
# Apache License 2.0 (see LICENSE or https://www.apache.org/licenses/LICENSE-2.0)
"""Ansible module: restart systemd units together."""

from __future__ import annotations

DOCUMENTATION = r"""
module: systemd_restart
short_description: Restart systemd units at the same time
version_added: 0.1.0
author: The zerospof.temporal maintainers (@zerospof)
description:
  - Restarts all units side by side, so that those which take long to stop do not wait for each other.
  - With O(in_order) all of them stop before the first starts again. C(systemctl restart) of several units does not see
    to that; it asks systemd for one after the other, and the first to be named stops while those above it still run.
  - Returns when all of them have started; when one does not, the task fails with their journal.
attributes:
  check_mode:
    description: Can run in check mode and says that the units would be restarted.
    support: full
  diff_mode:
    description: There is no text to compare.
    support: none
options:
  units:
    description: Names of the units with their suffix.
    type: list
    elements: str
    required: true
  in_order:
    description: Whether each unit rests on those before it, by its C(After=). The last stops first and starts last.
    type: bool
    default: false
seealso:
  - module: zerospof.temporal.systemd_units
"""

EXAMPLES = r"""
- name: The services run with what is on disk
  zerospof.temporal.systemd_restart:
    units: [temporal-history.service, temporal-matching.service]

- name: No service is without the pooler below it
  zerospof.temporal.systemd_restart:
    units: [pgbouncer.service, temporal-history.service, temporal-matching.service]
    in_order: true
"""

RETURN = r"""
seconds:
  description: Time that the restart took.
  returned: success
  type: float
"""

import time
from collections.abc import Sequence

from ansible.module_utils.basic import AnsibleModule

JOURNAL_LINES = 20


def commands(units: Sequence[str], *, in_order: bool) -> list[list[str]]:
    """Return the commands that restart ``units``; each is to run, whatever becomes of the one before it."""
    if in_order:
        return [["systemctl", "stop", *reversed(units)], ["systemctl", "start", *units]]
    return [["systemctl", "restart", *units]]


def main() -> None:
    """Run the module."""
    module = AnsibleModule(
        argument_spec={
            "units": {"type": "list", "elements": "str", "required": True},
            "in_order": {"type": "bool", "default": False},
        },
        supports_check_mode=True,
    )
    units = module.params["units"]
    started = time.monotonic()
    if not module.check_mode:
        module.run_command(["systemctl", "daemon-reload"], check_rc=True)
        answers = [module.run_command(command) for command in commands(units, in_order=module.params["in_order"])]
        errors = [error.strip() for code, _, error in answers if code != 0]
        if errors:
            _, journal, _ = module.run_command(
                ["journalctl", "--no-pager", f"--lines={JOURNAL_LINES}", *(f"--unit={unit}" for unit in units)]
            )
            module.fail_json(msg=f"{', '.join(units)}: {'; '.join(errors)}", journal=journal.splitlines())
    module.exit_json(changed=True, seconds=round(time.monotonic() - started, 1))


if __name__ == "__main__":
    main()
