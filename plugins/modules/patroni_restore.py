#!/usr/bin/python
# Copyright: (c) 2026, The zerospof.temporal maintainers
# Apache License 2.0 (see LICENSE or https://www.apache.org/licenses/LICENSE-2.0)
"""Ansible module: a copy of a backup that Patroni can take over as the database."""

from __future__ import annotations

DOCUMENTATION = r"""
module: patroni_restore
short_description: Copy a backup to where Patroni can take it over as the database
version_added: 0.1.0
author: The zerospof.temporal maintainers (@zerospof)
description:
  - In check mode it refuses when the backup is damaged, of another cluster or of another version of PostgreSQL, when
    members are left out, when the disk is too small, and when this host has data.
  - Otherwise it copies the backup to O(target), without asking again, with the dynamic configuration that the inventory
    wants. Patroni stores that when it takes a database over.
  - What runs on the host is not touched.
attributes:
  check_mode:
    description: Says whether the backup may become the database.
    support: full
  diff_mode:
    description: There is no text to compare.
    support: none
options:
  name:
    description: Name of the member on this host.
    type: str
    required: true
  members:
    description: Names of all members that the inventory gives the cluster.
    type: list
    elements: str
    required: true
  cluster:
    description: Name of the cluster.
    type: str
    required: true
  version:
    description: Major version of PostgreSQL on this host.
    type: str
    required: true
  tag:
    description: Name of the backup.
    type: str
    required: true
  directory:
    description: Directory of the backups.
    type: path
    required: true
  data_directory:
    description: Directory of the database.
    type: path
    required: true
  bin_directory:
    description: Directory of PostgreSQL's programs.
    type: path
    required: true
  target:
    description: Directory to make; what an interrupted run left there goes.
    type: path
    required: true
  config:
    description: Dynamic configuration by the names of Patroni.
    type: dict
    required: true
  source:
    description: Name of the host whose backup is used; empty when no host has it.
    type: str
    required: true
  manifest:
    description: Content of C(manifest.json) of that backup.
    type: dict
    required: true
  present:
    description: Names of the members that are restored in this run.
    type: list
    elements: str
    required: true
  over_data:
    description: Whether data of the host may be replaced.
    type: bool
    default: false
seealso:
  - module: zerospof.temporal.patroni_backup
"""

EXAMPLES = r"""
- name: Nothing keeps the cluster from its backup
  zerospof.temporal.patroni_restore:
    name: db-a
    members: [db-a, db-b, db-c]
    cluster: temporal
    version: "17"
    tag: zerospof-20261125T063000Z
    directory: /mnt/backups/patroni
    data_directory: /var/lib/postgresql/17/temporal
    bin_directory: /usr/lib/postgresql/17/bin
    target: /var/lib/postgresql/17/temporal.restored
    config: {ttl: 20, postgresql: {parameters: {max_connections: 200}}}
    source: db-a
    manifest: "{{ backup.content | b64decode | from_json }}"
    present: [db-a, db-b, db-c]
  check_mode: true
"""

RETURN = r"""
config:
  description: The dynamic configuration that the database comes with; empty in check mode.
  returned: success
  type: dict
"""

import json
import shutil
from pathlib import Path
from typing import Any

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.zerospof.temporal.plugins.module_utils import (
    _backup,
    _backup_directory,
    _patroni,
    _patroni_backup,
)

# Where Patroni keeps the dynamic configuration for the time when it has to make the cluster's state anew.
CONFIG = "patroni.dynamic.json"
USER = "postgres"


def refuse(module: AnsibleModule, reason: str) -> None:
    """End with ``reason``."""
    module.fail_json(msg=f"PostgreSQL on {module.params['name']}: {reason}")


def check(module: AnsibleModule, backups: _backup_directory.BackupDirectory) -> None:
    """End with all reasons against this restore, if there are any."""
    params = module.params
    verify = Path(params["bin_directory"]) / "pg_verifybackup"
    if not verify.exists():
        refuse(module, f"PostgreSQL {params['version']} is not installed; run site.yml first")
    if not params["source"]:
        backups.read_manifest()
        refuse(module, f"the backup {params['tag']} has no manifest")
    data, target = Path(params["data_directory"]), Path(params["target"])
    problems: list[str | None] = list(
        _patroni_backup.restore_problems(
            params["manifest"],
            cluster=params["cluster"],
            version=params["version"],
            members=params["members"],
            present=params["present"],
            data=_backup_directory.last_written((data, "global/pg_control"), (data, "pg_wal/*")),
            is_forced=params["over_data"],
        )
    )
    if data.is_mount():
        problems.append(f"{data} is a mount point, and cannot be moved aside; mount the disk at {data.parent}")
    if params["name"] == params["source"]:
        code, output, error = module.run_command([str(verify), "--quiet", str(backups.backup / "data")])
        if code != 0:
            said = (error or output).strip().splitlines() or [f"pg_verifybackup ends with {code}"]
            problems.append(f"the backup is damaged: {said[0]}")
    # What the host holds stays; a copy that an interrupted run left does not.
    there = next(path for path in target.parents if path.exists())
    free = shutil.disk_usage(there).free + _backup_directory.size(target)
    problems.append(_backup.too_full(str(there), _patroni_backup.needed(params["manifest"]["bytes"]), free))
    if any(problems):
        refuse(module, "; ".join(filter(None, problems)))


def copy(module: AnsibleModule, data: Path) -> dict[str, Any]:
    """Copy the backup in ``data``, and return the dynamic configuration that it comes with."""
    target = Path(module.params["target"])
    shutil.rmtree(target, ignore_errors=True)
    module.run_command(
        ["cp", "--archive", "--reflink=auto", "--no-target-directory", str(data), str(target)], check_rc=True
    )
    stored = target / CONFIG
    before = json.loads(stored.read_text(encoding="utf-8")) if stored.exists() else {}
    # Of a cluster that was paused when it was copied: nothing of it would start.
    before.pop("pause", None)
    config = _patroni.applied(before, _patroni.patch(before, module.params["config"], _patroni.EXACT))
    stored.write_text(json.dumps(config), encoding="utf-8")
    module.run_command(["chown", "--recursive", f"{USER}:{USER}", str(target)], check_rc=True)
    target.chmod(0o700)
    # From here on it is what the data directory will be: it must outlive a loss of power.
    module.run_command(["sync", "--file-system", str(target)], check_rc=True)
    return config


def main() -> None:
    """Run the module."""
    module = AnsibleModule(
        argument_spec={
            "name": {"type": "str", "required": True},
            "members": {"type": "list", "elements": "str", "required": True},
            "cluster": {"type": "str", "required": True},
            "version": {"type": "str", "required": True},
            "tag": {"type": "str", "required": True},
            "directory": {"type": "path", "required": True},
            "data_directory": {"type": "path", "required": True},
            "bin_directory": {"type": "path", "required": True},
            "target": {"type": "path", "required": True},
            "config": {"type": "dict", "required": True},
            "source": {"type": "str", "required": True},
            "manifest": {"type": "dict", "required": True},
            "present": {"type": "list", "elements": "str", "required": True},
            "over_data": {"type": "bool", "default": False},
        },
        supports_check_mode=True,
    )
    backups = _backup_directory.BackupDirectory(module, f"PostgreSQL on {module.params['name']}")
    config: dict[str, Any] = {}
    if module.check_mode:
        check(module, backups)
    else:
        config = copy(module, backups.backup / "data")
    module.exit_json(changed=True, config=config)


if __name__ == "__main__":
    main()
