#!/usr/bin/python
# Copyright: (c) 2026, The zerospof.temporal maintainers
# Apache License 2.0 (see LICENSE or https://www.apache.org/licenses/LICENSE-2.0)
"""Ansible module: hand the leadership of an etcd ring to another member."""

from __future__ import annotations

DOCUMENTATION = r"""
module: etcd_leadership
short_description: Make sure that the etcd member of this host does not lead the ring
version_added: 0.1.0
author: The zerospof.temporal maintainers (@zerospof)
description:
  - When the member of this host leads, leadership moves to the voter with the longest log. To stop a follower costs
    no election; to stop a leader costs one second without writes.
  - A ring of one member keeps its leader; a member that does not answer leads nothing.
extends_documentation_fragment:
  - zerospof.temporal.etcd
attributes:
  check_mode:
    description: Can run in check mode and report what would change.
    support: full
  diff_mode:
    description: There are no files to show.
    support: none
"""

EXAMPLES = r"""
- name: Another member leads
  zerospof.temporal.etcd_leadership:
    name: db-a
    members:
      - {name: db-a, address: 192.0.2.31}
      - {name: db-b, address: 192.0.2.32}
      - {name: db-c, address: 192.0.2.33}
    ca_file: /etc/etcd/tls/ca.crt
    certificate_file: /etc/etcd/tls/etcd.crt
    key_file: /etc/etcd/tls/etcd.key
"""

RETURN = r"""
leader:
  description: Hexadecimal identifier of the leader; empty when there is none.
  returned: success
  type: str
"""

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.zerospof.temporal.plugins.module_utils import _etcd, _etcdctl


def main() -> None:
    """Run the module."""
    module = AnsibleModule(argument_spec=_etcdctl.ARGUMENTS, supports_check_mode=True)
    client = _etcdctl.Etcdctl(module)
    statuses = client.statuses() if client.is_installed else []
    own_endpoints = [
        _etcd.url(member["address"], module.params["client_port"])
        for member in module.params["members"]
        if member["name"] == module.params["name"]
    ]
    own = next((_etcd.member_id(status) for status in statuses if status["Endpoint"] in own_endpoints), None)
    leader = _etcd.leader_of(statuses)
    if leader is None or leader != own:
        module.exit_json(changed=False, leader=f"{leader or 0:x}" if leader else "")
    heir = _etcd.successor(client.ring() or [], statuses, leader)
    if heir is None:
        module.exit_json(changed=False, leader=f"{leader:x}")
    if not module.check_mode:
        # Only the leader itself accepts the order.
        code, _, reason = client.run("move-leader", f"{heir:x}", endpoints=own_endpoints)
        if code != 0:
            module.fail_json(msg=f"etcd on {module.params['name']}: it could not hand over the leadership: {reason}")
    module.exit_json(changed=True, leader=f"{heir:x}")


if __name__ == "__main__":
    main()
