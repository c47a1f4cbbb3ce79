#!/usr/bin/python
# Copyright: (c) 2026, The zerospof.temporal maintainers
# Apache License 2.0 (see LICENSE or https://www.apache.org/licenses/LICENSE-2.0)
"""Ansible module: wait until a Patroni cluster is healthy, or say why it is not."""

from __future__ import annotations

DOCUMENTATION = r"""
module: patroni_health
short_description: Wait until a Patroni cluster is healthy, or fail with the reason
version_added: 0.1.0
author: The zerospof.temporal maintainers (@zerospof)
description:
  - A cluster is healthy when the member of this host answers, one leader runs, every replica streams, applies what it
    receives and is not far behind, a standby confirms writes where that is asked for, the members are those of the
    inventory, and the cluster is not paused.
  - In check mode the cluster is judged once and the module does not fail.
extends_documentation_fragment:
  - zerospof.temporal.reads_only
  - zerospof.temporal.patroni
options:
  synchronous:
    description: Whether a standby must hold every acknowledged write.
    type: bool
    default: false
  maximum_lag_bytes:
    description: How far a replica may be behind in what it receives, and in what it applies of that.
    type: int
    default: 67108864
  leaving:
    description:
      - Judge instead, once and also in check mode, whether the member of this host may leave the cluster for good; a
        leader hands over before it does.
    type: bool
    default: false
  timeout_seconds:
    description: Time that the cluster has to become healthy.
    type: int
    default: 60
"""

EXAMPLES = r"""
- name: The cluster is healthy
  zerospof.temporal.patroni_health:
    name: db-a
    members:
      - {name: db-a, address: 192.0.2.31}
      - {name: db-b, address: 192.0.2.32}
      - {name: db-c, address: 192.0.2.33}
    synchronous: true
    ca_file: /etc/patroni/tls/ca.crt
    certificate_file: /etc/patroni/tls/patroni.crt
    key_file: /etc/patroni/tls/patroni.key
"""

RETURN = r"""
problems:
  description: Why the cluster is not healthy; empty when it is.
  returned: always
  type: list
  elements: str
leader:
  description: Name of the leader; empty when there is none.
  returned: always
  type: str
"""

import time

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.zerospof.temporal.plugins.module_utils import _patroni, _patroni_rest


def judge(module: AnsibleModule) -> tuple[list[str], str]:
    """Return why the cluster is not healthy now, and its leader."""
    parameters = module.params
    patroni = _patroni_rest.Patroni(module)
    name = parameters["name"]
    status, own = patroni.call(name, "GET", "/patroni")
    if status is None:
        return [f"Patroni on {name} does not answer: {own}"], ""
    version = own.get("patroni", {}).get("version", "0") if isinstance(own, dict) else "0"
    status, cluster = patroni.call(name, "GET", "/cluster")
    if not isinstance(cluster, dict) or "members" not in cluster:
        return [f"Patroni on {name} cannot tell the state of the cluster ({status}): {cluster}"], ""
    if parameters["leaving"]:
        try:
            _patroni.check_leaving(cluster, version, name, parameters["synchronous"])
        except _patroni.RefusalError as refusal:
            return [str(refusal)], _patroni.leader_of(cluster) or ""
        return [], _patroni.leader_of(cluster) or ""
    names = [member["name"] for member in parameters["members"]]
    maximum = parameters["maximum_lag_bytes"]
    problems = _patroni.problems(cluster, version, names, parameters["synchronous"], maximum)
    statuses = {}
    for member in cluster["members"]:
        if member["name"] in names and member["role"] not in _patroni.LEADERS and _patroni.follows(member, version):
            status, answer = patroni.call(member["name"], "GET", "/patroni")
            if isinstance(answer, dict):
                statuses[member["name"]] = answer
            else:
                problems.append(f"Patroni on {member['name']} does not answer ({status}): {answer}")
    return problems + _patroni.replay_problems(statuses, maximum), _patroni.leader_of(cluster) or ""


def main() -> None:
    """Run the module."""
    module = AnsibleModule(
        argument_spec={
            **_patroni_rest.ARGUMENTS,
            "synchronous": {"type": "bool", "default": False},
            "maximum_lag_bytes": {"type": "int", "default": 67108864},
            "leaving": {"type": "bool", "default": False},
            "timeout_seconds": {"type": "int", "default": 60},
        },
        supports_check_mode=True,
    )
    once = module.check_mode or module.params["leaving"]
    deadline = time.monotonic() + module.params["timeout_seconds"]
    problems, leader = judge(module)
    while problems and not once and time.monotonic() < deadline:
        time.sleep(1)
        problems, leader = judge(module)
    if problems and (module.params["leaving"] or not module.check_mode):
        module.fail_json(
            msg=f"PostgreSQL, as {module.params['name']} sees the cluster: {'; '.join(problems)}",
            problems=problems,
            leader=leader,
        )
    module.exit_json(changed=False, problems=problems, leader=leader)


if __name__ == "__main__":
    main()
