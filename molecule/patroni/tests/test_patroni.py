"""The database on the hosts: two copies of every write, closed to strangers, hardened."""

from __future__ import annotations

import json
import re
import time
from collections.abc import Callable

import pytest
from testinfra.host import Host

from lab.hung import wait_until_replaced

PSQL = "psql --no-psqlrc -qtAX -h /run/postgresql -U postgres"
REST = (
    "import ssl, sys, urllib.request as u; c = ssl.create_default_context(cafile='/etc/patroni/tls/ca.crt'); "
    "sys.argv[2:] and c.load_cert_chain(*sys.argv[2:]); print(u.urlopen(sys.argv[1], context=c, timeout=5).status)"
)
ROLES = ["Leader", *["Quorum Standby"] * 3]
CERTIFICATE = "/etc/patroni/tls/patroni.crt /etc/patroni/tls/patroni.key"


def address(host: Host) -> str:
    return host.check_output("hostname -I").split()[0]


def members(host: Host) -> list[dict]:
    return json.loads(host.check_output("patronictl -c /etc/patroni/conf.d list -f json"))


def leads(host: Host) -> bool:
    return host.run(f"{PSQL} -c 'SELECT NOT pg_is_in_recovery()'").stdout.strip() == "t"


def test_the_member_runs_and_starts_at_boot(host: Host) -> None:
    service = host.service("patroni.service")
    assert service.is_running
    assert service.is_enabled


def test_debian_made_no_cluster_of_its_own(host: Host) -> None:
    assert not host.file("/etc/postgresql/17/main").exists


def roles(host: Host) -> list[str]:
    return sorted(member["Role"] for member in members(host))


def wait(host: Host, happened: Callable[[], bool]) -> None:
    """Wait for what an election and the start of a standby take at most."""
    for _ in range(60):
        if happened():
            return
        time.sleep(1)
    raise AssertionError(
        host.check_output("patronictl -c /etc/patroni/conf.d list; journalctl --no-pager -n 30 -u 'patroni*'")
    )


def wait_for_every_role(host: Host) -> None:
    """One that was away confirms writes again some seconds after it follows."""
    wait(host, lambda: roles(host) == ROLES)


def test_one_member_leads_and_the_others_confirm_writes(host: Host) -> None:
    assert roles(host) == ROLES


def test_the_leader_keeps_the_log_for_each_member_that_is_away(host: Host) -> None:
    if leads(host):
        others = [member["Member"].replace("-", "_") for member in members(host) if member["Role"] != "Leader"]
        slots = host.check_output(f"{PSQL} -c 'SELECT slot_name FROM pg_replication_slots WHERE active'")
        assert sorted(slots.split()) == sorted(others)


def test_a_write_is_acknowledged_when_a_second_host_has_it(host: Host) -> None:
    if leads(host):
        assert host.check_output(f"{PSQL} -c 'SHOW synchronous_standby_names'").startswith("ANY 1 (")
    assert host.check_output(f"{PSQL} -c 'SHOW synchronous_commit'") == "on"


def test_pages_have_checksums(host: Host) -> None:
    assert host.check_output(f"{PSQL} -c 'SHOW data_checksums'") == "on"


@pytest.mark.parametrize("database", ["temporal", "temporal_visibility"])
def test_databases_belong_to_temporal(host: Host, database: str) -> None:
    query = f"SELECT pg_get_userbyid(datdba) FROM pg_database WHERE datname = '{database}'"
    assert host.check_output(f'{PSQL} -c "{query}"') == "temporal"


def test_the_extension_that_only_a_superuser_may_create_is_there(host: Host) -> None:
    query = "SELECT extname FROM pg_extension WHERE extname = 'btree_gin'"
    assert host.check_output(f'{PSQL} -d temporal_visibility -c "{query}"') == "btree_gin"


@pytest.mark.parametrize("database", ["temporal", "temporal_visibility"])
def test_pgbouncer_looks_up_users_and_no_superuser(host: Host, database: str) -> None:
    lookup = "SET ROLE pgbouncer; SELECT password FROM pgbouncer.user_lookup"
    assert host.check_output(f"{PSQL} -d {database} -c \"{lookup}('temporal')\"").startswith("SCRAM-SHA-256$")
    assert host.check_output(f"{PSQL} -d {database} -c \"{lookup}('postgres')\"") == ""
    denied = host.run(f"{PSQL} -d {database} -c \"SET ROLE temporal; SELECT pgbouncer.user_lookup('temporal')\"")
    assert "permission denied" in denied.stderr


