#!/usr/bin/python
# Copyright: (c) 2026, The zerospof.temporal maintainers
# Apache License 2.0 (see LICENSE or https://www.apache.org/licenses/LICENSE-2.0)
"""Ansible module: a copy of a snapshot of a node of Cassandra, with what is needed to put it back."""

from __future__ import annotations

DOCUMENTATION = r"""
module: cassandra_backup
short_description: Copy a snapshot of this node, with its schema and its place in the ring, to a directory
version_added: 0.1.0
author: The zerospof.temporal maintainers (@zerospof)
description:
  - Makes O(directory)C(/TAG) with C(data.tar) (the files of all tables, the node's own among them), C(schema.cql),
    C(manifest.json) (name, address, tokens, ring, release) and C(SHA256SUMS). It has this name when it is complete.
attributes:
  check_mode:
    description: Can run in check mode and report what would change.
    support: full
  diff_mode:
    description: There is no text to compare.
    support: none
options:
  name:
    description: Name of the node of this host.
    type: str
    required: true
  tag:
    description: Name of a snapshot that M(zerospof.temporal.cassandra_snapshot) took.
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
  kept:
    description: Number of backups to keep.
    type: int
    default: 3
extends_documentation_fragment: zerospof.temporal.cassandra
seealso:
  - module: zerospof.temporal.cassandra_restore
"""

EXAMPLES = r"""
- name: The snapshot is on another disk
  zerospof.temporal.cassandra_backup:
    name: cassandra-a
    tag: zerospof-20261125T063000Z
    directory: /mnt/backups/cassandra-a
    data_directory: /var/lib/cassandra/data
    addresses: [192.0.2.11]
    login_user: administrator
    login_password: "{{ temporal_secrets.cassandra_superuser }}"
    ca_file: /etc/cassandra/tls/ca.crt
    cert_file: /etc/cassandra/tls/cassandra.crt
    key_file: /etc/cassandra/tls/cassandra.key
"""

RETURN = r"""
path:
  description: Directory of the backup.
  returned: success
  type: str
bytes:
  description: Size of the files of the tables.
  returned: success
  type: int
removed:
  description: Backups that were too many.
  returned: success
  type: list
  elements: str
"""

from pathlib import Path
from typing import TYPE_CHECKING, Any

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.zerospof.temporal.plugins.module_utils import _backup_directory, _cassandra_client

if TYPE_CHECKING:
    from cassandra.cluster import Session

FILES = ("data.tar", "manifest.json", "schema.cql")


def manifest(session: Session, name: str, tag: str) -> dict[str, Any]:
    """Return what the node says of itself and of its ring."""
    columns = "broadcast_address, cluster_name, data_center, rack, host_id, tokens, release_version"
    [mine] = _cassandra_client.rows(session, f"SELECT {columns} FROM system.local")
    peers = _cassandra_client.rows(session, "SELECT peer FROM system.peers_v2")
    return {
        "tag": tag,
        "name": name,
        "address": str(mine.broadcast_address),
        "cluster": mine.cluster_name,
        "datacenter": mine.data_center,
        "rack": mine.rack,
        "host_id": str(mine.host_id),
        "tokens": sorted(mine.tokens, key=int),
        "ring": sorted([str(mine.broadcast_address), *(str(row.peer) for row in peers)]),
        "version": mine.release_version,
    }


def write(module: AnsibleModule, place: Path, snapshots: list[Path], session: Session) -> None:
    """Write all files of the backup into ``place``."""
    tag, tables = module.params["tag"], module.params["data_directory"]
    said = manifest(session, module.params["name"], tag)
    _backup_directory.write_manifest(place, said)
    # With the ids of the tables, which are part of the names of their directories.
    schema = _cassandra_client.rows(session, "DESCRIBE SCHEMA WITH INTERNALS")
    (place / "schema.cql").write_text("".join(f"{row.create_statement}\n\n" for row in schema), encoding="utf-8")
    command = ["tar", "--create", f"--file={place / 'data.tar'}", f"--directory={tables}"]
    # In the archive the files stand where the node has its own.
    command += ["--exclude=manifest.json", "--exclude=schema.cql", f"--transform=s,/snapshots/{tag},,"]
    module.run_command([*command, *(str(path.relative_to(tables)) for path in snapshots)], check_rc=True)
    _, sums, _ = module.run_command(["sha256sum", *FILES], cwd=str(place), check_rc=True)
    (place / "SHA256SUMS").write_text(sums, encoding="utf-8")


def main() -> None:
    """Run the module."""
    module = AnsibleModule(
        argument_spec={
            **_cassandra_client.ARGUMENTS,
            "name": {"type": "str", "required": True},
            "tag": {"type": "str", "required": True},
            "directory": {"type": "path", "required": True},
            "data_directory": {"type": "path", "required": True},
            "kept": {"type": "int", "default": 3},
        },
        supports_check_mode=True,
    )
    tag, name = module.params["tag"], module.params["name"]
    backups = _backup_directory.BackupDirectory(module, f"cassandra on {name}")
    snapshots = sorted(Path(module.params["data_directory"]).glob(f"*/*/snapshots/{tag}"))
    removed = backups.expired(module.params["kept"])
    size = sum(_backup_directory.size(snapshot) for snapshot in snapshots)
    if not module.check_mode:
        if backups.is_new:
            if not snapshots:
                module.fail_json(msg=f"cassandra on {name}: there is no snapshot {tag}")
            backups.check_room(size)
            with backups.begun() as place, _cassandra_client.connection(module) as session:
                write(module, place, snapshots, session)
        backups.remove(removed)
    module.exit_json(changed=backups.is_new or bool(removed), path=str(backups.backup), bytes=size, removed=removed)


if __name__ == "__main__":
    main()
