"""Thin I/O around ``etcdctl``, shared by the etcd modules."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from ansible_collections.zerospof.temporal.plugins.module_utils import _etcd

if TYPE_CHECKING:
    from ansible.module_utils.basic import AnsibleModule

ARGUMENTS = {
    "name": {"type": "str", "required": True},
    "members": {
        "type": "list",
        "elements": "dict",
        "required": True,
        "options": {
            "name": {"type": "str", "required": True},
            "address": {"type": "str", "required": True},
            "zone": {"type": "str"},
        },
    },
    "client_port": {"type": "int", "default": 2379},
    "ca_file": {"type": "path", "required": True},
    "certificate_file": {"type": "path", "required": True},
    "key_file": {"type": "path", "required": True},
}

# A dead host answers nothing: the time after which it counts as dead, well above one election (1 s).
_COMMAND_TIMEOUT = "3s"

# A snapshot of the largest database (8 GiB, as etcd's documentation advises) over a slow disk.
SNAPSHOT_TIMEOUT = "600s"

SNAPSHOT = "snapshot.db"


class Etcdctl:
    """The ring as ``etcdctl`` on this host sees it."""

    def __init__(self, module: AnsibleModule) -> None:
        """Take the endpoints and certificates from the parameters of ``module``."""
        self._module = module
        parameters = module.params
        self.endpoints = [_etcd.url(member["address"], parameters["client_port"]) for member in parameters["members"]]
        self._binary = module.get_bin_path("etcdctl")
        self._flags = [
            "--write-out=json",
            "--dial-timeout=2s",
            f"--cacert={parameters['ca_file']}",
            f"--cert={parameters['certificate_file']}",
            f"--key={parameters['key_file']}",
        ]

    @property
    def is_installed(self) -> bool:
        """Whether this host has ``etcdctl``."""
        return self._binary is not None

    def run(
        self, *arguments: str, endpoints: Sequence[str] | None = None, timeout: str = _COMMAND_TIMEOUT
    ) -> tuple[int, Any, str]:
        """Return the exit code, the parsed output (``None`` when there is none) and the last line of the errors."""
        where = f"--endpoints={','.join(endpoints or self.endpoints)}"
        return _run(self._module, [self._binary, *self._flags, f"--command-timeout={timeout}", where, *arguments])

    def offline(self, *arguments: str) -> tuple[int, Any, str]:
        """Run a command about files, not about the ring; the result is that of ``run``.

        etcd 3.5 moved such commands to a program of its own, which Debian may not have; ``etcdctl`` lost them in 3.6.
        """
        binary = self._module.get_bin_path("etcdutl") or self._binary
        return _run(self._module, [binary, "--write-out=json", *arguments])

    def own_endpoint(self) -> str:
        """Return where the member of this host serves clients."""
        names = [member["name"] for member in self._module.params["members"]]
        if self._module.params["name"] not in names:
            self._module.fail_json(
                msg=f"etcd: {self._module.params['name']} is not one of the members of the inventory"
            )
        return self.endpoints[names.index(self._module.params["name"])]

    def ring(self, excluding: str | None = None) -> list[dict[str, Any]] | None:
        """Return the members of the ring, ``None`` when no member answers; do not ask the endpoint ``excluding``."""
        for endpoint in self.endpoints:
            if endpoint == excluding:
                continue
            code, output, _ = self.run("member", "list", endpoints=[endpoint])
            if code == 0 and output:
                return output["members"]
        return None

    def statuses(self) -> list[dict[str, Any]]:
        """Return the status of every member that answers."""
        return self.run("endpoint", "status")[1] or []

    def healths(self) -> list[dict[str, Any]]:
        """Return for every member whether it serves."""
        return self.run("endpoint", "health")[1] or []


def _run(module: AnsibleModule, command: Sequence[str]) -> tuple[int, Any, str]:
    code, output, error = module.run_command(list(command), environ_update={"ETCDCTL_API": "3"})
    line = output.strip().splitlines()[-1] if output.strip() else ""
    reason = error.strip().splitlines()[-1] if error.strip() else f"exit code {code}"
    return code, json.loads(line) if line.startswith(("{", "[")) else None, reason
