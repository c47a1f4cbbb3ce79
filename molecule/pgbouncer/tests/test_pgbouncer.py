"""The pooler on the hosts: transactions of authenticated users go over TLS, on both releases of Debian."""

from __future__ import annotations

from testinfra.host import Host

from lab.hung import wait_until_replaced

CONSOLE = "runuser -u postgres -- psql -qtAX -h /run/pgbouncer -p 6432 pgbouncer pgbouncer -c"


def settings(host: Host) -> dict[str, str]:
    lines = host.check_output(f"{CONSOLE} 'SHOW CONFIG'").splitlines()
    return {name: value for name, value, *_ in (line.split("|") for line in lines)}


def test_the_pooler_runs_and_starts_at_boot(host: Host) -> None:
    service = host.service("pgbouncer.service")
    assert service.is_running
    assert service.is_enabled


def test_only_this_host_reaches_it(host: Host) -> None:
    assert host.socket("tcp://127.0.0.1:6432").is_listening
    assert not host.socket("tcp://0.0.0.0:6432").is_listening


def test_connections_are_pooled_by_transaction(host: Host) -> None:
    assert settings(host)["pool_mode"] == "transaction"


def test_prepared_statements_are_followed_where_pgbouncer_can(host: Host) -> None:
    expected = "1000" if host.system_info.codename == "trixie" else None
    assert settings(host).get("max_prepared_statements") == expected


def test_the_pool_speaks_tls_with_the_database(host: Host) -> None:
    servers = host.check_output(f"{CONSOLE} 'SHOW SERVERS'").splitlines()
    assert servers
    assert all("TLSv1." in server for server in servers)


def test_a_wrong_password_is_refused(host: Host) -> None:
    refused = host.run("PGPASSWORD=wrong psql -h 127.0.0.1 -p 6432 -U temporal temporal -c 'SELECT 1'")
    assert "authentication failed" in refused.stderr


def test_nobody_comes_through_the_pool_as_superuser(host: Host) -> None:
    refused = host.run("PGPASSWORD=wrong psql -h 127.0.0.1 -p 6432 -U postgres temporal -c 'SELECT 1'")
    assert refused.failed


def test_passwords_are_for_root_and_the_pooler_alone(host: Host) -> None:
    for path in ("/etc/pgbouncer/userlist.txt", "/etc/pgbouncer/tls/pgbouncer.key"):
        file = host.file(path)
        assert (file.user, file.group, file.mode) == ("root", "postgres", 0o640)


def test_the_unit_is_hardened(host: Host) -> None:
    # Exposure in tenths: 92 for the unit of the distribution, below 25 for ours.
    host.run_test("systemd-analyze security --threshold=25 pgbouncer.service")


def test_the_database_of_a_single_host_confirms_writes_alone(host: Host) -> None:
    psql = "psql -qtAX -h /run/postgresql -U postgres -c"
    assert host.check_output(f"{psql} 'SHOW synchronous_standby_names'") == ""


def test_a_pooler_that_hangs_is_ended_and_started_again(host: Host) -> None:
    process = "systemctl show --property=MainPID --value pgbouncer.service"
    wait_until_replaced(host, process, "pgbouncer*", is_back=lambda: host.run(f"{CONSOLE} 'SHOW VERSION'").succeeded)
    assert "pgbouncer.service hangs" in host.check_output("journalctl --no-pager -u pgbouncer-guard.service")
    host.run_test("systemd-analyze security --threshold=50 pgbouncer-guard.service")
