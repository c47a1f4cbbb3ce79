#!/usr/bin/python
# Copyright: (c) 2026, The zerospof.temporal maintainers
# Apache License 2.0 (see LICENSE or https://www.apache.org/licenses/LICENSE-2.0)
"""Ansible module: one certificate authority takes the place of another, step by step."""

from __future__ import annotations

DOCUMENTATION = r"""
module: authority_rotation
short_description: Bring the files of the certificate authority one step further
version_added: 0.1.0
author: The zerospof.temporal maintainers (@zerospof)
description:
  - Runs on the control node. C(ca.crt) and C(ca.key) are the authority; its first certificate signs, and all are
    trusted; C(next.crt) and C(next.key) are one that does not sign yet.
  - A step that is done is not done again, and one that was interrupted is completed. Whether hosts are ready for it is
    not asked here.
attributes:
  check_mode:
    description: Can run in check mode and report what hosts are to trust after the step.
    support: full
  diff_mode:
    description: Shows no difference.
    support: none
options:
  directory:
    description: Directory with the files.
    type: path
    required: true
  step:
    description: V(trust) to have both trusted, V(sign) to have the new one sign, V(finish) to have it alone.
    type: str
    choices: [trust, sign, finish]
    required: true
requirements:
  - cryptography >= 42
seealso:
  - module: zerospof.temporal.leaf_certificate
"""

EXAMPLES = r"""
- name: All that is issued from now on trusts both
  zerospof.temporal.authority_rotation:
    directory: /secure/pki
    step: trust
  delegate_to: localhost
"""

RETURN = r"""
signer:
  description: SHA-256 of the certificate of the authority that signs after the step.
  returned: success
  type: str
trusted:
  description:
    - Those of all authorities that are trusted after it. In check mode one that is still to be made has another name.
  returned: success
  type: list
  elements: str
"""

from pathlib import Path

from ansible.module_utils.basic import AnsibleModule, missing_required_lib
from ansible_collections.zerospof.temporal.plugins.module_utils import _authority, _certificates, _files

FILES = ("ca.crt", "ca.key", "next.crt", "next.key")


def write(path: Path, text: str | None) -> None:
    """Give ``path`` its text, whole or not at all; ``None`` removes it. Keys are for their owner alone."""
    if text is None:
        path.unlink(missing_ok=True)
    else:
        _files.replace({path: text}, 0o600 if path.suffix == ".key" else 0o644)


def main() -> None:
    """Run the module."""
    module = AnsibleModule(
        argument_spec={
            "directory": {"type": "path", "required": True},
            "step": {"type": "str", "choices": list(_authority.STEPS), "required": True},
        },
        supports_check_mode=True,
    )
    if not _certificates.HAS_CRYPTOGRAPHY:
        module.fail_json(msg=missing_required_lib("cryptography"))
    directory, step = Path(module.params["directory"]), module.params["step"]
    try:
        files = {
            name: (directory / name).read_text(encoding="utf-8") if (directory / name).is_file() else ""
            for name in FILES
        }
        goal = _authority.target(step, files)
        changes = {name: text for name, text in _authority.texts(step, files).items() if (text or "") != files[name]}
        for name, text in () if module.check_mode else changes.items():
            write(directory / name, text)
    except (OSError, _authority.AuthorityError, _certificates.CertificateError) as error:
        module.fail_json(msg=f"{directory}: {error}")
    module.exit_json(changed=bool(changes), **goal)


if __name__ == "__main__":
    main()
