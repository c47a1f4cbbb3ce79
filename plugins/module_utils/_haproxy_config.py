"""What HAProxy is to do, as data: from a list of proxies to the sections of its configuration.

A section is a dictionary of directives. A directive's value is a string, ``True`` for a directive without arguments, a
list for a directive that repeats, or a dictionary whose keys continue the directive (``{"timeout": {"connect": "1s"}}``
is ``timeout connect 1s``); so an operator can override any single word of the configuration by merging a dictionary.
Nothing here does I/O.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from ansible_collections.zerospof.temporal.plugins.module_utils import _grpc_health

Section = dict[str, Any]
Proxy = Mapping[str, Any]

WORKFLOW_SERVICE = "temporal.api.workflowservice.v1.WorkflowService"
FRONTEND_NAME = "frontend"
# gRPC message of two bytes: HealthCheckResponse.status (field 1, varint) is SERVING.
SERVING = "00000000020801"
# The same with SERVING or NOT_SERVING: an answer in one word or the other ends the wait for one.
ANY_STATUS = "0000000002080[12]"

_NAME = re.compile(r"[A-Za-z0-9_.:-]+")
_RESERVED = {"metrics"}


class ConfigurationError(ValueError):
    """The list of proxies cannot be a configuration; the message says which one and why."""


def sections(proxies: Sequence[Proxy], tls_directory: str, patroni_port: int) -> dict[str, Section]:
    """Return one ``listen`` section per proxy, in their order.

    ``proxies``: dictionaries with the keys of the role's input ``haproxy_proxies``.
    ``tls_directory``: holds ``ca.crt`` and ``haproxy.pem``, with which HAProxy asks servers for their health.
    ``patroni_port``: port of Patroni's REST interface where a check does not name one.

    Raises:
        ConfigurationError: a name, address or port is missing, malformed or taken twice, or a check is unknown.
    """
    names = [str(proxy.get("name", "")) for proxy in proxies]
    _refuse_repeats("the name", "haproxy_proxies", names)
    _refuse_repeats("the bind address", "haproxy_proxies", [bind for proxy in proxies for bind in proxy["binds"]])
    return {
        f"listen {name}": _listen(name, proxy, tls_directory, patroni_port)
        for name, proxy in zip(names, proxies, strict=True)
    }


def _listen(name: str, proxy: Proxy, tls_directory: str, patroni_port: int) -> Section:
    where = f"haproxy_proxies: {name or 'a proxy without a name'}"
    if not _NAME.fullmatch(name) or name in _RESERVED:
        raise ConfigurationError(f"{where}: the name must be letters, digits and _.:- and not {', '.join(_RESERVED)}")
    servers = proxy["servers"]
    if not proxy["binds"] or not servers:
        raise ConfigurationError(f"{where}: needs at least one of binds and one of servers")
    _refuse_repeats("the server", where, [str(server["name"]) for server in servers])
    check = proxy["check"]
    section = _check_directives(where, check)
    words = {"check": True}
    if check["type"] == "patroni":
        words["port"] = _port(where, check.get("port", patroni_port))
        # Only one member holds the lease: what it says once needs no second time, for which queries would wait.
        words["rise"] = 1
    if check["type"] in ("patroni", "http") and _check_uses_tls(check):
        words["check-ssl"] = True
    if _check_uses_tls(check):
        words |= {"ca-file": f"{tls_directory}/ca.crt", "crt": f"{tls_directory}/haproxy.pem", "verify": "required"}
    return {
        "bind": {_bind(where, bind): "tcp-ut 10s" for bind in proxy["binds"]},
        "balance": proxy.get("balance", "leastconn"),
        **section,
        "server": {_server_name(where, server): _server(where, server, check, words) for server in servers},
    }


def _check_uses_tls(check: Mapping[str, Any]) -> bool:
    return bool(check.get("tls", check["type"] in ("grpc", "patroni")))


def _check_directives(where: str, check: Mapping[str, Any]) -> Section:
    directives: dict[str, Callable[[Mapping[str, Any]], Section]] = {
        "grpc": _grpc_check,
        "patroni": lambda _: _http_check("OPTIONS", "/primary"),
        "http": lambda values: _http_check("GET", values.get("path", "/")),
        "tcp": lambda _: {},
    }
    if check["type"] not in directives:
        raise ConfigurationError(f"{where}: check.type is {check['type']}, must be one of {', '.join(directives)}")
    return directives[check["type"]](check)


def _grpc_check(check: Mapping[str, Any]) -> Section:
    name = check.get("server_name", FRONTEND_NAME)
    tls = _check_uses_tls(check)
    request = _grpc_health.health_check_request(check.get("service", WORKFLOW_SERVICE), name, tls=tls)
    return {
        "option": {"tcp-check": True},
        "tcp-check": [
            f"connect ssl alpn h2 sni {name}" if tls else "connect",
            f"send-binary {request.hex()}",
            f"expect rbinary {ANY_STATUS}",
            f"expect binary {SERVING}",
        ],
    }


def _http_check(method: str, path: str) -> Section:
    return {
        "option": {"httpchk": True},
        "http-check": [f"send meth {method} uri {path}", "expect status 200"],
    }


def _server(where: str, server: Mapping[str, Any], check: Mapping[str, Any], words: Mapping[str, Any]) -> str:
    address = f"{_address(server['address'])}:{_port(where, server['port'])}"
    values = dict(words)
    if _check_uses_tls(check):
        # One name where the servers share it in their certificates, else each its own. Where a check names an SNI, as
        # that of gRPC does, HAProxy holds the certificate against the SNI instead.
        values["verifyhost"] = check.get("server_name", FRONTEND_NAME if check["type"] == "grpc" else server["name"])
    return " ".join([address, *(word if value is True else f"{word} {value}" for word, value in values.items())])


def _server_name(where: str, server: Mapping[str, Any]) -> str:
    name = str(server["name"])
    if not _NAME.fullmatch(name):
        raise ConfigurationError(f"{where}: {name!r} cannot be the name of a server")
    return name


def _address(address: str) -> str:
    return f"[{address}]" if ":" in address and not address.startswith("[") else address


def _port(where: str, port: Any) -> int:  # noqa: ANN401
    if not str(port).isdecimal() or not 0 < int(port) < 65536:
        raise ConfigurationError(f"{where}: {port} is not a port (1 to 65535)")
    return int(port)


def _bind(where: str, bind: str) -> str:
    address, _, port = bind.rpartition(":")
    if not address:
        raise ConfigurationError(f"{where}: bind {bind!r} must be ADDRESS:PORT")
    return f"{_address(address)}:{_port(where, port)}"


def _refuse_repeats(what: str, where: str, values: Sequence[str]) -> None:
    repeated = sorted({value for value in values if values.count(value) > 1})
    if repeated:
        raise ConfigurationError(f"{where}: {what} {', '.join(repeated)} is there more than once")
