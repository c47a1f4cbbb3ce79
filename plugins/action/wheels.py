# Copyright: (c) 2026, The zerospof.temporal maintainers
# Apache License 2.0 (see LICENSE or https://www.apache.org/licenses/LICENSE-2.0)
"""Action plugin behind zerospof.temporal.wheels: it packs what the host lacks and sends it as one file."""

from __future__ import annotations

import tarfile
import tempfile
from pathlib import Path
from typing import Any

from ansible.errors import AnsibleActionFail
from ansible.plugins.action import ActionBase
from ansible_collections.zerospof.temporal.plugins.module_utils import _units

ARGUMENT_SPEC = {"src": {"type": "path", "required": True}, "dest": {"type": "path", "required": True}}
MODULE = "zerospof.temporal.wheels"


class ActionModule(ActionBase):
    """Two runs of the module: what is missing, and its arrival."""

    def run(self, tmp: str | None = None, task_vars: dict[str, Any] | None = None) -> dict[str, Any]:
        """Run the task."""
        super().run(tmp, task_vars)
        _, arguments = self.validate_argument_spec(ARGUMENT_SPEC)
        source = Path(arguments["src"])
        wheels = {path.name: path for path in sorted(source.glob("[!.]*")) if path.is_file()}
        if not wheels:
            raise AnsibleActionFail(f"wheels: there is none in {source}; run playbooks/artifacts.yml first")
        digests = {name: _units.digest(path.read_bytes()) for name, path in wheels.items()}
        options = arguments | {"digests": digests}
        found = self._execute_module(MODULE, module_args=options, task_vars=task_vars)
        if found.get("failed") or not found["missing"] or self._task.check_mode:
            return found
        directory = self._make_tmp_path()
        try:
            archive = self._connection._shell.join_path(directory, "wheels.tar")
            with tempfile.NamedTemporaryFile(suffix=".tar") as local:
                with tarfile.open(local.name, "w") as packed:
                    for name in found["missing"]:
                        packed.add(wheels[name], arcname=name)
                self._transfer_file(local.name, archive)
            self._fixup_perms2((directory, archive))
            return self._execute_module(MODULE, module_args=options | {"archive": archive}, task_vars=task_vars)
        finally:
            self._remove_tmp_path(directory)
