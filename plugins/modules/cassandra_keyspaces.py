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
  - A keyspace whose copies became more, or moved, answers wrongly until it is repaired. In a ring that serves, copies
    become one more or one less at a time, which no quorum notices, and the next step waits until every node has
    repaired; RV(repair_due) names those that have not, and RV(is_final) tells whether steps are left. The ring itself
    remembers it, in O(repairs_table), so a run that was interrupted is gone on with.
  - No step begins unless every node of O(members) is up and one of O(repairing).
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
  repairs_table:
    description: Table in which each node notes, under its name, the change of copies after which it has repaired.
    type: str
    required: true
  repairing:
    description: Names of the nodes that are going to repair when they are named in RV(repair_due).
    type: list
    elements: str
    required: true
  bootstrap:
    description: Whether to log in as the user with which a new ring begins when O(login_user) does not exist yet.
    type: bool
    default: false
  bootstrap_timeout_seconds:
    description: How long to wait for that user, which a new ring makes some seconds after its last node has come.
    type: int
    default: 0
extends_documentation_fragment:
  - zerospof.temporal.cassandra
  - zerospof.temporal.cassandra_members
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
    members: "{{ cassandra_members }}"
    keyspaces:
      - {name: temporal, replication: {dc1: 3}}
    repairs_table: zerospof.repairs
    repairing: "{{ ansible_play_hosts }}"
"""

RETURN = r"""
repair_needed:
  description: Keyspaces of a new ring whose replication was changed; they have to be repaired at once.
  returned: success
  type: list
  elements: str
repair_due:
  description: Names of the nodes that have not repaired since copies were last added or taken away.
  returned: success
  type: list
  elements: str
is_final:
  description: Whether every keyspace has the replication that is asked for.
  returned: success
  type: bool
"""

import uuid
from typing import TYPE_CHECKING

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.zerospof.temporal.plugins.module_utils import _cassandra, _cassandra_client

if TYPE_CHECKING:
    from cassandra.cluster import Session

Replications = dict[str, dict[str, str]]

USERS = "system_auth"


def require_every_node(module: AnsibleModule) -> None:
    """Refuse to change how often a ring that serves keeps its rows unless all nodes are up and about to repair."""
    members = module.params["members"]
    away = sorted({member["name"] for member in members} - set(module.params["repairing"]))
    if away:
        module.fail_json(
            msg=f"cassandra_replication_factor: nothing was changed: every node has to repair when copies are added or "
            f"taken away, and {', '.join(away)} {'are' if len(away) > 1 else 'is'} not in this run; leave out --limit"
        )
    ring = _cassandra.parse_status(module.run_command(["nodetool", "status"], check_rc=True)[1])
    problems = _cassandra.ring_problems(members, ring, {})
    if problems:
        module.fail_json(
            msg=f"cassandra_replication_factor: nothing was changed: the ring is not whole, {'; '.join(problems)}"
        )


def replicate(session: Session, changes: Replications, present: Replications) -> None:
    """Make keyspaces that are missing, and change the replication of the others."""
    for name, after in changes.items():
        verb = "ALTER" if name in present else "CREATE"
        settings = ", ".join(
            f"{_cassandra_client.literal(key)}: {_cassandra_client.literal(value)}" for key, value in after.items()
        )
        _cassandra_client.change_schema(
            session, f"{verb} KEYSPACE {_cassandra_client.identifier(name)} WITH replication = {{{settings}}}"
        )


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
            "members": _cassandra_client.MEMBERS,
            "repairs_table": {"type": "str", "required": True},
            "repairing": {"type": "list", "elements": "str", "required": True},
            "bootstrap": {"type": "bool", "default": False},
            **_cassandra_client.BOOTSTRAP,
        },
        supports_check_mode=True,
    )
    wanted = {row["name"]: _cassandra.replication(row["replication"]) for row in module.params["keyspaces"]}
    missing: dict[_cassandra_client.Table, str] = {
        (row["name"], table): columns for row in module.params["keyspaces"] for table, columns in row["tables"].items()
    }
    repairs = _cassandra_client.table_named(module.params["repairs_table"])
    nodes = [member["name"] for member in module.params["members"]]
    present: Replications = {}
    steps: Replications = {}
    due: list[str] = []
    with _cassandra_client.connection(module) as session:
        if session is not None:
            present = _cassandra_client.replications(session)
            tables = _cassandra_client.tables(session)
            missing = {table: columns for table, columns in missing.items() if table not in tables}
            due = _cassandra.unrepaired(nodes, _cassandra_client.repairs(session, repairs, tables))
        changes = {name: after for name, after in wanted.items() if present.get(name) != after}
        steps = {
            name: _cassandra.next_replication(present[name], after)
            for name, after in changes.items()
            if name in present and _cassandra.keeps_rows_by_topology(present[name])
        }
        reached = present
        at_once = {name: after for name, after in changes.items() if name not in steps}
        new = {name: after for name, after in at_once.items() if name not in present}
        # Users come last: those who read them where they are to be, and are not yet, find that nobody may do anything.
        others = sorted(at_once.keys() - new.keys(), key=lambda name: (name == USERS, name))
        if session is not None and not module.check_mode:
            takes_a_step = steps and not due
            if takes_a_step:
                require_every_node(module)
            replicate(session, new, present)
            for table, columns in missing.items():
                _cassandra_client.change_schema(session, f"CREATE TABLE {_cassandra_client.quoted(table)} ({columns})")
            if takes_a_step:
                # Before the change: one that is noted and did not happen costs a repair, and not rows.
                session.execute(
                    f"INSERT INTO {_cassandra_client.quoted(repairs)} (name, generation) VALUES (%s, %s)",
                    (_cassandra.THE_RING, str(uuid.uuid4())),
                )
                replicate(session, steps, present)
                reached = present | steps
                due = sorted(nodes)
            replicate(session, {name: at_once[name] for name in others}, present)
    module.exit_json(
        changed=bool(changes or missing),
        repair_needed=[name for name in at_once if name in present],
        repair_due=due,
        is_final=not any(reached[name] != wanted[name] for name in steps),
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
            {"after_header": f"table {'.'.join(table)}", "before": "", "after": f"{columns}\n"}
            for table, columns in missing.items()
        ],
    )


if __name__ == "__main__":
    main()
