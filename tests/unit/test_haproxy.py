"""What HAProxy is told, and how its answers are read."""

from __future__ import annotations

import dataclasses
import json
import time
from typing import Any

import pytest
from ansible_collections.zerospof.temporal.plugins.module_utils import _haproxy_admin, _haproxy_config
from ansible_collections.zerospof.temporal.plugins.module_utils._grpc_health import health_check_request
from ansible_collections.zerospof.temporal.plugins.modules import haproxy_server

TLS = "/etc/haproxy/tls"


def server(name: str, status: str) -> _haproxy_admin.Server:
    """Return a server as HAProxy tells of it."""
    return _haproxy_admin.Server("frontend", name, "192.0.2.21:7233", "ready", True, status, "L7OK", "", 0, 0)


@pytest.mark.parametrize(
    ("seen", "leaving", "last"),
    [
        ({"a": "UP", "b": "UP", "c": "UP"}, [], False),
        ({"a": "UP", "b": "DOWN", "c": "UP 1/2"}, [], False),
        ({"a": "UP", "b": "DOWN", "c": "DRAIN"}, [], True),
        ({"a": "UP", "b": "DOWN 1/2", "c": "MAINT"}, [], True),
        # It leaves with others of its zone.
        ({"a": "UP", "b": "UP", "c": "DOWN"}, ["a", "b"], True),
        ({"a": "UP", "b": "UP", "c": "UP"}, ["a", "b"], False),
        # An earlier run has drained it, or it does not serve: clients lose nothing.
        ({"a": "DRAIN", "b": "DOWN", "c": "DOWN"}, [], False),
        ({"a": "DOWN", "b": "UP", "c": "DOWN"}, [], False),
        ({"a": "UP"}, [], False),
    ],
)
def test_the_last_server_that_clients_can_use_is_not_taken_from_them(
    seen: dict[str, str], leaving: list[str], last: bool
) -> None:
    servers = [server(name, status) for name, status in seen.items()]
    assert _haproxy_admin.is_last(servers, "a", leaving) is last


def test_a_server_that_is_the_last_one_is_refused_with_what_became_of_the_others() -> None:
    class Admin:
        def servers(self) -> list[_haproxy_admin.Server]:
            other_proxy = dataclasses.replace(server("a", "UP"), proxy="ui")
            return [server("a", "UP"), server("b", "DOWN"), server("c", "DRAIN"), other_proxy]

    target = haproxy_server.Target(Admin(), "frontend", "a")
    with pytest.raises(_haproxy_admin.AdminError, match=r"a is the last one of frontend .*b DOWN .*, c DRAIN"):
        target.check_others([], deadline=0)
    haproxy_server.Target(Admin(), "frontend", "b").check_others([], deadline=0)


def test_a_server_that_is_on_its_way_up_is_waited_for() -> None:
    class Admin:
        looks = iter(["DOWN", "DOWN 1/2", "UP"])

        def servers(self) -> list[_haproxy_admin.Server]:
            return [server("a", "UP"), server("b", next(self.looks))]

    haproxy_server.Target(Admin(), "frontend", "a").check_others([], deadline=time.monotonic() + 60)
    assert list(Admin.looks) == []


def proxy(**changes: Any) -> dict[str, Any]:  # noqa: ANN401
    """Return a proxy to two servers with some keys changed; ``None`` removes a key."""
    values = {
        "name": "frontend",
        "binds": ["192.0.2.10:7233"],
        "servers": [
            {"name": "temporal-a", "address": "192.0.2.21", "port": 7233, "zone": "az_a"},
            {"name": "temporal-b", "address": "192.0.2.22", "port": 7233, "zone": "az_b"},
        ],
        "check": {"type": "grpc"},
        **changes,
    }
    return {name: value for name, value in values.items() if value is not None}


def section(**changes: Any) -> dict[str, Any]:  # noqa: ANN401
    """Return the only section that one proxy makes."""
    (result,) = _haproxy_config.sections([proxy(**changes)], TLS, 8008).values()
    return result


def test_a_frontend_is_asked_for_its_health_over_mutual_tls() -> None:
    made = section()
    request = health_check_request("temporal.api.workflowservice.v1.WorkflowService", "frontend", tls=True).hex()
    assert made["tcp-check"][:2] == ["connect ssl alpn h2 sni frontend", f"send-binary {request}"]
    assert made["tcp-check"][-1] == "expect binary 00000000020801"
    assert made["server"]["temporal-a"] == (
        "192.0.2.21:7233 check ca-file /etc/haproxy/tls/ca.crt crt /etc/haproxy/tls/haproxy.pem verify required"
        " verifyhost frontend"
    )


def test_a_connection_itself_is_not_decrypted() -> None:
    assert not any(" ssl" in server or "check-ssl" in server for server in section()["server"].values())


def test_a_service_and_the_name_in_its_certificate_may_be_others() -> None:
    made = section(check={"type": "grpc", "service": "other.Service", "server_name": "other"})
    assert made["tcp-check"][0].endswith("sni other")
    assert b"other.Service".hex() in made["tcp-check"][1]
    assert made["server"]["temporal-b"].endswith("verifyhost other")


def test_without_tls_no_certificate_is_named() -> None:
    made = section(check={"type": "grpc", "tls": False})
    assert made["tcp-check"][0] == "connect"
    assert TLS not in json.dumps(made)


def test_the_primary_is_found_by_patroni_on_each_host_under_its_own_name() -> None:
    made = section(check={"type": "patroni"})
    assert made["http-check"] == ["send meth OPTIONS uri /primary", "expect status 200"]
    assert "check port 8008 rise 1 check-ssl" in made["server"]["temporal-a"]
    assert made["server"]["temporal-a"].endswith("verifyhost temporal-a")
    assert made["server"]["temporal-b"].endswith("verifyhost temporal-b")


