#!/usr/bin/python
# Copyright: (c) 2026, The zerospof.temporal maintainers
# Apache License 2.0 (see LICENSE or https://www.apache.org/licenses/LICENSE-2.0)
"""Ansible module: the node of this host hands its data to the others and leaves the ring of Cassandra."""

from __future__ import annotations

DOCUMENTATION = r"""
module: cassandra_decommission
short_description: Take the node of this host out of the ring of Cassandra, without risking data
version_added: 0.1.0
author: The zerospof.temporal maintainers (@zerospof)
description:
  - Refuses when fewer nodes or racks would be left than a keyspace has copies, or the rest of the ring is not whole.
  - The node answers no client while it hands over its data; when that fails, it answers them again.
  - Waits for a node that is leaving already, so an interrupted run can be completed.
  - Does not stop the service.
attributes:
  check_mode:
    description: Can run in check mode and report what would change, refusals included.
    support: full
  diff_mode:
    description: There are no files to show.
    support: none
options:
  name:
    description: Name of the node of this host.
    type: str
    required: true
  statuses:
    description: What C(nodetool status) printed on other nodes; a node that does not run and is not in it has left.
    type: list
    elements: str
    default: []
  addresses:
    description: Addresses of other nodes of the ring, which are asked how often each keyspace is kept.
extends_documentation_fragment: [zerospof.temporal.cassandra, zerospof.temporal.cassandra_members]
seealso:
  - module: zerospof.temporal.cassandra_member
"""

EXAMPLES = r"""
- name: The node has left the ring
  zerospof.temporal.cassandra_decommission:
    name: cassandra-d
    members: "{{ cassandra_members }}"
    addresses: [192.0.2.11, 192.0.2.12]
    login_user: administrator
    login_password: "{{ temporal_secrets.cassandra_superuser }}"
    ca_file: /etc/cassandra/tls/ca.crt
    cert_file: /etc/cassandra/tls/cassandra.crt
    key_file: /etc/cassandra/tls/cassandra.key
"""

RETURN = r"""
mode:
  description: What the node says of itself, C(DECOMMISSIONED) for one that has left; empty when it does not run.
  returned: success
  type: str
"""

import re
import time

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.zerospof.temporal.plugins.module_utils import _cassandra, _cassandra_client

PAUSE_SECONDS = 5
LEAVING = "LEAVING"
LEFT = "DECOMMISSIONED"


def mode_of(module: AnsibleModule) -> str:
    """Return the mode of the node of this host, empty when it does not run."""
    code, output, _ = module.run_command(["nodetool", "netstats"])
    found = re.search(r"^Mode: (\w+)", output, re.MULTILINE)
    return found[1] if code == 0 and found else ""


def check(module: AnsibleModule, address: str) -> None:
    """Refuse to leave when the rest of the ring is not whole or would be too small.

    Raises:
        RefusalError: the message says why.
    """
    name = module.params["name"]
    ring = _cassandra.parse_status(module.run_command(["nodetool", "status"], check_rc=True)[1])
    others = [member for member in module.params["members"] if member["name"] != name]
    found = _cassandra.ring_problems(others, [node for node in ring if node.address != address], {})
    if found:
        raise _cassandra.RefusalError(f"cassandra on {name}: the rest of the ring is not whole: {'; '.join(found)}")
    with _cassandra_client.connection(module) as session:
        if session is not None:
            query = "SELECT keyspace_name, replication FROM system_schema.keyspaces"
            copies = {
                row.keyspace_name: sum(int(value) for key, value in row.replication.items() if key != "class")
                for row in _cassandra_client.rows(session, query)
            }
            _cassandra.check_leaving(name, address, ring, copies)


def leave(module: AnsibleModule) -> None:
    """Hand over all data; let clients in again when that fails."""
    module.run_command(["nodetool", "disablebinary"], check_rc=True)
    code, output, error = module.run_command(["nodetool", "decommission"])
    if code != 0:
        module.run_command(["nodetool", "enablebinary"])
        reason = (error or output).strip().splitlines() or [f"exit code {code}"]
        module.fail_json(msg=f"cassandra on {module.params['name']} did not leave: {reason[-1]}")


def main() -> None:
    """Run the module."""
    module = AnsibleModule(
        argument_spec={
            **_cassandra_client.ARGUMENTS,
            "name": {"type": "str", "required": True},
            "members": _cassandra_client.MEMBERS,
            "statuses": {"type": "list", "elements": "str", "default": []},
        },
        supports_check_mode=True,
    )
    name = module.params["name"]
    address = next((member["address"] for member in module.params["members"] if member["name"] == name), None)
    if address is None:
        module.fail_json(msg=f"cassandra: {name} is not one of the members of the inventory")
    mode = mode_of(module)
    if not mode:
        rings = [ring for text in module.params["statuses"] if (ring := _cassandra.parse_status(text))]
        if not rings or any(node.address == address for ring in rings for node in ring):
            module.fail_json(
                msg=f"cassandra on {name}: it does not run, so it cannot hand over its data; start it or, when its "
                "disk is lost, let the role put it in place again before it leaves"
            )
        module.exit_json(changed=False, mode=mode)
    try:
        if mode not in (LEAVING, LEFT):
            check(module, address)
    except _cassandra.RefusalError as refusal:
        module.fail_json(msg=str(refusal))
    if module.check_mode:
        module.exit_json(changed=mode != LEFT, mode=mode)
    changed = mode != LEFT
    if mode not in (LEAVING, LEFT):
        leave(module)
    while (mode := mode_of(module)) == LEAVING:
        time.sleep(PAUSE_SECONDS)
    if mode != LEFT:
        module.fail_json(
            msg=f"cassandra on {name} did not leave, it is {mode or 'gone'}; see its journal and run again"
        )
    module.exit_json(changed=changed, mode=mode)


if __name__ == "__main__":
    main()
