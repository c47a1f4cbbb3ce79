#!/usr/bin/python
# Copyright: (c) 2026, The zerospof.temporal maintainers
# Apache License 2.0 (see LICENSE or https://www.apache.org/licenses/LICENSE-2.0)
"""Ansible module: reload the systemd units that have not read their files as they are."""

from __future__ import annotations

DOCUMENTATION = r"""
module: systemd_reload
short_description: Reload systemd units that have not read their files as they are
version_added: 0.1.0
author: The zerospof.temporal maintainers (@zerospof)
description:
  - Compares the files that a unit reads again when it is reloaded with those that it has read, and reloads it when they
    differ, whoever changed them and whenever that was. A run that died between the two is completed by the next one.
  - Knows only units that M(zerospof.temporal.systemd_units) put in place with C(reloaded_files). One that does not run
    reads them when it starts.
attributes:
  check_mode:
    description: Can run in check mode and report what would be reloaded.
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
- name: PostgreSQL serves with the certificate on disk
  zerospof.temporal.systemd_reload:
    units: [patroni.service]
"""

RETURN = r"""
reloaded:
  description: The units that were reloaded, or would be, with the files that they had not read.
  returned: always
  type: dict
  sample: {patroni.service: [/etc/patroni/tls/patroni.crt]}
"""

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.zerospof.temporal.plugins.module_utils import _systemd


def main() -> None:
    """Run the module."""
    module = AnsibleModule(
        argument_spec={"units": {"type": "list", "elements": "str", "required": True}}, supports_check_mode=True
    )
    unread = {unit: _systemd.unread(module, unit, _systemd.reloaded_files_of(unit)) for unit in module.params["units"]}
    reloaded = {unit: files for unit, files in unread.items() if files}
    for unit in () if module.check_mode else reloaded:
        code, _, error = module.run_command(["systemctl", "reload", unit])
        if code != 0:
            module.fail_json(msg=f"{unit} cannot be reloaded: {error.strip()}")
    module.exit_json(changed=bool(reloaded), reloaded=reloaded)


if __name__ == "__main__":
    main()
