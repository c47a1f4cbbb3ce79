# Copyright: (c) 2026, The zerospof.temporal maintainers
# Apache License 2.0 (see LICENSE or https://www.apache.org/licenses/LICENSE-2.0)
"""Keys, requests and certificates of services (RFC 5280), on top of ``cryptography``.

Nothing here reads or writes a file. Works with cryptography 38, which Debian 12 has, and later.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

try:
    from cryptography import x509
    from cryptography.exceptions import InvalidSignature
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa
    from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

    HAS_CRYPTOGRAPHY = True
except ImportError:
    HAS_CRYPTOGRAPHY = False

PURPOSES = ("client", "server")
# A host whose clock is a little behind accepts a new certificate at once.
CLOCK_TOLERANCE = timedelta(minutes=5)
# A certificate that cannot last a day longer, because its authority ends, is not issued again.
LEAST_GAIN = timedelta(days=1)
_PEM_CERTIFICATE = re.compile(r"-----BEGIN CERTIFICATE-----.*?-----END CERTIFICATE-----", re.DOTALL)


class CertificateError(Exception):
    """A certificate cannot be issued or read; the message says why."""


@dataclass(frozen=True)
class Wanted:
    """What a certificate is to say: the name of its service, whom it stands for and what it may be used for."""

    name: str
    dns_names: tuple[str, ...] = ()
    ip_addresses: tuple[str, ...] = ()
    purposes: tuple[str, ...] = PURPOSES


@dataclass(frozen=True)
class Lifetime:
    """How long a certificate is valid and how long before its end it is issued again."""

    days: int
    renew_before_days: int


def new_key() -> str:
    """Return a new private key on the curve P-256 as PEM."""
    return (
        ec.generate_private_key(ec.SECP256R1())
        .private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
        .decode()
    )


def public_key(key: str) -> bytes:
    """Return the public part of a private key.

    Raises:
        CertificateError: ``key`` is none.
    """
    return _encoded(_private_key(key).public_key())


def belongs(certificate: str, key: str) -> bool:
    """Tell whether both are there and ``certificate`` is that of ``key``."""
    return bool(certificate and key) and _encoded(_certificate(certificate, "it").public_key()) == public_key(key)


def request(key: str, wanted: Wanted) -> str:
    """Return the request (PKCS #10, PEM) of the holder of ``key`` for a certificate that says what is wanted."""
    builder = x509.CertificateSigningRequestBuilder().subject_name(_subject(wanted.name))
    for extension, critical in _extensions(wanted):
        builder = builder.add_extension(extension, critical)
    return builder.sign(_private_key(key), hashes.SHA256()).public_bytes(serialization.Encoding.PEM).decode()


def sign(asked: str, authority: str, authority_key: str, days: int, now: datetime | None = None) -> str:
    """Return a certificate (PEM) for the request ``asked``, valid for ``days`` but not longer than its authority.

    Raises:
        CertificateError: the authority has ended, does not belong to its key, or one of them cannot be read.
    """
    now = now or datetime.now(UTC)
    issuer = _certificate(authority, "the certificate of the authority")
    issuer_key = _private_key(authority_key)
    if _encoded(issuer.public_key()) != _encoded(issuer_key.public_key()):
        raise CertificateError("the certificate of the authority does not belong to its key")
    if _not_after(issuer) <= now:
        raise CertificateError(f"the certificate of the authority has ended on {_not_after(issuer):%Y-%m-%d}")
    csr = x509.load_pem_x509_csr(asked.encode())
    builder = (
        x509.CertificateBuilder()
        .subject_name(csr.subject)
        .issuer_name(issuer.subject)
        .public_key(csr.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - CLOCK_TOLERANCE)
        .not_valid_after(_end(issuer, days, now))
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(csr.public_key()), critical=False)
        .add_extension(_authority_key_identifier(issuer), critical=False)
    )
    for extension in csr.extensions:
        builder = builder.add_extension(extension.value, extension.critical)
    signed = builder.sign(issuer_key, _hash_of(issuer_key))
    return signed.public_bytes(serialization.Encoding.PEM).decode()


def faults(
    certificate: str, key: str, wanted: Wanted, authority: str, lifetime: Lifetime, now: datetime | None = None
) -> list[str]:
    """Return why ``certificate`` must be issued again, nothing when it is as wanted; see also :func:`outdated`.

    ``authority`` is PEM; the first certificate in it is the one that signs.
    """
    now = now or datetime.now(UTC)
    if not certificate:
        return ["there is none"]
    try:
        present = _certificate(certificate, "it")
    except CertificateError as error:
        return [str(error)]
    issuer = _certificate(authority, "the certificate of the authority")
    found = []
    if _encoded(present.public_key()) != public_key(key):
        found.append("it belongs to another key")
    if not _signed_by(present, issuer):
        found.append("another authority has signed it")
    found += [
        f"{what} was {was or 'nothing'} and is to be {to_be or 'nothing'}"
        for what, was, to_be in zip(("its name", "the names", "its use"), _said(present), _to_say(wanted), strict=True)
        if was != to_be
    ]
    end = _not_after(present)
    late = end - now < timedelta(days=lifetime.renew_before_days)
    if late and _end(issuer, lifetime.days, now) - end > LEAST_GAIN:
        found.append(f"it {'has ended' if end <= now else 'ends'} on {end:%Y-%m-%d}")
    return found


