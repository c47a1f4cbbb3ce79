"""Frames on a delayed line."""

from __future__ import annotations

import random

from lab.delay import QUEUE, Line

CHANCE = random.Random(1)


def test_a_frame_leaves_when_its_delay_is_over() -> None:
    line = Line(0.02)
    line.put(b"a", now=1.0, chance=CHANCE)
    assert line.take(1.01) == []
    assert line.wait(1.01) == 1.02 - 1.01
    assert line.take(1.02) == [b"a"]
    assert line.wait(1.02) is None


def test_frames_do_not_overtake_each_other_for_all_jitter() -> None:
    line = Line(0.02, jitter=0.02)
    for number in range(100):
        line.put(bytes([number]), now=number / 1000, chance=CHANCE)
    assert line.take(10.0) == [bytes([number]) for number in range(100)]


def test_loss_takes_its_share() -> None:
    line = Line(0.0, loss=0.3)
    for _ in range(1000):
        line.put(b"x", now=0.0, chance=CHANCE)
    assert 600 < len(line.take(0.0)) < 800


def test_a_full_line_drops_instead_of_growing() -> None:
    line = Line(1.0)
    for _ in range(QUEUE + 5):
        line.put(b"x", now=0.0, chance=CHANCE)
    assert len(line.frames) == QUEUE
