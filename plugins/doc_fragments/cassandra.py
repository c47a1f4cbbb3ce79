# Copyright: (c) 2026, The zerospof.temporal maintainers
# Apache License 2.0 (see LICENSE or https://www.apache.org/licenses/LICENSE-2.0)
"""Options of the modules that speak CQL."""

from __future__ import annotations


class ModuleDocFragment:
    """Where Cassandra is and who asks."""

    DOCUMENTATION = r"""
options:
  addresses:
    description: Addresses of the nodes to speak to; no other node is used.
    type: list
    elements: str
    required: true
  port:
    description: Port for clients.
    type: int
    default: 9042
  login_user:
    description: User of the ring, with the rights that the task needs.
    type: str
    required: true
  login_password:
    description: Password of O(login_user).
    type: str
    required: true
  ca_file:
    description: Authority of the certificates of the nodes, which must name the address; without it there is no TLS.
    type: path
  cert_file:
    description: Certificate of the client.
    type: path
  key_file:
    description: Key of O(cert_file).
    type: path
requirements:
  - cassandra-driver >= 3.29
"""
