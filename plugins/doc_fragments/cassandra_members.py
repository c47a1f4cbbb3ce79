# Copyright: (c) 2026, The zerospof.temporal maintainers
# Apache License 2.0 (see LICENSE or https://www.apache.org/licenses/LICENSE-2.0)
"""The option ``members`` of the modules that compare a ring of Cassandra with the inventory."""

from __future__ import annotations


class ModuleDocFragment:
    """Which nodes the inventory has."""

    DOCUMENTATION = r"""
options:
  members:
    description: The nodes of the inventory.
    type: list
    elements: dict
    required: true
    suboptions:
      name:
        description: Name of the node.
        type: str
        required: true
      address:
        description: Address on which the node listens.
        type: str
        required: true
      zone:
        description: Availability zone of the node.
        type: str
      rack:
        description: Rack of the node, where it is not the zone.
        type: str
"""
