"""The ring on the hosts: encrypted, closed to strangers, hardened, and of one mind."""

from __future__ import annotations

import json

from testinfra.host import Host

TLS = "--cacert=/etc/etcd/tls/ca.crt --cert=/etc/etcd/tls/etcd.crt --key=/etc/etcd/tls/etcd.key"
ETCDCTL = f"etcdctl --endpoints=https://127.0.0.1:2379 {TLS}"


def test_the_member_runs_and_starts_at_boot(host: Host) -> None:
    service = host.service("etcd.service")
    assert service.is_running
    assert service.is_enabled


def test_the_ring_has_one_voter_per_host(host: Host) -> None:
    members = json.loads(host.check_output(f"{ETCDCTL} -w json member list"))["members"]
    assert sorted(member["name"] for member in members) == ["etcd-a", "etcd-b", "etcd-c"]
    assert not any(member.get("isLearner") for member in members)


def test_what_one_member_writes_all_can_read(host: Host) -> None:
    host.check_output(f"{ETCDCTL} put test/shared value")
    assert host.check_output(f"{ETCDCTL} get --print-value-only test/shared") == "value"


def test_a_stranger_without_a_certificate_is_turned_away(host: Host) -> None:
    assert host.run(f"etcdctl --endpoints=https://127.0.0.1:2379 {TLS.split(maxsplit=1)[0]} get x").failed
    assert host.run("etcdctl --endpoints=http://127.0.0.1:2379 get x").failed


def test_peers_prove_themselves_by_certificate_too(host: Host) -> None:
    environment = host.file("/etc/etcd/etcd.env").content_string.splitlines()
    assert "ETCD_PEER_CLIENT_CERT_AUTH=true" in environment
    assert "ETCD_CLIENT_CERT_AUTH=true" in environment


def test_no_later_start_can_bootstrap_a_second_ring(host: Host) -> None:
    assert not host.file("/etc/etcd/bootstrap.env").exists


def test_the_key_is_for_etcd_alone(host: Host) -> None:
    key = host.file("/etc/etcd/tls/etcd.key")
    assert (key.user, key.group, key.mode) == ("etcd", "etcd", 0o640)
    assert host.file("/var/lib/etcd").mode == 0o700


def test_the_unit_is_hardened(host: Host) -> None:
    # Exposure in tenths: 92 for the unit of the distribution, below 20 for ours.
    host.run_test("systemd-analyze security --threshold=20 etcd.service")
