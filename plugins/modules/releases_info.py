#!/usr/bin/python
# Copyright: (c) 2026, The zerospof.temporal maintainers
# Apache License 2.0 (see LICENSE or https://www.apache.org/licenses/LICENSE-2.0)
"""Ansible module: which releases of a product stand on the host, and which one its services run."""

from __future__ import annotations

DOCUMENTATION = r"""
module: releases_info
short_description: Tell which releases of a product stand on the host, and which one its services run
version_added: 0.1.0
author: The zerospof.temporal maintainers (@zerospof)
description:
  - A release is a directory named by its version. The links C(current) and C(previous) beside it name the selected one
    and the one before.
  - What a service runs is read from its process, from its program and the files that it has open, so that a link which
    was changed since does not matter.
extends_documentation_fragment: zerospof.temporal.reads_only
options:
  directory:
    description: Directory of the releases.
    type: path
    required: true
  units:
    description: Names of the services with their suffix.
    type: list
    elements: str
    required: true
"""

EXAMPLES = r"""
- name: The releases of Temporal are known
  zerospof.temporal.releases_info:
    directory: /opt/temporal-server
    units: [temporal-frontend.service, temporal-history.service]
  register: releases
"""

RETURN = r"""
selected:
  description: The release that the next start of a service runs; none when nothing is installed.
  returned: always
  type: str
previous:
  description: The release that was selected before the last step forward; none when there was no such step.
  returned: always
  type: str
installed:
  description: The releases that are there.
  returned: always
  type: list
  elements: str
running:
  description: The release that the process of each service runs, empty for a service that does not run.
  returned: always
  type: dict
started:
  description: Whether any of the services was ever started.
  returned: always
  type: bool
"""

from itertools import chain
from pathlib import Path

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.zerospof.temporal.plugins.module_utils import _releases, _systemd, _units


def target_of(link: Path) -> str | None:
    """Return what ``link`` points to, ``None`` when there is no such link."""
    try:
        return str(link.readlink())
    except OSError:
        return None


def main() -> None:
    """Run the module."""
    module = AnsibleModule(
        argument_spec={
            "directory": {"type": "path", "required": True},
            "units": {"type": "list", "elements": "str", "required": True},
        },
        supports_check_mode=True,
    )
    directory, units = Path(module.params["directory"]), module.params["units"]

    def release_of(unit: str) -> str:
        process = _systemd.main_process(module, unit)
        return _releases.run_by(chain([target_of(process / "exe")], _systemd.open_files(process)), str(directory))

    module.exit_json(
        changed=False,
        selected=_releases.version_of(target_of(directory / "current"), str(directory)),
        previous=_releases.version_of(target_of(directory / "previous"), str(directory)),
        installed=_releases.versions([path.name for path in directory.glob("*") if path.is_dir()]),
        running={unit: release_of(unit) for unit in units},
        started=any(_systemd.read_text(_units.record_path(unit)) is not None for unit in units),
    )


if __name__ == "__main__":
    main()
