#!/usr/bin/python
# Copyright: (c) 2026, The zerospof.temporal maintainers
# Apache License 2.0 (see LICENSE or https://www.apache.org/licenses/LICENSE-2.0)
"""Ansible module: the packages of a host's services, installed and on offer."""

from __future__ import annotations

DOCUMENTATION = r"""
module: service_packages_info
short_description: Tell which packages the services of a host come from, and which versions apt offers
version_added: 0.1.0
author: The zerospof.temporal maintainers (@zerospof)
description:
  - A service comes from the packages whose C(/var/lib/dpkg/info/NAME.md5sums) its unit tracks.
  - Knows only units that M(zerospof.temporal.systemd_units) put in place and that were started. What apt offers is what
    it knew after its last update.
extends_documentation_fragment: zerospof.temporal.reads_only
options: {}
seealso:
  - module: zerospof.temporal.systemd_units
"""

EXAMPLES = r"""
- name: The packages of the services are known
  zerospof.temporal.service_packages_info:
  register: packages
"""

RETURN = r"""
packages:
  description: The packages that are installed and that a service comes from.
  returned: always
  type: list
  elements: dict
  contains:
    name:
      description: Name of the package.
      type: str
    units:
      description: The units of the services.
      type: list
      elements: str
    installed:
      description: The version that is installed.
      type: str
    candidate:
      description: The version that apt would install.
      type: str
    newer:
      description: Whether the candidate is newer.
      type: bool
    unfinished:
      description: Whether its installation was interrupted, or failed.
      type: bool
    companions:
      description:
        - Candidates of the installed packages that were made from the same source, this one among them, by their names.
        - Only those of which another version is installed.
      type: dict
"""

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.zerospof.temporal.plugins.module_utils import _packages, _systemd, _units


def main() -> None:
    """Run the module."""
    module = AnsibleModule(argument_spec={}, supports_check_mode=True)

    def output(*command: str) -> str:
        return module.run_command(list(command), check_rc=True, environ_update={"LC_ALL": "C"})[1]

    units: dict[str, list[str]] = {}
    for unit in _systemd.managed_units():
        if _systemd.read_text(_units.record_path(unit)) is not None:
            for name in _packages.tracked(_systemd.tracked_files_of(unit) or []):
                units.setdefault(name, []).append(unit)
    present = _packages.installed(output("dpkg-query", "--show", f"--showformat={_packages.INSTALLED_FORMAT}"))
    together = {name: _packages.companions(name, present) for name in units if name in present}
    asked = sorted({name for names in together.values() for name in names})
    versions = _packages.policies(output("apt-cache", "policy", *asked)) if asked else {}

    def row(name: str, names: list[str]) -> dict[str, object]:
        installed, candidate = present[name].version, versions[name][1]
        newer = ["dpkg", "--compare-versions", candidate or "", "gt", installed]
        return {
            "name": name,
            "units": units[name],
            "installed": installed,
            "candidate": candidate,
            "newer": module.run_command(newer)[0] == 0,
            "unfinished": present[name].unfinished,
            "companions": {
                one: versions[one][1] for one in names if versions[one][1] not in (None, present[one].version)
            },
        }

    module.exit_json(changed=False, packages=[row(name, names) for name, names in together.items()])


if __name__ == "__main__":
    main()
