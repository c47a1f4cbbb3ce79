#!/usr/bin/python3
"""Give the leadership of PostgreSQL away before its disk is full.

    patroni_disk_guard.py --configuration /etc/patroni/conf.d --least-percent 3 --memory MEMORY

A primary that cannot write stays one: it refuses each write for itself, and Patroni finds it alive. So this program
looks every few seconds how much of the disks with its data and its log is free, and asks Patroni for a switchover when
that is too little and this member leads. Patroni chooses a standby that holds every acknowledged write, and says why
not when there is none.

Standbys have the same data. So that the leadership does not wander through a cluster whose disks fill all at once, only
who had room before gives it away: whoever does not lead and has less than twice as much free as a leader is to have
remembers that, keeps the leadership when it gets it, from somebody who knew why, and forgets it when there was room for
an hour.

It ends by itself after a while, and its timer starts it again, as it is on disk then.
"""

from __future__ import annotations

import argparse
import base64
import http.client
import json
import shutil
import ssl
import sys
import time
from collections.abc import Iterable, Mapping
from http import HTTPStatus
from pathlib import Path
from typing import Any

import yaml

PAUSE_SECONDS, LIFE_SECONDS = 5.0, 600.0
# What Patroni refused now it would refuse again in a moment.
REFUSED_SECONDS = 30.0
# A question is answered from memory; a switchover when it is over, or after twenty looks of a second each.
ASK_SECONDS, MOVE_SECONDS = 5.0, 60.0
# What follows the leader, as temporary files and a log that is kept, goes with it and comes back with it.
FORGET_SECONDS = 3600.0
# Of /leader; anything else is no answer.
LEADS, DOES_NOT_LEAD = HTTPStatus.OK, HTTPStatus.SERVICE_UNAVAILABLE


def free_percent(directories: Iterable[Path]) -> float:
    """Return how much is free of the fullest of the disks with ``directories``, as ``df`` counts it.

    Raises:
        OSError: one is not there, as while a member is cloned.
    """
    rooms = [shutil.disk_usage(directory) for directory in directories]
    return min(100 * room.free / (room.used + room.free) for room in rooms)


def merged(first: Mapping[str, Any], second: Mapping[str, Any]) -> dict[str, Any]:
    """Return two settings as one, the second over the first, as Patroni reads the files of its directory."""
    both = {**first, **second}
    for key in first.keys() & second.keys():
        if isinstance(first[key], Mapping) and isinstance(second[key], Mapping):
            both[key] = merged(first[key], second[key])
    return both


class Member:
    """The member of this host, as its Patroni is configured.

    ``directories``: where its data and its log are, which an administrator may have put on a disk of its own.
    """

    def __init__(self, configuration: Path) -> None:
        """Read the configuration of Patroni.

        Raises:
            OSError, yaml.YAMLError, KeyError: it is not there, or not whole.
        """
        settings: dict[str, Any] = {}
        for path in sorted(configuration.glob("*.yml")):
            # Of a text its errors would show the line, and that may be a password.
            with path.open(encoding="utf-8") as file:
                settings = merged(settings, yaml.safe_load(file) or {})
        self.name: str = settings["name"]
        data = Path(settings["postgresql"]["data_dir"])
        self.directories = (data, data / "pg_wal")
        rest = settings["restapi"]
        self._address: str = rest["connect_address"]
        self._context = ssl.create_default_context(cafile=rest["cafile"])
        self._context.load_cert_chain(rest["certfile"], rest["keyfile"])
        login = f"{rest['authentication']['username']}:{rest['authentication']['password']}"
        self._login = f"Basic {base64.b64encode(login.encode()).decode()}"

    def ask(self, path: str, order: Mapping[str, str] | None = None) -> tuple[int, str]:
        """Return status and text of what Patroni answers, 0 for no answer; an ``order`` is posted."""
        seconds = ASK_SECONDS if order is None else MOVE_SECONDS
        connection = http.client.HTTPSConnection(self._address, timeout=seconds, context=self._context)
        try:
            if order is None:
                connection.request("GET", path)
            else:
                headers = {"Authorization": self._login, "Content-Type": "application/json"}
                connection.request("POST", path, json.dumps(order), headers)
            answer = connection.getresponse()
            return answer.status, answer.read().decode(errors="replace").strip()
        except (OSError, http.client.HTTPException) as error:
            return 0, str(error)
        finally:
            connection.close()

    def give_away(self) -> tuple[int, str]:
        """Let another member lead; return what Patroni says of it."""
        return self.ask("/switchover", {"leader": self.name})


def look(member: Member, least_percent: float, memory: Path) -> float:
    """Look once, and act; return after how many seconds to look again.

    ``memory``: file that exists while this member has little room, or had within the hour, and was not the leader then.
    """
    try:
        free = free_percent(member.directories)
    except OSError:
        return PAUSE_SECONDS
    if free >= 2 * least_percent:
        if memory.exists() and time.time() - memory.stat().st_mtime > FORGET_SECONDS:
            memory.unlink()
        return PAUSE_SECONDS
    status, answer = member.ask("/leader")
    if status == DOES_NOT_LEAD:
        memory.touch()
        return PAUSE_SECONDS
    if free >= least_percent or memory.exists():
        return PAUSE_SECONDS
    print(f"{free:.1f} % of the disk of PostgreSQL is free, less than {least_percent:g} %", flush=True)
    if status == LEADS:
        print("another member is to lead", flush=True)
        status, answer = member.give_away()
    print(f"Patroni: {status or 'no answer'}: {answer}", flush=True)
    # It leads no longer, and remembers at the next look.
    return PAUSE_SECONDS if status == HTTPStatus.OK else REFUSED_SECONDS


def main() -> int:
    """Run the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--configuration", required=True, type=Path, help="directory with the settings of Patroni")
    parser.add_argument("--least-percent", required=True, type=float, help="what has to be free for a leader")
    parser.add_argument("--memory", required=True, type=Path, help="file that says that there was little room before")
    parser.add_argument("--seconds", type=float, default=LIFE_SECONDS, help="how long to look (%(default)s)")
    options = parser.parse_args()
    member, until = Member(options.configuration), time.monotonic() + options.seconds
    while time.monotonic() < until:
        time.sleep(look(member, options.least_percent, options.memory))
    return 0


if __name__ == "__main__":
    sys.exit(main())
