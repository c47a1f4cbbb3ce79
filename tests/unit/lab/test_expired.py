"""A certificate that expired is like the one before in everything else."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519
from cryptography.x509.oid import NameOID

from lab.expired import expired

NOW = datetime(2026, 11, 26, 12, tzinfo=UTC)


def issued(
    name: str, key: object, issuer: str, issuer_key: object, *extensions: x509.ExtensionType
) -> x509.Certificate:
    """Return a certificate that is valid now."""
    builder = (
        x509.CertificateBuilder()
        .subject_name(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)]))
        .issuer_name(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, issuer)]))
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(NOW - timedelta(days=1))
        .not_valid_after(NOW + timedelta(days=1))
    )
    for extension in extensions:
        builder = builder.add_extension(extension, critical=False)
    digest = None if isinstance(issuer_key, ed25519.Ed25519PrivateKey) else hashes.SHA256()
    return builder.sign(issuer_key, digest)


def pem(*certificates: x509.Certificate) -> bytes:
    """Return certificates as a chain."""
    return b"".join(one.public_bytes(serialization.Encoding.PEM) for one in certificates)


@pytest.mark.parametrize(
    "authority_key", [ec.generate_private_key(ec.SECP256R1()), ed25519.Ed25519PrivateKey.generate()]
)
def test_it_has_the_same_key_names_and_authority_and_its_time_is_over(authority_key: object) -> None:
    key = ec.generate_private_key(ec.SECP256R1())
    authority = issued("authority", authority_key, "authority", authority_key)
    names = x509.SubjectAlternativeName([x509.DNSName("frontend")])
    before = issued("temporal-a", key, "authority", authority_key, names)
    secret = authority_key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    made, *others = x509.load_pem_x509_certificates(expired(pem(before, authority), pem(authority), secret, NOW))
    assert made.not_valid_after_utc == NOW - timedelta(hours=1)
    assert (made.subject, made.public_key(), others) == (before.subject, before.public_key(), [authority])
    assert made.extensions.get_extension_for_class(x509.SubjectAlternativeName).value == names
    made.verify_directly_issued_by(authority)
