"""The building blocks keep their promises on a real host."""

from __future__ import annotations

from testinfra.host import Host

RECORD = "/var/lib/zerospof/started/sample.service"


def test_a_unit_that_never_ran_was_started_and_enabled(host: Host) -> None:
    service = host.service("sample.service")
    assert service.is_running
    assert service.is_enabled


def test_a_unit_records_what_it_started_with(host: Host) -> None:
    assert host.check_output("sha256sum /etc/sample.conf") in host.file(RECORD).content_string
    assert "/etc/systemd/system/sample.service" in host.file(RECORD).content_string


def test_a_silent_peer_is_given_up_in_seconds(host: Host) -> None:
    assert host.sysctl("net.ipv4.tcp_retries2") == 5
    assert host.sysctl("net.ipv4.tcp_syn_retries") == 1


def test_the_firewall_survives_a_reboot(host: Host) -> None:
    assert host.service("zerospof-firewall.service").is_enabled
    assert "tcp dport 7002 drop" in host.check_output("nft list table inet zerospof")
