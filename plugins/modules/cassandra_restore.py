#!/usr/bin/python
# Copyright: (c) 2026, The zerospof.temporal maintainers
# Apache License 2.0 (see LICENSE or https://www.apache.org/licenses/LICENSE-2.0)
"""Ansible module: the files of a backup are those of the node of this host."""

from __future__ import annotations

DOCUMENTATION = r"""
module: cassandra_restore
short_description: Put the tables of a backup in place on the node that they are of
version_added: 0.1.0
author: The zerospof.temporal maintainers (@zerospof)
description:
  - Everything of the node is in the backup, its identity and tokens too, so the ring that starts with it is the former
    one.
  - In check mode it reads the whole backup and refuses when it is damaged, of another node, of another ring or of a
    newer release, and when the node has data. Otherwise it unpacks, without asking again.
  - Does not stop or start the service, and does not remove what is there.
attributes:
  check_mode:
    description: Says whether the backup may be put in place.
    support: full
  diff_mode:
    description: There is no text to compare.
    support: none
options:
  node:
    description: Name, address, cluster, datacenter and rack of the node.
    type: dict
    required: true
  tag:
    description: Name of the backup.
    type: str
    required: true
  directory:
    description: Directory of the backups of this node.
    type: path
    required: true
  data_directory:
    description: Directory of the tables.
    type: path
    required: true
  ring:
    description: Addresses of all nodes that get their backup in this run.
    type: list
    elements: str
    required: true
  version:
    description: Release of Cassandra on this host.
    type: str
    required: true
  over_data:
    description: Whether data of the node may be lost.
    type: bool
    default: false
seealso:
  - module: zerospof.temporal.cassandra_backup
"""

EXAMPLES = r"""
- name: Nothing keeps the node from its backup
  zerospof.temporal.cassandra_restore:
    node: {name: cassandra-a, address: 192.0.2.11, cluster: temporal, datacenter: dc1, rack: az_a}
    tag: zerospof-20261125T063000Z
    directory: /mnt/backups/cassandra-a
    data_directory: /var/lib/cassandra/data
    ring: [192.0.2.11, 192.0.2.12, 192.0.2.13]
    version: 5.0.6
  check_mode: true
"""

RETURN = r"""
manifest:
  description: What the backup is of.
  returned: success
  type: dict
"""

from pathlib import Path

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.zerospof.temporal.plugins.module_utils import _backup_directory, _cassandra_backup


def main() -> None:
    """Run the module."""
    module = AnsibleModule(
        argument_spec={
            "node": {"type": "dict", "required": True},
            "tag": {"type": "str", "required": True},
            "directory": {"type": "path", "required": True},
            "data_directory": {"type": "path", "required": True},
            "ring": {"type": "list", "elements": "str", "required": True},
            "version": {"type": "str", "required": True},
            "over_data": {"type": "bool", "default": False},
        },
        supports_check_mode=True,
    )
    params = module.params
    tables = Path(params["data_directory"])
    whose = f"cassandra on {params['node']['name']}"
    backups = _backup_directory.BackupDirectory(module, whose)
    manifest, backup = backups.read_manifest(), backups.backup
    if module.check_mode:
        problems = list(
            _cassandra_backup.restore_problems(
                manifest,
                params["node"],
                ring=params["ring"],
                version=params["version"],
                data=_backup_directory.last_written((tables, "*/*/*-Data.db")),
                is_forced=params["over_data"],
            )
        )
        code, output, error = module.run_command(["sha256sum", "--check", "--quiet", "SHA256SUMS"], cwd=str(backup))
        if code != 0:
            problems.append(f"the backup is damaged: {(output or error).strip().splitlines()[0]}")
        if problems:
            module.fail_json(msg=f"{whose}: {'; '.join(problems)}")
    else:
        tables.mkdir(mode=0o750, parents=True, exist_ok=True)
        unpack = ["tar", "--extract", f"--file={backup / 'data.tar'}", f"--directory={tables}"]
        module.run_command(unpack, check_rc=True)
        module.run_command(["chown", "--recursive", "cassandra:cassandra", str(tables)], check_rc=True)
    module.exit_json(changed=True, manifest=manifest)


if __name__ == "__main__":
    main()
