#!/usr/bin/python
# Copyright: (c) 2026, The zerospof.temporal maintainers
# Apache License 2.0 (see LICENSE or https://www.apache.org/licenses/LICENSE-2.0)
"""Ansible module: a verified copy of a PostgreSQL cluster."""

from __future__ import annotations

DOCUMENTATION = r"""
module: patroni_backup
short_description: Keep a verified base backup of the cluster in a directory
version_added: 0.1.0
author: The zerospof.temporal maintainers (@zerospof)
description:
  - Makes O(directory)C(/TAG) with C(data) (all files of the cluster and the log that makes them whole) and
    C(manifest.json). It has this name when it is complete and C(pg_verifybackup) has read it again.
  - In check mode it says in RV(source) which member is to be copied; run it there.
  - The copy comes through the live server, with the rights of a replica.
extends_documentation_fragment:
  - zerospof.temporal.patroni
attributes:
  check_mode:
    description: Says which member would be copied.
    support: full
  diff_mode:
    description: There is no text to compare.
    support: none
options:
  cluster:
    description: Name of the cluster.
    type: str
    required: true
  tag:
    description: Name of the backup, C(zerospof-) and its time as C(20261125T063000Z).
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
  kept:
    description: Number of backups to keep; those with names of another form are left alone.
    type: int
    default: 3
  candidates:
    description: Names of the members that may be copied. A replica is preferred, then the order counts.
    type: list
    elements: str
    required: true
  postgresql_port:
    description: Port of PostgreSQL.
    type: int
    default: 5432
  replication_user:
    description: User with the rights of a replica.
    type: str
    required: true
  replication_password:
    description: Password of O(replication_user).
    type: str
    required: true
  timeout_seconds:
    description: Time that a replica has to replay what the leader had written when the backup began.
    type: int
    default: 60
seealso:
  - module: zerospof.temporal.patroni_restore
"""

EXAMPLES = r"""
- name: A copy of the database is on another disk
  zerospof.temporal.patroni_backup:
    name: db-b
    members:
      - {name: db-a, address: 192.0.2.31}
      - {name: db-b, address: 192.0.2.32}
      - {name: db-c, address: 192.0.2.33}
    candidates: [db-b]
    cluster: temporal
    tag: "zerospof-{{ now(utc=true, fmt='%Y%m%dT%H%M%SZ') }}"
    directory: /mnt/backups/patroni
    data_directory: /var/lib/postgresql/17/temporal
    bin_directory: /usr/lib/postgresql/17/bin
    replication_user: replicator
    replication_password: "{{ temporal_secrets.postgresql_replication }}"
    ca_file: /etc/patroni/tls/ca.crt
    certificate_file: /etc/patroni/tls/patroni.crt
    key_file: /etc/patroni/tls/patroni.key
"""

RETURN = r"""
source:
  description: Name of the member that is copied.
  returned: success
  type: str
path:
  description: Directory of the backup.
  returned: success
  type: str
manifest:
  description: What the backup is of; empty in check mode, and where there was one already.
  returned: success
  type: dict
removed:
  description: Backups that were too many.
  returned: success
  type: list
  elements: str
"""

import json
import time
from pathlib import Path
from typing import Any

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.zerospof.temporal.plugins.module_utils import (
    _backup,
    _backup_directory,
    _patroni,
    _patroni_backup,
    _patroni_rest,
)


def refuse(module: AnsibleModule, reason: str) -> None:
    """End with ``reason``."""
    module.fail_json(msg=f"PostgreSQL on {module.params['name']}: {reason}")


def find_source(module: AnsibleModule, patroni: _patroni_rest.Patroni) -> str:
    """Return the member that is copied."""
    cluster, own = patroni.first_answer("/cluster"), patroni.first_answer("/patroni")
    if not cluster or not own:
        refuse(
            module, f"no member says how the cluster is, so there is nothing to copy: {patroni.errors or 'no leader'}"
        )
    source = _patroni_backup.source(cluster, own["patroni"]["version"], module.params["candidates"])
    if source is None:
        candidates = ", ".join(module.params["candidates"])
        refuse(
            module,
            f"none of {candidates} leads or streams; see what they do with: patronictl -c /etc/patroni/conf.d list",
        )
    return str(source)


