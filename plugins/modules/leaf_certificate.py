#!/usr/bin/python
# Copyright: (c) 2026, The zerospof.temporal maintainers
# Apache License 2.0 (see LICENSE or https://www.apache.org/licenses/LICENSE-2.0)
"""Ansible module: a key that never leaves its host, and a certificate that the control node signs."""

from __future__ import annotations

DOCUMENTATION = r"""
module: leaf_certificate
short_description: Give a service a key and a certificate of the cluster's authority
version_added: 0.1.0
author: The zerospof.temporal maintainers (@zerospof)
description:
  - Makes a private key (ECDSA, P-256) on the host that uses it. Only the request and the certificate travel; the
    authority stays on the control node.
  - A certificate is issued again when there is none, when its names, its use, its key or its authority differ, when
    other authorities than before are trusted, and when it ends soon. Services that notice by the certificate that there
    is something to read notice the authorities, too.
  - Writes C(<name>.key), C(<name>.crt) and C(ca.crt), where wanted also C(<name>.pem) with certificate and key.
attributes:
  check_mode:
    description: Can run in check mode and report what would change.
    support: full
  diff_mode:
    description: Shows what the certificate says before and after.
    support: full
options:
  name:
    description: Name of the service. It is the common name of the certificate and the stem of the file names.
    type: str
    required: true
  directory:
    description: Directory of the files. It is made if needed.
    type: path
    required: true
  authority_certificate:
    description: File on the control node (PEM). The first certificate in it is the one that signs, all are trusted.
    type: path
    required: true
  authority_key:
    description: File with the private key of the authority on the control node (PEM).
    type: path
    required: true
  owner:
    description: User to whom the files belong. The one who runs the module by default.
    type: str
  group:
    description: Group that may read the files. Nobody but the owner may by default.
    type: str
  dns_names:
    description: DNS names that the certificate stands for.
    type: list
    elements: str
    default: []
  ip_addresses:
    description: IP addresses that the certificate stands for.
    type: list
    elements: str
    default: []
  purposes:
    description: What the certificate may be used for.
    type: list
    elements: str
    choices: [client, server]
    default: [client, server]
  days:
    description: Days for which a new certificate is valid, at most as long as its authority.
    type: int
    default: 397
  renew_before_days:
    description: Days before its end at which a certificate is issued again. Must be less than O(days).
    type: int
    default: 30
  issued_before:
    description:
      - A certificate that was issued before this moment is renewed, with a new key.
      - ISO 8601; UTC where no zone is named. With the same moment again, nothing is done again.
    type: str
    default: ""
  combined:
    description: Also write C(<name>.pem) with the certificate and its key.
    type: bool
    default: false
requirements:
  - cryptography >= 38 on the host, >= 42 on the control node
"""

EXAMPLES = r"""
- name: The service has a certificate
  zerospof.temporal.leaf_certificate:
    name: temporal
    directory: /etc/temporal/tls
    owner: temporal
    group: temporal
    dns_names: [temporal-a, frontend]
    ip_addresses: [192.0.2.11]
    authority_certificate: /secure/pki/ca.crt
    authority_key: /secure/pki/ca.key
"""

RETURN = r"""
certificate:
  description: What the certificate in place says.
  returned: when there is one
  type: dict
  sample:
    name: temporal
    names: frontend, temporal-a, 192.0.2.11
    authority: production certificate authority
    ends: "2027-12-26T10:00:00+00:00"
reasons:
  description: Why it was issued again, or would be in check mode.
  returned: always
  type: list
  elements: str
  sample: [there is none]
"""

import grp
import os
import pwd
from pathlib import Path
from typing import Any

from ansible.module_utils.basic import AnsibleModule, missing_required_lib
from ansible_collections.zerospof.temporal.plugins.module_utils import _certificates, _files


class Place:
    """The directory of the files; it knows who may read them and whether anything changed."""

    def __init__(self, parameters: dict[str, Any], check_mode: bool) -> None:
        """Look up owner and group; who does not exist yet is left out in check mode."""
        self.directory = Path(parameters["directory"])
        self.changed = False
        self._check_mode = check_mode
        self._owner = self._number(parameters["owner"], pwd.getpwnam, "pw_uid")
        self._group = self._number(parameters["group"], grp.getgrnam, "gr_gid")
        self._file_mode = 0o640 if parameters["group"] else 0o600
        self._directory_mode = 0o750 if parameters["group"] else 0o700

    def _number(self, name: str | None, look_up: Any, attribute: str) -> int:  # noqa: ANN401
        try:
            return -1 if name is None else getattr(look_up(name), attribute)
        except KeyError:
            if self._check_mode:
                return -1
            raise

    def make(self) -> None:
        """See that the directory is there and keeps others out."""
        if not self.directory.is_dir():
            self.changed = True
            if self._check_mode:
                return
            self.directory.mkdir(parents=True, mode=0o700)
        self._guard(self.directory, self._directory_mode)

    def read(self, name: str) -> str:
        """Return a file, an empty text when there is none."""
        path = self.directory / name
        return path.read_text(encoding="utf-8") if path.is_file() else ""

    def write(self, texts: dict[str, str]) -> None:
        """See that files have these texts: whole, or as they were before, and never readable by others.

        A service that reads a key and its certificate while both change finds them in step but for an instant.
        """
        new = {name: text for name, text in texts.items() if self.read(name) != text}
        if new:
            self.changed = True
        if new and not self._check_mode:
            files = {self.directory / name: text for name, text in new.items()}
            _files.replace(files, self._file_mode, (self._owner, self._group))
        for name in texts:
            if (self.directory / name).exists():
                self._guard(self.directory / name, self._file_mode)

    def remove(self, name: str) -> None:
        """See that a file is not there."""
        if (self.directory / name).exists():
            self.changed = True
            if not self._check_mode:
                (self.directory / name).unlink()

    def _guard(self, path: Path, mode: int) -> None:
        found = path.stat()
        owned = self._owner in (-1, found.st_uid) and self._group in (-1, found.st_gid)
        if owned and found.st_mode & 0o7777 == mode:
            return
        self.changed = True
        if not self._check_mode:
            os.chown(path, self._owner, self._group)
            path.chmod(mode)


