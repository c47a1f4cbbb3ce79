#!/usr/bin/python
# Copyright: (c) 2026, The zerospof.temporal maintainers
# Apache License 2.0 (see LICENSE or https://www.apache.org/licenses/LICENSE-2.0)
"""Ansible module: how often the keyspaces of Cassandra keep their rows, and where."""

from __future__ import annotations

DOCUMENTATION = r"""
module: cassandra_keyspaces
short_description: Keyspaces exist and keep as many copies in each data centre as described
version_added: 0.1.0
author: The zerospof.temporal maintainers (@zerospof)
description:
  - Makes keyspaces and tables that are missing, and changes the replication of keyspaces that differ. Never drops one,
    and never changes a table that is there.
  - A keyspace whose copies became more, or moved, answers wrongly until it is repaired; RV(repair_needed) names it.
attributes:
  check_mode:
    description: Can run in check mode; where no node answers yet it says that all would be made.
    support: full
  diff_mode:
    description: Shows the replication before and after.
    support: full
options:
  keyspaces:
    description: The keyspaces.
    type: list
    elements: dict
    required: true
    suboptions:
      name:
        description: Name of the keyspace.
        type: str
        required: true
      replication:
        description: Number of copies by data centre, for NetworkTopologyStrategy.
        type: dict
        required: true
      tables:
        description: Columns and primary key of tables by name, as CQL.
        type: dict
        default: {}
  bootstrap:
    description: Whether to log in as the user with which a new ring begins when O(login_user) does not exist yet.
    type: bool
    default: false
extends_documentation_fragment: zerospof.temporal.cassandra
"""

EXAMPLES = r"""
- name: Temporal has its keyspace
  zerospof.temporal.cassandra_keyspaces:
    addresses: [192.0.2.11]
    login_user: administrator
    login_password: "{{ temporal_secrets.cassandra_superuser }}"
    ca_file: /etc/cassandra/tls/ca.crt
    cert_file: /etc/cassandra/tls/cassandra.crt
    key_file: /etc/cassandra/tls/cassandra.key
    keyspaces:
      - {name: temporal, replication: {dc1: 3}}
"""

RETURN = r"""
repair_needed:
  description: Keyspaces that existed and whose replication was changed.
  returned: success
  type: list
  elements: str
"""

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.zerospof.temporal.plugins.module_utils import _cassandra, _cassandra_client


def main() -> None:
    """Run the module."""
    module = AnsibleModule(
        argument_spec={
            **_cassandra_client.ARGUMENTS,
            "keyspaces": {
                "type": "list",
                "elements": "dict",
                "required": True,
                "options": {
                    "name": {"type": "str", "required": True},
                    "replication": {"type": "dict", "required": True},
                    "tables": {"type": "dict", "default": {}},
                },
            },
            "bootstrap": {"type": "bool", "default": False},
        },
        supports_check_mode=True,
    )
    wanted = {row["name"]: _cassandra.replication(row["replication"]) for row in module.params["keyspaces"]}
    missing = {
        (row["name"], table): columns for row in module.params["keyspaces"] for table, columns in row["tables"].items()
    }
    present: dict[str, dict[str, str]] = {}
    with _cassandra_client.connection(module) as session:
        if session is not None:
            query = "SELECT keyspace_name, replication FROM system_schema.keyspaces"
            present = {row.keyspace_name: dict(row.replication) for row in _cassandra_client.rows(session, query)}
            query = "SELECT keyspace_name, table_name FROM system_schema.tables"
            for row in _cassandra_client.rows(session, query):
                missing.pop((row.keyspace_name, row.table_name), None)
        changes = {name: after for name, after in wanted.items() if present.get(name) != after}
        if session is not None and not module.check_mode:
            for name, after in changes.items():
                verb = "ALTER" if name in present else "CREATE"
                settings = ", ".join(
                    f"{_cassandra_client.literal(key)}: {_cassandra_client.literal(value)}"
                    for key, value in after.items()
                )
                session.execute(
                    f"{verb} KEYSPACE {_cassandra_client.identifier(name)} WITH replication = {{{settings}}}"
                )
            for path, columns in missing.items():
                table = ".".join(_cassandra_client.identifier(part) for part in path)
                session.execute(f"CREATE TABLE {table} ({columns})")
    module.exit_json(
        changed=bool(changes or missing),
        repair_needed=[name for name in changes if name in present],
        diff=[
            {
                "before_header": f"keyspace {name}",
                "after_header": f"keyspace {name}",
                "before": f"{present.get(name, 'none')}\n",
                "after": f"{after}\n",
            }
            for name, after in changes.items()
        ]
        + [
            {"after_header": f"table {'.'.join(path)}", "before": "", "after": f"{columns}\n"}
            for path, columns in missing.items()
        ],
    )


if __name__ == "__main__":
    main()
