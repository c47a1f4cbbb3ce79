#!/usr/bin/python3
"""Give the leadership of PostgreSQL away before its disk is full.

    patroni_disk_guard.py --configuration /etc/patroni/conf.d --least-percent 3 --memory /run/patroni-disk-guard/moved

A primary that cannot write stays one: it refuses each write for itself, and Patroni finds it alive. So this program
looks every few seconds how much of the disks with its data and its log is free, and asks Patroni for a switchover when
that is too little and this member leads. Patroni chooses a standby that holds every acknowledged write, and says why
not when there is none. A standby whose own disk is full follows no longer, so it is not chosen.

It is done once for each time that a disk fills: where all disks are full, the leadership does not wander, and whoever
gives it back by hand is not contradicted. It is done again when there was room meanwhile, twice as much as has to be
free.

It ends by itself after a while, and its timer starts it again, as it is on disk then.
"""

from __future__ import annotations

import argparse
import base64
import json
import shutil
import ssl
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import yaml

PAUSE_SECONDS, LIFE_SECONDS = 5.0, 600.0
# What Patroni refused now it would refuse again in a moment.
REFUSED_SECONDS = 30.0
# A question is answered from memory; a switchover when it is over, which takes as long as a lease and an election.
ASK_SECONDS, MOVE_SECONDS = 5.0, 60.0
MOVED, LEADS = 200, 200


def free_percent(directories: Iterable[Path]) -> float:
    """Return how much is free of the fullest of the disks with ``directories``, as ``df`` counts it."""
    rooms = [shutil.disk_usage(directory) for directory in directories if directory.exists()]
    return min((100 * room.free / (room.used + room.free) for room in rooms if room.used + room.free), default=100.0)


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
            settings = merged(settings, yaml.safe_load(path.read_text(encoding="utf-8")) or {})
        self.name: str = settings["name"]
        data = Path(settings["postgresql"]["data_dir"])
        self.directories = (data, data / "pg_wal")
        rest = settings["restapi"]
        self._url = f"https://{rest['connect_address']}"
        self._context = ssl.create_default_context(cafile=rest["cafile"])
        self._context.load_cert_chain(rest["certfile"], rest["keyfile"])
        login = f"{rest['authentication']['username']}:{rest['authentication']['password']}"
        self._login = f"Basic {base64.b64encode(login.encode()).decode()}"

    def ask(self, path: str, order: Mapping[str, str] | None = None) -> tuple[int, str]:
        """Return status and text of what Patroni answers, 0 for no answer; an ``order`` is posted."""
        request = urllib.request.Request(self._url + path)
        if order is not None:
            request.data = json.dumps(order).encode()
            request.add_header("Authorization", self._login)
            request.add_header("Content-Type", "application/json")
        # What the environment says of proxies is not for an address of this host.
        opener = urllib.request.build_opener(
            urllib.request.ProxyHandler({}), urllib.request.HTTPSHandler(context=self._context)
        )
        try:
            with opener.open(request, timeout=ASK_SECONDS if order is None else MOVE_SECONDS) as response:
                return response.status, response.read().decode(errors="replace").strip()
        except urllib.error.HTTPError as error:
            return error.code, error.read().decode(errors="replace").strip()
        except OSError as error:
            return 0, str(error)

    def leads(self) -> bool:
        """Tell whether this member holds the lease and takes writes."""
        return self.ask("/leader")[0] == LEADS

    def give_away(self) -> tuple[bool, str]:
        """Let another member lead; tell whether one does, and what Patroni said."""
        status, answer = self.ask("/switchover", {"leader": self.name})
        return status == MOVED, answer


def look(member: Member, least_percent: float, memory: Path) -> float:
    """Look once, and act; return after how many seconds to look again.

    ``memory``: file that exists when the leadership was given away since there was room.
    """
    free = free_percent(member.directories)
    if free >= 2 * least_percent:
        memory.unlink(missing_ok=True)
    if free >= least_percent or memory.exists() or not member.leads():
        return PAUSE_SECONDS
    too_little = f"{free:.1f} % of the disk of PostgreSQL is free, less than {least_percent:g} %"
    print(f"{too_little}: another one is to lead", flush=True)
    moved, answer = member.give_away()
    print(f"Patroni: {answer}", flush=True)
    if not moved:
        return REFUSED_SECONDS
    memory.touch()
    return PAUSE_SECONDS


def main() -> int:
    """Run the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--configuration", required=True, type=Path, help="directory with the settings of Patroni")
    parser.add_argument("--least-percent", required=True, type=float, help="what has to be free for a leader")
    parser.add_argument("--memory", required=True, type=Path, help="file that says that it was done")
    parser.add_argument("--seconds", type=float, default=LIFE_SECONDS, help="how long to look (%(default)s)")
    options = parser.parse_args()
    member, until = Member(options.configuration), time.monotonic() + options.seconds
    while time.monotonic() < until:
        time.sleep(look(member, options.least_percent, options.memory))
    return 0


if __name__ == "__main__":
    sys.exit(main())
