"""The services run apart from each other, hardened, encrypted on every hop, and are one ring."""

from __future__ import annotations

import json

import pytest
from testinfra.host import Host

SERVICES = ("frontend", "history", "matching", "worker")
PORTS = {"frontend": 7233, "history": 7234, "matching": 7235, "worker": 7239}
MEMBERSHIP_PORTS = {"frontend": 6933, "history": 6934, "matching": 6935, "worker": 6939}
METRICS_PORTS = {"frontend": 9090, "history": 9091, "matching": 9092, "worker": 9093}
TLS = "/etc/temporal/tls"
MOST_EXPOSED = 2.5


@pytest.fixture
def address(host: Host) -> str:
    """Return the address on which the services of this host listen."""
    return host.interface("eth0").addresses[0]


@pytest.mark.parametrize("service", SERVICES)
def test_each_service_is_a_unit_of_its_own(host: Host, service: str) -> None:
    unit = host.service(f"temporal-{service}.service")
    assert unit.is_running
    assert unit.is_enabled
    assert f"--service {service}" in unit.systemd_properties["ExecStart"]


@pytest.mark.parametrize("service", SERVICES)
def test_services_listen_on_the_address_of_the_host_only(host: Host, address: str, service: str) -> None:
    for port in (PORTS[service], MEMBERSHIP_PORTS[service], METRICS_PORTS[service]):
        assert host.socket(f"tcp://{address}:{port}").is_listening
        assert not host.socket(f"tcp://127.0.0.1:{port}").is_listening


def test_the_process_is_not_root(host: Host) -> None:
    assert {process.user for process in host.process.filter(comm="temporal-server")} == {"temporal"}


@pytest.mark.parametrize("service", SERVICES)
def test_the_unit_is_locked_in(host: Host, service: str) -> None:
    report = host.check_output(f"systemd-analyze security --no-pager temporal-{service}.service | tail -1")
    score = float(report.split("temporal-")[1].split(": ")[1].split()[0])
    assert score <= MOST_EXPOSED, report


def test_the_password_is_readable_by_root_alone_and_in_no_other_place(host: Host) -> None:
    secrets = host.file("/etc/temporal/secrets.env")
    assert (secrets.user, secrets.mode) == ("root", 0o600)
    password = secrets.content_string.split("TEMPORAL_DATABASE_PASSWORD=")[1].strip().strip('"')
    places = "/etc/temporal/server.yaml /etc/temporal/dynamicconfig.yaml /etc/systemd/system"
    assert host.run(f"grep -rlF -e {password} {places}").stdout == ""
    assert password not in host.check_output("ps -eo args")


@pytest.mark.parametrize("service", SERVICES)
def test_a_client_without_a_certificate_is_refused(host: Host, address: str, service: str) -> None:
    client = f"timeout 5 openssl s_client -connect {address}:{PORTS[service]} -CAfile {TLS}/ca.crt -alpn h2"
    shown = host.run(f"(sleep 1; echo) | {client} 2>&1").stdout
    assert "certificate required" in shown or "bad certificate" in shown, shown


@pytest.mark.parametrize("service", SERVICES)
def test_gossip_is_encrypted(host: Host, address: str, service: str) -> None:
    shown = host.run(
        f"timeout 5 openssl s_client -connect {address}:{MEMBERSHIP_PORTS[service]} -CAfile {TLS}/ca.crt"
        f" -cert {TLS}/temporal.crt -key {TLS}/temporal.key </dev/null 2>&1"
    ).stdout
    assert "Verify return code: 0 (ok)" in shown


def test_every_service_sees_two_hosts(host: Host, address: str) -> None:
    gossip = host.check_output(
        f"TEMPORAL_CLI_ADDRESS={address}:7233 TEMPORAL_CLI_TLS_CA={TLS}/ca.crt TEMPORAL_CLI_TLS_SERVER_NAME=frontend"
        f" TEMPORAL_CLI_TLS_CERT={TLS}/temporal.crt TEMPORAL_CLI_TLS_KEY={TLS}/temporal.key"
        " /opt/temporal-server/current/tdbg membership list-gossip"
    )
    assert {ring["role"]: ring["member_count"] for ring in json.loads(gossip)} == dict.fromkeys(SERVICES, 2)


def test_a_stop_has_time_to_drain(host: Host) -> None:
    for service in SERVICES:
        limit = host.service(f"temporal-{service}.service").systemd_properties["TimeoutStopUSec"]
        assert limit == "44s"


def test_the_dynamic_configuration_drains(host: Host) -> None:
    settings = host.file("/etc/temporal/dynamicconfig.yaml").content_string
    assert 'frontend.shutdownFailHealthCheckDuration: [{"value": "1s"}]' in settings
    assert 'system.enableRingpopTLS: [{"value": true}]' in settings
