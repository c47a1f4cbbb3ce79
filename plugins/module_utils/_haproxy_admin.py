"""The admin socket of HAProxy: one command in, one answer out, and what the answers mean."""

from __future__ import annotations

import csv
import socket
from collections.abc import Collection, Mapping, Sequence
from dataclasses import asdict, dataclass

# Bits of HAProxy's server-t.h and check-t.h, as "show servers state" prints them.
_FORCED_MAINTENANCE, _FORCED_DRAIN = 0x01, 0x08
_CHECK_CONFIGURED, _CHECK_ENABLED = 0x02, 0x04

READY, DRAIN, MAINTENANCE = "ready", "drain", "maint"
TIMEOUT_SECONDS = 5.0


class AdminError(RuntimeError):
    """HAProxy does not answer, or refused a command; the message is its own."""


@dataclass(frozen=True)
class Server:
    """One server of one proxy.

    ``state`` is what an administrator asked for (ready, drain or maint), ``status`` what HAProxy makes of it and of the
    health check (``UP``, ``DOWN``, ``DRAIN``, ``MAINT``, ``no check`` ...). ``checked``: whether the health check runs.
    """

    proxy: str
    name: str
    address: str
    state: str
    checked: bool
    status: str
    check_status: str
    check_reason: str
    failed_checks: int
    sessions: int

    @property
    def usable(self) -> bool:
        """Whether new connections go to the server."""
        return self.status.startswith("UP") or self.status == "no check"

    @property
    def check_passes(self) -> bool:
        """Whether the last health check succeeded; ``* `` in front of it means that another one is under way."""
        return self.check_status.removeprefix("* ") in ("L4OK", "L6OK", "L7OK", "L7OKC")

    def as_dict(self) -> dict[str, object]:
        """Return the server as the modules publish it."""
        return asdict(self)

    def __str__(self) -> str:
        """Return the server as error messages name it."""
        check = " ".join(filter(None, [self.check_status.removeprefix("* "), self.check_reason]))
        return f"{self.name} {self.status}" + (f" ({check})" if check else "")


class AdminSocket:
    """The admin socket at ``path``."""

    def __init__(self, path: str) -> None:
        """Connect with each command, as HAProxy closes after each."""
        self.path = path

    def ask(self, command: str) -> str:
        """Return the answer to ``command``.

        Raises:
            AdminError: nothing listens on the socket.
        """
        try:
            with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as connection:
                connection.settimeout(TIMEOUT_SECONDS)
                connection.connect(self.path)
                connection.sendall(command.encode() + b"\n")
                answer = bytearray()
                while received := connection.recv(65536):
                    answer += received
        except OSError as error:
            raise AdminError(f"HAProxy does not answer on {self.path}: {error}") from error
        return answer.decode("utf-8", "replace")

    def order(self, command: str) -> None:
        """Give ``command``, which HAProxy answers with an empty line when it obeys.

        Raises:
            AdminError: HAProxy answered something else.
        """
        answer = self.ask(command).strip()
        if answer:
            raise AdminError(f"{command}: {answer}")

    def info(self) -> dict[str, str]:
        """Return what the process says about itself, such as ``Version`` and ``description``."""
        return parse_info(self.ask("show info"))

    def servers(self) -> list[Server]:
        """Return all servers of all proxies."""
        return parse_servers(self.ask("show stat -1 4 -1"), self.ask("show servers state"))


def has_another(servers: Sequence[Server], former: str) -> bool:
    """Tell whether new connections go to another server than ``former``.

    ``former`` may not have been found down yet: who connects to it then is refused, and sent to the other one.
    """
    return any(server.usable and server.name != former for server in servers)


def is_last(servers: Sequence[Server], name: str, leaving: Collection[str] = ()) -> bool:
    """Tell whether clients of a proxy can use its server ``name``, and none when it has gone with those ``leaving``.

    ``servers``: all of the proxy. A single one is never the last: nobody counts on another.
    """
    usable = {server.name for server in servers if server.usable}
    return len(servers) > 1 and name in usable and usable <= {name, *leaving}


def parse_info(answer: str) -> dict[str, str]:
    """Return the ``name: value`` lines of ``show info``."""
    pairs = (line.partition(":") for line in answer.splitlines() if ":" in line)
    return {name.strip(): value.strip() for name, _, value in pairs}


def parse_servers(statistics: str, states: str) -> list[Server]:
    """Return the servers from the answers to ``show stat`` (a CSV table) and ``show servers state``.

    ``show servers state`` prints a version, then ``# `` and the names of the columns, then one line per server.
    """
    _, _, table = states.partition("# ")
    columns, *lines = [line.split() for line in table.splitlines() if line.strip()] or [[]]
    rows = [dict(zip(columns, line, strict=False)) for line in lines]
    state_of = {(row["be_name"], row["srv_name"]): row for row in rows}
    return [
        _server(row, state_of[row["pxname"], row["svname"]])
        for row in csv.DictReader(statistics.removeprefix("# ").splitlines())
        if (row["pxname"], row["svname"]) in state_of
    ]


def _server(statistics: Mapping[str, str], state: Mapping[str, str]) -> Server:
    administrative = int(state["srv_admin_state"])
    check = int(state["srv_check_state"])
    return Server(
        proxy=statistics["pxname"],
        name=statistics["svname"],
        address=f"{state['srv_addr']}:{state['srv_port']}",
        state=MAINTENANCE
        if administrative & _FORCED_MAINTENANCE
        else DRAIN
        if administrative & _FORCED_DRAIN
        else READY,
        checked=bool(check & _CHECK_CONFIGURED and check & _CHECK_ENABLED),
        status=statistics["status"],
        check_status=statistics["check_status"],
        check_reason=statistics["last_chk"],
        failed_checks=int(statistics["chkfail"] or 0),
        sessions=int(statistics["scur"] or 0),
    )
