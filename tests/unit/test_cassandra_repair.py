"""Each node repairs in its turn, none is forgotten however the ring grows, and turns do not meet."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from types import ModuleType

import pytest
from hypothesis import given
from hypothesis import strategies as st

PROGRAM = Path(__file__).resolve().parents[2] / "roles" / "cassandra" / "files" / "cassandra_repair.py"
WEEK = 7 * 86400.0
# The clock in whole seconds, as far as 2100.
times = st.integers(1_700_000_000, 4_100_000_000).map(float)


@pytest.fixture(scope="module")
def program() -> ModuleType:
    specification = importlib.util.spec_from_file_location("cassandra_repair", PROGRAM)
    assert specification
    assert specification.loader
    module = importlib.util.module_from_spec(specification)
    specification.loader.exec_module(module)
    return module


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
