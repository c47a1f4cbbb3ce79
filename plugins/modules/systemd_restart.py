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
  - Restarts all units in one transaction of systemd, so that units which take long to stop do so side by side.
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
seealso:
  - module: zerospof.temporal.systemd_units
"""

EXAMPLES = r"""
- name: The services run with what is on disk
  zerospof.temporal.systemd_restart:
    units: [temporal-history.service, temporal-matching.service]
"""

RETURN = r"""
seconds:
  description: Time that the restart took.
  returned: success
  type: float
"""

import time

from ansible.module_utils.basic import AnsibleModule

JOURNAL_LINES = 20


def main() -> None:
    """Run the module."""
    module = AnsibleModule(
        argument_spec={"units": {"type": "list", "elements": "str", "required": True}}, supports_check_mode=True
    )
    units = module.params["units"]
    started = time.monotonic()
    if not module.check_mode:
        module.run_command(["systemctl", "daemon-reload"], check_rc=True)
        code, _, error = module.run_command(["systemctl", "restart", *units])
        if code != 0:
            _, journal, _ = module.run_command(
                ["journalctl", "--no-pager", f"--lines={JOURNAL_LINES}", *(f"--unit={unit}" for unit in units)]
            )
            module.fail_json(msg=f"{', '.join(units)}: {error.strip()}", journal=journal.splitlines())
    module.exit_json(changed=True, seconds=round(time.monotonic() - started, 1))


if __name__ == "__main__":
    main()
