# Copyright: (c) 2026, The zerospof.temporal maintainers
# Apache License 2.0 (see LICENSE or https://www.apache.org/licenses/LICENSE-2.0)
"""Options of the modules that look at the disks of a database."""

from __future__ import annotations


class ModuleDocFragment:
    """Documentation of which disks need how much room."""

    DOCUMENTATION = r"""
options:
  directories:
    description: Directories of this host in which the database writes; their disks have to have room.
    type: list
    elements: path
    default: []
  disk_free_least_percent:
    description: How much of each of these disks has to be free.
    type: int
    default: 10
"""
