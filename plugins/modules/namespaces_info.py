#!/usr/bin/python
# Copyright: (c) 2026, The zerospof.temporal maintainers
# Apache License 2.0 (see LICENSE or https://www.apache.org/licenses/LICENSE-2.0)
"""Ansible module: the namespaces that a Temporal cluster has."""

from __future__ import annotations

DOCUMENTATION = r"""
module: namespaces_info
short_description: Read the namespaces of a Temporal cluster
version_added: 0.1.0
author: The zerospof.temporal maintainers (@zerospof)
description:
  - Returns retention, description and search attributes of namespaces.
extends_documentation_fragment:
  - zerospof.temporal.reads_only
  - zerospof.temporal.frontend
  - zerospof.temporal.frontend_tls
options:
  names:
    description:
      - Names of the namespaces; those that do not exist are left out of the answer.
      - All but Temporal's own when left out.
    type: list
    elements: str
  wait:
    description: Seconds for which a cluster that has just been born may refuse.
    type: float
    default: 0
requirements:
  - temporalio
seealso:
  - module: zerospof.temporal.namespaces
"""

EXAMPLES = r"""
- name: The namespaces are known
  zerospof.temporal.namespaces_info:
    address: 192.0.2.21
    ca_file: /etc/temporal/tls/ca.crt
    cert_file: /etc/temporal/tls/temporal.crt
    key_file: /etc/temporal/tls/temporal.key
  vars:
    ansible_python_interpreter: /opt/zerospof/tools/bin/python
  register: present
"""

RETURN = r"""
namespaces:
  description: The namespaces.
  returned: success
  type: list
  elements: dict
  sample:
    - name: production
      retention_days: 30
      description: Live workflows
      search_attributes: {"CustomerId": "Keyword"}
"""

import asyncio

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.zerospof.temporal.plugins.module_utils import _frontend, _namespace_client
from ansible_collections.zerospof.temporal.plugins.module_utils._namespaces import Namespace


async def gather(frontend: _frontend.Frontend, names: list[str] | None) -> list[Namespace]:
    """Return the namespaces ``names``, all when ``None``; a name that does not exist is left out."""
    wanted = await _namespace_client.names(frontend) if names is None else names
    found = [await _namespace_client.read(frontend, name) for name in wanted]
    return [namespace for namespace in found if namespace]


def main() -> None:
    """Run the module."""
    module = AnsibleModule(
        argument_spec={
            **_frontend.ARGUMENTS,
            "names": {"type": "list", "elements": "str"},
            "wait": {"type": "float", "default": 0},
        },
        required_together=_frontend.REQUIRED_TOGETHER,
        supports_check_mode=True,
    )
    _frontend.require_library(module)
    try:
        namespaces = asyncio.run(
            gather(_frontend.Frontend(module.params, module.params["wait"]), module.params["names"])
        )
    except (_frontend.FrontendError, OSError) as error:
        module.fail_json(msg=str(error))
    module.exit_json(changed=False, namespaces=[namespace.as_dict() for namespace in namespaces])


if __name__ == "__main__":
    main()
