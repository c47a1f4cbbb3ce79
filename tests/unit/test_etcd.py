"""A ring is never bootstrapped beside another, never loses its quorum, and its faults are named."""

from __future__ import annotations

import pytest
from ansible_collections.zerospof.temporal.plugins.module_utils import _etcd

MEMBERS = [{"name": name, "address": f"192.0.2.{number}"} for number, name in enumerate("abc", start=1)]
IDENTIFIERS = {"a": 10, "b": 11, "c": 12}


def member(name: str, *, started: bool = True) -> dict:
    """Return an element of the ring for the host ``name``."""
    address = next(member["address"] for member in MEMBERS if member["name"] == name)
    return {
        "ID": IDENTIFIERS[name],
        "name": name if started else "",
        "peerURLs": [_etcd.url(address, 2380)],
        "clientURLs": [_etcd.url(address, 2379)] if started else [],
    }


def status(name: str, leader: int = 10, index: int = 100, errors: list[str] | None = None) -> dict:
    """Return an answer of ``endpoint status``."""
    return {
        "Endpoint": member(name)["clientURLs"][0],
        "Status": {
            "header": {"member_id": IDENTIFIERS[name]},
            "leader": leader,
            "raftIndex": index,
            "errors": errors or [],
        },
    }


def health(name: str, *, healthy: bool = True) -> dict:
    """Return an answer of ``endpoint health``."""
    answer = {"endpoint": member(name)["clientURLs"][0], "health": healthy}
    return answer if healthy else answer | {"error": "context deadline exceeded"}


RING = [member(name) for name in "abc"]
STATUSES = [status(name) for name in "abc"]
HEALTHS = [health(name) for name in "abc"]
C_PEER = "https://192.0.2.3:2380"


def test_a_member_with_data_stays_what_it_is() -> None:
    assert _etcd.plan("c", C_PEER, has_data=True, established=["a"], ring=None) == _etcd.Plan(_etcd.STAY)


def test_a_ring_is_bootstrapped_where_no_member_can_have_data() -> None:
    assert _etcd.plan("c", C_PEER, has_data=False, established=[], ring=None).action == _etcd.BOOTSTRAP


def test_a_ring_that_does_not_answer_is_not_replaced_by_a_new_one() -> None:
    with pytest.raises(_etcd.RefusalError, match=r"etcd on c: its data directory is empty .* a, b may hold the data"):
        _etcd.plan("c", C_PEER, has_data=False, established=["a", "b"], ring=None)


def test_a_new_member_is_added_to_the_ring_that_answers() -> None:
    plan = _etcd.plan("c", C_PEER, has_data=False, established=["a", "b"], ring=RING[:2])
    assert plan == _etcd.Plan(_etcd.JOIN, remove=None, add=True)


def test_the_dead_entry_of_a_member_that_lost_its_disk_is_replaced() -> None:
    plan = _etcd.plan("c", C_PEER, has_data=False, established=["a", "b"], ring=RING)
    assert plan == _etcd.Plan(_etcd.JOIN, remove=IDENTIFIERS["c"], add=True)


def test_an_entry_that_was_added_but_never_served_is_used() -> None:
    ring = [*RING[:2], member("c", started=False)]
    assert _etcd.plan("c", C_PEER, has_data=False, established=["a"], ring=ring) == _etcd.Plan(_etcd.JOIN)


def test_a_member_that_moved_replaces_the_entry_with_its_name() -> None:
    plan = _etcd.plan("c", "https://192.0.2.9:2380", has_data=False, established=["a"], ring=RING)
    assert plan == _etcd.Plan(_etcd.JOIN, remove=IDENTIFIERS["c"], add=True)


def test_members_that_never_served_are_named_by_the_inventory() -> None:
    ring = [member("a"), member("b", started=False)]
    assert _etcd.initial_cluster(ring, MEMBERS, 2380) == "a=https://192.0.2.1:2380,b=https://192.0.2.2:2380"


def test_addresses_of_the_sixth_version_stand_in_brackets() -> None:
    assert _etcd.url("2001:db8::1", 2379) == "https://[2001:db8::1]:2379"


def test_a_whole_ring_has_no_problems() -> None:
    assert _etcd.problems(MEMBERS, 2379, RING, STATUSES, HEALTHS) == []


@pytest.mark.parametrize(
    ("ring", "statuses", "healths", "problem"),
    [
        (None, [], [], "no member answers"),
        (RING[:2], STATUSES, HEALTHS, "c is in the inventory but not in the ring"),
        (
            [*RING, RING[0] | {"name": "x", "ID": 13}],
            STATUSES,
            HEALTHS,
            "x is in the ring but not in the inventory",
        ),
        ([*RING[:2], RING[2] | {"isLearner": True}], STATUSES, HEALTHS, "c is a learner and does not vote"),
        (
            RING,
            STATUSES[:2],
            [*HEALTHS[:2], health("c", healthy=False)],
            "c does not serve: context deadline exceeded",
        ),
        (RING, STATUSES[:2], HEALTHS[:2], "c does not serve: no answer"),
        (RING, [*STATUSES[:2], status("c", leader=0)], HEALTHS, "a member knows no leader"),
        (RING, [*STATUSES[:2], status("c", leader=12)], HEALTHS, "the members follow different leaders"),
        (
            RING,
            [*STATUSES[:2], status("c", errors=["memberID:12 alarm:NOSPACE"])],
            HEALTHS,
            "alarm: memberID:12 alarm:NOSPACE",
        ),
    ],
)
def test_every_fault_of_the_ring_is_named(
    ring: list[dict] | None, statuses: list[dict], healths: list[dict], problem: str
) -> None:
    assert problem in _etcd.problems(MEMBERS, 2379, ring, statuses, healths)


def test_leadership_goes_to_the_voter_with_the_longest_log() -> None:
    statuses = [status("a"), status("b", index=90), status("c", index=99)]
    assert _etcd.leader_of(statuses) == IDENTIFIERS["a"]
    assert _etcd.successor(RING, statuses, leaving=IDENTIFIERS["a"]) == IDENTIFIERS["c"]


def test_a_learner_and_a_silent_member_inherit_nothing() -> None:
    ring = [RING[0], RING[1], RING[2] | {"isLearner": True}]
    assert _etcd.successor(ring, [status("a"), status("c")], leaving=IDENTIFIERS["a"]) is None


@pytest.mark.parametrize(
    ("size", "healthy", "is_healthy", "allowed"),
    [
        (1, 1, True, False),  # its data would be lost
        (2, 2, True, True),  # one of two protects nothing anyway
        (3, 3, True, False),  # two of two survive no loss
        (3, 2, False, True),  # the dead one goes, the others stay as safe as they were
        (3, 2, True, False),  # one of two has no quorum
        (4, 4, True, True),  # three of three survive a loss
        (4, 3, True, True),  # no loss is survived before, and none after
        (5, 5, True, True),
        (5, 3, True, False),
    ],
)
def test_a_member_leaves_only_when_the_rest_stays_as_safe(
    size: int, healthy: int, is_healthy: bool, allowed: bool
) -> None:
    if allowed:
        _etcd.check_leaving("c", size, healthy, is_healthy)
    else:
        with pytest.raises(_etcd.RefusalError, match="etcd on c"):
            _etcd.check_leaving("c", size, healthy, is_healthy)
