#!/usr/bin/python
# Copyright: (c) 2026, The zerospof.temporal maintainers
# Apache License 2.0 (see LICENSE or https://www.apache.org/licenses/LICENSE-2.0)
"""Ansible module: does the artifact directory hold what the cluster needs?"""

from __future__ import annotations

DOCUMENTATION = r"""
module: artifacts_info
short_description: Tell what is missing from the artifact directory of the control node
version_added: 0.1.0
author: The zerospof.temporal maintainers (@zerospof)
description:
  - Compares the files of the directory with its C(SHA256SUMS). Run it on the control node.
extends_documentation_fragment: zerospof.temporal.reads_only
options:
  directory:
    description: The artifact directory.
    type: path
    required: true
  versions:
    description: Version of each product, as for M(zerospof.temporal.artifacts).
    type: dict
    required: true
  wheels:
    description: Python packages that must be there, as C(name==version).
    type: list
    elements: str
    default: []
seealso:
  - module: zerospof.temporal.artifacts
"""

EXAMPLES = r"""
- name: What is missing is known
  zerospof.temporal.artifacts_info:
    directory: .artifacts
    versions: {server: 1.31.2, ui: 2.54.1, cli: 1.9.1}
    wheels: [temporalio==1.35.0]
  delegate_to: localhost
  register: artifacts
"""

RETURN = r"""
problems:
  description: What is missing or corrupted, and how to get it, one sentence each.
  returned: always
  type: list
  elements: str
"""

from pathlib import Path

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.zerospof.temporal.plugins.module_utils import _artifacts

ARGUMENT_SPEC = {
    "directory": {"type": "path", "required": True},
    "versions": {"type": "dict", "required": True},
    "wheels": {"type": "list", "elements": "str", "default": []},
}


def main() -> None:
    """Run the module."""
    module = AnsibleModule(argument_spec=ARGUMENT_SPEC, supports_check_mode=True)
    directory = Path(module.params["directory"])
    try:
        faults = _artifacts.local_faults(
            _artifacts.ArtifactDirectory(directory),
            _artifacts.wanted(module.params["versions"]),
            module.params["wheels"],
        )
    except _artifacts.ArtifactError as error:
        faults = [str(error)]
    module.exit_json(
        changed=False,
        problems=[f"{directory}: {fault}; run playbooks/artifacts.yml or put it there" for fault in faults],
    )


if __name__ == "__main__":
    main()