def moment_of(text: str) -> datetime:
    """Return a moment in ISO 8601, of UTC where it names no zone; ``ValueError`` when it is none."""
    moment = datetime.fromisoformat(text)
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)


def outdated(certificate: str, issued_before: str, now: datetime | None = None) -> list[str]:
    """Return why ``certificate`` must be issued again, with a new key, by somebody's wish: nothing when it need not.

    Raises:
        CertificateError: the moment ``issued_before`` (ISO 8601, UTC where it says nothing) is none, or lies ahead.
    """
    if not issued_before or not certificate:
        return []
    try:
        moment = moment_of(issued_before)
    except ValueError as error:
        raise CertificateError(f"issued_before is {issued_before}; write it as 2026-11-26T10:00:00Z") from error
    if moment > (now or datetime.now(UTC)):
        raise CertificateError(f"issued_before is {issued_before}, which is still to come: it would never be renewed")
    issued = _issued(_certificate(certificate, "it"))
    return [f"it was issued on {issued:%Y-%m-%d at %H:%M:%S} UTC"] if issued < moment else []


def certificates(authority: str) -> list[str]:
    """Return the certificates of a bundle, each by itself (PEM)."""
    return [f"{found}\n" for found in _PEM_CERTIFICATE.findall(authority)]


def identity(certificate: str) -> str:
    """Return the SHA-256 of a certificate (PEM) in hexadecimal."""
    return _identity(_certificate(certificate, "a certificate of the authority"))


def bundle(authority: str) -> str:
    """Return the certificates of ``authority`` in an order that does not tell which of them signs.

    Services that have to restart for another list of authorities need not when only that one changes.
    """
    return "".join(sorted(certificates(authority)))


def foreign_authority(present: str, authority: str) -> str:
    """Return why certificates of ``authority`` must not replace those of ``present``, empty when they may.

    Both are PEM bundles. A host whose peers trust only the former authority would be cut off, so one certificate has
    to be in both: that is how an authority is replaced step by step.
    """
    former, named = _bundle(present), _bundle(authority)
    if not former:
        return ""
    if {_identity(item) for item in former} & {_identity(item) for item in named}:
        return ""
    was, is_to_be = (f"'{_common_name(item[0].subject)}' ({item[0].serial_number:x})" for item in (former, named))
    return (
        f"what is here trusts the authority {was}, and the control node has another one, {is_to_be}. Use the directory "
        "temporal_pki_directory of the former runs; to replace it, put the former certificate behind the new "
        "one in its ca.crt, so that both are trusted meanwhile"
    )


def described(certificate: str, trusted: str, now: datetime | None = None) -> dict[str, Any]:
    """Return :func:`summary`, and who among the authorities ``trusted`` (PEM) has signed it.

    ``issued`` and ``ends`` are ISO 8601, ``days`` what is left of it, ``authority_id`` empty for a stranger.
    """
    present = _certificate(certificate, "the certificate")
    signers = [authority for authority in _bundle(trusted) if _signed_by(present, authority)]
    return {
        **summary(certificate),
        "issued": _issued(present).isoformat(timespec="seconds"),
        "days": (_not_after(present) - (now or datetime.now(UTC))).days,
        "authority_id": _identity(signers[0]) if signers else "",
    }


def authorities(trusted: str, now: datetime | None = None) -> list[dict[str, Any]]:
    """Return ``{id, name, ends, days}`` of every certificate in ``trusted`` (PEM)."""
    return [
        {
            "id": _identity(found),
            "name": _common_name(found.subject),
            "ends": _not_after(found).isoformat(timespec="seconds"),
            "days": (_not_after(found) - (now or datetime.now(UTC))).days,
        }
        for found in _bundle(trusted)
    ]


def summary(certificate: str) -> dict[str, Any]:
    """Return what a certificate says: ``name``, ``names``, ``authority`` and ``ends`` (ISO 8601, UTC)."""
    present = _certificate(certificate, "the certificate")
    name, names, _ = _said(present)
    return {
        "name": name,
        "names": names,
        "authority": _common_name(present.issuer),
        "ends": _not_after(present).isoformat(timespec="seconds"),
    }


def _private_key(text: str) -> Any:  # noqa: ANN401
    try:
        return serialization.load_pem_private_key(text.encode(), password=None)
    except (TypeError, ValueError) as error:
        raise CertificateError(f"a private key cannot be read: {error}") from error


def _certificate(text: str, what: str) -> x509.Certificate:
    try:
        return x509.load_pem_x509_certificate(text.encode())
    except ValueError as error:
        raise CertificateError(f"{what} cannot be read: {error}") from error


