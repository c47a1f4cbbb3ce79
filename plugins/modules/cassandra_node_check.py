#!/usr/bin/python
# Copyright: (c) 2026, The zerospof.temporal maintainers
# Apache License 2.0 (see LICENSE or https://www.apache.org/licenses/LICENSE-2.0)
"""Ansible module: what a host holds of a ring of Cassandra, and whether its settings fit that."""

from __future__ import annotations

DOCUMENTATION = r"""
module: cassandra_node_check
short_description: Tell what a host holds of a ring of Cassandra, and refuse settings that it cannot have
version_added: 0.1.0
author: The zerospof.temporal maintainers (@zerospof)
description:
  - Fails when the nodes cannot hold the copies that are wanted.
  - Fails when the node of this host lives in a ring with another number of tokens, another data centre or another rack
    than the settings say. Cassandra would refuse to start with them, which is seen at the next restart only.
  - Changes nothing.
extends_documentation_fragment:
  - zerospof.temporal.reads_only
  - zerospof.temporal.cassandra_members
options:
  name:
    description: Name of the node of this host.
    type: str
    required: true
  data:
    description: Directory of its system tables; a node without has no data.
    type: path
    required: true
  first_start:
    description: File that is there from when the node was told how to start for the first time until it has served.
    type: path
    required: true
  datacenter:
    description: Name of the data centre.
    type: str
    required: true
  replication_factor:
    description: Copies of every row.
    type: int
    required: true
  tokens_per_node:
    description: Tokens of each node.
    type: int
    required: true
seealso:
  - module: zerospof.temporal.cassandra_member
"""

EXAMPLES = r"""
- name: What this host holds of a ring is known
  zerospof.temporal.cassandra_node_check:
    name: cassandra-a
    members: "{{ cassandra_members }}"
    data: /var/lib/cassandra/data/system
    first_start: /etc/cassandra/first_start.env
    datacenter: dc1
    replication_factor: 3
    tokens_per_node: 16
  register: node
"""

RETURN = r"""
has_data:
  description: Whether the node has system tables.
  returned: success
  type: bool
is_unfinished:
  description: Whether the node was told how to start and has not served since.
  returned: success
  type: bool
is_finished:
  description: Whether the node has data and has served.
  returned: success
  type: bool
"""

from pathlib import Path

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.zerospof.temporal.plugins.module_utils import _cassandra, _cassandra_client, _systemd


def problems(module: AnsibleModule) -> list[str]:
    """Return why the node must not get its settings."""
    wanted = module.params
    members = wanted["members"]
    names = [member["name"] for member in members]
    racks = {_cassandra.rack_of(member) for member in members}
    found = [_cassandra.replication_problem(wanted["replication_factor"], names, racks)]
    if _systemd.is_active(module, "cassandra.service"):
        # A node that does not tell is on its way up; it is judged when it has come.
        ring = _cassandra.parse_status(module.run_command(["nodetool", "status"])[1])
        mine = next(member for member in members if member["name"] == wanted["name"])
        found += _cassandra.lifelong_problems(mine, wanted["datacenter"], wanted["tokens_per_node"], ring)
    return [problem for problem in found if problem]


def main() -> None:
    """Run the module."""
    module = AnsibleModule(
        argument_spec={
            "name": {"type": "str", "required": True},
            "members": _cassandra_client.MEMBERS,
            "data": {"type": "path", "required": True},
            "first_start": {"type": "path", "required": True},
            "datacenter": {"type": "str", "required": True},
            "replication_factor": {"type": "int", "required": True},
            "tokens_per_node": {"type": "int", "required": True},
        },
        supports_check_mode=True,
    )
    if found := problems(module):
        module.fail_json(msg=f"cassandra on {module.params['name']}: {'; '.join(found)}")
    has_data = Path(module.params["data"]).exists()
    is_unfinished = Path(module.params["first_start"]).exists()
    module.exit_json(
        changed=False, has_data=has_data, is_unfinished=is_unfinished, is_finished=has_data and not is_unfinished
    )


if __name__ == "__main__":
    main()
