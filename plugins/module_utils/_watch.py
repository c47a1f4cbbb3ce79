"""The log of a client that watches a cluster while something is done to it: who writes it, who reads it, what it says.

The client (``client_watch``) and those who ask (``client_watch_info``) have nothing in common but two files. The log
has one line for each call, and a lock on it for as long as the client lives. The mark beside it is touched by whoever
reads: a client that nobody asks any more ends.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from ansible_collections.zerospof.temporal.plugins.module_utils import _calls


class Log:
    """The log of one client; a newer client takes its place."""

    def __init__(self, path: Path) -> None:
        """Begin a new one, which is not that of an earlier client.

        Raises:
            OSError: it cannot be written.
        """
        path.unlink(missing_ok=True)
        self._path = path
        self._file = path.open("x", encoding="utf-8", buffering=1)
        fcntl.flock(self._file, fcntl.LOCK_EX)
        touch(path)

    def add(self, call: _calls.Call) -> None:
        """Write a call that has ended."""
        print(json.dumps([call.workflow_id, call.began, call.ended, call.error]), file=self._file)

    def wanted(self, lease_seconds: float) -> bool:
        """Tell whether the log is still this one, and somebody has asked for it within ``lease_seconds``."""
        try:
            same = os.path.samestat(os.fstat(self._file.fileno()), self._path.stat())
            return same and time.time() - mark(self._path).stat().st_mtime < lease_seconds
        except FileNotFoundError:
            return False


def mark(path: Path) -> Path:
    """Return the file that is touched by those who read the log at ``path``."""
    return path.with_suffix(".read")


def touch(path: Path) -> None:
    """Let the client know that somebody reads its log."""
    mark(path).touch(mode=0o600)


def end(path: Path) -> None:
    """Let the client end that writes the log at ``path``."""
    for file in (path, mark(path)):
        file.unlink(missing_ok=True)


def read(path: Path) -> str | None:
    """Return the log at ``path``, ``None`` when nobody writes one.

    Raises:
        OSError: it cannot be read.
    """
    try:
        with path.open(encoding="utf-8") as file:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                return file.read()
    except FileNotFoundError:
        pass
    return None


def calls_of(text: str) -> list[_calls.Call]:
    """Return the calls of a log, whose last line may be written just now."""
    calls = []
    for line in text.splitlines():
        with contextlib.suppress(ValueError):
            name, began, ended, error = json.loads(line)
            calls.append(_calls.Call(_calls.RETRYING, "start", name, "", began, ended, error))
    return sorted(calls, key=lambda call: call.began)


def seen(calls: list[_calls.Call], now: float) -> dict[str, Any]:
    """Return what the client has seen until ``now``, an outage that lasts included; times are seconds of the epoch."""
    failed = _calls.errors(calls)
    # Nothing has come back of this one.
    began, ended = _calls.longest_pause([*calls, _calls.Call(_calls.RETRYING, "start", "", "", now)])
    facts = {
        "calls": len(calls),
        "failed": sum(failed.values()),
        "errors": dict(failed.most_common()),
        "longest_gap": round(ended - began, 1),
        "gap_began": began if calls else 0.0,
    }
    return {**facts, "text": text(facts)}


def text(facts: dict[str, Any]) -> str:
    """Return the same for people."""
    if not facts["calls"]:
        return "the watching client has not been served yet"
    at = datetime.fromtimestamp(facts["gap_began"], UTC)
    said = (
        f"the watching client started {facts['calls'] - facts['failed']} workflows until now, longest gap "
        f"{facts['longest_gap']:.1f} s (from {at:%H:%M:%S} UTC)"
    )
    if not facts["failed"]:
        return f"{said}, no error"
    reasons = ", ".join(f"{number} x {error}" for error, number in facts["errors"].items())
    return f"{said}, {facts['failed']} errors: {reasons}"