def converge(module: AnsibleModule, place: Place) -> dict[str, Any]:
    """Do what this host can do alone; return a request where the control node has to sign."""
    parameters = module.params
    name, authority, signed = parameters["name"], parameters["_authority"], parameters["_certificate"]
    wanted = _certificates.Wanted(
        name, tuple(parameters["dns_names"]), tuple(parameters["ip_addresses"]), tuple(parameters["purposes"])
    )
    lifetime = _certificates.Lifetime(parameters["days"], parameters["renew_before_days"])
    foreign = _certificates.foreign_authority(place.read("ca.crt"), authority)
    if foreign:
        raise _certificates.CertificateError(foreign)
    place.make()
    present, trusted = place.read(f"{name}.crt"), place.read("ca.crt")
    reasons = [] if signed else _certificates.outdated(present, parameters["issued_before"])
    # A renewed certificate has a new key, which waits beside the other one until it is signed.
    files = [f"{name}.key.next", f"{name}.key"]
    file = next((file for file in files if _certificates.belongs(signed, place.read(file))), files[0 if reasons else 1])
    key = place.read(file)
    if not key:
        if module.check_mode:
            return {"changed": True, "reasons": reasons or ["there is none"]}
        key = _certificates.new_key()
    place.write({file: key})
    if not reasons:
        reasons = _certificates.faults(signed or present, key, wanted, authority, lifetime)
    if reasons and signed:
        raise _certificates.CertificateError(f"the signed certificate is not what was asked for: {'; '.join(reasons)}")
    if present and not signed and _certificates.bundle(trusted) != _certificates.bundle(authority):
        reasons.append("other authorities are to be trusted")
    if reasons:
        return {"changed": True, "reasons": reasons, "request": _certificates.request(key, wanted)}
    certificate = signed or present
    texts = {f"{name}.key": key, f"{name}.crt": certificate, "ca.crt": _certificates.bundle(authority)}
    if parameters["combined"]:
        texts[f"{name}.pem"] = certificate.rstrip() + "\n" + key
    place.write(texts)
    place.remove(f"{name}.key.next")
    return {"changed": place.changed, "reasons": [], "certificate": _certificates.summary(certificate)}


def main() -> None:
    """Run the module."""
    module = AnsibleModule(
        argument_spec={
            "name": {"type": "str", "required": True},
            "directory": {"type": "path", "required": True},
            "owner": {"type": "str"},
            "group": {"type": "str"},
            "dns_names": {"type": "list", "elements": "str", "default": []},
            "ip_addresses": {"type": "list", "elements": "str", "default": []},
            "purposes": {
                "type": "list",
                "elements": "str",
                "choices": list(_certificates.PURPOSES),
                "default": list(_certificates.PURPOSES),
            },
            "days": {"type": "int", "default": 397},
            "renew_before_days": {"type": "int", "default": 30},
            "issued_before": {"type": "str", "default": ""},
            "combined": {"type": "bool", "default": False},
            # What the action adds: the authority's certificate, and the one that it signed.
            "_authority": {"type": "str", "required": True},
            "_certificate": {"type": "str", "default": ""},
        },
        supports_check_mode=True,
    )
    if not _certificates.HAS_CRYPTOGRAPHY and module.check_mode:
        # A virgin host: the package comes with the base of the machine, and no certificate is older than that.
        module.exit_json(changed=True, reasons=["there is none"])
    if not _certificates.HAS_CRYPTOGRAPHY:
        module.fail_json(msg=missing_required_lib("cryptography"))
    days, renew_before = module.params["days"], module.params["renew_before_days"]
    if not 0 <= renew_before < days:
        module.fail_json(msg=f"renew_before_days is {renew_before}; it must be less than days, which is {days}")
    try:
        place = Place(module.params, module.check_mode)
        module.exit_json(**converge(module, place))
    except KeyError as error:
        module.fail_json(msg=f"the files cannot be given away: {error.args[0]}")
    except (OSError, _certificates.CertificateError) as error:
        module.fail_json(msg=f"certificate {module.params['name']} in {module.params['directory']}: {error}")


if __name__ == "__main__":
    main()
