"""Options that the Patroni modules share."""

from __future__ import annotations


class ModuleDocFragment:
    """Documentation of how a module reaches the REST API."""

    DOCUMENTATION = r"""
options:
  name:
    description: Name of the member on this host.
    type: str
    required: true
  members:
    description: All members that the inventory gives the cluster.
    type: list
    elements: dict
    required: true
    suboptions:
      name:
        description: Name of the member.
        type: str
        required: true
      address:
        description: Address on which the member listens.
        type: str
        required: true
      zone:
        description: Availability zone of the member; not used.
        type: str
  port:
    description: Port of the REST API.
    type: int
    default: 8008
  ca_file:
    description: Certificate authority of the cluster.
    type: path
    required: true
  certificate_file:
    description: Certificate that this host presents.
    type: path
    required: true
  key_file:
    description: Key of O(certificate_file).
    type: path
    required: true
  username:
    description: User of the endpoints that change something.
    type: str
  password:
    description: Password of O(username).
    type: str
"""
