"""What modules share that run a worker of their own: the child in which it runs, and the reason of a failure."""

from __future__ import annotations

import os

import pytest
from ansible_collections.zerospof.temporal.plugins.module_utils import _frontend


async def of_another_process() -> int:
    return os.getpid()


async def refused() -> None:
    raise ValueError("no such namespace")


def test_the_answer_comes_from_a_child() -> None:
    assert _frontend.in_a_process_of_its_own(of_another_process) != os.getpid()


def test_a_failure_of_the_child_is_told() -> None:
    with pytest.raises(_frontend.FrontendError, match=r"^ValueError: no such namespace$"):
        _frontend.in_a_process_of_its_own(refused)


def test_the_reason_is_that_of_the_innermost_cause() -> None:
    outer, inner = RuntimeError("it failed"), ValueError("a wrong name\nand a long trace")
    outer.__cause__ = inner
    assert _frontend.first_line(_frontend.innermost(outer)) == "a wrong name"
    assert _frontend.first_line(TimeoutError()) == "TimeoutError"
