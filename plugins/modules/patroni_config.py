#!/usr/bin/python
# Copyright: (c) 2026, The zerospof.temporal maintainers
# Apache License 2.0 (see LICENSE or https://www.apache.org/licenses/LICENSE-2.0)
"""Ansible module: the dynamic configuration of a Patroni cluster."""

from __future__ import annotations

DOCUMENTATION = r"""
module: patroni_config
short_description: Converge the configuration that a Patroni cluster keeps in its store
version_added: 0.1.0
author: The zerospof.temporal maintainers (@zerospof)
description:
  - Patroni reads C(bootstrap.dcs) once, when a cluster is born. Later changes must go through its REST API; this module
    sends the difference between what is stored and what is wanted.
  - Keys that the inventory does not name are left alone, for example C(pause), except for the PostgreSQL parameters,
    which become exactly the ones given.
  - A new cluster is waited for; any member that answers will do.
extends_documentation_fragment:
  - zerospof.temporal.patroni
attributes:
  check_mode:
    description: Can run in check mode and report what would change.
    support: full
  diff_mode:
    description: Shows the configuration before and after.
    support: full
options:
  config:
    description: Dynamic configuration by the names of Patroni.
    type: dict
    required: true
  timeout_seconds:
    description: Time that a new cluster has to store its first configuration.
    type: int
    default: 60
"""

EXAMPLES = r"""
- name: The cluster has the settings of the inventory
  zerospof.temporal.patroni_config:
    name: db-a
    members:
      - {name: db-a, address: 192.0.2.31}
    config:
      ttl: 20
      postgresql:
        parameters:
          max_connections: 200
    ca_file: /etc/patroni/tls/ca.crt
    certificate_file: /etc/patroni/tls/patroni.crt
    key_file: /etc/patroni/tls/patroni.key
    username: patroni
    password: "{{ temporal_secrets.patroni_rest }}"
"""

RETURN = r"""
patch:
  description: What was sent; a null value removes its key.
  returned: success
  type: dict
"""

import json
import time

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.zerospof.temporal.plugins.module_utils import _patroni, _patroni_rest


def main() -> None:
    """Run the module."""
    module = AnsibleModule(
        argument_spec={
            **_patroni_rest.ARGUMENTS,
            "config": {"type": "dict", "required": True},
            "timeout_seconds": {"type": "int", "default": 60},
        },
        supports_check_mode=True,
    )
    patroni = _patroni_rest.Patroni(module)
    deadline = time.monotonic() + module.params["timeout_seconds"]
    current = patroni.first_answer("/config")
    while current is None and not module.check_mode and time.monotonic() < deadline:
        time.sleep(1)
        current = patroni.first_answer("/config")
    if current is None and not module.check_mode:
        reasons = "; ".join(f"{name}: {reason}" for name, reason in patroni.errors.items())
        module.fail_json(
            msg=f"Patroni: no member has a configuration of the cluster: {reasons or 'it has no leader yet'}"
        )

    before = current or {}
    patch = _patroni.patch(before, module.params["config"], _patroni.EXACT)
    if patch and not module.check_mode:
        answers = {}
        for member in module.params["members"]:
            status, answer = patroni.call(member["name"], "PATCH", "/config", patch)
            if status == 200:
                break
            answers[member["name"]] = answer
        else:
            module.fail_json(msg=f"Patroni: no member accepted the new configuration: {answers}")
    module.exit_json(
        changed=bool(patch),
        patch=patch,
        diff={"before": _text(before), "after": _text(_patroni.applied(before, patch))},
    )


def _text(config: object) -> str:
    return json.dumps(config, indent=2, sort_keys=True) + "\n"


if __name__ == "__main__":
    main()
