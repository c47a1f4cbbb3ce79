"""A leader hands over only to a standby that has every write, and a sick cluster says what ails it."""

from __future__ import annotations

import pytest
from ansible_collections.zerospof.temporal.plugins.module_utils import _patroni

VERSION = "4.0.7"
NAMES = ["a", "b", "c"]
MAXIMUM_LAG = 1000


def leader(name: str = "a", state: str = "running") -> dict:
    """Return the leader of a cluster."""
    return {"name": name, "role": "leader", "state": state}


def standby(name: str, role: str = "quorum_standby", state: str = "streaming", lag: object = 0) -> dict:
    """Return a standby of a cluster."""
    return {"name": name, "role": role, "state": state, "lag": lag}


def cluster(*members: dict, **rest: object) -> dict:
    """Return an answer of GET /cluster."""
    return {"members": list(members), **rest}


WHOLE = cluster(leader(), standby("b"), standby("c"))


def found(of: dict, version: str = VERSION, synchronous: bool = True) -> list[str]:
    """Return the problems of a cluster that should be a, b and c."""
    return _patroni.problems(of, version, NAMES, synchronous, MAXIMUM_LAG)


def test_a_whole_cluster_has_no_problems() -> None:
    assert found(WHOLE) == []


def test_the_only_member_of_a_cluster_needs_no_standby() -> None:
    assert _patroni.problems(cluster(leader()), VERSION, ["a"], False, MAXIMUM_LAG) == []


@pytest.mark.parametrize(
    ("sick", "problem"),
    [
        (cluster(leader(), standby("b")), "c is in the inventory but not in the cluster"),
        (
            cluster(leader(), standby("b"), standby("c"), standby("x")),
            "x is in the cluster but not in the inventory",
        ),
        (cluster(standby("a"), standby("b"), standby("c")), "it has no leader"),
        (cluster(leader(), leader("b"), standby("c")), "it has 2 leaders"),
        (cluster(leader(state="starting"), standby("b"), standby("c")), "the leader a is starting"),
        (
            cluster(leader(), standby("b"), standby("c", state="running")),
            "the replica c does not stream: it is running",
        ),
        (
            cluster(leader(), standby("b"), standby("c", state="stopped")),
            "the replica c does not stream: it is stopped",
        ),
        (cluster(leader(), standby("b"), standby("c", lag="unknown")), "the lag of c is unknown"),
        (cluster(leader(), standby("b"), standby("c", lag=1001)), "c is 1001 bytes behind, more than 1000"),
        (
            cluster(leader(), standby("b", role="replica"), standby("c", role="replica")),
            "no standby confirms writes: a loss of the leader would lose them or stop the service",
        ),
        (cluster(leader(), standby("b"), standby("c", role="replica")), "c streams but does not confirm writes yet"),
        (WHOLE | {"pause": True}, "the cluster is paused, so nothing fails over; run `patronictl resume`"),
    ],
)
def test_every_fault_of_the_cluster_is_named(sick: dict, problem: str) -> None:
    assert problem in found(sick)


def test_a_replica_that_receives_and_does_not_apply_is_behind() -> None:
    statuses = {
        "b": {"xlog": {"received_location": 5000, "replayed_location": 4000, "paused": False}},
        "c": {"xlog": {"received_location": 5000, "replayed_location": 3999, "paused": False}},
        "starting": {"xlog": {"received_location": None, "replayed_location": 1}},
        "silent": {},
    }
    assert _patroni.replay_problems(statuses, MAXIMUM_LAG) == [
        "c has received 1001 bytes that it has not applied, more than 1000",
    ]


def test_one_of_two_standbys_is_enough_where_only_one_confirms() -> None:
    assert found(cluster(leader(), standby("b", role="sync_standby"), standby("c", role="replica"))) == []


def test_a_replica_that_never_confirms_by_its_tag_is_no_fault() -> None:
    distant = standby("c", role="replica") | {"tags": {"nosync": True}}
    assert found(cluster(leader(), standby("b"), distant)) == []


def test_patroni_before_3_1_calls_a_replica_that_follows_running() -> None:
    old = cluster(leader(), standby("b", "sync_standby", "running"), standby("c", "replica", "running"))
    assert found(old, version="3.0.2") == []


def test_a_standby_leads_when_it_takes_writes_and_the_former_leader_may_be_on_its_way() -> None:
    on_its_way = standby("a", "replica", "stopped")
    assert not _patroni.leads(cluster(leader("b", "starting"), on_its_way), "b")
    assert not _patroni.leads(WHOLE, "b")
    handed_over = cluster(leader("b"), on_its_way)
    assert _patroni.leads(handed_over, "b")
    assert not _patroni.is_followed_by(handed_over, "a", VERSION)
    assert _patroni.is_followed_by(cluster(leader("b"), standby("a", "replica")), "a", VERSION)
    assert not _patroni.is_followed_by(cluster(leader("b")), "a", VERSION)


def test_the_standby_that_is_least_behind_inherits() -> None:
    of = cluster(leader(), standby("b", lag=50), standby("c", lag=10))
    assert _patroni.heir(of, VERSION, "a", synchronous=True) == "c"


