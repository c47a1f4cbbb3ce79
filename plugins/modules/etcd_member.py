#!/usr/bin/python
# Copyright: (c) 2026, The zerospof.temporal maintainers
# Apache License 2.0 (see LICENSE or https://www.apache.org/licenses/LICENSE-2.0)
"""Ansible module: the entry of this host in an etcd ring."""

from __future__ import annotations

DOCUMENTATION = r"""
module: etcd_member
short_description: Put this host into an etcd ring, or take it out, without risking the ring
version_added: 0.1.0
author: The zerospof.temporal maintainers (@zerospof)
description:
  - Decides from the live state how the member of this host starts. A member with data stays what it is. A member
    with an empty data directory joins the ring when a member answers; its former entry is removed first. Only when no
    member of the inventory can hold the data of a ring does it bootstrap a new one.
  - Refuses to bootstrap a second ring beside one that does not answer, and to leave when quorum would suffer.
  - Does not start or stop the service.
extends_documentation_fragment:
  - zerospof.temporal.etcd
attributes:
  check_mode:
    description: Can run in check mode and report what would change.
    support: full
  diff_mode:
    description: There are no files to show.
    support: none
options:
  state:
    description: Whether this host is a member.
    type: str
    choices: [present, absent]
    default: present
  peer_port:
    description: Port on which the members talk to each other.
    type: int
    default: 2380
  data_directory:
    description: Data directory of the member on this host.
    type: path
    required: true
  established_members:
    description:
      - Names of the members that may hold the data of a ring, because they have some or because nobody looked.
      - This host is ignored in it.
    type: list
    elements: str
    default: []
"""

EXAMPLES = r"""
- name: The ring knows this member
  zerospof.temporal.etcd_member:
    name: db-c
    members:
      - {name: db-a, address: 192.0.2.31}
      - {name: db-b, address: 192.0.2.32}
      - {name: db-c, address: 192.0.2.33}
    data_directory: /var/lib/etcd/temporal
    established_members: [db-a, db-b]
    ca_file: /etc/etcd/tls/ca.crt
    certificate_file: /etc/etcd/tls/etcd.crt
    key_file: /etc/etcd/tls/etcd.key
  register: member
"""

RETURN = r"""
action:
  description:
    - What the member does at its next start, V(stay), V(bootstrap) or V(join).
    - V(left) or V(absent) with O(state=absent).
  returned: success
  type: str
bootstrap_environment:
  description: Environment variables for the first start; empty for a member with data.
  returned: success
  type: dict
"""

import time
from pathlib import Path
from typing import Any

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.zerospof.temporal.plugins.module_utils import _etcd, _etcdctl

SETTLED_SECONDS = 15


def own_url(module: AnsibleModule, port: int) -> str:
    """Return the address of this host's listener on ``port``."""
    name = module.params["name"]
    address = next((member["address"] for member in module.params["members"] if member["name"] == name), None)
    if address is None:
        module.fail_json(msg=f"etcd: {name} is not one of the members of the inventory")
    return _etcd.url(address, port)


def change(module: AnsibleModule, client: _etcdctl.Etcdctl, *arguments: str) -> list[dict[str, Any]]:
    """Run a command that changes the ring, and return its members; end with its reason when the ring refuses."""
    others = [endpoint for endpoint in client.endpoints if endpoint != own_url(module, module.params["client_port"])]
    code, output, reason = client.run(*arguments, endpoints=others)
    # A ring that has just grown wants its newest member to have stood for five seconds.
    deadline = time.monotonic() + SETTLED_SECONDS
    while code != 0 and "unhealthy cluster" in reason and time.monotonic() < deadline:
        time.sleep(1)
        code, output, reason = client.run(*arguments, endpoints=others)
    if code != 0:
        module.fail_json(msg=f"etcd on {module.params['name']}: {' '.join(arguments)} failed: {reason}")
    return (output or {}).get("members") or []


def join(module: AnsibleModule) -> None:
    """Make the ring expect this member, and return with what its first start needs."""
    parameters = module.params
    client = _etcdctl.Etcdctl(module)
    peer_url = own_url(module, parameters["peer_port"])
    own_client_url = own_url(module, parameters["client_port"])
    has_data = (Path(parameters["data_directory"]) / "member").exists()
    # Nothing to ask with on a virgin host in check mode: then nothing is known of a ring either.
    ring = client.ring(excluding=own_client_url) if client.is_installed and not has_data else None
    established = [name for name in parameters["established_members"] if name != parameters["name"]]
    if module.check_mode and not client.is_installed:
        module.exit_json(changed=True, action=_etcd.JOIN if established else _etcd.BOOTSTRAP, bootstrap_environment={})
    plan = _etcd.plan(parameters["name"], peer_url, has_data, established, ring)
    environment = {}
    if not module.check_mode:
        if plan.remove is not None:
            change(module, client, "member", "remove", f"{plan.remove:x}")
        if plan.add:
            # Asked again, a ring of one that has become one of two would not answer before this member runs.
            ring = change(module, client, "member", "add", parameters["name"], f"--peer-urls={peer_url}")
    if plan.action == _etcd.BOOTSTRAP:
        inventory = [
            {"name": member["name"], "ID": 0, "peerURLs": [_etcd.url(member["address"], parameters["peer_port"])]}
            for member in parameters["members"]
        ]
        environment = {
            "ETCD_INITIAL_CLUSTER_STATE": "new",
            "ETCD_INITIAL_CLUSTER": _etcd.initial_cluster(inventory, parameters["members"], parameters["peer_port"]),
        }
    elif plan.action == _etcd.JOIN:
        environment = {
            "ETCD_INITIAL_CLUSTER_STATE": "existing",
            "ETCD_INITIAL_CLUSTER": _etcd.initial_cluster(ring, parameters["members"], parameters["peer_port"]),
        }
    module.exit_json(changed=plan.add or plan.remove is not None, action=plan.action, bootstrap_environment=environment)


def leave(module: AnsibleModule) -> None:
    """Make the ring forget this member unless quorum would suffer."""
    client = _etcdctl.Etcdctl(module)
    ring = client.ring() if client.is_installed else None
    if ring is None:
        raise _etcd.RefusalError(f"etcd on {module.params['name']}: no member of the ring answers")
    peer_url = own_url(module, module.params["peer_port"])
    entry = next((member for member in ring if _etcd.is_entry_of(member, module.params["name"], peer_url)), None)
    if entry is None:
        module.exit_json(changed=False, action="absent", bootstrap_environment={})
    healthy = {health["endpoint"] for health in client.healths() if health.get("health")}
    count = sum(bool(healthy & set(member.get("clientURLs") or [])) for member in ring)
    _etcd.check_leaving(
        module.params["name"], len(ring), count, is_healthy=bool(healthy & set(entry.get("clientURLs") or []))
    )
    if not module.check_mode:
        change(module, client, "member", "remove", f"{entry['ID']:x}")
    module.exit_json(changed=True, action="left", bootstrap_environment={})


def main() -> None:
    """Run the module."""
    module = AnsibleModule(
        argument_spec={
            **_etcdctl.ARGUMENTS,
            "state": {"type": "str", "choices": ["present", "absent"], "default": "present"},
            "peer_port": {"type": "int", "default": 2380},
            "data_directory": {"type": "path", "required": True},
            "established_members": {"type": "list", "elements": "str", "default": []},
        },
        supports_check_mode=True,
    )
    try:
        (join if module.params["state"] == "present" else leave)(module)
    except _etcd.RefusalError as refusal:
        module.fail_json(msg=str(refusal))


if __name__ == "__main__":
    main()
