#!/usr/bin/python
# Copyright: (c) 2026, The zerospof.temporal maintainers
# Apache License 2.0 (see LICENSE or https://www.apache.org/licenses/LICENSE-2.0)
"""Ansible module: a node of Cassandra gives up the rows that nodes which came later have taken over."""

from __future__ import annotations

DOCUMENTATION = r"""
module: cassandra_cleanup
short_description: Give up the rows that newer nodes of the ring hold
version_added: 0.1.0
author: The zerospof.temporal maintainers (@zerospof)
description:
  - A node that joins copies its share of the rows; those who had them keep them until C(nodetool cleanup) runs there.
  - Runs it only when the ring has a node that it had not at the last time; who that was is kept in O(record).
  - Refuses while a node is down or on its way in or out.
  - Changed means that rows were given up, which takes files away; a node whose ranges stayed what they were has
    nothing to do.
attributes:
  check_mode:
    description: Can run in check mode; changed then means that a node came since the last time.
    support: full
  diff_mode:
    description: There is no text to compare.
    support: none
options:
  address:
    description: Address of the node of this host.
    type: str
    required: true
  data_directory:
    description: Directory of the tables.
    type: path
    required: true
  record:
    description: File that keeps which nodes the ring had.
    type: path
    required: true
  founder:
    description: Whether the node has just founded the ring with the nodes that are there, so it has nothing to give up.
    type: bool
    default: false
"""

EXAMPLES = r"""
- name: The node holds nothing that others hold in its place
  zerospof.temporal.cassandra_cleanup:
    address: 192.0.2.11
    data_directory: /var/lib/cassandra/data
    record: /var/lib/zerospof/cassandra/ring
  throttle: 1
"""

RETURN = r"""
newcomers:
  description: Addresses of the nodes that came since the last time.
  returned: success
  type: list
  elements: str
"""

import json
from pathlib import Path

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.zerospof.temporal.plugins.module_utils import _cassandra, _files


def tables_in(directory: str) -> set[Path]:
    """Return the files that hold rows."""
    return set(Path(directory).glob("*/*/*-Data.db"))


def main() -> None:
    """Run the module."""
    module = AnsibleModule(
        argument_spec={
            "address": {"type": "str", "required": True},
            "data_directory": {"type": "path", "required": True},
            "record": {"type": "path", "required": True},
            "founder": {"type": "bool", "default": False},
        },
        supports_check_mode=True,
    )
    record = Path(module.params["record"])
    code, output, error = module.run_command(["nodetool", "status"])
    ring = _cassandra.parse_status(output)
    if code != 0 or not ring:
        module.fail_json(msg=f"cassandra on {module.params['address']} does not run: {(error or output).strip()}")
    try:
        recorded = json.loads(record.read_text(encoding="utf-8")) if record.exists() else None
        ids = sorted(node.host_id for node in ring)
        known = ids if module.params["founder"] else recorded
        found = _cassandra.newcomers(known, ring, module.params["address"])
    except _cassandra.RefusalError as refusal:
        module.fail_json(msg=str(refusal))
    if module.check_mode:
        module.exit_json(changed=bool(found), newcomers=found)
    before = tables_in(module.params["data_directory"])
    if found:
        code, output, error = module.run_command(["nodetool", "cleanup"])
        if code != 0 or "Aborted" in output:
            module.fail_json(msg=f"cassandra on {module.params['address']}: {(error or output).strip()}")
    given_up = before - tables_in(module.params["data_directory"]) if found else set()
    if recorded != ids:
        record.parent.mkdir(mode=0o755, parents=True, exist_ok=True)
        _files.replace({record: json.dumps(ids)}, 0o644)
    module.exit_json(changed=bool(given_up), newcomers=found)


if __name__ == "__main__":
    main()
