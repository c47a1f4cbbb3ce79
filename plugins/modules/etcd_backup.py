#!/usr/bin/python
# Copyright: (c) 2026, The zerospof.temporal maintainers
# Apache License 2.0 (see LICENSE or https://www.apache.org/licenses/LICENSE-2.0)
"""Ansible module: a verified snapshot of an etcd ring."""

from __future__ import annotations

DOCUMENTATION = r"""
module: etcd_backup
short_description: Keep a verified snapshot of the ring in a directory
version_added: 0.1.0
author: The zerospof.temporal maintainers (@zerospof)
description:
  - Makes O(directory)C(/TAG) with C(snapshot.db) and C(manifest.json) (cluster, members, release, revision, checksums).
    It has this name when it is complete and etcd has read it again.
  - The snapshot is the one of this host's member, which first proves that it holds all that the ring has acknowledged.
    Any member will do; one is enough.
extends_documentation_fragment:
  - zerospof.temporal.etcd
attributes:
  check_mode:
    description: Can run in check mode and report what would change.
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
  kept:
    description: Number of backups to keep; those with names of another form are left alone.
    type: int
    default: 3
seealso:
  - module: zerospof.temporal.etcd_restore
"""

EXAMPLES = r"""
- name: A snapshot of the ring is on another disk
  zerospof.temporal.etcd_backup:
    name: db-a
    members:
      - {name: db-a, address: 192.0.2.31}
      - {name: db-b, address: 192.0.2.32}
      - {name: db-c, address: 192.0.2.33}
    cluster: temporal
    tag: "zerospof-{{ now(utc=true, fmt='%Y%m%dT%H%M%SZ') }}"
    directory: /mnt/backups/etcd
    ca_file: /etc/etcd/tls/ca.crt
    certificate_file: /etc/etcd/tls/etcd.crt
    key_file: /etc/etcd/tls/etcd.key
"""

RETURN = r"""
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

from pathlib import Path
from typing import Any

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.zerospof.temporal.plugins.module_utils import _backup, _backup_directory, _etcdctl


def write(module: AnsibleModule, client: _etcdctl.Etcdctl, place: Path, version: str) -> dict[str, Any]:
    """Write all files of the backup into ``place``, and return its manifest."""
    name, snapshot = module.params["name"], place / _etcdctl.SNAPSHOT
    code, _, reason = client.run(
        "snapshot", "save", str(snapshot), endpoints=[client.own_endpoint()], timeout=_etcdctl.SNAPSHOT_TIMEOUT
    )
    if code != 0:
        module.fail_json(msg=f"etcd on {name}: there is no snapshot: {reason}")
    snapshot.chmod(0o600)
    code, status, reason = client.offline("snapshot", "status", str(snapshot))
    if code != 0 or not status:
        module.fail_json(msg=f"etcd on {name}: the snapshot cannot be read: {reason}")
    manifest = {
        "tag": module.params["tag"],
        "cluster": module.params["cluster"],
        "name": name,
        "members": sorted(member["name"] for member in client.ring() or []),
        "version": version,
        "revision": status["revision"],
        "hash": status["hash"],
        "keys": status["totalKey"],
        "bytes": snapshot.stat().st_size,
        "sha256": module.sha256(str(snapshot)),
    }
    _backup_directory.write_manifest(place, manifest)
    return manifest


def main() -> None:
    """Run the module."""
    module = AnsibleModule(
        argument_spec={
            **_etcdctl.ARGUMENTS,
            "cluster": {"type": "str", "required": True},
            "tag": {"type": "str", "required": True},
            "directory": {"type": "path", "required": True},
            "kept": {"type": "int", "default": 3},
        },
        supports_check_mode=True,
    )
    name, tag = module.params["name"], module.params["tag"]
    if not _backup.is_tag(tag):
        module.fail_json(msg=f"etcd: {tag} is no tag such as zerospof-20261125T063000Z")
    backups = _backup_directory.BackupDirectory(module, f"etcd on {name}")
    removed = backups.expired(module.params["kept"])
    client = _etcdctl.Etcdctl(module)
    manifest: dict[str, Any] = {}
    if backups.is_new and client.is_installed:
        own = [client.own_endpoint()]
        # Health is a read that a quorum confirms: from here on the member has what was acknowledged before.
        _, healths, reason = client.run("endpoint", "health", endpoints=own)
        _, statuses, _ = client.run("endpoint", "status", endpoints=own)
        health = healths[0] if healths else {"error": reason}
        if not health.get("health") or not statuses:
            reason = health.get("error") or "it does not say how it is"
            module.fail_json(msg=f"etcd on {name}: it does not serve, so it has nothing to copy: {reason}")
        status = statuses[0]["Status"]
        backups.check_room(status["dbSize"])
        if not module.check_mode:
            with backups.begun() as place:
                manifest = write(module, client, place, status["version"])
    elif backups.is_new and not module.check_mode:
        module.fail_json(msg=f"etcd on {name}: etcdctl is not installed; run the role first")
    if not module.check_mode:
        backups.remove(removed)
    module.exit_json(
        changed=backups.is_new or bool(removed), path=str(backups.backup), manifest=manifest, removed=removed
    )


if __name__ == "__main__":
    main()