def _bundle(text: str) -> list[x509.Certificate]:
    return [_certificate(found, "a certificate of the authority") for found in _PEM_CERTIFICATE.findall(text)]


def _identity(certificate: x509.Certificate) -> str:
    return certificate.fingerprint(hashes.SHA256()).hex()


def _encoded(public: Any) -> bytes:  # noqa: ANN401
    return public.public_bytes(serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo)


def _not_after(certificate: x509.Certificate) -> datetime:
    # The aware property came with cryptography 42.
    if hasattr(certificate, "not_valid_after_utc"):
        return certificate.not_valid_after_utc
    return certificate.not_valid_after.replace(tzinfo=UTC)


def _issued(certificate: x509.Certificate) -> datetime:
    aware = hasattr(certificate, "not_valid_before_utc")
    begins = certificate.not_valid_before_utc if aware else certificate.not_valid_before.replace(tzinfo=UTC)
    return begins + CLOCK_TOLERANCE


def _end(issuer: x509.Certificate, days: int, now: datetime) -> datetime:
    return min(now + timedelta(days=days), _not_after(issuer))


def _authority_key_identifier(issuer: x509.Certificate) -> x509.AuthorityKeyIdentifier:
    """Return what the certificate of the issuer calls its key: not every authority takes the SHA-1 of it."""
    try:
        named = issuer.extensions.get_extension_for_class(x509.SubjectKeyIdentifier).value
    except x509.ExtensionNotFound:
        return x509.AuthorityKeyIdentifier.from_issuer_public_key(issuer.public_key())
    return x509.AuthorityKeyIdentifier.from_issuer_subject_key_identifier(named)


def _hash_of(key: Any) -> Any:  # noqa: ANN401
    return hashes.SHA256() if isinstance(key, ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey) else None


def _signed_by(certificate: x509.Certificate, issuer: x509.Certificate) -> bool:
    key = issuer.public_key()
    signed = (certificate.signature, certificate.tbs_certificate_bytes)
    algorithm = certificate.signature_hash_algorithm
    try:
        if isinstance(key, ec.EllipticCurvePublicKey):
            key.verify(*signed, ec.ECDSA(algorithm))
        elif isinstance(key, rsa.RSAPublicKey):
            key.verify(*signed, padding.PKCS1v15(), algorithm)
        else:
            key.verify(*signed)
    except (InvalidSignature, TypeError):
        return False
    return certificate.issuer == issuer.subject


def _subject(name: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])


def _common_name(name: x509.Name) -> str:
    return ", ".join(str(attribute.value) for attribute in name.get_attributes_for_oid(NameOID.COMMON_NAME))


def _extensions(wanted: Wanted) -> list[tuple[Any, bool]]:
    usage = dict.fromkeys(
        (
            "content_commitment",
            "key_encipherment",
            "data_encipherment",
            "key_agreement",
            "key_cert_sign",
            "crl_sign",
            "encipher_only",
            "decipher_only",
        ),
        False,
    )
    names: list[x509.GeneralName] = [x509.DNSName(name) for name in wanted.dns_names]
    names += [x509.IPAddress(ipaddress.ip_address(address)) for address in wanted.ip_addresses]
    found: list[tuple[Any, bool]] = [
        (x509.KeyUsage(digital_signature=True, **usage), True),
        (x509.ExtendedKeyUsage([_purpose_oids()[purpose] for purpose in wanted.purposes]), False),
    ]
    return [*found, (x509.SubjectAlternativeName(names), False)] if names else found


def _purpose_oids() -> dict[str, Any]:
    return {"client": ExtendedKeyUsageOID.CLIENT_AUTH, "server": ExtendedKeyUsageOID.SERVER_AUTH}


def _to_say(wanted: Wanted) -> tuple[str, str, str]:
    return (
        wanted.name,
        _sorted(wanted.dns_names, wanted.ip_addresses),
        ", ".join(sorted(wanted.purposes)),
    )


def _said(certificate: x509.Certificate) -> tuple[str, str, str]:
    purposes = {oid: purpose for purpose, oid in _purpose_oids().items()}
    try:
        names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
        listed = _sorted(
            names.get_values_for_type(x509.DNSName), [str(a) for a in names.get_values_for_type(x509.IPAddress)]
        )
    except x509.ExtensionNotFound:
        listed = ""
    try:
        usage = certificate.extensions.get_extension_for_class(x509.ExtendedKeyUsage).value
        used = ", ".join(sorted(purposes.get(oid, oid.dotted_string) for oid in usage))
    except x509.ExtensionNotFound:
        used = ""
    return _common_name(certificate.subject), listed, used


def _sorted(dns_names: Sequence[str], ip_addresses: Sequence[str]) -> str:
    return ", ".join([*sorted(dns_names), *sorted(str(ipaddress.ip_address(address)) for address in ip_addresses)])
