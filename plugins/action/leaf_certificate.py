# Copyright: (c) 2026, The zerospof.temporal maintainers
# Apache License 2.0 (see LICENSE or https://www.apache.org/licenses/LICENSE-2.0)
"""Action of the module ``leaf_certificate``: signs on the control node what the host asks for."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import yaml
from ansible.errors import AnsibleActionFail
from ansible.plugins.action import ActionBase
from ansible_collections.zerospof.temporal.plugins.module_utils import _certificates


class ActionModule(ActionBase):
    """Ask the host what it has, sign where needed, and let the host put the certificate in place."""

    _supports_check_mode = True

    def run(self, tmp: str | None = None, task_vars: dict[str, Any] | None = None) -> dict[str, Any]:
        """Return the result of the module."""
        result = super().run(tmp, task_vars)
        arguments = dict(self._task.args)
        try:
            files = [Path(arguments.pop(name)).expanduser() for name in ("authority_certificate", "authority_key")]
        except KeyError as error:
            raise AnsibleActionFail(f"missing required arguments: {error.args[0]}") from error
        missing = [str(file) for file in files if not file.is_file()]
        if missing and self._task.check_mode:
            return {**result, "changed": True, "reasons": ["there is none"]}
        if missing:
            raise AnsibleActionFail(f"there is no certificate authority: {', '.join(missing)} is missing")
        authority, authority_key = (file.read_text(encoding="utf-8") for file in files)
        arguments["_authority"] = authority
        asked = self._execute_module(module_args=arguments, task_vars=task_vars)
        request = asked.pop("request", "")
        if asked.get("failed") or not asked.get("reasons"):
            return {**result, **asked}
        if self._task.check_mode:
            return {**result, **asked, "diff": _diff("", {"to be issued because": asked["reasons"]})}
        try:
            signed = _certificates.sign(request, authority, authority_key, int(arguments.get("days", 397)))
        except _certificates.CertificateError as error:
            raise AnsibleActionFail(f"{files[0]}: {error}") from error
        done = self._execute_module(module_args={**arguments, "_certificate": signed}, task_vars=task_vars)
        if done.get("failed"):
            return {**result, **done}
        return {
            **result,
            **done,
            "changed": True,
            "reasons": asked["reasons"],
            "diff": _diff("", {"issued because": asked["reasons"], **done["certificate"]}),
        }


def _diff(before: str, after: dict[str, Any]) -> dict[str, str]:
    return {"before": before, "after": yaml.safe_dump(after, sort_keys=False)}
