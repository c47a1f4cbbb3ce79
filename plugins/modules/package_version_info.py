#!/usr/bin/python
# Copyright: (c) 2026, The zerospof.temporal maintainers
# Apache License 2.0 (see LICENSE or https://www.apache.org/licenses/LICENSE-2.0)
"""Ansible module: the upstream version of a Debian package, installed or about to be."""

from __future__ import annotations

DOCUMENTATION = r"""
module: package_version_info
short_description: Tell the upstream version of a Debian package that is installed or would be
version_added: 0.1.0
author: The zerospof.temporal maintainers (@zerospof)
description:
  - Settings that a version decides must be right in check mode on a virgin host, too, where the package is not
    installed yet. Then its candidate counts.
extends_documentation_fragment: zerospof.temporal.reads_only
options:
  name:
    description: Name of the package.
    type: str
    required: true
"""

EXAMPLES = r"""
- name: The version of PgBouncer is known
  zerospof.temporal.package_version_info:
    name: pgbouncer
  register: pooler
"""

RETURN = r"""
version:
  description: Upstream version, for example V(1.24.1); empty when the host knows no such package.
  returned: success
  type: str
installed:
  description: Whether the package is installed.
  returned: success
  type: bool
"""

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.zerospof.temporal.plugins.module_utils import _packages


def main() -> None:
    """Run the module."""
    module = AnsibleModule(argument_spec={"name": {"type": "str", "required": True}}, supports_check_mode=True)
    _, output, _ = module.run_command(
        ["apt-cache", "policy", module.params["name"]], check_rc=True, environ_update={"LC_ALL": "C"}
    )
    installed, candidate = _packages.policy(output)
    module.exit_json(
        changed=False,
        version=_packages.upstream_version(installed or candidate or ""),
        installed=installed is not None,
    )


if __name__ == "__main__":
    main()
