"""What a client asked for and what it was told, in an SQLite file outside the cluster.

An intent is written before the call, the answer after it: what has no answer may or may not have happened.
"""

from __future__ import annotations

import sqlite3
import threading
import time
from pathlib import Path

import tests.conftest  # noqa: F401  makes the checkout importable as the collection that it is

# isort: split
from ansible_collections.zerospof.temporal.plugins.module_utils._calls import Call, Mark

SCHEMA = """
CREATE TABLE IF NOT EXISTS calls (
    number INTEGER PRIMARY KEY, flavour TEXT NOT NULL, kind TEXT NOT NULL,
    workflow_id TEXT NOT NULL, token TEXT NOT NULL, began REAL NOT NULL, ended REAL, error TEXT
);
CREATE TABLE IF NOT EXISTS marks (at REAL NOT NULL, label TEXT NOT NULL);
"""


class Record:
    """The file. Any thread may write: those who ask write their calls, and whoever breaks something its marks."""

    def __init__(self, path: Path | str) -> None:
        """Open or make the file ``path``; ``:memory:`` keeps it in memory."""
        self._database = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
        self._database.execute("PRAGMA journal_mode=WAL")
        self._database.executescript(SCHEMA)
        self._lock = threading.Lock()

    def intend(self, flavour: str, kind: str, workflow_id: str = "", token: str = "") -> int:
        """Write down that a call is about to be made; return its number."""
        row = (flavour, kind, workflow_id, token, time.time())
        statement = "INSERT INTO calls (flavour, kind, workflow_id, token, began) VALUES (?, ?, ?, ?, ?)"
        number = self._write(statement, row)
        assert number is not None
        return number

    def end(self, number: int, error: str = "") -> None:
        """Write down what came of a call: ``error``, or that it was acknowledged."""
        self._write("UPDATE calls SET ended = ?, error = ? WHERE number = ?", (time.time(), error, number))

    def mark(self, label: str) -> None:
        """Write down that something is done to the cluster now."""
        self._write("INSERT INTO marks VALUES (?, ?)", (time.time(), label))

    def _write(self, statement: str, row: tuple[object, ...]) -> int | None:
        """Carry out ``statement``; return the number of the row that it inserted."""
        # That number is the connection's: between the two, another thread would make it that of its own row.
        with self._lock:
            return self._database.execute(statement, row).lastrowid

    def calls(self) -> list[Call]:
        """Return all calls in the order in which they were made."""
        columns = "flavour, kind, workflow_id, token, began, ended, error"
        return [Call(*row) for row in self._database.execute(f"SELECT {columns} FROM calls ORDER BY number")]

    def marks(self) -> list[Mark]:
        """Return all marks in their order."""
        return [Mark(*row) for row in self._database.execute("SELECT at, label FROM marks ORDER BY at")]
