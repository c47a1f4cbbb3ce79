"""Who on this network has an IPv4 address: the question and the answers of ARP (RFC 826) as bytes."""

from __future__ import annotations

import ipaddress

ETHERTYPE = 0x0806
_BROADCAST = b"\xff" * 6
# Ethernet and IPv4 with addresses of 6 and 4 bytes.
_HARDWARE_AND_PROTOCOL = b"\x00\x01\x08\x00\x06\x04"
_REQUEST, _REPLY = b"\x00\x01", b"\x00\x02"
FRAME_BYTES = 42


def mac_bytes(mac: str) -> bytes:
    """Return the six bytes of ``02:00:00:00:00:01``."""
    return bytes.fromhex(mac.replace(":", ""))


def probe(own_mac: bytes, address: str) -> bytes:
    """Return the Ethernet frame that asks for ``address``.

    The sender's address is left empty (RFC 5227 section 2.1.1), so that no neighbour learns anything from the question.
    """
    target = ipaddress.IPv4Address(address).packed
    header = _BROADCAST + own_mac + ETHERTYPE.to_bytes(2, "big")
    return header + _HARDWARE_AND_PROTOCOL + _REQUEST + own_mac + bytes(4) + bytes(6) + target


def holder(frame: bytes, own_mac: bytes, address: str) -> str | None:
    """Return the MAC address of the host that says in ``frame`` that it has ``address``; ``None`` for other frames."""
    body = frame[14:FRAME_BYTES]
    if len(frame) < FRAME_BYTES or frame[12:14] != ETHERTYPE.to_bytes(2, "big"):
        return None
    if body[:8] != _HARDWARE_AND_PROTOCOL + _REPLY or body[14:18] != ipaddress.IPv4Address(address).packed:
        return None
    return body[8:14].hex(":") if body[18:24] == own_mac else None
