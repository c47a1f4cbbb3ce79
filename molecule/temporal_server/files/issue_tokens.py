"""An issuer of JSON Web Tokens: prints as JSON the public keys that it publishes, and tokens good and bad."""

from __future__ import annotations

import json
import time
from base64 import urlsafe_b64encode

from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature
from cryptography.hazmat.primitives.hashes import SHA256

KEY_ID = "of-the-tests"
HOUR_SECONDS = 3600
COORDINATE_BYTES = 32


def encoded(data: bytes) -> str:
    """Return ``data`` as tokens and key sets hold it."""
    return urlsafe_b64encode(data).rstrip(b"=").decode()


def number(value: int) -> bytes:
    """Return a coordinate or one half of a signature of the curve P-256."""
    return value.to_bytes(COORDINATE_BYTES, "big")


def token(key: ec.EllipticCurvePrivateKey, *permissions: str, **claims: object) -> str:
    """Return a token of ``key`` with ``permissions``."""
    header = {"alg": "ES256", "typ": "JWT", "kid": KEY_ID}
    payload = {
        "sub": "test",
        "aud": "temporal",
        "exp": int(time.time()) + HOUR_SECONDS,
        "temporal_permissions": permissions,
    } | claims
    text = ".".join(encoded(json.dumps(part).encode()) for part in (header, payload))
    signature = decode_dss_signature(key.sign(text.encode(), ec.ECDSA(SHA256())))
    return f"{text}.{encoded(b''.join(map(number, signature)))}"


own, strange = (ec.generate_private_key(ec.SECP256R1()) for _ in range(2))
point = own.public_key().public_numbers()
published = {
    "kty": "EC",
    "crv": "P-256",
    "alg": "ES256",
    "use": "sig",
    "kid": KEY_ID,
    "x": encoded(number(point.x)),
    "y": encoded(number(point.y)),
}
tokens = {
    "reader": token(own, "production:read"),
    "writer": token(own, "production:write"),
    "verifier": token(own, "production:write", "staging:write"),
    "of another key": token(strange, "production:read"),
    "that has run out": token(own, "production:read", exp=int(time.time()) - HOUR_SECONDS),
    "for somebody else": token(own, "production:read", aud="billing"),
}
print(json.dumps({"published": {"keys": [published]}, "tokens": tokens}))
