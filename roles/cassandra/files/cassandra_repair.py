"""Repair this node's share of the ring: one node at a time, each in its turn, and nobody directs them.

``cassandra_repair.py due`` runs every few minutes and repairs when the turn of this node has come; ``now`` repairs in
any case, as soon as nobody else does.

Whose turn it is follows from the clock and the place of the node among the members. Who repairs holds a *lease*: a row
that the ring itself keeps by Paxos and forgets, so that a node which dies in the middle blocks nobody for long. Two of
these programs on one host wait for each other as well.

Whoever adds or takes away copies of rows notes a name of that change in the table ``repairs``, and each node there,
under its own name, after which change it has repaired.

Settings are in the JSON file that ``CASSANDRA_REPAIR_SETTINGS`` names, the password is in
``CASSANDRA_REPAIR_PASSWORD``, and the time of the last repair in the state directory of the unit.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import signal
import ssl
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

if TYPE_CHECKING:
    from cassandra.cluster import Session

T = TypeVar("T")

DAY_SECONDS = 86400
LEASE = "repair"
# The row of the ring in the table of repairs.
THE_RING = "*"
LEASE_SECONDS = 300
RENEWAL_SECONDS = 60
PAUSE_SECONDS = 10
REQUEST_SECONDS = 30
# How often the ring is asked, and a repair begun: a node may be busy, and nodes that want the lease at once get in each
# other's way until a request of Paxos has lasted for too long.
ATTEMPTS = 5
# Longer than the slot of any other node: then something keeps it from its turn.
PATIENCE_SECONDS = DAY_SECONDS
# Full, not incremental: what was marked as repaired is never compared again, so rows that a disk or a bug loses would
# stay lost (Cassandra's documentation, Repair), and a session that dies in the middle keeps its files from compaction.
# The rows of Temporal live for days, so there is little to read twice. Paxos is repaired with both kinds.
COMMAND = ("/usr/local/bin/nodetool", "repair", "--full", "--partitioner-range")


def turn(now: float, place: int, members: int, interval: float) -> float:
    """Return when the last turn of a node began: turns come every ``interval`` seconds, those of others evenly between.

    ``place``: position among ``members``, from 0.
    """
    offset = interval * place / members
    return (now - offset) // interval * interval + offset


def is_due(now: float, last: float, place: int, members: int, interval: float) -> bool:
    """Tell whether the node has not begun to repair since its turn began.

    However the ring grows, no more than ``interval`` passes between two times at which it is due.
    """
    return last < turn(now, place, members, interval) or now - last >= interval


def is_late(now: float, last: float, interval: float) -> bool:
    """Tell whether the node has waited for longer than the turns of others explain."""
    return now - last > interval + PATIENCE_SECONDS


class LeaseLostError(Exception):
    """Another node repairs."""


def unanswered() -> tuple[type[Exception], ...]:
    """Return the errors with which the ring does not answer."""
    from cassandra import DriverException
    from cassandra.cluster import NoHostAvailable

    return DriverException, NoHostAvailable


def patiently(request: Callable[[], T]) -> T:
    """Return what ``request`` returns, which is made again when the ring does not answer; so it has to bear that."""
    for _ in range(ATTEMPTS - 1):
        try:
            return request()
        except unanswered() as error:
            print(f"asked again: {error}", flush=True)
            time.sleep(PAUSE_SECONDS)
    return request()


def connect(settings: dict[str, Any], password: str) -> Session:
    """Return a session with the node of this host."""
    from cassandra import ConsistencyLevel
    from cassandra.auth import PlainTextAuthProvider
    from cassandra.cluster import EXEC_PROFILE_DEFAULT, Cluster, ExecutionProfile
    from cassandra.policies import WhiteListRoundRobinPolicy

    context = ssl.create_default_context(cafile=settings["ca_file"])
    context.load_cert_chain(settings["cert_file"], settings["key_file"])
    profile = ExecutionProfile(
        WhiteListRoundRobinPolicy([settings["address"]]),
        consistency_level=ConsistencyLevel.LOCAL_QUORUM,
        serial_consistency_level=ConsistencyLevel.LOCAL_SERIAL,
        request_timeout=REQUEST_SECONDS,
    )
    cluster = Cluster(
        [settings["address"]],
        port=int(settings["port"]),
        auth_provider=PlainTextAuthProvider(settings["user"], password),
        ssl_context=context,
        execution_profiles={EXEC_PROFILE_DEFAULT: profile},
        protocol_version=5,
        schema_metadata_enabled=False,
        token_metadata_enabled=False,
    )
    try:
        return cluster.connect(settings["keyspace"])
    except Exception:
        cluster.shutdown()
        raise


@contextlib.contextmanager
def session(settings: dict[str, Any], password: str) -> Iterator[Session]:
    """Give a session with the node of this host for the body."""
    opened = patiently(lambda: connect(settings, password))
    try:
        yield opened
    finally:
        opened.cluster.shutdown()


def holder(opened: Session, name: str) -> str:
    """Take the lease for ``name``, or keep it for longer; return who holds it now."""
    statement = f"INSERT INTO leases (name, holder) VALUES (%s, %s) IF NOT EXISTS USING TTL {LEASE_SECONDS}"
    row = opened.execute(statement, (LEASE, name)).one()
    if row.applied:
        return name
    if row.holder == name:
        statement = f"UPDATE leases USING TTL {LEASE_SECONDS} SET holder = %s WHERE name = %s IF holder = %s"
        opened.execute(statement, (name, LEASE, name))
    return str(row.holder)


def attempt(opened: Session, name: str) -> int:
    """Repair, and keep the lease meanwhile; return the exit code of nodetool, raise when another node got the lease."""
    process = subprocess.Popen(COMMAND)
    while True:
        with contextlib.suppress(subprocess.TimeoutExpired):
            return process.wait(RENEWAL_SECONDS)
        try:
            other = holder(opened, name)
        except Exception as error:
            print(f"the lease could not be kept for longer: {error}", flush=True)
            continue
        if other != name:
            process.terminate()
            process.wait()
            raise LeaseLostError(f"{other} repairs now: the lease of {name} had run out")


def repair(opened: Session, name: str) -> int:
    """Repair until nodetool says that it succeeded, but not for ever; return its last exit code.

    A session of repair fails as a whole when one node does not answer one message.
    """
    for _ in range(ATTEMPTS - 1):
        code = attempt(opened, name)
        if code == 0:
            return 0
        print(f"nodetool ended with {code}: once more", flush=True)
        time.sleep(PAUSE_SECONDS)
    return attempt(opened, name)


def latest_change(opened: Session) -> str:
    """Return the name of the last change of the number of copies, nothing when there was none."""
    row = opened.execute("SELECT generation FROM repairs WHERE name = %s", (THE_RING,)).one()
    return str(row.generation) if row else ""


@contextlib.contextmanager
def alone(directory: Path, *, wait: bool) -> Iterator[bool]:
    """Keep other programs of this host from a repair during the body; tell whether that was possible."""
    with (directory / "lock").open("w", encoding="utf-8") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
        except BlockingIOError:
            yield False
        else:
            yield True


def main(mode: str) -> int:
    """Repair if it is time, and return the exit code."""
    settings = json.loads(Path(os.environ["CASSANDRA_REPAIR_SETTINGS"]).read_text(encoding="utf-8"))
    state = Path(os.environ["STATE_DIRECTORY"])
    record = state / "repaired"
    interval = int(settings["interval_days"]) * DAY_SECONDS
    name, place, members = str(settings["name"]), int(settings["place"]), int(settings["members"])
    started = time.time()
    if not record.exists():
        # A node comes with all its rows, so its first turn is soon enough.
        record.write_text(str(started), encoding="utf-8")
    last = float(record.read_text(encoding="utf-8"))
    if mode == "due" and not is_due(started, last, place, members, interval):
        return 0
    with alone(state, wait=mode != "due") as is_alone:
        if not is_alone:
            print("this node repairs already", flush=True)
            return 0
        with session(settings, os.environ["CASSANDRA_REPAIR_PASSWORD"]) as opened:
            while (other := patiently(lambda: holder(opened, name))) != name:
                print(f"{other} repairs now", flush=True)
                if mode == "due":
                    return 1 if is_late(started, last, interval) else 0
                time.sleep(PAUSE_SECONDS)
            started = time.time()
            change = patiently(lambda: latest_change(opened))
            code = repair(opened, name)
            if code == 0:
                temporary = record.with_suffix(".new")
                temporary.write_text(str(started), encoding="utf-8")
                temporary.replace(record)
                statement = "INSERT INTO repairs (name, generation) VALUES (%s, %s)"
                patiently(lambda: opened.execute(statement, (name, change)))
            # Who is stopped in the middle leaves the lease to end by itself: the node may go on to repair for a while.
            ending = "DELETE FROM leases WHERE name = %s IF holder = %s"
            patiently(lambda: opened.execute(ending, (LEASE, name)))
    return code


if __name__ == "__main__":
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))
    try:
        sys.exit(main(sys.argv[1]))
    except unanswered() as error:
        sys.exit(f"the ring does not say who repairs: {error}")
    except LeaseLostError as error:
        sys.exit(str(error))
