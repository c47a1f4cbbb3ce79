"""Thin I/O around Patroni's REST API, shared by the Patroni modules."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any
from urllib.error import HTTPError, URLError

from ansible.module_utils.urls import open_url

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
    "port": {"type": "int", "default": 8008},
    "ca_file": {"type": "path", "required": True},
    "certificate_file": {"type": "path", "required": True},
    "key_file": {"type": "path", "required": True},
    "username": {"type": "str"},
    "password": {"type": "str", "no_log": True},
}

# Patroni answers from memory; a member that takes longer is as good as dead.
_TIMEOUT_SECONDS = 5

# A switchover is answered when it is over: ttl (20 s) and the election after it.
_ORDER_TIMEOUT_SECONDS = 60


class Patroni:
    """The REST API of the members of one cluster."""

    def __init__(self, module: AnsibleModule) -> None:
        """Take the addresses and certificates from the parameters of ``module``."""
        self._parameters = module.params
        self.errors: dict[str, str] = {}

    def call(self, name: str, method: str, path: str, body: object = None) -> tuple[int | None, Any]:
        """Return status and decoded answer of ``name``; ``None`` for the status, and its reason, when it has none."""
        address = next(member["address"] for member in self._parameters["members"] if member["name"] == name)
        host = f"[{address}]" if ":" in address else address
        try:
            response = open_url(
                f"https://{host}:{self._parameters['port']}{path}",
                method=method,
                data=None if body is None else json.dumps(body),
                headers={"Content-Type": "application/json"},
                timeout=_TIMEOUT_SECONDS if method == "GET" else _ORDER_TIMEOUT_SECONDS,
                use_proxy=False,
                url_username=self._parameters["username"],
                url_password=self._parameters["password"],
                force_basic_auth=self._parameters["password"] is not None,
                ca_path=self._parameters["ca_file"],
                client_cert=self._parameters["certificate_file"],
                client_key=self._parameters["key_file"],
            )
            return response.status, _decoded(response.read())
        except HTTPError as error:
            return error.code, _decoded(error.read())
        except (URLError, OSError, ValueError) as error:
            reason = str(getattr(error, "reason", error))
            self.errors[name] = reason
            return None, reason

    def first_answer(self, path: str) -> Any:  # noqa: ANN401
        """Return what the first member that answers 200 says, this host first; ``None`` when none does."""
        names = [member["name"] for member in self._parameters["members"]]
        own = self._parameters["name"]
        for name in sorted(names, key=lambda name: name != own):
            status, answer = self.call(name, "GET", path)
            if status == 200:
                return answer
        return None


def _decoded(content: bytes) -> Any:  # noqa: ANN401
    text = content.decode(errors="replace")
    try:
        return json.loads(text)
    except ValueError:
        return text
