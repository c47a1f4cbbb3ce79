#!/usr/bin/python
# Copyright: (c) 2026, The zerospof.temporal maintainers
# Apache License 2.0 (see LICENSE or https://www.apache.org/licenses/LICENSE-2.0)
"""Ansible module: the nodes of a live Cassandra ring with their tokens, and what their loss would take."""

from __future__ import annotations

DOCUMENTATION = r"""
module: cassandra_ring_info
short_description: Tell which nodes of a live Cassandra ring can be lost
version_added: 0.1.0
author: The zerospof.temporal maintainers (@zerospof)
description:
  - Reads the tokens and racks of all nodes, and how many copies a keyspace keeps, from one node; changes nothing.
  - Judges the loss of nodes, of sets of nodes and of zones, in addition to the nodes in O(down), at LOCAL_QUORUM and
    LOCAL_SERIAL.
attributes:
  check_mode:
    description: Reads only; where no node answers yet it returns no ring.
    support: full
  diff_mode:
    description: Nothing changes.
    support: none
options:
  keyspace:
    description: Keyspace whose copies count.
    type: str
    default: temporal
  history_shards:
    description: Number of history shards of Temporal, to tell how many of them would be lost.
    type: int
    default: 0
  down:
    description: Addresses of the nodes that do not live, as C(nodetool status) shows them.
    type: list
    elements: str
    default: []
  sizes:
    description: Sizes of the sets of nodes whose loss is judged.
    type: list
    elements: int
    default: [1, 2, 3]
extends_documentation_fragment: [zerospof.temporal.cassandra, zerospof.temporal.cassandra_members]
seealso:
  - plugin: zerospof.temporal.ring_safety
    plugin_type: filter
"""

EXAMPLES = r"""
- name: The ring is read
  zerospof.temporal.cassandra_ring_info:
    members: "{{ cassandra_members }}"
    history_shards: "{{ temporal_history_shards }}"
    addresses: [192.0.2.11]
    login_user: administrator
    login_password: "{{ temporal_secrets.cassandra_superuser }}"
    ca_file: /etc/cassandra/tls/ca.crt
    cert_file: /etc/cassandra/tls/cassandra.crt
    key_file: /etc/cassandra/tls/cassandra.key
  register: ring
"""

RETURN = r"""
members:
  description:
    - The nodes that have tokens. One that is not in O(members) has its address as its name and no zone.
  returned: success
  type: list
  elements: dict
  contains:
    name:
      description: Name of the node.
      type: str
    address:
      description: Address of the node.
      type: str
    zone:
      description: Availability zone of the node.
      type: str
    rack:
      description: Rack of the node in the ring.
      type: str
    tokens:
      description: Its tokens, ascending.
      type: list
      elements: int
    is_up:
      description: Whether it is not in O(down).
      type: bool
missing:
  description: Names of the nodes in O(members) that have no tokens in the ring.
  returned: success
  type: list
  elements: str
datacenter:
  description: Data centre of the node that was asked; nodes of others are left out.
  returned: when a node answers
  type: str
replication_factor:
  description: Copies that the keyspace keeps in this data centre.
  returned: when a node answers
  type: int
safety:
  description: What the ring bears, as C(docs/fault_tolerance.md) describes it.
  returned: when a node answers
  type: dict
"""

from dataclasses import asdict

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.zerospof.temporal.plugins.module_utils import _cassandra_client, _ring_safety


def main() -> None:
    """Run the module."""
    module = AnsibleModule(
        argument_spec={
            **_cassandra_client.ARGUMENTS,
            "members": _cassandra_client.MEMBERS,
            "keyspace": {"type": "str", "default": "temporal"},
            "history_shards": {"type": "int", "default": 0},
            "down": {"type": "list", "elements": "str", "default": []},
            "sizes": {"type": "list", "elements": "int", "default": list(_ring_safety.SET_SIZES)},
        },
        supports_check_mode=True,
    )
    parameters = module.params
    with _cassandra_client.connection(module) as session:
        if session is None:
            module.exit_json(changed=False, members=[], missing=[one["name"] for one in parameters["members"]])
        columns = "data_center, rack, tokens"
        local = session.execute(f"SELECT broadcast_address AS address, {columns} FROM system.local")
        # Each node knows itself and its peers; another node's peers would lack that one and hold this one twice.
        asked = local.response_future.coordinator_host
        peers = session.execute(f"SELECT peer AS address, {columns} FROM system.peers_v2", host=asked)
        [me] = local
        nodes = [
            {"address": str(row.address), "rack": row.rack, "tokens": row.tokens}
            for row in (me, *peers)
            if row.data_center == me.data_center
        ]
        query = "SELECT replication FROM system_schema.keyspaces WHERE keyspace_name = %s"
        keyspaces = _cassandra_client.rows(session, query, parameters["keyspace"])
    name = f"keyspace {parameters['keyspace']}"
    if not keyspaces:
        module.fail_json(msg=f"{name}: does not exist in the ring; name one that does")
    try:
        copies = _ring_safety.copies_in(keyspaces[0].replication, me.data_center)
        members = _ring_safety.live_members(parameters["members"], nodes, parameters["down"])
        ring = _ring_safety.TokenRing(members, copies)
        safety = _ring_safety.RingSafety(ring, parameters["history_shards"]).report(parameters["sizes"])
    except ValueError as error:
        module.fail_json(msg=f"{name}: {error}")
    present = {one.address for one in members}
    module.exit_json(
        changed=False,
        members=[asdict(one) for one in members],
        missing=[one["name"] for one in parameters["members"] if one["address"] not in present],
        datacenter=me.data_center,
        replication_factor=copies,
        safety=safety,
    )


if __name__ == "__main__":
    main()
