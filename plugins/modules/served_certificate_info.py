#!/usr/bin/python
# Copyright: (c) 2026, The zerospof.temporal maintainers
# Apache License 2.0 (see LICENSE or https://www.apache.org/licenses/LICENSE-2.0)
"""Ansible module: whether a server presents the certificate that is on disk."""

from __future__ import annotations

DOCUMENTATION = r"""
module: served_certificate_info
short_description: Tell whether a server presents the certificate that is on disk
version_added: 0.1.0
author: The zerospof.temporal maintainers (@zerospof)
description:
  - Connects by TLS and compares the certificate that the server presents with that of a file. It asks again until they
    are the same; when they are not in time, it fails.
  - Whether the certificate is to be trusted is not asked here.
attributes:
  check_mode:
    description: Reads only. Looks once and fails nowhere, because the file may be one that was not renewed.
    support: full
  diff_mode:
    description: Nothing changes.
    support: none
options:
  address:
    description: Host name or IP address of the server.
    type: str
    required: true
  port:
    description: TCP port of the server.
    type: int
    required: true
  protocol:
    description: How TLS begins, V(tls) at once or V(postgresql) on request.
    type: str
    choices: [tls, postgresql]
    default: tls
  cert_file:
    description: The certificate that the server is to present (PEM). It is also what this client presents.
    type: path
    required: true
  key_file:
    description: Its key (PEM).
    type: path
    required: true
  wait:
    description: Seconds to wait for the certificate; 0 to look once.
    type: float
    default: 0
"""

EXAMPLES = r"""
- name: The frontend presents the certificate on disk
  zerospof.temporal.served_certificate_info:
    address: 192.0.2.11
    port: 7233
    cert_file: /etc/temporal/tls/temporal.crt
    key_file: /etc/temporal/tls/temporal.key
    wait: 90
"""

RETURN = r"""
served:
  description: Whether the server presents the certificate of the file.
  returned: success
  type: bool
"""

import socket
import ssl
import time
from pathlib import Path

from ansible.module_utils.basic import AnsibleModule

TIMEOUT_SECONDS = 5.0
PAUSE_SECONDS = 1.0
# Protocol of PostgreSQL, SSLRequest: length and code; a server that speaks TLS says S.
SSL_REQUEST = bytes.fromhex("0000000804d2162f")


def presented(address: str, port: int, protocol: str, cert_file: str, key_file: str) -> bytes:
    """Return the certificate (DER) that a server presents.

    Raises:
        OSError: it cannot be reached, or speaks no TLS.
    """
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    context.load_cert_chain(cert_file, key_file)
    with socket.create_connection((address, port), TIMEOUT_SECONDS) as connection:
        if protocol == "postgresql":
            connection.sendall(SSL_REQUEST)
            if connection.recv(1) != b"S":
                raise OSError("the server speaks no TLS")
        with context.wrap_socket(connection) as secured:
            return secured.getpeercert(binary_form=True) or b""


def problem(address: str, port: int, protocol: str, cert_file: str, key_file: str) -> str:
    """Return why the server does not present the certificate of the file; empty when it does."""
    try:
        served = presented(address, port, protocol, cert_file, key_file)
        wanted = ssl.PEM_cert_to_DER_cert(Path(cert_file).read_text(encoding="utf-8").strip())
    except (OSError, ValueError) as error:
        return f"{address}:{port} does not tell its certificate: {error}"
    return "" if served == wanted else f"{address}:{port} presents another certificate than {cert_file}"


def main() -> None:
    """Run the module."""
    module = AnsibleModule(
        argument_spec={
            "address": {"type": "str", "required": True},
            "port": {"type": "int", "required": True},
            "protocol": {"type": "str", "choices": ["tls", "postgresql"], "default": "tls"},
            "cert_file": {"type": "path", "required": True},
            "key_file": {"type": "path", "required": True},
            "wait": {"type": "float", "default": 0},
        },
        supports_check_mode=True,
    )
    asked = [module.params[name] for name in ("address", "port", "protocol", "cert_file", "key_file")]
    deadline = time.monotonic() + module.params["wait"]
    found = problem(*asked)
    while found and not module.check_mode and time.monotonic() < deadline:
        time.sleep(PAUSE_SECONDS)
        found = problem(*asked)
    if found and not module.check_mode:
        module.fail_json(msg=found)
    module.exit_json(changed=False, served=not found)


if __name__ == "__main__":
    main()
