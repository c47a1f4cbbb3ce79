"""The ring on the hosts: whole, encrypted, closed to strangers and to the user that everybody knows, hardened."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
from testinfra.host import Host

TLS = "/etc/cassandra/tls"
MAINTENANCE_PASSWORD = "/etc/cassandra/repair.env"
CQL = (Path(__file__).resolve().parents[1] / "cql.py").read_text(encoding="utf-8")


@pytest.fixture
def address(host: Host) -> str:
    return host.check_output("hostname -I").split()[0]


@pytest.fixture
def secrets(host: Host) -> dict[str, str]:
    return host.ansible.get_variables()["temporal_secrets"]


def cql(host: Host, address: str, login: tuple[str, str], statement: str, certificate: str = f"{TLS}/cassandra.crt"):  # noqa: ANN201
    """Run one statement through the node of ``host``."""
    return host.run("/opt/zerospof/tools/bin/python -c %s %s %s %s %s %s", CQL, address, *login, certificate, statement)


def test_the_node_runs_and_starts_at_boot(host: Host) -> None:
    service = host.service("cassandra.service")
    assert service.is_running
    assert service.is_enabled


def test_every_rack_holds_every_row_once(host: Host) -> None:
    nodes = re.findall(r"^UN +(\S+) .* 16 +100\.0% .* (az_\w)$", host.check_output("nodetool status temporal"), re.M)
    assert sorted(rack for _, rack in nodes) == ["az_a", "az_b", "az_c"]


def test_users_are_kept_as_often_as_data(host: Host, address: str, secrets: dict[str, str]) -> None:
    login = ("administrator", secrets["cassandra_superuser"])
    found = cql(host, address, login, "SELECT keyspace_name, replication FROM system_schema.keyspaces").stdout
    for keyspace in ("system_auth", "system_distributed", "system_traces", "temporal", "zerospof"):
        [line] = [line for line in found.splitlines() if line.startswith(f"{keyspace} ")]
        assert "NetworkTopologyStrategy" in line
        assert "'dc1', '3'" in line or "'dc1': '3'" in line


@pytest.mark.parametrize(
    ("user", "password"), [("cassandra", "cassandra"), ("administrator", "wrong"), ("temporal", "cassandra")]
)
def test_known_and_wrong_passwords_are_refused(host: Host, address: str, user: str, password: str) -> None:
    refused = cql(host, address, (user, password), "SELECT key FROM system.local")
    assert refused.failed
    assert "AuthenticationFailed" in refused.stderr


def test_temporal_cannot_change_tables_nor_see_users(host: Host, address: str, secrets: dict[str, str]) -> None:
    login = ("temporal", secrets["cassandra_temporal"])
    for statement in ("CREATE TABLE temporal.x (k int PRIMARY KEY)", "SELECT role FROM system_auth.roles"):
        refused = cql(host, address, login, statement)
        assert "Unauthorized" in refused.stderr


def test_who_repairs_sees_no_workflow_and_no_user(host: Host, address: str, secrets: dict[str, str]) -> None:
    login = ("maintenance", secrets["cassandra_maintenance"])
    assert cql(host, address, login, "SELECT holder FROM zerospof.leases").succeeded
    for statement in (
        "SELECT * FROM temporal.executions",
        "SELECT role FROM system_auth.roles",
        "DROP KEYSPACE zerospof",
    ):
        refused = cql(host, address, login, statement)
        assert "Unauthorized" in refused.stderr or "does not exist" in refused.stderr


def test_a_stranger_without_a_certificate_is_turned_away(host: Host, address: str, secrets: dict[str, str]) -> None:
    login = ("administrator", secrets["cassandra_superuser"])
    refused = cql(host, address, login, "SELECT key FROM system.local", certificate="")
    assert refused.failed
    assert "NoHostAvailable" in refused.stderr
    for port in (9042, 7000):
        # In TLS 1.3 the server refuses after the handshake: its alert is what the client reads.
        said = host.run(f"openssl s_client -connect {address}:{port} -CAfile {TLS}/ca.crt -ign_eof < /dev/null")
        assert "certificate required" in said.stderr + said.stdout or "bad certificate" in said.stderr + said.stdout


def test_administration_is_for_this_host_alone(host: Host, address: str) -> None:
    listening = [line.split()[3] for line in host.check_output("ss -Hlntp").splitlines() if '"java"' in line]
    assert "[::ffff:127.0.0.1]:7199" in listening
    reachable = {place for place in listening if not place.startswith("[::ffff:127.0.0.1]:")}
    assert reachable == {f"[::ffff:{address}]:7000", f"[::ffff:{address}]:9042"}


def test_no_secret_is_in_a_file_of_the_configuration(host: Host, secrets: dict[str, str]) -> None:
    assert secrets
    for name, secret in secrets.items():
        found = host.run(f"grep -rlF -e {secret} /etc/cassandra /var/log/cassandra /etc/systemd").stdout.split()
        assert found == [MAINTENANCE_PASSWORD] * (name == "cassandra_maintenance"), name
        assert host.run(f"journalctl -u cassandra.service --no-pager | grep -qF -e {secret}").rc == 1, name


def test_keys_are_for_the_node_alone(host: Host) -> None:
    for name in ("cassandra.key", "cassandra.pem"):
        key = host.file(f"{TLS}/{name}")
        assert (key.user, key.group, key.mode) == ("cassandra", "cassandra", 0o640)
    assert host.file("/var/lib/cassandra").mode == 0o750
    password = host.file(MAINTENANCE_PASSWORD)
    assert (password.user, password.mode) == ("root", 0o600)


def test_no_later_start_can_found_a_second_ring(host: Host) -> None:
    assert not host.file("/etc/cassandra/first_start.env").exists


def test_every_node_has_a_turn_of_its_own_to_repair(host: Host) -> None:
    timer = host.service("cassandra-repair.timer")
    assert timer.is_running
    assert timer.is_enabled
    settings = json.loads(host.file("/etc/cassandra/repair.json").content_string)
    names = ["cassandra-a", "cassandra-b", "cassandra-c"]
    assert (int(settings["members"]), names[int(settings["place"])]) == (3, host.backend.get_hostname())


@pytest.mark.parametrize("unit", ["cassandra.service", "cassandra-repair@now.service"])
def test_the_units_are_hardened(host: Host, unit: str) -> None:
    # Exposure in tenths, below 20.
    host.run_test(f"systemd-analyze security --threshold=20 {unit}")
