"""How modules reach a Temporal frontend: their options, and the official client for those that run where it is.

``temporalio`` lives in a virtual environment of its own on managed hosts. Modules that need it begin with
:func:`require_library`; the others use the options alone.
"""

from __future__ import annotations

import asyncio
import multiprocessing
import time
import traceback
from collections.abc import Awaitable, Callable, Coroutine
from pathlib import Path
from typing import Any, TypeVar

from ansible.module_utils.basic import AnsibleModule, missing_required_lib
from ansible_collections.zerospof.temporal.plugins.module_utils import _ring

try:
    from temporalio.service import ConnectConfig, RPCError, ServiceClient, TLSConfig
except ImportError:
    TEMPORALIO_IMPORT_ERROR: str | None = traceback.format_exc()
else:
    TEMPORALIO_IMPORT_ERROR = None

Result = TypeVar("Result")

ARGUMENTS: dict[str, dict[str, Any]] = {
    "address": {"type": "str", "required": True},
    "port": {"type": "int", "default": 7233},
    "ca_file": {"type": "path"},
    "cert_file": {"type": "path"},
    "key_file": {"type": "path"},
    "server_name": {"type": "str", "default": "frontend"},
}
REQUIRED_TOGETHER = [("cert_file", "key_file")]
# Of the modules that are a client of one namespace, at an ``address`` that has its port in it.
CLIENT_ARGUMENTS: dict[str, dict[str, Any]] = {
    **{name: spec for name, spec in ARGUMENTS.items() if name != "port"},
    "namespace": {"type": "str", "required": True},
    "token": {"type": "str", "default": "", "no_log": True},
}

# Status codes (names of temporalio.service.RPCStatusCode) that pass while a cluster starts or changes hands.
TRANSIENT = frozenset({"UNAVAILABLE", "DEADLINE_EXCEEDED", "RESOURCE_EXHAUSTED", "CANCELLED", "ABORTED", "UNKNOWN"})
PAUSE_SECONDS = 1.0


class FrontendError(RuntimeError):
    """The frontend did not do what it was asked; the message says what it answered."""


def require_library(module: AnsibleModule) -> None:
    """End the module when the client is missing."""
    if TEMPORALIO_IMPORT_ERROR:
        module.fail_json(msg=missing_required_lib("temporalio"), exception=TEMPORALIO_IMPORT_ERROR)


class Frontend:
    """A connection to one frontend that bears with a cluster that is still starting.

    A just born cluster first refuses connections, then answers UNAVAILABLE, and then does not know a new
    namespace until its registry has read it. So every call is repeated until it succeeds, is refused for a reason
    that does not pass, or the time budget of the connection is used up.
    """

    def __init__(self, parameters: dict[str, Any], budget_seconds: float) -> None:
        """Take the options of a module (``ARGUMENTS``) and read the files of TLS; nothing is connected yet.

        Raises:
            OSError: a file of TLS cannot be read.
        """
        self._place = _ring.identity(parameters["address"], parameters["port"])
        self._config = ConnectConfig(
            target_host=self._place, tls=tls_settings(parameters), identity="zerospof.temporal"
        )
        self._budget_seconds = budget_seconds
        self._deadline = time.monotonic() + budget_seconds
        self._client: ServiceClient | None = None

    async def call(
        self, what: str, request: Callable[[ServiceClient], Awaitable[Result]], *passing: str, absent: str | None = None
    ) -> Result | None:
        """Return the answer to ``request``, or ``None`` when it is refused with the status ``absent``.

        ``what`` completes the sentence "cannot ..."; ``passing`` names further status codes that pass with time.

        Raises:
            FrontendError: the request is refused or the time is up; the message holds the last answer.
        """
        while True:
            try:
                return await request(await self._connected())
            except RPCError as error:
                if error.status.name == absent:
                    return None
                reason = f"{error.status.name}: {error.message}"
                if error.status.name not in TRANSIENT.union(passing):
                    raise FrontendError(f"{self._place}: cannot {what}: {reason}") from error
            except (RuntimeError, OSError) as error:
                # The client reports a connection that it cannot make as a RuntimeError.
                reason = str(error)
            if time.monotonic() + PAUSE_SECONDS > self._deadline:
                raise FrontendError(
                    f"{self._place}: cannot {what} within {self._budget_seconds:g} s; last answer: {reason}"
                )
            await asyncio.sleep(PAUSE_SECONDS)

    async def _connected(self) -> ServiceClient:
        """Return the open connection; open it when there is none."""
        if self._client is None:
            self._client = await ServiceClient.connect(self._config)
        return self._client


def tls_settings(parameters: dict[str, Any]) -> TLSConfig | bool:
    """Return the TLS settings of the client; ``False`` means a connection without TLS."""
    authority, certificate, key = (
        Path(parameters[name]).read_bytes() if parameters[name] else None
        for name in ("ca_file", "cert_file", "key_file")
    )
    if authority is None:
        return False
    return TLSConfig(
        server_root_ca_cert=authority,
        client_cert=certificate,
        client_private_key=key,
        domain=parameters["server_name"],
    )


def client_options(parameters: dict[str, Any], namespace: str) -> dict[str, Any]:
    """Return the options of ``temporalio.client.Client.connect`` that say who asks, and where."""
    return {"namespace": namespace, "tls": tls_settings(parameters), "api_key": parameters["token"] or None}


def innermost(error: BaseException) -> BaseException:
    """Return what ``error`` comes from in the end."""
    while error.__cause__ is not None:
        error = error.__cause__
    return error


def first_line(error: BaseException) -> str:
    """Return the first line of what ``error`` says, its kind when it says nothing."""
    return (str(error) or type(error).__name__).splitlines()[0]


def in_a_process_of_its_own(work: Callable[[], Coroutine[Any, Any, Result]]) -> Result:
    """Return what ``work`` does in a child: threads of the SDK can crash an interpreter that ends after a worker ran.

    Raises:
        FrontendError: it failed; the message has the kind of the error and what it says.
    """
    context = multiprocessing.get_context("fork")
    answers, child_end = context.Pipe(duplex=False)

    def body() -> None:
        try:
            child_end.send((asyncio.run(work()), ""))
        except Exception as error:  # told by the parent
            child_end.send((None, f"{type(error).__name__}: {error}"))

    child = context.Process(target=body)
    child.start()
    child_end.close()
    answer, failure = answers.recv()
    child.join()
    if failure:
        raise FrontendError(failure)
    return answer