def test_a_page_is_asked_for_in_clear_text_unless_told_otherwise() -> None:
    plain = section(check={"type": "http", "path": "/healthz"})
    assert plain["http-check"][0] == "send meth GET uri /healthz"
    assert plain["server"]["temporal-a"] == "192.0.2.21:7233 check"
    assert "check-ssl" in section(check={"type": "http", "tls": True})["server"]["temporal-a"]


def test_a_connection_is_enough_for_a_tcp_check() -> None:
    made = section(check={"type": "tcp"}, balance="first")
    assert set(made) == {"bind", "balance", "server"}
    assert made["balance"] == "first"


def test_ipv6_addresses_are_bracketed() -> None:
    made = section(
        binds=["[2001:db8::10]:7233", "2001:db8::11:7234"],
        servers=[{"name": "a", "address": "2001:db8::21", "port": 7233}],
        check={"type": "tcp"},
    )
    assert list(made["bind"]) == ["[2001:db8::10]:7233", "[2001:db8::11]:7234"]
    assert made["server"]["a"].startswith("[2001:db8::21]:7233")


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"name": "two words"}, "two words: the name must be"),
        ({"name": "metrics"}, "metrics: the name must be"),
        ({"name": None}, "a proxy without a name"),
        ({"binds": []}, "at least one of binds"),
        ({"servers": []}, "one of servers"),
        ({"binds": ["7233"]}, "'7233' must be ADDRESS:PORT"),
        ({"binds": ["192.0.2.10:70000"]}, "70000 is not a port"),
        ({"binds": ["192.0.2.10:1", "192.0.2.10:1"]}, "192.0.2.10:1 is there more than once"),
        ({"servers": [{"name": "a", "address": "192.0.2.1", "port": 0}]}, "0 is not a port"),
        ({"servers": [{"name": "a;b", "address": "192.0.2.1", "port": 1}]}, "'a;b' cannot be the name of a server"),
        ({"servers": [{"name": "a", "address": "192.0.2.1", "port": 1}] * 2}, "the server a is there more than once"),
        ({"check": {"type": "ping"}}, "check.type is ping, must be one of grpc, patroni, http, tcp"),
    ],
)
def test_what_cannot_be_a_configuration_is_refused_with_its_place(changes: dict[str, Any], reason: str) -> None:
    with pytest.raises(_haproxy_config.ConfigurationError) as refusal:
        section(**changes)
    assert reason in str(refusal.value)
    assert "haproxy_proxies" in str(refusal.value)


def test_two_proxies_cannot_have_one_address() -> None:
    with pytest.raises(_haproxy_config.ConfigurationError, match=r"192\.0\.2\.10:7233 is there more than once"):
        _haproxy_config.sections([proxy(), proxy(name="other")], TLS, 8008)


STATISTICS = """\
# pxname,svname,scur,status,chkfail,check_status,last_chk
frontend,temporal-a,3,UP,1,L7OK,(tcp-check)
frontend,temporal-b,0,DRAIN,0,,
frontend,temporal-c,0,DOWN,7,* L7TOUT,"at step 4, expecting SERVING"
ui,temporal-a,0,no check,,,
"""
STATES = """\
1
# be_id be_name srv_id srv_name srv_addr srv_op_state srv_admin_state srv_check_state srv_port
2 frontend 1 temporal-a 192.0.2.21 2 0 6 7233
2 frontend 2 temporal-b 192.0.2.22 2 8 2 7233
2 frontend 3 temporal-c 192.0.2.23 0 1 7 7233
3 ui 1 temporal-a 192.0.2.21 2 0 0 8081
"""


def test_servers_are_read_from_both_answers() -> None:
    a, b, c, ui = _haproxy_admin.parse_servers(STATISTICS, STATES)
    assert (a.state, a.checked, a.usable, a.check_passes, a.sessions) == ("ready", True, True, True, 3)
    assert (b.state, b.checked, b.usable, b.check_passes) == ("drain", False, False, False)
    assert (c.state, c.checked, c.usable, c.failed_checks) == ("maint", True, False, 7)
    assert str(c) == "temporal-c DOWN (L7TOUT at step 4, expecting SERVING)"
    assert (ui.checked, ui.usable, ui.address) == (False, True, "192.0.2.21:8081")


def test_a_process_without_servers_has_none() -> None:
    assert _haproxy_admin.parse_servers("# pxname,svname\n\n", "1\n") == []


@pytest.mark.parametrize(
    ("statuses", "found"),
    [
        ({"db-a": "UP", "db-b": "DOWN"}, False),
        ({"db-a": "DOWN", "db-b": "UP 1/2"}, True),
        # Nobody has noticed yet that db-a leads no more.
        ({"db-a": "UP", "db-b": "UP"}, True),
        ({"db-a": "DOWN", "db-b": "DOWN"}, False),
        ({}, False),
    ],
)
def test_another_primary_is_a_server_that_is_up_beside_the_former_one(statuses: dict[str, str], found: bool) -> None:
    servers = [
        _haproxy_admin.Server("postgresql", name, "192.0.2.31:5432", "ready", True, status, "L7OK", "", 0, 0)
        for name, status in statuses.items()
    ]
    assert _haproxy_admin.has_another(servers, "db-a") is found


def test_information_is_read_by_name() -> None:
    assert _haproxy_admin.parse_info("Version: 3.0.11\nUptime: 0d 0h00m12s\ndescription: ab\n\n") == {
        "Version": "3.0.11",
        "Uptime": "0d 0h00m12s",
        "description": "ab",
    }
