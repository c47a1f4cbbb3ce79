"""Documentation of the options of modules that are a client of one namespace."""

from __future__ import annotations


class ModuleDocFragment:
    """Where the client asks, and what it shows."""

    DOCUMENTATION = r"""
options:
  address:
    description: Address (C(host:port)) of a frontend or of a balancer in front of them.
    type: str
    required: true
  namespace:
    description: Name of the namespace.
    type: str
    required: true
  token:
    description: JSON Web Token for a frontend that asks for one; it must allow to write in the namespace.
    type: str
    default: ""
"""
