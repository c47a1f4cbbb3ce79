"""What the ring of etcd members looks like and what may be done to it.

Pure functions over the JSON that ``etcdctl`` prints; nothing here runs a command.

* An *inventory member* is ``{name, address}``.
* A *ring member* is an element of ``etcdctl member list``: ``{ID, name, peerURLs, clientURLs, isLearner}``; one that
  was added but has never served has no ``clientURLs``.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

RingMember = Mapping[str, Any]
InventoryMember = Mapping[str, Any]

# What a member with or without data has to do before its unit starts.
STAY = "stay"
BOOTSTRAP = "bootstrap"
JOIN = "join"


class RefusalError(ValueError):
    """The ring must not be changed in this way; the message says why and what to do."""


@dataclass(frozen=True)
class Plan:
    """How a member comes into the ring: ``action``, the entry to remove first, and whether to add a new one."""

    action: str
    remove: int | None = None
    add: bool = False


def url(address: str, port: int) -> str:
    """Return the address of an etcd listener; every listener speaks TLS."""
    host = f"[{address}]" if ":" in address else address
    return f"https://{host}:{port}"


def quorum(size: int) -> int:
    """Return how many members of a ring of ``size`` must agree."""
    return size // 2 + 1


def tolerance(healthy: int, size: int) -> int:
    """Return how many more members a ring can lose; negative when it cannot write any more."""
    return healthy - quorum(size)


def plan(
    name: str,
    peer_url: str,
    has_data: bool,
    established: Sequence[str],
    ring: Sequence[RingMember] | None,
) -> Plan:
    """Decide how the member ``name`` comes into the ring.

    ``has_data``: whether this member has a data directory; then it is in the ring already.
    ``established``: other members that may hold the data of a ring, because they have some or were not looked at.
    ``ring``: the members of the live ring, ``None`` when no member answers.

    Raises:
        RefusalError: the ring exists but does not answer. To bootstrap a second one would lose its data.
    """
    if has_data:
        return Plan(STAY)
    if ring is None:
        if established:
            raise RefusalError(
                f"etcd on {name}: its data directory is empty and no member of the ring answers, while "
                f"{', '.join(established)} may hold the data of the ring; start etcd there, and run on all members"
            )
        return Plan(BOOTSTRAP)
    entry = next((member for member in ring if is_entry_of(member, name, peer_url)), None)
    if entry is None:
        return Plan(JOIN, add=True)
    if not entry.get("clientURLs") and list(entry["peerURLs"]) == [peer_url]:
        return Plan(JOIN)
    return Plan(JOIN, remove=entry["ID"], add=True)


def is_entry_of(member: RingMember, name: str, peer_url: str) -> bool:
    """Tell whether the ring member ``member`` is the host ``name``, under its name or its peer address."""
    return member.get("name") == name or peer_url in member["peerURLs"]


def initial_cluster(ring: Sequence[RingMember], members: Sequence[InventoryMember], peer_port: int) -> str:
    """Return the setting ``initial-cluster`` for a member that joins ``ring``.

    A member that was added but has never served has no name in the ring yet: it takes the one of the inventory.
    """
    names = {url(member["address"], peer_port): member["name"] for member in members}
    return ",".join(
        f"{names.get(peer, member.get('name') or member['ID'])}={peer}"
        for member in ring
        for peer in member["peerURLs"]
    )


def problems(
    members: Sequence[InventoryMember],
    client_port: int,
    ring: Sequence[RingMember] | None,
    statuses: Sequence[Mapping[str, Any]],
    healths: Sequence[Mapping[str, Any]],
) -> list[str]:
    """Return why the ring is not healthy, empty when it is.

    ``statuses``: output of ``etcdctl endpoint status``, one ``{Endpoint, Status}`` per member that answers.
    ``healths``: output of ``etcdctl endpoint health``, one ``{endpoint, health, error}`` per member.
    """
    if ring is None:
        return ["no member answers"]
    found = []
    wanted = {member["name"] for member in members}
    present = {member.get("name") or "a member that never started" for member in ring}
    found += [f"{name} is in the inventory but not in the ring" for name in sorted(wanted - present)]
    found += [f"{name} is in the ring but not in the inventory" for name in sorted(present - wanted)]
    found += [f"{member.get('name')} is a learner and does not vote" for member in ring if member.get("isLearner")]

    health_of = {health["endpoint"]: health for health in healths}
    for member in members:
        health = health_of.get(url(member["address"], client_port), {})
        if not health.get("health"):
            found.append(f"{member['name']} does not serve: {health.get('error') or 'no answer'}")

    leaders = {status["Status"].get("leader", 0) for status in statuses}
    if 0 in leaders or not leaders:
        found.append("a member knows no leader")
    elif len(leaders) > 1:
        found.append("the members follow different leaders")
    alarms = {error for status in statuses for error in status["Status"].get("errors") or []}
    found += [f"alarm: {alarm}" for alarm in sorted(alarms)]
    return found


def leader_of(statuses: Sequence[Mapping[str, Any]]) -> int | None:
    """Return the identifier of the leader that the answering members follow, ``None`` without one."""
    leaders = {status["Status"].get("leader", 0) for status in statuses} - {0}
    return leaders.pop() if len(leaders) == 1 else None


def member_id(status: Mapping[str, Any]) -> int:
    """Return the identifier of the member that gave ``status``."""
    return status["Status"]["header"]["member_id"]


def successor(ring: Sequence[RingMember], statuses: Sequence[Mapping[str, Any]], leaving: int) -> int | None:
    """Return the heir of the leader ``leaving``: the voter with the longest log, ``None`` when there is no other."""
    voters = {member["ID"] for member in ring if not member.get("isLearner")} - {leaving}
    candidates = [status for status in statuses if member_id(status) in voters]
    best = max(candidates, key=lambda status: status["Status"].get("raftIndex", 0), default=None)
    return None if best is None else member_id(best)


def check_leaving(name: str, size: int, healthy: int, is_healthy: bool) -> None:
    """Refuse that ``name`` leaves a ring of ``size`` members, of which ``healthy`` serve, when quorum would suffer.

    Raises:
        RefusalError: the rest could not agree, or could not lose another member although the ring can now.
    """
    before = tolerance(healthy, size)
    after = tolerance(healthy - is_healthy, size - 1)
    rest = f"its ring of {size} members ({healthy} healthy) would be one of {size - 1} ({healthy - is_healthy} healthy)"
    if size == 1:
        raise RefusalError(f"etcd on {name}: it is the only member, and its data would be lost")
    if after < 0:
        raise RefusalError(f"etcd on {name}: {rest}, which has no quorum; repair or add members first")
    if before >= 1 and after < 1:
        raise RefusalError(f"etcd on {name}: {rest}, which survives no further loss; add a member first")
