#!/usr/bin/python
# Copyright: (c) 2026, The zerospof.temporal maintainers
# Apache License 2.0 (see LICENSE or https://www.apache.org/licenses/LICENSE-2.0)
"""Ansible module: namespaces of a Temporal cluster."""

from __future__ import annotations

DOCUMENTATION = r"""
module: namespaces
short_description: Make namespaces of Temporal as they are described
version_added: 0.1.0
author: The zerospof.temporal maintainers (@zerospof)
description:
  - Creates namespaces and converges their retention, description and search attributes.
  - Search attributes are only added. One that exists with another type is an error, because Temporal cannot change it.
  - Namespaces that are not described are left alone, and nothing is ever deleted.
extends_documentation_fragment:
  - zerospof.temporal.frontend
  - zerospof.temporal.frontend_tls
attributes:
  check_mode:
    description:
      - Can run in check mode and report what would change.
      - Where no frontend answers or the client is not installed yet, everything would change.
    support: full
  diff_mode:
    description: Shows the namespaces before and after.
    support: full
options:
  namespaces:
    description: The namespaces as they shall be.
    type: list
    elements: dict
    required: true
    suboptions:
      name:
        description: Name of the namespace.
        type: str
        required: true
      retention_days:
        description: Days for which closed workflows are kept; at least 1.
        type: int
        default: 3
      description:
        description: What the namespace is for.
        type: str
        default: ""
      search_attributes:
        description:
          - Custom search attributes, from name to type.
          - Types are V(Text), V(Keyword), V(Int), V(Double), V(Bool), V(Datetime) and V(KeywordList).
        type: dict
        default: {}
  wait:
    description: Seconds for which a cluster that has just been born may refuse.
    type: float
    default: 60
requirements:
  - temporalio
seealso:
  - module: zerospof.temporal.namespaces_info
"""

EXAMPLES = r"""
- name: The cluster has its namespaces
  zerospof.temporal.namespaces:
    address: 192.0.2.21
    ca_file: /etc/temporal/tls/ca.crt
    cert_file: /etc/temporal/tls/temporal.crt
    key_file: /etc/temporal/tls/temporal.key
    namespaces:
      - name: production
        retention_days: 30
        description: Live workflows
        search_attributes:
          CustomerId: Keyword
  vars:
    ansible_python_interpreter: /opt/zerospof/tools/bin/python
"""

RETURN = r"""
namespaces:
  description: The namespaces after the task.
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
from ansible_collections.zerospof.temporal.plugins.module_utils._namespaces import (
    Namespace,
    NamespaceError,
    Plan,
    plan,
)


async def converge(
    frontend: _frontend.Frontend, wanted: list[Namespace], check_mode: bool
) -> list[tuple[Namespace | None, Plan]]:
    """Return what was there and what is done for each namespace; all are judged before any is changed."""
    steps = [
        (present, plan(namespace, present))
        for namespace, present in [(each, await _namespace_client.read(frontend, each.name)) for each in wanted]
    ]
    if not check_mode:
        for namespace, (_, step) in zip(wanted, steps, strict=True):
            await _namespace_client.apply(frontend, namespace, step)
    return steps


def main() -> None:
    """Run the module."""
    module = AnsibleModule(
        argument_spec={
            **_frontend.ARGUMENTS,
            "namespaces": {
                "type": "list",
                "elements": "dict",
                "required": True,
                "options": {
                    "name": {"type": "str", "required": True},
                    "retention_days": {"type": "int", "default": 3},
                    "description": {"type": "str", "default": ""},
                    "search_attributes": {"type": "dict", "default": {}},
                },
            },
            "wait": {"type": "float", "default": 60},
        },
        required_together=_frontend.REQUIRED_TOGETHER,
        supports_check_mode=True,
    )
    try:
        wanted = [Namespace.from_options(options) for options in module.params["namespaces"]]
        if not _frontend.TEMPORALIO_IMPORT_ERROR:
            wait = 0 if module.check_mode else module.params["wait"]
            steps = asyncio.run(converge(_frontend.Frontend(module.params, wait), wanted, module.check_mode))
        elif module.check_mode:
            steps = [(None, plan(namespace, None)) for namespace in wanted]
        else:
            _frontend.require_library(module)
    except NamespaceError as error:
        module.fail_json(msg=str(error))
    except (_frontend.FrontendError, OSError) as error:
        if not module.check_mode:
            module.fail_json(msg=str(error))
        module.warn(f"no frontend answers yet, so every namespace would be made: {error}")
        steps = [(None, plan(namespace, None)) for namespace in wanted]

    changes = [(present, step.after) for present, step in steps if step.changed]
    module.exit_json(
        changed=bool(changes),
        namespaces=[step.after.as_dict() for _, step in steps],
        diff=[
            {
                "before_header": after.name,
                "after_header": after.name,
                "before": present.as_dict() if present else {},
                "after": after.as_dict(),
            }
            for present, after in changes
        ],
    )


if __name__ == "__main__":
    main()
