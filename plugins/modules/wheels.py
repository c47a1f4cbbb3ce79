#!/usr/bin/python
# Copyright: (c) 2026, The zerospof.temporal maintainers
# Apache License 2.0 (see LICENSE or https://www.apache.org/licenses/LICENSE-2.0)
"""Ansible module: Python wheels of the control node are on a host; the action plugin of the same name brings them."""

from __future__ import annotations

DOCUMENTATION = r"""
module: wheels
short_description: Have the Python wheels of the control node on a host
version_added: 0.1.0
author: The zerospof.temporal maintainers (@zerospof)
description:
  - Every wheel in O(src) on the control node is in O(dest) on the host, with the same content.
  - All that are missing travel in one archive. M(ansible.builtin.copy) takes two steps for each file, which with
    a dozen wheels and a dozen hosts is most of the time of a first run.
  - Other files in O(dest) are left alone.
attributes:
  check_mode:
    description: Can run in check mode and report what would change.
    support: full
  diff_mode:
    description: Wheels have no useful difference.
    support: none
options:
  src:
    description: Directory on the control node.
    type: path
    required: true
  dest:
    description: Directory on the host. Its owner and mode are what they were; it must exist, except in check mode.
    type: path
    required: true
  digests:
    description: Set by the action plugin; SHA-256 of each wheel, by its name.
    type: dict
  archive:
    description: Set by the action plugin; the archive on the host with the wheels that are missing.
    type: path
seealso:
  - module: zerospof.temporal.artifacts
"""

EXAMPLES = r"""
- name: The wheels are on the host
  zerospof.temporal.wheels:
    src: "{{ temporal_artifact_directory }}/wheels"
    dest: /opt/zerospof/wheels
"""

RETURN = r"""
missing:
  description: Names of the wheels that were not there or had another content.
  returned: success
  type: list
  elements: str
"""

import tarfile
from pathlib import Path

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.zerospof.temporal.plugins.module_utils import _systemd, _units


def unpack(archive: str, directory: Path, digests: dict[str, str], names: list[str]) -> str:
    """Put the wheels ``names`` of ``archive`` into ``directory``; return the first that did not arrive, if any."""
    with tarfile.open(archive) as opened:
        for name in names:
            member = opened.extractfile(name)
            content = member.read() if member else b""
            if _units.digest(content) != digests[name]:
                return name
            temporary = directory / f".{name}.new"
            temporary.write_bytes(content)
            temporary.chmod(0o644)
            temporary.replace(directory / name)
    return ""


def main() -> None:
    """Run the module."""
    module = AnsibleModule(
        argument_spec={
            "src": {"type": "path", "required": True},
            "dest": {"type": "path", "required": True},
            "digests": {"type": "dict"},
            "archive": {"type": "path"},
        },
        supports_check_mode=True,
    )
    digests, directory = module.params["digests"], Path(module.params["dest"])
    if digests is None:
        module.fail_json(msg="wheels: call it as a task, zerospof.temporal.wheels; its action plugin sets digests")
    missing = sorted(name for name, digest in digests.items() if _systemd.digest_of(str(directory / name)) != digest)
    if missing and not module.check_mode:
        if not directory.is_dir():
            module.fail_json(msg=f"wheels: there is no directory {directory}")
        if module.params["archive"]:
            lost = unpack(module.params["archive"], directory, digests, missing)
            if lost:
                module.fail_json(msg=f"wheels: {lost} did not arrive whole; run again")
    module.exit_json(changed=bool(missing), missing=missing)


if __name__ == "__main__":
    main()
