"""Who holds an address is asked in ARP and judged by what the caller expects."""

from __future__ import annotations

import ipaddress

import pytest
from ansible_collections.zerospof.temporal.plugins.module_utils import _arp
from ansible_collections.zerospof.temporal.plugins.modules import vip_info
from hypothesis import given
from hypothesis import strategies as st

OWN, OTHER = bytes.fromhex("020000000001"), bytes.fromhex("020000000002")
VIP = "192.0.2.10"


def reply(sender: bytes = OTHER, address: str = VIP, target: bytes = OWN) -> bytes:
    """Return the frame with which ``sender`` tells ``target`` that it has ``address`` (RFC 826)."""
    packed = ipaddress.IPv4Address(address).packed
    return target + sender + bytes.fromhex("0806 0001 0800 06 04 0002") + sender + packed + target + bytes(4)


def test_the_question_teaches_neighbours_nothing() -> None:
    frame = _arp.probe(OWN, VIP)
    assert len(frame) == _arp.FRAME_BYTES
    assert frame[:14] == b"\xff" * 6 + OWN + b"\x08\x06"
    assert frame[20:22] == b"\x00\x01"
    assert frame[28:32] == bytes(4)
    assert frame[38:] == ipaddress.IPv4Address(VIP).packed


def test_a_holder_is_known_by_its_answer() -> None:
    assert _arp.holder(reply() + bytes(18), OWN, VIP) == "02:00:00:00:00:02"


@pytest.mark.parametrize(
    "frame", [reply(address="192.0.2.11"), reply(target=OTHER), _arp.probe(OTHER, VIP), reply()[:30], b""]
)
def test_other_frames_are_no_answers(frame: bytes) -> None:
    assert _arp.holder(frame, OWN, VIP) is None


@given(st.binary(max_size=80))
def test_no_frame_makes_the_reader_fall_over(frame: bytes) -> None:
    assert _arp.holder(frame, OWN, VIP) is None or frame[20:22] == b"\x00\x02"


@pytest.mark.parametrize(
    ("expect", "here", "holders", "fine"),
    [
        ("one", True, ["a"], True),
        ("one", False, ["b"], True),
        ("one", False, [], False),
        ("one", True, ["a", "b"], False),
        ("elsewhere", False, ["b"], True),
        ("elsewhere", False, [], False),
        ("elsewhere", True, ["a"], False),
        ("not_here", False, [], True),
        ("not_here", True, ["a"], False),
        ("nobody", False, [], True),
        ("nobody", False, ["b"], False),
        (None, True, ["a", "b"], True),
    ],
)
def test_every_expectation_refuses_what_it_does_not_want(
    expect: str | None, here: bool, holders: list[str], fine: bool
) -> None:
    problems = vip_info.judge(VIP, expect, here, holders)
    assert (problems == []) == fine
    assert all(VIP in problem for problem in problems)
