#!/usr/bin/python
# Copyright: (c) 2026, The zerospof.temporal maintainers
# Apache License 2.0 (see LICENSE or https://www.apache.org/licenses/LICENSE-2.0)
"""Ansible module: what a gRPC server says about the health of a service."""

from __future__ import annotations

DOCUMENTATION = r"""
module: grpc_health_info
short_description: Ask a gRPC server whether a service is healthy
version_added: 0.1.0
author: The zerospof.temporal maintainers (@zerospof)
description:
  - Sends one health check (C(grpc.health.v1.Health/Check)) and reports the answer.
  - Needs nothing but the Python that Ansible itself needs, so that any host can ask any other.
  - Without O(expect) it reports and never fails; with O(expect) it asks again until the answer is the expected one.
extends_documentation_fragment: zerospof.temporal.reads_only
options:
  address:
    description: Host name or IP address of the server.
    type: str
    required: true
  port:
    description: TCP port of the server.
    type: int
    required: true
  service:
    description:
      - Full name of the gRPC service.
      - The empty name asks for the server as a whole; Temporal answers that with V(SERVING) even while it drains.
    type: str
    default: temporal.api.workflowservice.v1.WorkflowService
  tls:
    description: Whether the server speaks TLS.
    type: bool
    default: true
  ca_file:
    description: Certificate authorities that the server's certificate must come from (PEM). The system's when left out.
    type: path
  cert_file:
    description: Client certificate (PEM); it may have the key in it.
    type: path
  key_file:
    description: Key of the client certificate (PEM).
    type: path
  server_name:
    description: Name that the server's certificate must have; O(address) when left out.
    type: str
  timeout:
    description: Seconds that one health check may take, connecting included.
    type: float
    default: 2.0
  expect:
    description:
      - The answer to wait for.
      - V(ERROR) means that there is none, for example because nothing listens.
    type: str
    choices: [SERVING, NOT_SERVING, UNKNOWN, SERVICE_UNKNOWN, ERROR]
  wait:
    description: Seconds for which to ask until the answer is O(expect). The last answer fails the task.
    type: float
    default: 0
  interval:
    description: Seconds between two health checks.
    type: float
    default: 0.5
seealso:
  - plugin: zerospof.temporal.grpc_health_frame
    plugin_type: filter
"""

EXAMPLES = r"""
- name: The frontend serves
  zerospof.temporal.grpc_health_info:
    address: 192.0.2.11
    port: 7233
    ca_file: /etc/temporal/tls/ca.crt
    cert_file: /etc/temporal/tls/temporal.crt
    key_file: /etc/temporal/tls/temporal.key
    server_name: frontend
    expect: SERVING
    wait: 60
"""

RETURN = r"""
status:
  description:
    - What the server answered. V(SERVICE_UNKNOWN) also stands for the gRPC status NOT_FOUND.
    - V(ERROR) when there was no answer.
  returned: always
  type: str
  sample: SERVING
reason:
  description: The answer as a sentence.
  returned: always
  type: str
  sample: "192.0.2.11:7233: the server answered SERVING"
seconds:
  description: Duration of the last health check.
  returned: always
  type: float
waited_seconds:
  description: Time from the first health check to the end of the last.
  returned: always
  type: float
attempts:
  description: Number of health checks made.
  returned: always
  type: int
"""

import socket
import ssl
import time
from typing import Any

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.zerospof.temporal.plugins.module_utils import _grpc_health

RECEIVE_BYTES = 16384


def tls_context(params: dict[str, Any]) -> ssl.SSLContext:
    """Return the client side of mutual TLS with HTTP/2 as the only protocol offered."""
    context = ssl.create_default_context(cafile=params["ca_file"])
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.set_alpn_protocols(["h2"])
    if params["cert_file"]:
        context.load_cert_chain(params["cert_file"], params["key_file"])
    return context


def converse(connection: socket.socket, request: bytes, deadline: float) -> _grpc_health.Answer:
    """Send ``request`` and read until there is an answer; ``deadline`` is a time of the monotonic clock."""
    parser = _grpc_health.ResponseParser()
    connection.sendall(request)
    while parser.answer is None:
        connection.settimeout(max(deadline - time.monotonic(), 0.001))
        received = connection.recv(RECEIVE_BYTES)
        if not received:
            break
        owed = parser.receive(received)
        if owed and parser.answer is None:
            connection.sendall(owed)
    return parser.end()


def ask(params: dict[str, Any], context: ssl.SSLContext | None) -> _grpc_health.Answer:
    """Make one health check; whatever goes wrong on the way is an answer too."""
    deadline = time.monotonic() + params["timeout"]
    name = params["server_name"] or params["address"]
    request = _grpc_health.health_check_request(params["service"], name, tls=context is not None)
    try:
        with socket.create_connection((params["address"], params["port"]), params["timeout"]) as connection:
            if context is None:
                return converse(connection, request, deadline)
            connection.settimeout(max(deadline - time.monotonic(), 0.001))
            with context.wrap_socket(connection, server_hostname=name) as encrypted:
                return converse(encrypted, request, deadline)
    except TimeoutError:
        return _grpc_health.Answer(_grpc_health.ERROR, f"no answer within {params['timeout']} s")
    except (OSError, _grpc_health.ProtocolError) as error:
        return _grpc_health.Answer(_grpc_health.ERROR, str(error))


def main() -> None:
    """Run the module."""
    module = AnsibleModule(
        argument_spec={
            "address": {"type": "str", "required": True},
            "port": {"type": "int", "required": True},
            "service": {"type": "str", "default": "temporal.api.workflowservice.v1.WorkflowService"},
            "tls": {"type": "bool", "default": True},
            "ca_file": {"type": "path"},
            "cert_file": {"type": "path"},
            "key_file": {"type": "path"},
            "server_name": {"type": "str"},
            "timeout": {"type": "float", "default": 2.0},
            "expect": {"type": "str", "choices": ["SERVING", "NOT_SERVING", "UNKNOWN", "SERVICE_UNKNOWN", "ERROR"]},
            "wait": {"type": "float", "default": 0},
            "interval": {"type": "float", "default": 0.5},
        },
        required_by={"key_file": "cert_file"},
        supports_check_mode=True,
    )
    params = module.params
    try:
        context = tls_context(params) if params["tls"] else None
    except OSError as error:
        module.fail_json(msg=f"cannot read ca_file, cert_file or key_file: {error}")

    first = time.monotonic()
    attempts = 0
    while True:
        started = time.monotonic()
        answer = ask(params, context)
        attempts += 1
        ended = time.monotonic()
        expected = params["expect"] in (None, answer.status)
        if expected or ended + params["interval"] - first >= params["wait"]:
            break
        time.sleep(params["interval"])

    place = f"{params['address']}:{params['port']}"
    result = {
        "changed": False,
        "status": answer.status,
        "reason": f"{place}: {answer.reason}",
        "seconds": round(ended - started, 3),
        "waited_seconds": round(ended - first, 3),
        "attempts": attempts,
    }
    if not expected:
        service = params["service"] or "the server as a whole"
        module.fail_json(
            msg=f"{place}: expected {params['expect']} from {service}, got {answer.status} ({answer.reason}) "
            f"after {result['waited_seconds']} s",
            **result,
        )
    module.exit_json(**result)


if __name__ == "__main__":
    main()
