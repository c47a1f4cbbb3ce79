"""Documentation of the options with which modules reach a worker deployment of a cluster."""

from __future__ import annotations


class ModuleDocFragment:
    """Options shared by the modules that speak to a cluster about a worker deployment."""

    DOCUMENTATION = r"""
options:
  addresses:
    description: Addresses (C(host:port)) at which the cluster is reached; the first that answers is asked.
    type: list
    elements: str
    required: true
  namespace:
    description: Namespace of the deployment.
    type: str
    required: true
  deployment:
    description: Name of the worker deployment.
    type: str
    required: true
  token:
    description: JSON Web Token for a frontend that asks for one; it must allow to write in the namespace.
    type: str
    default: ""
requirements:
  - temporalio
notes:
  - Needs a Python with C(temporalio), see the example.
"""
