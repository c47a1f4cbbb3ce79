#!/usr/bin/python
# Copyright: (c) 2026, The zerospof.temporal maintainers
# Apache License 2.0 (see LICENSE or https://www.apache.org/licenses/LICENSE-2.0)
"""Ansible module: how much room the disks of a host have."""

from __future__ import annotations

DOCUMENTATION = r"""
module: disks_info
short_description: Tell how much room the disks of directories have
version_added: 0.1.0
author: The zerospof.temporal maintainers (@zerospof)
description:
  - Looks at the file systems of directories, each of them once. Directories that do not exist are left out.
extends_documentation_fragment: zerospof.temporal.reads_only
options:
  directories:
    description: The directories; with the wildcards of a shell.
    type: list
    elements: str
    required: true
"""

EXAMPLES = r"""
- name: How much room PostgreSQL has is known
  zerospof.temporal.disks_info:
    directories: [/var/lib/postgresql, /var/lib/postgresql/*/*/pg_wal]
  register: disks
"""

RETURN = r"""
disks:
  description: One for each file system.
  returned: always
  type: list
  elements: dict
  contains:
    directory:
      description: The first of the directories that is on it.
      type: str
    free_percent:
      description: How much of it is free, without what root alone may use.
      type: float
    free_bytes:
      description: The same in bytes.
      type: int
"""

from pathlib import Path

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.zerospof.temporal.plugins.module_utils import _disk


def main() -> None:
    """Run the module."""
    module = AnsibleModule(
        argument_spec={"directories": {"type": "list", "elements": "str", "required": True}}, supports_check_mode=True
    )
    found = [path for pattern in module.params["directories"] for path in sorted(Path("/").glob(pattern.lstrip("/")))]
    try:
        module.exit_json(changed=False, disks=_disk.disks_of(found))
    except OSError as error:
        module.fail_json(msg=f"the disks cannot be looked at: {error}")


if __name__ == "__main__":
    main()
