"""A row is where Cassandra puts it: tokens equal those of its official drivers."""

from __future__ import annotations

import pytest
from ansible_collections.zerospof.temporal.plugins.module_utils import _murmur3

# From the tests of the Python, C#, Node.js and Ruby drivers, whose values come from Cassandra.
PUBLISHED = [
    (b"123", -7468325962851647638),
    (b"9223372036854775807", 7162290910810015547),
    (b"\x00\xff\x10\xfa\x99" * 10, 5837342703291459765),
    (b"\xfe" * 4, 4566408979886474012),
    (b"\xfe" * 8, -8927430733708461935),
    (b"\xfe" * 17, -1672437813826982685),
    (b"\xff" * 16, -2824192546314762522),
    (b"\x10" * 8, 1446172840243228796),
    (bytes(range(1, 17)), -5563837382979743776),
    (bytes((0, 1, 127, 127)), 6573459401642635627),
    (bytes((0, 255, 255, 255)), 123573637386978882),
    (bytes((255, 1, 2, 3)), -2839127690952877842),
]

# What cassandra.metadata.Murmur3Token of cassandra-driver 3.30.1 gives, by its C and its Python code alike. Every
# length of the rest after a block: of bytes 255, of any bytes, and of bytes over 127 after one block.
DRIVER = """
ff -4442228696663692417
ffff 6163071069786142063
ffffff -9154616442117352147
ffffffff 7297452126230313552
ffffffffff -8869521063059112040
ffffffffffff 2112339540026359505
ffffffffffffff 4860178782003914630
ffffffffffffffff 7071048584287372947
ffffffffffffffffff 8434364767658694854
ffffffffffffffffffff -2285028417834605101
ffffffffffffffffffffff 4844839740296823970
ffffffffffffffffffffffff 5441275315642417349
ffffffffffffffffffffffffff 5402220310222980743
ffffffffffffffffffffffffffff -7003579699878715426
ffffffffffffffffffffffffffffff -2195530867418009455
78 7860725293736722151
9b34 6779254929618025104
caf54f 9135326073057279021
2e220acd 3354015296547449134
941e71b88d 5951406508503127309
5836866d0d85 -8738581290099776082
8b63549e94be2c 5616730960378637834
acc67f5b7ef28f2d 5454495105236194748
9903959f63d3d893dc 4051992597597354100
e752779c84162917ec8f 1673415755181152195
f1af4a6422d367e18d5eb6 -5777979062752502553
dfa465a5331f758e793ea95a 986682514157171408
94eb0d15b62a92a709a593a44e 5582499291490875019
d2279662e3954580c351a904ba16 -6858903184982965839
e856bab99431e06ad96a3a1e1f1c56 8165104104234829853
4c14fb7fa4123e95d166f4677be0d2fb -6513138878442094645
1270d7e37fdb6eff60101282817c6a76d5 -4494176188926344096
c2a4d38dd09de78afee397eeb5aad6cb -7023087551606915853
f8d0ebb7c4d6e4ff93c7b08be5a0c48faa -7006650191358999468
f6f8e7e3b780b6a883c19de5e1b88db3a9d4 8527806682107864130
f8f08694889cfdc1a38adc9482ccd89395f4e1 -4384155194757829854
b4cfe3bbfce698939dddefeaf191b2cdfaec9eaa -7906288241183314195
dfa9ada6d3fed6c281ab81cf9e9cfcfb93bee9cbdb 4191966693642912020
baae808dd0f7cef0f1e4a4c0dcd7a2ee95a4adc9dfb2 285732196168249141
d99793e7add4dfd3accc858596db99a8aefe939dacfab8 5373351196337190061
cde7bcfdb8cfdebad3f3e6e6d0c8f0e983c0aff5dde7e387 9124693736684033615
a791f5d8cf97c2fbb8fa90a6bd91cca18ca9e5c384bea898b4 -148545806351812061
88d1949fc58fc9aca6eaa194dd80a7e9a7b7ccfb91e0aba9c1e4 4340000371281838907
cde6d4abe38fec87c784cda795a89d83bbbb82faaff3e1d6acb09b -489175782218704700
f9dbcee989b6c1cefad695bcd09a89d2f9da94ad8bffbf89b392d6a3 -8747361813938220855
ce9d8092b9c6848882faa5b6dcbfd8cce3e788ace9fe90ccc8b5efd2ac -6550483343209185112
b684faefc6d4e8e8d2b5c1c79687e7c3c9a1d096aa97b6c0b7ff9dd782f4 8614360905009355672
b4aa97be989dd0cba693ad86aeb4c388d3d4dda9abb78c8da98ec3fe9ab3a3 245545943805968157
"""

# cassandra-driver 3.30.1 as above.
INTS = {
    0: -3485513579396041028,
    1: -4069959284402364209,
    2: -3248873570005575792,
    3: 9010454139840013625,
    4: -2729420104000364805,
    5: -7509452495886106294,
    6: 2705480034054113608,
    7: 1634052884888577606,
    8: -3799847372828181882,
    9: 3728482343045213994,
    127: 4443639997907684431,
    128: -9081975895656599623,
    255: -8423851636648339959,
    256: 180151580513994396,
    512: -3435896637262195216,
    513: 4719947512815769200,
    16384: 8627604476465253723,
    -1: 7297452126230313552,
    2147483647: -765994672030311617,
    -2147483648: -420533958509279465,
}


@pytest.mark.parametrize(("key", "token"), PUBLISHED)
def test_published_tokens(key: bytes, token: int) -> None:
    assert _murmur3.partition_token(key) == token


@pytest.mark.parametrize("line", DRIVER.split("\n")[1:-1])
def test_tokens_of_the_driver_for_every_length_of_a_tail(line: str) -> None:
    key, token = line.split()
    assert _murmur3.partition_token(bytes.fromhex(key)) == int(token)


@pytest.mark.parametrize(("value", "token"), INTS.items())
def test_an_int_is_placed_by_its_four_bytes(value: int, token: int) -> None:
    assert _murmur3.partition_token(_murmur3.int_key(value)) == token


def test_a_history_shard_is_placed_by_its_number() -> None:
    assert _murmur3.history_shard_token(512) == INTS[512]


def test_only_an_empty_key_has_the_first_token() -> None:
    assert _murmur3.partition_token(b"") == _murmur3.FIRST_TOKEN
