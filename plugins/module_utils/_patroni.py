"""What a Patroni cluster looks like and what may be done to it.

Pure functions over the JSON of Patroni's REST API; nothing here talks to a host.

* A *cluster* is the answer of ``GET /cluster``: ``{members: [{name, role, state, lag, ...}], pause}``.
* ``lag`` is in bytes, or ``"unknown"`` while a member starts.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from ansible.module_utils.common.validation import check_type_int

Cluster = Mapping[str, Any]

LEADERS = frozenset({"leader", "master", "standby_leader"})
QUORUM = "quorum_standby"
SYNCHRONOUS = frozenset({"sync_standby", QUORUM})

# Mappings of the dynamic configuration that become exactly the wanted ones.
EXACT = ("postgresql.parameters",)

# Members report "streaming" for themselves from 3.1 on; before, a replica that follows says "running".
_STREAMING_SINCE = (3, 1)


VARIABLES = ("patroni_config_overrides", "patroni_postgresql_parameters")
"""What a host can say about how many standbys hold a write before it is acknowledged."""
SYNCHRONOUS_STANDBYS = 1
"""``synchronous_node_count`` of the role, for a cluster of several members."""
# As Patroni and PostgreSQL read them: of another value of synchronous_mode, Patroni takes none for on.
_ON = ("on", "true", "yes", "1")
_OFF = ("off", "false", "no", "0")


class RefusalError(ValueError):
    """The cluster must not be changed in this way; the message says why and what to do."""


class SettingError(ValueError):
    """``setting``, a dotted path, cannot be; ``fault`` says why and what to do."""

    def __init__(self, setting: str, fault: str) -> None:
        super().__init__(f"{setting}: {fault}")
        self.setting = setting
        self.fault = fault


def certain_standbys(variables: Mapping[str, Any]) -> tuple[int, str]:
    """Return how many standbys are certain to hold every acknowledged write, and the setting that lets none.

    ``variables``: those of :data:`VARIABLES` that a host has. The role sets one standby for a cluster of several
    members; the text is empty where nothing takes that away. Without ``synchronous_mode``, or with a
    ``synchronous_commit`` that waits for no standby, the primary acknowledges alone; without
    ``synchronous_mode_strict``, it does so while no standby follows.

    Raises:
        SettingError: a setting on the way is of a wrong type.
    """
    dynamic = ("patroni_config_overrides", "bootstrap", "dcs")
    given = _section(variables, *dynamic)
    if _plain(given.get("synchronous_mode", "on")) not in (*_ON, "quorum"):
        return 0, ".".join((*dynamic, "synchronous_mode"))
    if _plain(given.get("synchronous_mode_strict", "on")) not in _ON:
        return 0, ".".join((*dynamic, "synchronous_mode_strict"))
    # The first that says something is in force.
    for path in (
        ("patroni_config_overrides", "postgresql", "parameters"),
        (*dynamic, "postgresql", "parameters"),
        ("patroni_postgresql_parameters",),
    ):
        commit = _section(variables, *path).get("synchronous_commit")
        if commit is not None:
            if _plain(commit) in (*_OFF, "local"):
                return 0, ".".join((*path, "synchronous_commit"))
            break
    wanted = given.get("synchronous_node_count", SYNCHRONOUS_STANDBYS)
    try:
        count = check_type_int(wanted)
    except TypeError:
        count = 0
    if count < 1:
        setting = ".".join((*dynamic, "synchronous_node_count"))
        raise SettingError(setting, f"{wanted!r} must be a number from 1 on; correct it or take it out")
    return count, ""


def _section(settings: Mapping[str, Any], *path: str) -> Mapping[str, Any]:
    """Return the dictionary at ``path``, an empty one when it is not there."""
    for depth, key in enumerate(path, 1):
        settings = settings.get(key, {})
        if not isinstance(settings, Mapping):
            fault = "has no value" if settings is None else "must be a dictionary"
            raise SettingError(".".join(path[:depth]), f"{fault}; correct it or take it out")
    return settings


def version_tuple(version: str) -> tuple[int, ...]:
    """Return the leading numbers of ``version``, ``(4, 0, 7)`` for ``4.0.7``."""
    numbers = []
    for part in version.split("."):
        digits = part[: len(part) - len(part.lstrip("0123456789"))]
        if not digits:
            break
        numbers.append(int(digits))
    return tuple(numbers)


def leader_of(cluster: Cluster) -> str | None:
    """Return the name of the leader, ``None`` without exactly one."""
    names = [member["name"] for member in cluster["members"] if member["role"] in LEADERS]
    return names[0] if len(names) == 1 else None


def follows(member: Mapping[str, Any], version: str) -> bool:
    """Tell whether the replica ``member`` receives the changes of its leader."""
    state = member.get("state")
    return state == "streaming" or (state == "running" and version_tuple(version) < _STREAMING_SINCE)


def leads(cluster: Cluster, name: str) -> bool:
    """Tell whether ``name`` is the one leader and takes writes."""
    return leader_of(cluster) == name and _member(cluster, name).get("state") == "running"


def is_followed_by(cluster: Cluster, name: str, version: str) -> bool:
    """Tell whether the member ``name`` receives the changes of the leader."""
    return follows(_member(cluster, name), version)


def _member(cluster: Cluster, name: str) -> Mapping[str, Any]:
    return next((member for member in cluster["members"] if member["name"] == name), {})


def problems(
    cluster: Cluster,
    version: str,
    members: Sequence[str],
    synchronous: bool,
    maximum_lag_bytes: int,
) -> list[str]:
    """Return why the cluster is not healthy, empty when it is.

    ``version``: the one of Patroni. ``members``: names of the inventory. ``synchronous``: whether a standby must
    hold every acknowledged write.
    """
    present = {member["name"] for member in cluster["members"]}
    found = [f"{name} is in the inventory but not in the cluster" for name in sorted(set(members) - present)]
    found += [f"{name} is in the cluster but not in the inventory" for name in sorted(present - set(members))]
    if cluster.get("pause"):
        found.append("the cluster is paused, so nothing fails over; run `patronictl resume`")

    leaders = [member for member in cluster["members"] if member["role"] in LEADERS]
    if len(leaders) != 1:
        found.append("it has no leader" if not leaders else f"it has {len(leaders)} leaders")
    timeline = leaders[0].get("timeline") if leaders else None
    for member in leaders:
        if member.get("state") != "running":
            found.append(f"the leader {member['name']} is {member.get('state') or 'in an unknown state'}")
    for member in cluster["members"]:
        if member["role"] in LEADERS:
            continue
        lag = member.get("lag", "unknown")
        if not follows(member, version):
            found.append(f"the replica {member['name']} does not stream: it is {member.get('state') or 'unknown'}")
        elif not isinstance(lag, int):
            found.append(f"the lag of {member['name']} is unknown")
        elif lag > maximum_lag_bytes:
            found.append(f"{member['name']} is {lag} bytes behind, more than {maximum_lag_bytes}")
        # One that cannot follow begins to every few seconds, and older versions of Patroni take it for running.
        own = member.get("timeline")
        if isinstance(own, int) and isinstance(timeline, int) and own != timeline:
            found.append(f"{member['name']} is on timeline {own} and cannot follow the leader, who is on {timeline}")
    if synchronous and not synchronous_standbys(cluster, version):
        found.append("no standby confirms writes: a loss of the leader would lose them or stop the service")
    elif synchronous:
        # A replica that was restarted confirms again some seconds after it streams. To stop the next one before would
        # make writes wait.
        found += [f"{name} streams but does not confirm writes yet" for name in _late_standbys(cluster, version)]
    return found


def replay_problems(statuses: Mapping[str, Mapping[str, Any]], maximum_lag_bytes: int) -> list[str]:
    """Return which replicas receive and do not apply: a new leader serves when it has applied everything.

    ``statuses``: answers of the replicas to ``GET /patroni``. The lag of ``GET /cluster`` knows what is received alone.
    """
    found = []
    for name, status in statuses.items():
        log = status.get("xlog") or {}
        left = (log.get("received_location") or 0) - (log.get("replayed_location") or 0)
        # Whoever pauses its replay is told nothing: Patroni itself goes on with it, a few seconds later.
        if left > maximum_lag_bytes:
            found.append(f"{name} has received {left} bytes that it has not applied, more than {maximum_lag_bytes}")
    return found


def _late_standbys(cluster: Cluster, version: str) -> list[str]:
    """Return the replicas that could confirm writes like the others, where any of several may confirm."""
    if not any(member["role"] == QUORUM for member in cluster["members"]):
        return []
    return [
        member["name"]
        for member in cluster["members"]
        if member["role"] == "replica" and follows(member, version) and not member.get("tags", {}).get("nosync")
    ]


def synchronous_standbys(cluster: Cluster, version: str) -> list[str]:
    """Return the standbys that hold every acknowledged write, the least behind first."""
    standbys = [member for member in cluster["members"] if member["role"] in SYNCHRONOUS and follows(member, version)]

    def behind(member: Mapping[str, Any]) -> tuple[bool, int, str]:
        lag = member.get("lag")
        return (not isinstance(lag, int), lag if isinstance(lag, int) else 0, member["name"])

    return [member["name"] for member in sorted(standbys, key=behind)]


def heir(cluster: Cluster, version: str, leader: str, synchronous: bool, candidate: str = "") -> str:
    """Return the standby to which ``leader`` hands over: ``candidate``, or the one that is least behind.

    Raises:
        RefusalError: no standby, or not the ``candidate``, is fit.
    """
    if cluster.get("pause"):
        raise RefusalError("the cluster is paused; run `patronictl resume` first")
    if synchronous:
        fit = synchronous_standbys(cluster, version)
    else:
        fit = [member["name"] for member in cluster["members"] if member["name"] != leader and follows(member, version)]
    if candidate and candidate not in fit:
        member = _member(cluster, candidate)
        is_what = f"it is {member['role']} and {member.get('state')}" if member else "it is no member of the cluster"
        raise RefusalError(f"{candidate} cannot lead: {is_what}; fit are: {', '.join(fit) or 'none'}")
    if not fit:
        seen = ", ".join(
            f"{member['name']} is {member['role']} and {member.get('state')}"
            for member in cluster["members"]
            if member["name"] != leader
        )
        raise RefusalError(f"no standby of {leader} holds every acknowledged write: {seen or 'there is no standby'}")
    return candidate or fit[0]


def check_leaving(cluster: Cluster, version: str, name: str, synchronous: bool) -> None:
    """Refuse that ``name`` leaves when the rest could not replicate, or could not lose a member although it can now.

    A leader is judged like any other: whether it may leave is known before it hands over.

    Raises:
        RefusalError: with the numbers.
    """
    needed = 2 if synchronous else 1
    healthy = [
        member["name"]
        for member in cluster["members"]
        if (member["role"] in LEADERS and member.get("state") == "running") or follows(member, version)
    ]
    before = len(healthy) - needed
    after = len([member for member in healthy if member != name]) - needed
    rest = f"{len(healthy)} members serve ({', '.join(healthy)}), {after + needed} without {name}"
    if after < 0:
        raise RefusalError(f"{rest}: too few to replicate; add a member first")
    if before >= 1 and after < 1:
        raise RefusalError(f"{rest}: the cluster would survive no further loss; add a member first")


def patch(current: Mapping[str, Any], desired: Mapping[str, Any], exact: Sequence[str] = ()) -> dict[str, Any]:
    """Return what ``PATCH /config`` must send so that ``current`` holds ``desired``; empty when it does.

    Keys that only ``current`` has are left alone (``pause`` is such a key), except inside the mappings whose dotted
    path is in ``exact``: there they are set to ``None``, which removes them.
    """
    return _patch(current, desired, frozenset(exact), "")


def _patch(current: Mapping[str, Any], desired: Mapping[str, Any], exact: frozenset[str], path: str) -> dict[str, Any]:
    changes: dict[str, Any] = {}
    for key, value in desired.items():
        present = current.get(key)
        if isinstance(value, Mapping):
            inner = f"{path}.{key}" if path else key
            if isinstance(present, Mapping):
                nested = _patch(present, value, exact, inner)
                if nested:
                    changes[key] = nested
            else:
                changes[key] = dict(value)
        elif not same(present, value):
            changes[key] = value
    if path in exact:
        changes.update({key: None for key in current if key not in desired})
    return changes


def same(left: object, right: object) -> bool:
    """Tell whether two settings mean the same: inventories write ``200``, ``"200"``, ``true`` and ``"on"`` alike."""
    if isinstance(left, list) and isinstance(right, list):
        return len(left) == len(right) and all(same(*pair) for pair in zip(left, right, strict=True))
    return _plain(left) == _plain(right)


def _plain(value: object) -> str:
    text = str(value).lower()
    return {"true": "on", "false": "off"}.get(text, text)


def applied(current: Mapping[str, Any], changes: Mapping[str, Any]) -> dict[str, Any]:
    """Return ``current`` after ``changes``, as Patroni merges them."""
    result = dict(current)
    for key, value in changes.items():
        if value is None:
            result.pop(key, None)
        elif isinstance(value, Mapping):
            before = result.get(key)
            result[key] = applied(before if isinstance(before, Mapping) else {}, value)
        else:
            result[key] = value
    return result
