#!/usr/bin/python
# Copyright: (c) 2026, The zerospof.temporal maintainers
# Apache License 2.0 (see LICENSE or https://www.apache.org/licenses/LICENSE-2.0)
"""Ansible module: the membership ring of a Temporal cluster, compared with the inventory."""

from __future__ import annotations

DOCUMENTATION = r"""
module: ring_info
short_description: Tell whether the membership ring of Temporal holds exactly the expected hosts
version_added: 0.1.0
author: The zerospof.temporal maintainers (@zerospof)
description:
  - Asks one frontend which hosts it sees in the ring of each service and names those that are missing and
    those that do not belong there.
  - A server that boots while its database is briefly away can form a ring of its own and still report itself as
    serving. Only the view of the other hosts shows it.
  - Uses C(tdbg), which is part of every release of the Temporal server.
extends_documentation_fragment:
  - zerospof.temporal.reads_only
  - zerospof.temporal.frontend
  - zerospof.temporal.frontend_tls
options:
  members:
    description: The hosts of the cluster; each runs all services.
    type: list
    elements: dict
    required: true
    suboptions:
      name:
        description: Name of the host.
        type: str
        required: true
      address:
        description: Address under which the host is a member.
        type: str
        required: true
      zone:
        description: Zone of the host; not used.
        type: str
  ports:
    description: >-
      gRPC port by service, for example V({'history': 7234}).
    type: dict
    required: true
  tdbg:
    description: Path of C(tdbg) on the managed host.
    type: path
    default: /opt/temporal-server/current/tdbg
  expect_complete:
    description: Whether the task fails unless every service has exactly the expected members.
    type: bool
    default: false
  wait:
    description: Seconds for which to ask until the rings are complete. Only with O(expect_complete).
    type: float
    default: 0
  interval:
    description: Seconds between two questions.
    type: float
    default: 2
seealso:
  - module: zerospof.temporal.grpc_health_info
"""

EXAMPLES = r"""
- name: Every server is in the ring
  zerospof.temporal.ring_info:
    address: 192.0.2.21
    ca_file: /etc/temporal/tls/ca.crt
    cert_file: /etc/temporal/tls/temporal.crt
    key_file: /etc/temporal/tls/temporal.key
    members:
      - {name: temporal-a, address: 192.0.2.21}
      - {name: temporal-b, address: 192.0.2.22}
    ports: {frontend: 7233, history: 7234, matching: 7235, worker: 7239}
    expect_complete: true
    wait: 60
"""

RETURN = r"""
rings:
  description: C(address:port) of the members by service, as the frontend sees them.
  returned: success
  type: dict
  sample: {"history": ["192.0.2.21:7234", "192.0.2.22:7234"]}
complete:
  description: Whether every service has exactly the expected members.
  returned: success
  type: bool
problems:
  description: What is missing and what does not belong there.
  returned: success
  type: list
  elements: str
"""

import time

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.zerospof.temporal.plugins.module_utils import _frontend, _ring

# tdbg counts in whole seconds.
ANSWER_SECONDS = 5


def gossip(module: AnsibleModule) -> str:
    """Return what tdbg prints about the rings.

    Raises:
        GossipError: tdbg got no answer; the message holds its reason.
    """
    parameters = module.params
    environment = {
        "TEMPORAL_CLI_ADDRESS": _ring.identity(parameters["address"], parameters["port"]),
        "TEMPORAL_CONTEXT_TIMEOUT": str(ANSWER_SECONDS),
    }
    if parameters["ca_file"]:
        environment["TEMPORAL_CLI_TLS_CA"] = parameters["ca_file"]
        environment["TEMPORAL_CLI_TLS_SERVER_NAME"] = parameters["server_name"]
    if parameters["cert_file"]:
        environment["TEMPORAL_CLI_TLS_CERT"] = parameters["cert_file"]
        environment["TEMPORAL_CLI_TLS_KEY"] = parameters["key_file"]
    command = [parameters["tdbg"], "--color", "never", "membership", "list-gossip"]
    code, output, error = module.run_command(command, environ_update=environment)
    if code != 0:
        raise _ring.GossipError(
            f"the frontend at {environment['TEMPORAL_CLI_ADDRESS']} does not tell its rings: {_ring.reason_of(error)}"
        )
    return output


def main() -> None:
    """Run the module."""
    module = AnsibleModule(
        argument_spec={
            **_frontend.ARGUMENTS,
            "members": {
                "type": "list",
                "elements": "dict",
                "required": True,
                "options": {
                    "name": {"type": "str", "required": True},
                    "address": {"type": "str", "required": True},
                    "zone": {"type": "str"},
                },
            },
            "ports": {"type": "dict", "required": True},
            "tdbg": {"type": "path", "default": "/opt/temporal-server/current/tdbg"},
            "expect_complete": {"type": "bool", "default": False},
            "wait": {"type": "float", "default": 0},
            "interval": {"type": "float", "default": 2},
        },
        required_together=_frontend.REQUIRED_TOGETHER,
        supports_check_mode=True,
    )
    parameters = module.params
    ports = {service: int(port) for service, port in parameters["ports"].items()}
    deadline = time.monotonic() + (parameters["wait"] if parameters["expect_complete"] else 0)
    while True:
        try:
            rings = _ring.parse_gossip(gossip(module))
            problems = _ring.judge(rings, parameters["members"], ports)
        except _ring.GossipError as error:
            rings, problems = {}, [str(error)]
        if not problems or time.monotonic() + parameters["interval"] >= deadline:
            break
        time.sleep(parameters["interval"])

    result = {"changed": False, "rings": rings, "complete": not problems, "problems": problems}
    if problems and (parameters["expect_complete"] or not rings):
        module.fail_json(msg="; ".join(problems), **result)
    module.exit_json(**result)


if __name__ == "__main__":
    main()
