"""A client of the cluster that notes which of its rows were acknowledged, and asks for all of them afterwards.

``ledger.py write LEDGER`` inserts row after row until it is checked, whatever happens to the connection.
``ledger.py check LEDGER`` waits for one more acknowledgement, ends the writing and prints as JSON how many there were,
which of those rows are lost, and the errors on the way.

``LEDGER`` is a path; its name is the one of the table. How to connect stands in the variables that libpq reads.
"""

from __future__ import annotations

import json
import sys
import time
from contextlib import closing
from pathlib import Path

import psycopg2

PATIENCE_SECONDS = 60


def note(path: Path, line: object) -> None:
    """Add a line to a file."""
    with path.open("a") as file:
        file.write(f"{line}\n")


def lines(path: Path) -> list[str]:
    """Return the lines of a file, none when there is no file."""
    return path.read_text().splitlines() if path.exists() else []


def write(ledger: Path, end: Path, errors: Path) -> None:
    """Insert a row after the other; one that failed is not tried again, because it may be there."""
    number = 0
    while not end.exists():
        try:
            with closing(psycopg2.connect("")) as connection:
                connection.autocommit = True
                cursor = connection.cursor()
                cursor.execute(f"CREATE TABLE IF NOT EXISTS {ledger.name} (number int PRIMARY KEY)")
                while not end.exists():
                    number += 1
                    cursor.execute(f"INSERT INTO {ledger.name} VALUES (%s)", (number,))
                    note(ledger, number)
                    time.sleep(0.05)
        except psycopg2.Error as error:
            note(errors, " ".join(str(error).split()))
            time.sleep(0.2)


def check(ledger: Path, end: Path, errors: Path) -> dict[str, object]:
    """Return what became of the rows, after one more has been acknowledged."""
    before = len(lines(ledger))
    deadline = time.monotonic() + PATIENCE_SECONDS
    while len(lines(ledger)) == before:
        if time.monotonic() > deadline:
            sys.exit(f"no row was acknowledged for {PATIENCE_SECONDS} s, after {before}; {lines(errors)[-1:]}")
        time.sleep(0.1)
    end.touch()
    with closing(psycopg2.connect("")) as connection:
        cursor = connection.cursor()
        cursor.execute(f"SELECT number FROM {ledger.name}")
        present = {number for (number,) in cursor}
    acknowledged = {int(line) for line in lines(ledger)}
    return {"acknowledged": len(acknowledged), "lost": sorted(acknowledged - present), "errors": lines(errors)}


if __name__ == "__main__":
    _, verb, path = sys.argv
    files = Path(path), Path(f"{path}.end"), Path(f"{path}.errors")
    if verb == "write":
        write(*files)
    else:
        print(json.dumps(check(*files)))
