"""What the ring tells of its ranges is read as it means it."""

from __future__ import annotations

import pytest

from lab.view import holders, token_ranges

DESCRIBERING = """Schema Version:d03783d7-b468-3c1a-82f1-8e30b2edde8b
TokenRange:
\tTokenRange(start_token:50, end_token:-80, endpoints:[192.0.2.1, 192.0.2.2], rpc_endpoints:[192.0.2.1, 192.0.2.2], \
endpoint_details:[EndpointDetails(host:192.0.2.1, datacenter:dc1, rack:az_a)])
\tTokenRange(start_token:-80, end_token:50, endpoints:[192.0.2.2, 192.0.2.3], rpc_endpoints:[192.0.2.2, 192.0.2.3], \
endpoint_details:[EndpointDetails(host:192.0.2.2, datacenter:dc1, rack:az_b)])
"""
FIRST, SECOND = ["192.0.2.1", "192.0.2.2"], ["192.0.2.2", "192.0.2.3"]


def test_the_ranges_of_a_ring_are_read() -> None:
    assert token_ranges(DESCRIBERING) == [(-80, FIRST), (50, SECOND)]


@pytest.mark.parametrize(("token", "nodes"), [(-81, FIRST), (-80, FIRST), (-79, SECOND), (50, SECOND), (51, FIRST)])
def test_a_token_is_held_by_the_range_that_ends_with_or_behind_it(token: int, nodes: list[str]) -> None:
    assert holders(token_ranges(DESCRIBERING), token) == nodes
