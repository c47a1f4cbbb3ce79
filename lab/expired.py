"""A certificate like another one, of the same authority and for the same key, whose time is over."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ed25519

HOUR = timedelta(hours=1)


def expired(chain: bytes, authority: bytes, authority_key: bytes, now: datetime | None = None) -> bytes:
    """Return the PEM ``chain`` with its first certificate made anew, valid until an hour before ``now``.

    ``authority`` and ``authority_key`` are those of its issuer, as PEM.
    """
    leaf, *others = x509.load_pem_x509_certificates(chain)
    issuer = x509.load_pem_x509_certificate(authority)
    key = serialization.load_pem_private_key(authority_key, password=None)
    ended = (now or datetime.now(UTC)) - HOUR
    builder = (
        x509.CertificateBuilder()
        .subject_name(leaf.subject)
        .issuer_name(issuer.subject)
        .public_key(leaf.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(ended - 24 * HOUR)
        .not_valid_after(ended)
    )
    for extension in leaf.extensions:
        builder = builder.add_extension(extension.value, extension.critical)
    digest = None if isinstance(key, ed25519.Ed25519PrivateKey) else hashes.SHA256()
    made = builder.sign(key, digest)
    return b"".join(one.public_bytes(serialization.Encoding.PEM) for one in (made, *others))
