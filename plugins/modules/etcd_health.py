#!/usr/bin/python
# Copyright: (c) 2026, The zerospof.temporal maintainers
# Apache License 2.0 (see LICENSE or https://www.apache.org/licenses/LICENSE-2.0)
"""Ansible module: wait until an etcd ring is healthy, or say why it is not."""

from __future__ import annotations

DOCUMENTATION = r"""
module: etcd_health
short_description: Wait until an etcd ring is healthy, or fail with the reason
version_added: 0.1.0
author: The zerospof.temporal maintainers (@zerospof)
description:
  - A ring is healthy when every member of the inventory serves, all follow one leader, no alarm is raised, and
    the ring has exactly the members of the inventory.
  - In check mode the ring is judged once and the module does not fail.
extends_documentation_fragment:
  - zerospof.temporal.reads_only
  - zerospof.temporal.etcd
options:
  timeout_seconds:
    description: Time that the ring has to become healthy.
    type: int
    default: 60
"""

EXAMPLES = r"""
- name: The ring is healthy
  zerospof.temporal.etcd_health:
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
problems:
  description: Why the ring is not healthy; empty when it is.
  returned: always
  type: list
  elements: str
"""

import time

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.zerospof.temporal.plugins.module_utils import _etcd, _etcdctl


def judge(module: AnsibleModule) -> list[str]:
    """Return why the ring is not healthy now."""
    client = _etcdctl.Etcdctl(module)
    if not client.is_installed:
        return ["etcdctl is not installed"]
    return _etcd.problems(
        module.params["members"], module.params["client_port"], client.ring(), client.statuses(), client.healths()
    )


def main() -> None:
    """Run the module."""
    module = AnsibleModule(
        argument_spec={**_etcdctl.ARGUMENTS, "timeout_seconds": {"type": "int", "default": 60}},
        supports_check_mode=True,
    )
    deadline = time.monotonic() + module.params["timeout_seconds"]
    problems = judge(module)
    while problems and not module.check_mode and time.monotonic() < deadline:
        time.sleep(1)
        problems = judge(module)
    if problems and not module.check_mode:
        module.fail_json(
            msg=f"etcd, as {module.params['name']} sees the ring: {'; '.join(problems)}",
            problems=problems,
        )
    module.exit_json(changed=False, problems=problems)


if __name__ == "__main__":
    main()
