"""Each node repairs in its turn, none is forgotten however the ring grows, and turns do not meet."""

from __future__ import annotations

from collections.abc import Iterator
from types import ModuleType

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.programs import load

WEEK = 7 * 86400.0
# The clock in whole seconds, as far as 2100.
times = st.integers(1_700_000_000, 4_100_000_000).map(float)


@pytest.fixture(scope="module")
def program() -> ModuleType:
    return load("roles/cassandra/files/cassandra_repair.py")


@pytest.fixture
def pauses(program: ModuleType, monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """How long the program has paused, without that time passing."""
    made: list[float] = []
    monkeypatch.setattr(program.time, "sleep", made.append)
    return made


class Answers:
    """Gives one answer after the other; errors are raised."""

    def __init__(self, *answers: object) -> None:
        self.left: Iterator[object] = iter(answers)

    def __call__(self, *_: object) -> object:
        answer = next(self.left)
        if isinstance(answer, Exception):
            raise answer
        return answer


class BusyError(Exception):
    """As one of the driver of Cassandra, which is on hosts alone."""


BUSY = BusyError("the ring is busy")


@pytest.fixture(autouse=True)
def driver(program: ModuleType, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the error of these tests be one with which a ring does not answer."""
    monkeypatch.setattr(program, "unanswered", lambda: (BusyError,))


def test_a_ring_that_is_busy_is_asked_again(program: ModuleType, pauses: list[float]) -> None:
    assert program.patiently(Answers(BUSY, BUSY, "cassandra-a")) == "cassandra-a"
    assert pauses == [program.PAUSE_SECONDS] * 2


def test_a_ring_that_does_not_answer_is_not_asked_for_ever(program: ModuleType, pauses: list[float]) -> None:
    with pytest.raises(BusyError):
        program.patiently(Answers(*[BUSY] * program.ATTEMPTS, "cassandra-a"))
    assert len(pauses) == program.ATTEMPTS - 1


@pytest.mark.usefixtures("pauses")
def test_what_is_no_matter_of_time_is_told_at_once(program: ModuleType) -> None:
    with pytest.raises(ValueError, match="wrong"):
        program.patiently(Answers(ValueError("wrong"), "cassandra-a"))


@pytest.mark.usefixtures("pauses")
@pytest.mark.parametrize(("codes", "last"), [([0], 0), ([2, 1, 0], 0), ([1, 1, 1, 1, 2], 2)])
def test_a_repair_that_failed_is_made_again_but_not_for_ever(
    program: ModuleType, monkeypatch: pytest.MonkeyPatch, codes: list[int], last: int
) -> None:
    monkeypatch.setattr(program, "attempt", Answers(*codes))
    assert program.repair(None, "cassandra-a") == last


@pytest.mark.usefixtures("pauses")
def test_a_repair_that_lost_its_lease_is_not_made_again(program: ModuleType, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(program, "attempt", Answers(program.LeaseLostError("cassandra-b repairs now"), 0))
    with pytest.raises(program.LeaseLostError):
        program.repair(None, "cassandra-a")


@given(times, st.integers(1, 1000), st.integers(0, 999))
def test_the_last_turn_of_a_node_began_within_the_interval(
    program: ModuleType, now: float, members: int, place: int
) -> None:
    begun = program.turn(now, place % members, members, WEEK)
    assert -1e-3 <= now - begun <= WEEK + 1e-3


@given(times, st.integers(1, 100))
def test_turns_divide_the_interval_evenly(program: ModuleType, now: float, members: int) -> None:
    begun = sorted(program.turn(now, place, members, WEEK) for place in range(members))
    gaps = [after - before for before, after in zip(begun, [*begun[1:], begun[0] + WEEK], strict=True)]
    assert gaps == pytest.approx([WEEK / members] * members, abs=1e-2)


def test_a_node_that_repaired_in_its_turn_waits_for_the_next(program: ModuleType) -> None:
    begun = program.turn(1.7e9, 1, 3, WEEK)
    assert program.is_due(begun + 1, begun - 1, 1, 3, WEEK)
    assert not program.is_due(begun + 3600, begun + 1, 1, 3, WEEK)
    assert program.is_due(begun + WEEK, begun + 1, 1, 3, WEEK)


@given(times, st.integers(1, 1000), st.integers(0, 999))
def test_a_node_is_due_within_the_interval_however_the_ring_has_changed(
    program: ModuleType, last: float, members: int, place: int
) -> None:
    assert program.is_due(last + WEEK, last, place % members, members, WEEK)


def test_who_waits_for_others_is_late_only_after_more_than_a_round(program: ModuleType) -> None:
    assert not program.is_late(1e9 + WEEK, 1e9, WEEK)
    assert program.is_late(1e9 + WEEK + program.PATIENCE_SECONDS + 1, 1e9, WEEK)
