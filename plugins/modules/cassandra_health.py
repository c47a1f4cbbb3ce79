#!/usr/bin/python
# Copyright: (c) 2026, The zerospof.temporal maintainers
# Apache License 2.0 (see LICENSE or https://www.apache.org/licenses/LICENSE-2.0)
"""Ansible module: whether a node of Cassandra sees its whole ring, and the ring agrees."""

from __future__ import annotations

DOCUMENTATION = r"""
module: cassandra_health
short_description: Wait until the ring of Cassandra is whole, or fail with the reason
version_added: 0.1.0
author: The zerospof.temporal maintainers (@zerospof)
description:
  - The node of this host sees exactly the nodes of the inventory, all up, settled, in their racks and of one schema; it
    accepts the login, and a serial read through it reaches a quorum.
  - The ring keeps the copies that it is to keep, and every node holds those that it got last. With fewer of them all
    nodes may be up, and the loss of one is a loss of data all the same.
  - Changes nothing.
options:
  name:
    description: Name of the node of this host.
    type: str
    required: true
  keyspaces:
    description:
      - Number of copies by data centre, for NetworkTopologyStrategy, by the name of the keyspace.
      - A keyspace that keeps more of them is in order.
    type: dict
  repairs_table:
    description: Table in which each node notes, under its name, the change of copies after which it has repaired.
    type: str
  timeout_seconds:
    description: Time that the ring has to become whole.
    type: int
    default: 120
extends_documentation_fragment:
  - zerospof.temporal.reads_only
  - zerospof.temporal.cassandra
  - zerospof.temporal.cassandra_members
"""

EXAMPLES = r"""
- name: The ring is whole
  zerospof.temporal.cassandra_health:
    name: cassandra-a
    members: "{{ cassandra_members }}"
    keyspaces: {temporal: {dc1: 3}}
    repairs_table: zerospof.repairs
    addresses: [192.0.2.11]
    login_user: administrator
    login_password: "{{ temporal_secrets.cassandra_superuser }}"
    ca_file: /etc/cassandra/tls/ca.crt
    cert_file: /etc/cassandra/tls/cassandra.crt
    key_file: /etc/cassandra/tls/cassandra.key
"""

RETURN = r"""
attempts:
  description: How often the ring was asked.
  returned: success
  type: int
"""

import contextlib
import socket
import time
from typing import TYPE_CHECKING

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.zerospof.temporal.plugins.module_utils import _cassandra, _cassandra_client

if TYPE_CHECKING:
    from cassandra.cluster import Session

PAUSE_SECONDS = 2


def wait_for_port(module: AnsibleModule, deadline: float) -> None:
    """Wait until clients can connect or ``deadline``, a time of the monotonic clock in seconds, has passed.

    A node starts within a minute or so. Each question to it by nodetool starts a virtual machine, a connection nothing.
    """
    address = (module.params["addresses"][0], module.params["port"])
    while time.monotonic() < deadline:
        with contextlib.suppress(OSError), socket.create_connection(address, timeout=PAUSE_SECONDS):
            return
        time.sleep(PAUSE_SECONDS)


def problems(module: AnsibleModule) -> list[str]:
    """Return what is wrong with the ring now."""
    code, output, error = module.run_command(["nodetool", "status"])
    if code != 0:
        reason = (error or output).strip().splitlines() or [f"exit code {code}"]
        return [f"{module.params['name']} does not run: {reason[-1]}"]
    ring = _cassandra.parse_status(output)
    schemas: dict[str, str] = {}
    copies: list[str] = []
    try:
        with _cassandra_client.session(module) as session:
            rows = [
                *_cassandra_client.rows(session, "SELECT rpc_address AS address, schema_version FROM system.local"),
                *_cassandra_client.rows(session, "SELECT peer AS address, schema_version FROM system.peers_v2"),
            ]
            schemas = {str(row.address): str(row.schema_version) for row in rows}
            # A down node keeps the version that it had.
            schemas = {node.address: schemas[node.address] for node in ring if node.is_up and node.address in schemas}
            _cassandra_client.serial_read(session, module.params["login_user"])
            copies = problems_of_copies(module, session) if module.params["keyspaces"] else []
    except _cassandra_client.LoginError as error:
        return [str(error)]
    except _cassandra_client.UnreachableError as error:
        return [f"{module.params['name']} answers no client: {error}"]
    except (_cassandra_client.DriverException, _cassandra_client.NoHostAvailable) as error:
        return [*_cassandra.ring_problems(module.params["members"], ring, schemas), f"no quorum: {error}"]
    return [*_cassandra.ring_problems(module.params["members"], ring, schemas), *copies]


def problems_of_copies(module: AnsibleModule, session: Session) -> list[str]:
    """Return which copies of rows there are too few of, or are not filled yet."""
    table = _cassandra_client.table_named(module.params["repairs_table"])
    repairs = _cassandra_client.repairs(session, table, _cassandra_client.tables(session))
    due = _cassandra.unrepaired([member["name"] for member in module.params["members"]], repairs)
    return _cassandra.copies_problems(module.params["keyspaces"], _cassandra_client.replications(session), due)


def main() -> None:
    """Run the module."""
    module = AnsibleModule(
        argument_spec={
            **_cassandra_client.ARGUMENTS,
            "name": {"type": "str", "required": True},
            "members": _cassandra_client.MEMBERS,
            "keyspaces": {"type": "dict"},
            "repairs_table": {"type": "str"},
            "timeout_seconds": {"type": "int", "default": 120},
        },
        required_together=[("keyspaces", "repairs_table")],
        supports_check_mode=True,
    )
    _cassandra_client.require_library(module)
    deadline = time.monotonic() + module.params["timeout_seconds"]
    wait_for_port(module, deadline)
    attempts = 1
    while found := problems(module):
        if time.monotonic() > deadline:
            module.fail_json(msg=f"cassandra on {module.params['name']}: {'; '.join(found)}")
        time.sleep(PAUSE_SECONDS)
        attempts += 1
    module.exit_json(changed=False, attempts=attempts)


if __name__ == "__main__":
    main()