@pytest.mark.parametrize(
    "of",
    [
        cluster(leader(), standby("b", role="replica"), standby("c", role="replica")),
        cluster(leader(), standby("b", state="starting")),
        WHOLE | {"pause": True},
    ],
)
def test_nobody_inherits_who_may_miss_a_write(of: dict) -> None:
    with pytest.raises(_patroni.RefusalError):
        _patroni.heir(of, VERSION, "a", synchronous=True)


def test_a_replica_inherits_where_writes_are_not_confirmed() -> None:
    of = cluster(leader(), standby("b", role="replica"))
    assert _patroni.heir(of, VERSION, "a", synchronous=False) == "b"


def test_the_candidate_leads_though_another_standby_is_less_behind() -> None:
    of = cluster(leader(), standby("b"), standby("c", lag=500))
    assert _patroni.heir(of, VERSION, "a", synchronous=True, candidate="c") == "c"


@pytest.mark.parametrize(
    ("candidate", "reason"),
    [
        ("c", "c cannot lead: it is replica and streaming; fit are: b"),
        ("x", "x cannot lead: it is no member of the cluster; fit are: b"),
        ("a", "a cannot lead: it is leader and running; fit are: b"),
    ],
)
def test_a_candidate_that_is_not_fit_is_refused_and_those_that_are_named(candidate: str, reason: str) -> None:
    of = cluster(leader(), standby("b"), standby("c", role="replica"))
    with pytest.raises(_patroni.RefusalError) as refused:
        _patroni.heir(of, VERSION, "a", synchronous=True, candidate=candidate)
    assert str(refused.value) == reason


@pytest.mark.parametrize(
    ("of", "name", "reason"),
    [
        (WHOLE, "a", "would survive no further loss"),
        (WHOLE, "c", "would survive no further loss"),
        (cluster(leader(), standby("b")), "b", "too few to replicate"),
    ],
)
def test_a_member_does_not_leave_when_replication_would_suffer(of: dict, name: str, reason: str) -> None:
    with pytest.raises(_patroni.RefusalError, match=reason):
        _patroni.check_leaving(of, VERSION, name, synchronous=True)


@pytest.mark.parametrize(
    "of",
    [
        cluster(leader(), standby("b"), standby("c"), standby("d")),
        cluster(leader(), standby("b"), standby("d", state="stopped")),
    ],
)
def test_a_member_too_many_or_a_dead_one_may_leave(of: dict) -> None:
    _patroni.check_leaving(of, VERSION, "d", synchronous=True)


def test_a_leader_may_leave_where_another_member_may() -> None:
    of = cluster(leader(), standby("b"), standby("c"), standby("d"))
    _patroni.check_leaving(of, VERSION, "a", synchronous=True)


CURRENT = {
    "ttl": 20,
    "pause": True,
    "postgresql": {"use_slots": True, "parameters": {"max_connections": 200, "ssl": "on", "jit": "off"}},
}
EXACT = ("postgresql.parameters",)


def test_nothing_is_sent_when_only_the_spelling_differs() -> None:
    desired = {
        "ttl": "20",
        "postgresql": {"use_slots": "true", "parameters": {"max_connections": "200", "ssl": True, "jit": False}},
    }
    assert _patroni.patch(CURRENT, desired, EXACT) == {}


def test_only_what_differs_is_sent() -> None:
    desired = {"ttl": 30, "postgresql": {"parameters": {"max_connections": 300, "ssl": "on", "jit": "off"}}}
    assert _patroni.patch(CURRENT, desired, EXACT) == {
        "ttl": 30,
        "postgresql": {"parameters": {"max_connections": 300}},
    }


def test_a_parameter_that_the_inventory_dropped_is_removed_and_a_pause_is_kept() -> None:
    desired = {"ttl": 20, "postgresql": {"parameters": {"max_connections": 200, "ssl": "on"}}}
    changes = _patroni.patch(CURRENT, desired, EXACT)
    assert changes == {"postgresql": {"parameters": {"jit": None}}}
    assert _patroni.applied(CURRENT, changes)["postgresql"]["parameters"] == {"max_connections": 200, "ssl": "on"}
    assert _patroni.applied(CURRENT, changes)["pause"] is True


def test_a_list_is_sent_as_a_whole() -> None:
    current = {"postgresql": {"pg_hba": ["one", "two"]}}
    assert _patroni.patch(current, {"postgresql": {"pg_hba": ["one", "two"]}}) == {}
    assert _patroni.patch(current, {"postgresql": {"pg_hba": ["one"]}}) == {"postgresql": {"pg_hba": ["one"]}}


def test_what_was_sent_once_is_not_sent_again() -> None:
    desired = {"ttl": 30, "failsafe_mode": True, "postgresql": {"parameters": {"ssl": "off"}, "pg_hba": ["one"]}}
    after = _patroni.applied(CURRENT, _patroni.patch(CURRENT, desired, EXACT))
    assert _patroni.patch(after, desired, EXACT) == {}


def test_a_replica_of_another_timeline_follows_nobody() -> None:
    """As after a cut of the primary whose log did not suffice to rewind it: Patroni 3.0 says that it is running."""
    on = cluster({**leader(), "timeline": 5}, {**standby("b"), "timeline": 5}, {**standby("c"), "timeline": 4})
    assert found(on) == ["c is on timeline 4 and cannot follow the leader, who is on 5"]
    unknown = cluster({**leader(), "timeline": 5}, standby("b"), standby("c"))
    assert found(unknown) == []
