"""A certificate is issued again exactly when it must be, and says what was asked for."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from ansible_collections.zerospof.temporal.plugins.module_utils import _certificates
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.x509.oid import NameOID

NOW = datetime(2026, 11, 24, tzinfo=UTC)
WANTED = _certificates.Wanted("temporal", ("temporal-a", "frontend"), ("192.0.2.11",))
LIFETIME = _certificates.Lifetime(days=397, renew_before_days=30)
KEYS = {
    "ec": lambda: ec.generate_private_key(ec.SECP384R1()),
    "rsa": lambda: rsa.generate_private_key(65537, 2048),
    "ed25519": ed25519.Ed25519PrivateKey.generate,
}


def authority(kind: str = "ec", days: int = 3650, name: str = "authority", identifier: bytes = b"") -> tuple[str, str]:
    """Return certificate and key of an authority, which calls its key ``identifier``."""
    key = KEYS[kind]()
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    builder = x509.CertificateBuilder()
    if identifier:
        builder = builder.add_extension(x509.SubjectKeyIdentifier(identifier), critical=False)
    certificate = (
        builder.subject_name(subject)
        .issuer_name(subject)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(NOW - timedelta(days=1))
        .not_valid_after(NOW + timedelta(days=days))
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .sign(key, None if kind == "ed25519" else hashes.SHA256())
    )
    return certificate.public_bytes(serialization.Encoding.PEM).decode(), key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    ).decode()


CA, CA_KEY = authority()
KEY = _certificates.new_key()
LEAF = _certificates.sign(_certificates.request(KEY, WANTED), CA, CA_KEY, 397, NOW)


def faults(
    certificate: str = LEAF,
    key: str = KEY,
    wanted: _certificates.Wanted = WANTED,
    ca: str = CA,
    now: datetime = NOW,
) -> list[str]:
    return _certificates.faults(certificate, key, wanted, ca, LIFETIME, now)


@pytest.mark.parametrize("kind", KEYS)
def test_what_an_authority_signed_is_right(kind: str) -> None:
    ca, ca_key = authority(kind)
    leaf = _certificates.sign(_certificates.request(KEY, WANTED), ca, ca_key, 397, NOW)
    assert faults(leaf, ca=ca) == []
    assert faults(leaf) == ["another authority has signed it"]
    assert _certificates.summary(leaf) == {
        "name": "temporal",
        "names": "frontend, temporal-a, 192.0.2.11",
        "authority": "authority",
        "ends": "2027-12-26T00:00:00+00:00",
    }


@pytest.mark.parametrize(
    ("wanted", "reason"),
    [
        (replace(WANTED, name="haproxy"), "its name was temporal and is to be haproxy"),
        (
            replace(WANTED, dns_names=("temporal-a",)),
            "the names was frontend, temporal-a, 192.0.2.11 and is to be temporal-a, 192.0.2.11",
        ),
        (
            replace(WANTED, dns_names=(), ip_addresses=()),
            "the names was frontend, temporal-a, 192.0.2.11 and is to be nothing",
        ),
        (replace(WANTED, purposes=("client",)), "its use was client, server and is to be client"),
    ],
)
def test_a_certificate_that_says_something_else_is_issued_again(wanted: _certificates.Wanted, reason: str) -> None:
    assert faults(wanted=wanted) == [reason]


def test_the_order_of_names_and_the_spelling_of_addresses_make_no_difference() -> None:
    one = replace(WANTED, dns_names=("b", "a"), ip_addresses=("2001:db8:0::1", "192.0.2.11"))
    other = replace(WANTED, dns_names=("a", "b"), ip_addresses=("192.0.2.11", "2001:db8::1"))
    leaf = _certificates.sign(_certificates.request(KEY, one), CA, CA_KEY, 397, NOW)
    assert faults(leaf, wanted=other) == []


def test_a_certificate_of_another_key_is_issued_again() -> None:
    assert faults(key=_certificates.new_key()) == ["it belongs to another key"]


def test_no_certificate_and_no_readable_one_are_reasons() -> None:
    assert faults("") == ["there is none"]
    assert faults("garbage")[0].startswith("it cannot be read: ")


@pytest.mark.parametrize(
    ("days", "reasons"),
    [
        (366, []),
        (368, ["it ends on 2027-12-26"]),
        (398, ["it has ended on 2027-12-26"]),
    ],
)
def test_a_certificate_is_issued_again_before_it_ends(days: int, reasons: list[str]) -> None:
    assert faults(now=NOW + timedelta(days=days)) == reasons


def test_a_certificate_never_outlives_its_authority_and_is_not_issued_again_for_nothing() -> None:
    ca, ca_key = authority(days=20)
    leaf = _certificates.sign(_certificates.request(KEY, WANTED), ca, ca_key, 397, NOW)
    assert _certificates.summary(leaf)["ends"] == "2026-12-14T00:00:00+00:00"
    assert faults(leaf, ca=ca) == []


def test_only_the_first_certificate_of_a_bundle_signs() -> None:
    old, _ = authority(name="old")
    assert faults(ca=CA + old) == []
    assert faults(ca=old + CA) == ["another authority has signed it"]


def test_a_certificate_calls_the_key_of_its_authority_as_the_authority_does() -> None:
    ca, key = authority(identifier=b"own")
    leaf = _certificates.sign(_certificates.request(KEY, WANTED), ca, key, 9, NOW)
    extensions = x509.load_pem_x509_certificate(leaf.encode()).extensions
    assert extensions.get_extension_for_class(x509.AuthorityKeyIdentifier).value.key_identifier == b"own"


def test_an_authority_with_the_same_name_and_another_key_is_another_authority() -> None:
    assert faults(ca=authority()[0]) == ["another authority has signed it"]


def test_an_authority_that_nobody_trusts_yet_is_refused_and_one_beside_the_former_is_not() -> None:
    other = authority(name="other")[0]
    assert "has another one, 'other' (1)" in _certificates.foreign_authority(CA, other)
    assert "'authority' (1)" in _certificates.foreign_authority(CA, other)
    assert _certificates.foreign_authority(CA, other + CA) == ""
    assert _certificates.foreign_authority(other + CA, other) == ""
    assert _certificates.foreign_authority(CA, CA) == ""
    assert _certificates.foreign_authority("", other) == ""


@pytest.mark.parametrize(
    ("moment", "reasons"),
    [
        ("", []),
        ("2026-11-24T00:00:00Z", []),
        ("2026-11-24T00:00:01", ["it was issued on 2026-11-24 at 00:00:00 UTC"]),
        ("2026-11-24T00:30:00+01:00", []),
    ],
)
def test_a_certificate_is_renewed_when_it_was_issued_before_the_moment_that_was_asked_for(
    moment: str, reasons: list[str]
) -> None:
    assert _certificates.outdated(LEAF, moment, NOW + timedelta(days=1)) == reasons


@pytest.mark.parametrize(("moment", "reason"), [("2026-11-25T00:00:00Z", "still to come"), ("soon", "write it as")])
def test_a_moment_that_would_renew_at_every_run_is_refused(moment: str, reason: str) -> None:
    with pytest.raises(_certificates.CertificateError, match=reason):
        _certificates.outdated(LEAF, moment, NOW)


def test_which_authority_signs_does_not_change_what_hosts_trust() -> None:
    other, _ = authority(name="other")
    assert _certificates.bundle(CA + other) == _certificates.bundle(f"a word before\n{other}{CA}")
    assert _certificates.bundle(CA) == CA
    assert _certificates.bundle("") == ""


def test_a_certificate_tells_how_long_it_lasts_and_which_of_the_trusted_signed_it() -> None:
    other, _ = authority(name="other")
    told = _certificates.described(LEAF, other + CA, NOW + timedelta(days=367, hours=1))
    by_name = {one["name"]: one for one in _certificates.authorities(other + CA, NOW)}
    assert told["authority_id"] == by_name["authority"]["id"] != by_name["other"]["id"]
    assert (told["days"], told["issued"]) == (29, "2026-11-24T00:00:00+00:00")
    assert by_name["other"]["days"] == 3650
    assert _certificates.described(LEAF, other, NOW)["authority_id"] == ""
    assert _certificates.described(LEAF, CA, NOW + timedelta(days=397, hours=1))["days"] == -1


def test_an_authority_that_cannot_sign_says_why() -> None:
    asked = _certificates.request(KEY, WANTED)
    with pytest.raises(_certificates.CertificateError, match="does not belong to its key"):
        _certificates.sign(asked, CA, authority()[1], 397, NOW)
    with pytest.raises(_certificates.CertificateError, match="has ended on 2036-11-21"):
        _certificates.sign(asked, CA, CA_KEY, 397, NOW + timedelta(days=4000))
    with pytest.raises(_certificates.CertificateError, match="a private key cannot be read"):
        _certificates.sign(asked, CA, "garbage", 397, NOW)


def test_a_certificate_is_not_one_of_an_authority() -> None:
    constraints = x509.load_pem_x509_certificate(LEAF.encode()).extensions.get_extension_for_class(
        x509.BasicConstraints
    )
    assert constraints.critical
    assert not constraints.value.ca
