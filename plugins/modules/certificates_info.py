#!/usr/bin/python
# Copyright: (c) 2026, The zerospof.temporal maintainers
# Apache License 2.0 (see LICENSE or https://www.apache.org/licenses/LICENSE-2.0)
"""Ansible module: which certificates a host has, who signed them and when they end."""

from __future__ import annotations

DOCUMENTATION = r"""
module: certificates_info
short_description: Tell which certificates a host has and when they end
version_added: 0.1.0
author: The zerospof.temporal maintainers (@zerospof)
description:
  - Looks at the certificates that M(zerospof.temporal.leaf_certificate) puts in place, those with a key and a C(ca.crt)
    beside them.
extends_documentation_fragment: zerospof.temporal.reads_only
options:
  directories:
    description: Where to look; with the wildcards of a shell.
    type: list
    elements: str
    default: [/etc/*/tls]
requirements:
  - cryptography >= 38
seealso:
  - module: zerospof.temporal.leaf_certificate
"""

EXAMPLES = r"""
- name: The certificates of the host are known
  zerospof.temporal.certificates_info:
  register: certificates
"""

RETURN = r"""
certificates:
  description: One for each certificate with a key.
  returned: always
  type: list
  elements: dict
  contains:
    path:
      description: Its file.
      type: str
    name:
      description: Name of the service.
      type: str
    names:
      description: Whom it stands for.
      type: str
    authority:
      description: Name of who signed it.
      type: str
    authority_id:
      description: SHA-256 of the certificate of who signed it; empty when that is none of those in C(ca.crt) beside it.
      type: str
    issued:
      description: When it was issued (ISO 8601, UTC).
      type: str
    ends:
      description: When it ends (ISO 8601, UTC).
      type: str
    days:
      description: Whole days that are left of it, negative when it has ended.
      type: int
    trusts:
      description: The certificates in C(ca.crt) beside it, each with C(id) (SHA-256), C(name), C(ends) and C(days).
      type: list
      elements: dict
"""

from pathlib import Path
from typing import Any

from ansible.module_utils.basic import AnsibleModule, missing_required_lib
from ansible_collections.zerospof.temporal.plugins.module_utils import _certificates


def found(pattern: str) -> list[dict[str, Any]]:
    """Return what the certificates in the directories of ``pattern`` say."""
    return [
        {
            "path": str(path),
            **_certificates.described(path.read_text(encoding="utf-8"), trusted),
            "trusts": _certificates.authorities(trusted),
        }
        for directory in sorted(Path("/").glob(pattern.lstrip("/")))
        if (directory / "ca.crt").is_file()
        for trusted in [(directory / "ca.crt").read_text(encoding="utf-8")]
        for path in sorted(directory.glob("*.crt"))
        if path.with_suffix(".key").is_file()
    ]


def main() -> None:
    """Run the module."""
    module = AnsibleModule(
        argument_spec={"directories": {"type": "list", "elements": "str", "default": ["/etc/*/tls"]}},
        supports_check_mode=True,
    )
    if not _certificates.HAS_CRYPTOGRAPHY:
        module.fail_json(msg=missing_required_lib("cryptography"))
    try:
        certificates = [one for pattern in module.params["directories"] for one in found(pattern)]
    except (OSError, _certificates.CertificateError) as error:
        module.fail_json(msg=f"the certificates cannot be read: {error}")
    module.exit_json(changed=False, certificates=certificates)


if __name__ == "__main__":
    main()