def wait_for_leader_position(module: AnsibleModule, patroni: _patroni_rest.Patroni) -> None:
    """Return when this member has replayed what the leader has written by now: a copy holds what was acknowledged."""
    leader = _patroni.leader_of(patroni.first_answer("/cluster") or {"members": []})
    wanted = _patroni_backup.position(patroni.call(leader, "GET", "/patroni")[1]) if leader else 0
    deadline = time.monotonic() + module.params["timeout_seconds"]
    while (reached := _patroni_backup.position(patroni.call(module.params["name"], "GET", "/patroni")[1])) < wanted:
        if time.monotonic() > deadline:
            behind = wanted - reached
            refuse(module, f"it is still {behind} bytes behind its leader after {module.params['timeout_seconds']} s")
        time.sleep(0.5)


def copy(module: AnsibleModule, place: Path) -> None:
    """Copy the live cluster, and read the copy again."""
    params = module.params
    address = next(member["address"] for member in params["members"] if member["name"] == params["name"])
    environment = {
        "PGPASSWORD": params["replication_password"],
        "PGSSLMODE": "verify-full",
        "PGSSLROOTCERT": params["ca_file"],
        "PGSSLCERT": params["certificate_file"],
        "PGSSLKEY": params["key_file"],
        "PGCONNECT_TIMEOUT": "10",
    }
    command = [f"{params['bin_directory']}/pg_basebackup", f"--pgdata={place}", "--format=plain", "--wal-method=stream"]
    command += ["--checkpoint=fast", "--manifest-checksums=SHA256", f"--label={params['tag']}", "--no-password"]
    command += [f"--host={address}", f"--port={params['postgresql_port']}", f"--username={params['replication_user']}"]
    code, _, error = module.run_command(command, environ_update=environment)
    if code != 0:
        refuse(module, f"pg_basebackup failed: {error.strip().splitlines()[-1:] or code}")
    code, output, error = module.run_command([f"{params['bin_directory']}/pg_verifybackup", "--quiet", str(place)])
    if code != 0:
        refuse(module, f"the copy is not what the server sent: {(error or output).strip().splitlines()[:1] or code}")


def manifest(module: AnsibleModule, data: Path) -> dict[str, Any]:
    """Return what the copy in ``data`` says of itself."""
    params = module.params
    _, control, _ = module.run_command([f"{params['bin_directory']}/pg_controldata", str(data)], check_rc=True)
    return {
        "tag": params["tag"],
        "cluster": params["cluster"],
        "name": params["name"],
        "version": (data / "PG_VERSION").read_text(encoding="utf-8").strip(),
        "system_identifier": _patroni_backup.system_identifier(control),
        **_patroni_backup.log_range(json.loads((data / "backup_manifest").read_text(encoding="utf-8"))),
        "bytes": _backup_directory.size(data),
    }


def main() -> None:
    """Run the module."""
    module = AnsibleModule(
        argument_spec={
            **_patroni_rest.ARGUMENTS,
            "cluster": {"type": "str", "required": True},
            "tag": {"type": "str", "required": True},
            "directory": {"type": "path", "required": True},
            "data_directory": {"type": "path", "required": True},
            "bin_directory": {"type": "path", "required": True},
            "kept": {"type": "int", "default": 3},
            "candidates": {"type": "list", "elements": "str", "required": True},
            "postgresql_port": {"type": "int", "default": 5432},
            "replication_user": {"type": "str", "required": True},
            "replication_password": {"type": "str", "required": True, "no_log": True},
            "timeout_seconds": {"type": "int", "default": 60},
        },
        supports_check_mode=True,
    )
    name, tag = module.params["name"], module.params["tag"]
    if not _backup.is_tag(tag):
        module.fail_json(msg=f"PostgreSQL: {tag} is no tag such as zerospof-20261125T063000Z")
    patroni = _patroni_rest.Patroni(module)
    source = find_source(module, patroni) if module.check_mode else name
    backups = _backup_directory.BackupDirectory(module, f"PostgreSQL on {name}")
    removed = backups.expired(module.params["kept"])
    said: dict[str, Any] = {}
    if backups.is_new and source == name:
        data = Path(module.params["data_directory"])
        # The log is that of the time of the copy, not what is kept for members that are away.
        size = _backup_directory.size(data) - _backup_directory.size(data / "pg_wal")
        backups.check_room(_patroni_backup.needed(size))
        if not module.check_mode:
            wait_for_leader_position(module, patroni)
            with backups.begun() as place:
                copy(module, place / "data")
                said = manifest(module, place / "data")
                _backup_directory.write_manifest(place, said)
    if not module.check_mode:
        backups.remove(removed)
    module.exit_json(
        changed=backups.is_new or bool(removed), source=source, path=str(backups.backup), manifest=said, removed=removed
    )


if __name__ == "__main__":
    main()
