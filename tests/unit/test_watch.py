"""The log of a client that watches: who may write it, when the client ends, and what the log says."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

import tests.conftest  # noqa: F401  makes the checkout importable as the collection that it is

# isort: split
from ansible_collections.zerospof.temporal.plugins.module_utils import _calls, _watch


def call(began: float, ended: float, error: str = "") -> _calls.Call:
    return _calls.Call(_calls.RETRYING, "start", f"at-{began:g}", "", began, ended, error)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "watch.log"


def test_what_is_written_is_read_as_it_was(path: Path) -> None:
    log = _watch.Log(path)
    calls = [call(1, 1.5), call(2, 12, "UNAVAILABLE (no host)")]
    for one in reversed(calls):
        log.add(one)
    text = path.read_text(encoding="utf-8")
    assert _watch.calls_of(text) == calls
    # The last line may be on its way.
    assert _watch.calls_of(text + text[:9]) == calls


def test_a_client_works_until_its_log_is_gone(path: Path) -> None:
    log = _watch.Log(path)
    assert log.wanted(60)
    _watch.end(path)
    assert not log.wanted(60)
    assert list(path.parent.iterdir()) == []
    _watch.end(path)


def test_what_a_dead_client_has_left_is_no_answer(path: Path) -> None:
    log = _watch.Log(path)
    log.add(call(1, 2))
    assert _watch.calls_of(_watch.read(path)) == [call(1, 2)]
    del log
    assert _watch.read(path) is None
    _watch.end(path)
    assert _watch.read(path) is None


def test_a_newer_client_takes_the_place_of_an_older_one(path: Path) -> None:
    older = _watch.Log(path)
    newer = _watch.Log(path)
    assert not older.wanted(60)
    assert newer.wanted(60)
    older.add(call(1, 2))
    assert path.read_text(encoding="utf-8") == ""


def test_a_client_ends_when_nobody_asks_any_more(path: Path) -> None:
    log = _watch.Log(path)
    os.utime(_watch.mark(path), (0, 0))
    assert not log.wanted(60)
    _watch.touch(path)
    assert log.wanted(60)


def test_the_longest_gap_is_told_with_its_time_and_every_error() -> None:
    calls = [call(0, 0.1), call(0.5, 3.6), call(1, 3.7, "UNAVAILABLE (no host)"), call(4, 4.1)]
    seen = _watch.seen(calls, 4.5)
    assert (seen["calls"], seen["failed"], seen["longest_gap"], seen["gap_began"]) == (4, 1, 3.5, 0.1)
    assert seen["text"] == (
        "the watching client started 3 workflows until now, longest gap 3.5 s (from 00:00:00 UTC), "
        "1 errors: 1 x UNAVAILABLE (no host)"
    )


def test_an_outage_that_lasts_is_a_gap() -> None:
    assert _watch.seen([call(0, 0.1)], 60.1)["longest_gap"] == 60


def test_a_client_that_got_no_answer_yet_says_so() -> None:
    seen = _watch.seen([], 5.0)
    assert seen["text"] == "the watching client has not been served yet"
    assert json.dumps(seen)
