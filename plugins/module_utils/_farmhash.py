"""FarmHash's ``Fingerprint32``, by which Temporal finds the history shard of a workflow and the host of a shard.

The algorithm is that of ``farmhashmk::Hash32`` of github.com/google/farmhash, which promises never to change. It mixes
32-bit words, read from the bytes with the lowest first, in the manner of MurmurHash3; keys of 0 to 4, 5 to 12, 13 to 24
and more bytes each have a way of their own.
"""

from __future__ import annotations

import struct

_MASK = 2**32 - 1
_C1 = 0xCC9E2D51
_C2 = 0x1B873593
_SHORT = 4
_MEDIUM = 12
_LONG = 24
_BLOCK = struct.Struct("<5I")


def _word(data: bytes, start: int) -> int:
    """Return the four bytes at ``start``, which counts from the end when it is negative."""
    start %= len(data)
    return int.from_bytes(data[start : start + 4], "little")


def _turned(value: int, bits: int) -> int:
    """Rotate to the right, the lower 32 bits."""
    value &= _MASK
    return (value >> bits | value << 32 - bits) & _MASK


def _step(state: int) -> int:
    return (_turned(state, 19) * 5 + 0xE6546B64) & _MASK


def _scrambled(word: int) -> int:
    return _turned(word * _C1, 17) * _C2 & _MASK


def _joined(word: int, state: int) -> int:
    return _step(state ^ _scrambled(word))


def _final(value: int) -> int:
    value &= _MASK
    value = (value ^ value >> 16) * 0x85EBCA6B & _MASK
    value = (value ^ value >> 13) * 0xC2B2AE35 & _MASK
    return value ^ value >> 16


def _of_0_to_4(data: bytes) -> int:
    state, total = 0, 9
    for byte in data:
        # The reference reads bytes as signed numbers here, and only here.
        state = (state * _C1 + (byte - 256 if byte > 127 else byte)) & _MASK
        total ^= state
    return _final(_joined(state, _joined(len(data), total)))


def _of_5_to_12(data: bytes) -> int:
    size = len(data)
    first = size + _word(data, 0)
    last = size * 5 + _word(data, -4)
    middle = 9 + _word(data, size >> 1 & 4)
    return _final(_joined(middle, _joined(last, _joined(first, size * 5))))


def _of_13_to_24(data: bytes) -> int:
    half, before_last, last = len(data) >> 1, _word(data, -8), _word(data, -4)
    state = _word(data, half) * _C1 + len(data)
    turned = _turned(_word(data, half - 4), 12) + last
    state = _joined(before_last, state & _MASK) + turned
    turned = _turned(turned, 3) + before_last
    state = _joined(_word(data, 0), state & _MASK) + turned
    turned = _turned(turned + last, 12) + _word(data, half)
    return _final(_joined(_word(data, 4), state & _MASK) + turned)


def _of_more(data: bytes) -> int:
    h = len(data)
    f = g = len(data) * _C1 & _MASK
    h = _step(h ^ _scrambled(_word(data, -4)))
    h = _step(h ^ _scrambled(_word(data, -16)))
    g = _step(g ^ _scrambled(_word(data, -8)))
    g = _step(g ^ _scrambled(_word(data, -12)))
    f = _turned(f + _scrambled(_word(data, -20)), 19) + 113 & _MASK
    # The bytes of a last block that is whole have been read above.
    for start in range(0, (len(data) - 1) // _BLOCK.size * _BLOCK.size, _BLOCK.size):
        a, b, c, d, e = _BLOCK.unpack_from(data, start)
        h, g, f = h + a & _MASK, g + b & _MASK, f + c & _MASK
        h = _joined(d, h) + e & _MASK
        g = _joined(c, g) + a & _MASK
        f = _joined(b + e * _C1, f) + d & _MASK
        f = f + g & _MASK
        g = g + f & _MASK
    for lane in (g, f):
        h = _turned(_step(h + _turned(_turned(lane, 11) * _C1, 17) * _C1), 17) * _C1 & _MASK
    return h


def fingerprint32(data: bytes) -> int:
    """Return the fingerprint of ``data``: a number from 0 to 2^32 - 1."""
    size = len(data)
    if size <= _SHORT:
        return _of_0_to_4(data)
    if size <= _MEDIUM:
        return _of_5_to_12(data)
    return _of_13_to_24(data) if size <= _LONG else _of_more(data)
