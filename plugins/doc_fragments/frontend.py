"""Documentation of the options with which modules reach a Temporal frontend."""

from __future__ import annotations


class ModuleDocFragment:
    """Options shared by the modules that speak to a frontend."""

    DOCUMENTATION = r"""
options:
  address:
    description: Host name or IP address of a Temporal frontend.
    type: str
    required: true
  port:
    description: TCP port of the frontend.
    type: int
    default: 7233
"""
