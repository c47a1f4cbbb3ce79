#!/usr/bin/python
# Copyright: (c) 2026, The zerospof.temporal maintainers
# Apache License 2.0 (see LICENSE or https://www.apache.org/licenses/LICENSE-2.0)
"""Ansible module: how a node of Cassandra comes into its ring."""

from __future__ import annotations

DOCUMENTATION = r"""
module: cassandra_member
short_description: Decide how a Cassandra node starts for the first time
version_added: 0.1.0
author: The zerospof.temporal maintainers (@zerospof)
description:
  - A ring is founded only where no node can hold the data of one. A node without data joins the live ring, or replaces
    the dead node that had its address.
  - Fails when a ring may exist and does not answer, when another node is down, when a live node has the address, or
    when a host that was in a ring would found one.
  - Changes nothing; the answer is for the first start of the node.
extends_documentation_fragment: zerospof.temporal.reads_only
options:
  name:
    description: Name of the node in the inventory.
    type: str
    required: true
  address:
    description: Address of the node.
    type: str
    required: true
  has_data:
    description: Whether the node has system tables.
    type: bool
    required: true
  has_commit_log:
    description: Whether the node has segments of a commit log.
    type: bool
    default: false
  unfinished:
    description: Whether the node was told how to start and has not served since.
    type: bool
    required: true
  was_in_ring:
    description: Whether the host has the record of a ring that M(zerospof.temporal.cassandra_cleanup) keeps.
    type: bool
    default: false
  established_members:
    description: Other nodes that may hold the data of a ring, because they have some or were not looked at.
    type: list
    elements: str
    default: []
  statuses:
    description: What C(nodetool status) printed on those of them that answer.
    type: list
    elements: str
    default: []
seealso:
  - module: zerospof.temporal.etcd_member
"""

EXAMPLES = r"""
- name: How this node starts is known
  zerospof.temporal.cassandra_member:
    name: cassandra-c
    address: 192.0.2.13
    has_data: false
    unfinished: false
    established_members: [cassandra-a, cassandra-b]
    statuses: ["{{ status_on_cassandra_a.stdout }}"]
  register: member
"""

RETURN = r"""
action:
  description: What the node does at its next start; V(stay), V(found), V(join) or V(replace).
  returned: success
  type: str
"""

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.zerospof.temporal.plugins.module_utils import _cassandra


def main() -> None:
    """Run the module."""
    module = AnsibleModule(
        argument_spec={
            "name": {"type": "str", "required": True},
            "address": {"type": "str", "required": True},
            "has_data": {"type": "bool", "required": True},
            "has_commit_log": {"type": "bool", "default": False},
            "unfinished": {"type": "bool", "required": True},
            "was_in_ring": {"type": "bool", "default": False},
            "established_members": {"type": "list", "elements": "str", "default": []},
            "statuses": {"type": "list", "elements": "str", "default": []},
        },
        supports_check_mode=True,
    )
    parameters = module.params
    rings = [ring for text in parameters["statuses"] if (ring := _cassandra.parse_status(text))]
    try:
        action = _cassandra.plan(
            parameters["name"],
            parameters["address"],
            has_data=parameters["has_data"],
            has_commit_log=parameters["has_commit_log"],
            is_unfinished=parameters["unfinished"],
            was_in_ring=parameters["was_in_ring"],
            established=[name for name in parameters["established_members"] if name != parameters["name"]],
            ring=rings[0] if rings else None,
        )
    except _cassandra.RefusalError as refusal:
        module.fail_json(msg=str(refusal))
    module.exit_json(changed=False, action=action)


if __name__ == "__main__":
    main()
