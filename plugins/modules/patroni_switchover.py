#!/usr/bin/python
# Copyright: (c) 2026, The zerospof.temporal maintainers
# Apache License 2.0 (see LICENSE or https://www.apache.org/licenses/LICENSE-2.0)
"""Ansible module: hand the leadership of a Patroni cluster to a standby."""

from __future__ import annotations

DOCUMENTATION = r"""
module: patroni_switchover
short_description: Make sure that the Patroni member of this host does not lead
version_added: 0.1.0
author: The zerospof.temporal maintainers (@zerospof)
description:
  - When the member of this host leads, the leadership moves to O(candidate), or to the standby that is least behind. It
    holds every acknowledged write. The module returns when it leads and, with O(follow), this member follows it.
  - Refuses when no standby, or not the O(candidate), is fit. The only member of a cluster keeps its leadership.
extends_documentation_fragment:
  - zerospof.temporal.patroni
attributes:
  check_mode:
    description: Can run in check mode and report what would change.
    support: full
  diff_mode:
    description: There are no files to show.
    support: none
options:
  candidate:
    description: Name of the standby that is to lead; empty for the one that is least behind.
    type: str
    default: ""
  synchronous:
    description: Whether only a standby that confirms writes is fit.
    type: bool
    default: true
  follow:
    description:
      - Whether to wait until this member follows the new leader, which takes it some seconds more. Whoever keeps the
        queries of clients waiting meanwhile does not.
    type: bool
    default: true
  signal:
    description:
      - A file whose appearance on this host begins the hand-over; it is removed then. Empty to begin at once.
      - As an asynchronous task, the module is then ready when it is told to go, and queries that wait meanwhile do not
        wait for its start. Without the signal nothing happens within O(timeout_seconds), and the module fails.
    type: path
    default: ""
  timeout_seconds:
    description: Time that the hand-over may take, and the former leader to follow.
    type: int
    default: 60
"""

EXAMPLES = r"""
- name: Another member leads
  zerospof.temporal.patroni_switchover:
    name: db-a
    members:
      - {name: db-a, address: 192.0.2.31}
      - {name: db-b, address: 192.0.2.32}
      - {name: db-c, address: 192.0.2.33}
    ca_file: /etc/patroni/tls/ca.crt
    certificate_file: /etc/patroni/tls/patroni.crt
    key_file: /etc/patroni/tls/patroni.key
    username: patroni
    password: "{{ temporal_secrets.patroni_rest }}"
"""

RETURN = r"""
leader:
  description: Name of the leader afterwards; empty when there is none.
  returned: success
  type: str
"""

import time
from pathlib import Path

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.zerospof.temporal.plugins.module_utils import _patroni, _patroni_rest


def refuse(module: AnsibleModule, reason: str) -> None:
    """End with ``reason``."""
    module.fail_json(msg=f"PostgreSQL on {module.params['name']}: it cannot hand over: {reason}")


def wait_for_signal(module: AnsibleModule, signal: Path) -> None:
    """Return when the file ``signal`` is there, without it."""
    deadline = time.monotonic() + module.params["timeout_seconds"]
    while not signal.exists():
        if time.monotonic() > deadline:
            refuse(module, f"nobody told it to begin in {module.params['timeout_seconds']} s")
        time.sleep(0.05)
    signal.unlink()


def wait_for_order(module: AnsibleModule, patroni: _patroni_rest.Patroni, version: str, heir: str) -> None:
    """Return when ``heir`` leads and takes writes and, where asked, this member follows it."""
    name, follow = module.params["name"], module.params["follow"]
    deadline = time.monotonic() + module.params["timeout_seconds"]
    while time.monotonic() < deadline:
        cluster = patroni.first_answer("/cluster") or {"members": []}
        if _patroni.leads(cluster, heir) and (not follow or _patroni.is_followed_by(cluster, name, version)):
            return
        time.sleep(0.2)
    unless = f", or {name} does not follow it," if follow else ""
    refuse(module, f"{heir} does not lead{unless} after {module.params['timeout_seconds']} s")


def main() -> None:
    """Run the module."""
    module = AnsibleModule(
        argument_spec={
            **_patroni_rest.ARGUMENTS,
            "candidate": {"type": "str", "default": ""},
            "synchronous": {"type": "bool", "default": True},
            "follow": {"type": "bool", "default": True},
            "signal": {"type": "path", "default": ""},
            "timeout_seconds": {"type": "int", "default": 60},
        },
        supports_check_mode=True,
    )
    patroni = _patroni_rest.Patroni(module)
    name = module.params["name"]
    cluster = patroni.first_answer("/cluster")
    leader = _patroni.leader_of(cluster) if cluster else None
    if cluster is None or leader != name or len(cluster["members"]) == 1:
        module.exit_json(changed=False, leader=leader or "")
    _, own = patroni.call(name, "GET", "/patroni")
    version = own.get("patroni", {}).get("version", "0") if isinstance(own, dict) else "0"
    try:
        heir = _patroni.heir(cluster, version, name, module.params["synchronous"], module.params["candidate"])
    except _patroni.RefusalError as refusal:
        refuse(module, str(refusal))
    if not module.check_mode:
        if module.params["signal"]:
            wait_for_signal(module, Path(module.params["signal"]))
        status, answer = patroni.call(name, "POST", "/switchover", {"leader": name, "candidate": heir})
        if status != 200:
            refuse(module, f"Patroni answers {status}: {answer}")
        wait_for_order(module, patroni, version, heir)
    module.exit_json(changed=True, leader=heir)


if __name__ == "__main__":
    main()
