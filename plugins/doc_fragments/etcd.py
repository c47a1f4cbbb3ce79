"""Options that the etcd modules share."""

from __future__ import annotations


class ModuleDocFragment:
    """Documentation of how a module reaches the ring."""

    DOCUMENTATION = r"""
options:
  name:
    description: Name of the member on this host.
    type: str
    required: true
  members:
    description: All members that the inventory gives the ring.
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
  client_port:
    description: Port on which the members serve clients.
    type: int
    default: 2379
  ca_file:
    description: Certificate authority of the ring.
    type: path
    required: true
  certificate_file:
    description: Certificate that this host presents to the ring.
    type: path
    required: true
  key_file:
    description: Key of O(certificate_file).
    type: path
    required: true
requirements:
  - etcdctl 3.4 or newer
"""
