"""What a host has after the role: a chain that verifies and a key that nobody else can read."""

from __future__ import annotations

import pytest
from testinfra.host import Host

DIRECTORY = "/etc/service/tls"


def test_the_certificate_was_signed_by_the_authority_for_server_and_client(host: Host) -> None:
    for purpose in ("sslserver", "sslclient"):
        host.run_test(f"openssl verify -purpose {purpose} -CAfile {DIRECTORY}/ca.crt {DIRECTORY}/service.crt")


@pytest.mark.parametrize("name", ["frontend", "localhost"])
def test_the_certificate_names_what_clients_verify(host: Host, name: str) -> None:
    checked = host.check_output(f"openssl x509 -in {DIRECTORY}/service.crt -noout -checkhost {name}")
    assert "does match certificate" in checked


def test_the_certificate_does_not_name_anything_else(host: Host) -> None:
    checked = host.run(f"openssl x509 -in {DIRECTORY}/service.crt -noout -checkhost internode")
    assert "does NOT match certificate" in checked.stdout


def test_the_certificate_belongs_to_the_key_of_this_host(host: Host) -> None:
    public = host.check_output(f"openssl pkey -in {DIRECTORY}/service.key -pubout")
    assert public == host.check_output(f"openssl x509 -in {DIRECTORY}/service.crt -noout -pubkey")


def test_keys_are_readable_by_their_owner_and_group_only(host: Host) -> None:
    for name in ("service.key", "service.pem"):
        file = host.file(f"{DIRECTORY}/{name}")
        assert (file.user, file.group, file.mode) == ("daemon", "daemon", 0o640)
    assert host.file(DIRECTORY).mode == 0o750


def test_no_key_but_its_own_is_on_the_host(host: Host) -> None:
    assert not host.file(f"{DIRECTORY}/ca.key").exists