@pytest.mark.parametrize(
    "parameters", ["user=postgres", "user=temporal sslmode=disable", "user=replicator dbname=temporal"]
)
def test_strangers_superusers_and_plain_text_do_not_come_over_the_network(host: Host, parameters: str) -> None:
    refused = host.run(f"psql 'host={address(host)} dbname=postgres {parameters}' -w -c 'SELECT 1'")
    assert "no pg_hba.conf entry" in refused.stderr


def test_the_rest_api_talks_to_certificates_of_the_cluster_alone(host: Host) -> None:
    url = f"https://{address(host)}:8008/health"
    assert host.check_output(f'python3 -c "{REST}" {url} {CERTIFICATE}') == "200"
    assert host.run(f'python3 -c "{REST}" {url}').failed


def test_passwords_are_for_root_and_postgresql_alone(host: Host) -> None:
    for path in ("/etc/patroni/conf.d/secrets.yml", "/etc/patroni/tls/patroni.key"):
        file = host.file(path)
        assert (file.user, file.group, file.mode) == ("root", "postgres", 0o640)
    assert "password" not in host.file("/etc/patroni/conf.d/member.yml").content_string


def test_the_unit_is_hardened(host: Host) -> None:
    # Exposure in tenths: 92 for the unit of the distribution, below 25 for ours.
    host.run_test("systemd-analyze security --threshold=25 patroni.service")


def test_a_postgresql_that_hangs_is_ended_and_follows_again(host: Host) -> None:
    """Patroni takes it for running: its first process is there."""
    if leads(host):
        return
    postmaster = "head -n 1 /var/lib/postgresql/*/*/postmaster.pid"
    receiver = f"{PSQL} -c 'SELECT status FROM pg_stat_wal_receiver'"
    wait_until_replaced(
        host, postmaster, "patroni*", is_back=lambda: host.run(receiver).stdout.strip() == "streaming", seconds=90
    )
    assert "patroni.service hangs" in host.check_output("journalctl --no-pager -u postgresql-guard.service")
    wait_for_every_role(host)


def test_a_leader_whose_disk_is_too_full_lets_another_one_lead_and_keeps_what_it_gets_back(host: Host) -> None:
    """Its guard has a limit here that no disk keeps."""
    if not leads(host):
        return
    unit, memory = "patroni-disk-guard.service", "/run/patroni-disk-guard/little_room"
    name = host.check_output("hostname")
    guard = host.check_output(f"sed -n 's/^ExecStart=//p' /etc/systemd/system/{unit}")
    stricter = re.sub(r"--least-percent \S+", "--least-percent 101", guard)
    assert stricter != guard
    drop_in = f"/run/systemd/system/{unit}.d"
    host.check_output(
        f"mkdir -p {drop_in} && printf '[Service]\\nExecStart=\\nExecStart={stricter}\\n' > {drop_in}/stricter.conf"
        f" && systemctl daemon-reload && systemctl restart {unit}"
    )
    try:
        wait(host, lambda: host.file(memory).exists)
        assert not leads(host)
        wait_for_every_role(host)
        host.check_output(f"patronictl -c /etc/patroni/conf.d switchover --force --candidate {name}")
        wait(host, lambda: leads(host))
        # Three more looks.
        time.sleep(16)
        assert leads(host)
    finally:
        host.check_output(f"rm -r {drop_in} && systemctl daemon-reload && systemctl restart {unit} && rm -f {memory}")
    wait_for_every_role(host)
    assert host.service(unit).is_running
    host.run_test(f"systemd-analyze security --threshold=40 {unit}")


def test_a_patroni_that_hangs_is_ended_and_postgresql_goes_on(host: Host) -> None:
    """Of the leader, too: it is back before its lease is over."""
    led, started = leads(host), f"{PSQL} -c 'SELECT pg_postmaster_start_time()'"
    process = "systemctl show --property=MainPID --value patroni.service"
    since = host.check_output(started)
    wait_until_replaced(host, process, "patroni*")
    assert host.check_output(started) == since
    wait_for_every_role(host)
    assert leads(host) == led
