#!/usr/bin/python
# Copyright: (c) 2026, The zerospof.temporal maintainers
# Apache License 2.0 (see LICENSE or https://www.apache.org/licenses/LICENSE-2.0)
"""Ansible module: a snapshot of a node of Cassandra."""

from __future__ import annotations

DOCUMENTATION = r"""
module: cassandra_snapshot
short_description: Keep the tables of this node as they are now, and forget older snapshots
version_added: 0.1.0
author: The zerospof.temporal maintainers (@zerospof)
description:
  - Writes out what is in memory and links the files of all tables, which takes space only as they are replaced later.
  - A snapshot on the disk of the node protects from mistakes, not from the loss of the disk.
attributes:
  check_mode:
    description: Can run in check mode and report what would change.
    support: full
  diff_mode:
    description: There is no text to compare.
    support: none
options:
  tag:
    description: Name of the snapshot, C(zerospof-) and its time as C(20261125T063000Z).
    type: str
    required: true
  data_directory:
    description: Directory of the tables.
    type: path
    required: true
  kept:
    description: Number of snapshots to keep; those with names of another form are left alone.
    type: int
    default: 3
seealso:
  - module: zerospof.temporal.cassandra_backup
"""

EXAMPLES = r"""
- name: The tables are kept as they are now
  zerospof.temporal.cassandra_snapshot:
    tag: "zerospof-{{ now(utc=true, fmt='%Y%m%dT%H%M%SZ') }}"
    data_directory: /var/lib/cassandra/data
"""

RETURN = r"""
cleared:
  description: Snapshots that were too many.
  returned: success
  type: list
  elements: str
"""

from pathlib import Path

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.zerospof.temporal.plugins.module_utils import _backup


def main() -> None:
    """Run the module."""
    module = AnsibleModule(
        argument_spec={
            "tag": {"type": "str", "required": True},
            "data_directory": {"type": "path", "required": True},
            "kept": {"type": "int", "default": 3},
        },
        supports_check_mode=True,
    )
    tag = module.params["tag"]
    if not _backup.is_tag(tag):
        module.fail_json(msg=f"cassandra: {tag} is no tag such as zerospof-20261125T063000Z")
    present = {path.name for path in Path(module.params["data_directory"]).glob("*/*/snapshots/*")}
    is_new = tag not in present
    cleared = _backup.expired({*present, tag}, module.params["kept"])
    if not module.check_mode:
        if is_new:
            module.run_command(["nodetool", "snapshot", "-t", tag], check_rc=True)
        for old in cleared:
            module.run_command(["nodetool", "clearsnapshot", "-t", old], check_rc=True)
    module.exit_json(changed=is_new or bool(cleared), cleared=cleared)


if __name__ == "__main__":
    main()
