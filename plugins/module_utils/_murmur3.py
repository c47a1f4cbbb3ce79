"""The place of a row on Cassandra's ring: its Murmur3Partitioner and the CQL form of the keys that Temporal uses.

The hash is the first half of MurmurHash3 x64 128 with seed 0. Cassandra reads the bytes after the last whole block of
16 as signed numbers; the public reference does not, so the two differ for keys with a byte over 127 there.
"""

from __future__ import annotations

import struct

FIRST_TOKEN = -(2**63)
"""Of an empty key only: a hash with this value becomes :data:`LAST_TOKEN`."""
LAST_TOKEN = 2**63 - 1
BLOCK_BYTES = 16

_MASK = 2**64 - 1
_C1 = 0x87C37B91114253D5
_C2 = 0x4CF5AD432745937F


def _rotated(value: int, bits: int) -> int:
    return (value << bits | value >> (64 - bits)) & _MASK


def _mixed_1(word: int) -> int:
    return _rotated(word * _C1 & _MASK, 31) * _C2 & _MASK


def _mixed_2(word: int) -> int:
    return _rotated(word * _C2 & _MASK, 33) * _C1 & _MASK


def _final(word: int) -> int:
    for factor in (0xFF51AFD7ED558CCD, 0xC4CEB9FE1A85EC53):
        word = (word ^ word >> 33) * factor & _MASK
    return word ^ word >> 33


def _signed_word(tail: bytes) -> int:
    """Join up to eight bytes, lowest first, each extended by its sign."""
    word = 0
    for position, byte in enumerate(tail):
        word ^= (byte - 256 if byte > 127 else byte) << 8 * position
    return word & _MASK


def partition_token(key: bytes) -> int:
    """Return the token, in -2^63 to 2^63 - 1, of a row with the serialized partition key ``key``."""
    if not key:
        return FIRST_TOKEN
    h1 = h2 = 0
    whole = len(key) // BLOCK_BYTES * BLOCK_BYTES
    for first, second in struct.iter_unpack("<QQ", key[:whole]):
        h1 = _rotated(h1 ^ _mixed_1(first), 27)
        h1 = ((h1 + h2) * 5 + 0x52DCE729) & _MASK
        h2 = _rotated(h2 ^ _mixed_2(second), 31)
        h2 = ((h2 + h1) * 5 + 0x38495AB5) & _MASK
    tail = key[whole:]
    h1 ^= _mixed_1(_signed_word(tail[:8])) ^ len(key)
    h2 ^= _mixed_2(_signed_word(tail[8:])) ^ len(key)
    h1 = (h1 + h2) & _MASK
    h2 = (h2 + h1) & _MASK
    token = (_final(h1) + _final(h2)) & _MASK
    token -= 2**64 * (token > LAST_TOKEN)
    return LAST_TOKEN if token == FIRST_TOKEN else token


def int_key(value: int) -> bytes:
    """Return a partition key that is one CQL ``int``."""
    return struct.pack(">i", value)


def history_shard_token(shard_id: int) -> int:
    """Return the token of a history shard (1 to the number of shards): Temporal's table ``executions`` is by its id."""
    return partition_token(int_key(shard_id))
