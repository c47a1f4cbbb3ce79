"""What must make a case fail: a cluster that is weakened on purpose, so that the judge is seen to bite.

A control takes away, on a running lab, what protects from the fault of its case, and the case is run. What is taken
away does not come back: nothing else is measured on that lab, which is taken down.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from lab.state import Lab
from lab.view import ADMIN_SOCKET, PROXY, View, ViewError
from tests.chaos.cases import CASSANDRA, ETCD, HIGHLY_AVAILABLE, POSTGRESQL, SERVERS
from tests.chaos.result import GAP, SLOWEST, Result
from tests.chaos.victims import ETCDCTL
from tests.chaos.whole import until

CONFIGURATION = "/etc/patroni/conf.d"
CONFIRMING = "select application_name from pg_stat_replication where sync_state in ('sync', 'quorum')"
ADMINISTRATOR = "administrator"
# Results of controls are none of a cluster as it should be.
DIRECTORY = Path(__file__).parent / "controls_seen"
# A lab that was weakened has this file, and no case is run on it any more.
MARK = "weakened"

Words = list[str]


@dataclass(frozen=True)
class Control:
    """One weakness.

    ``case``: the fault from which it no longer protects. ``weaken``: makes it. ``prelude``: returns commands of the lab
    that come before the fault and let the weakness show, and ``expected`` is what the judge has to say, as the
    beginning of a shortcoming. ``waiting``: seconds that the longest gap or the slowest call of them lasts at least,
    as targets are missed on busy machines, too. ``stops``: nothing goes on before the fault is over, where a gap alone
    would say no more than that.
    """

    name: str
    tier: str
    title: str
    case: str
    profiles: tuple[str, ...]
    weaken: Callable[[View], None]
    expected: tuple[str, ...]
    prelude: Callable[[View, Sequence[str]], list[Words]] = lambda _view, _victims: []
    waiting: float = 0
    stops: bool = False


def replicate_asynchronously(view: View) -> None:
    """Let the primary acknowledge what no replica has."""
    settings = "-s synchronous_mode=false -s synchronous_mode_strict=false"
    view.on(view.database_primary(), f"patronictl -c {CONFIGURATION} edit-config --force {settings}")
    until("no replica confirms writes", lambda: not view.query(view.database_primary(), "postgres", CONFIRMING))


def deafen_replicas(view: View, victims: Sequence[str]) -> list[Words]:
    """Let the replicas hear nothing of the primary, which a replica that has to confirm would not bear silently."""
    return [["cut-one-way", victims[0], other] for other in view.members("postgresql") if other not in victims]


def keep_copies(view: View, keyspace: str, copies: int) -> None:
    """Keep each row of a keyspace of Cassandra on so many nodes."""
    node = view.members("cassandra")[0]
    [[[centre]]] = view.cql(node, ["SELECT data_center FROM system.local"])
    replication = f"{{'class': 'NetworkTopologyStrategy', '{centre}': {copies}}}"
    statement = f"ALTER KEYSPACE {keyspace} WITH replication = {replication}"
    [answer] = view.cql(node, [statement], user=ADMINISTRATOR, secret="cassandra_superuser")
    if isinstance(answer, str):
        raise ViewError(f"{statement}: {answer}")


def keep_one_copy(view: View) -> None:
    """Keep each row of a workflow on a single node of Cassandra."""
    keep_copies(view, "temporal", 1)


def keep_one_member(view: View) -> None:
    """Leave of etcd the member on the host of the primary of PostgreSQL, as if there had never been another one."""
    left = view.database_primary()
    told = json.loads(view.on(left, f"{ETCDCTL} {endpoint(view, left)} --write-out=json member list"))
    for member in told["members"]:
        if member["name"] != left:
            view.on(left, f"{ETCDCTL} {endpoint(view, left)} member remove {member['ID']:x}")
            view.on(member["name"], "systemctl disable --now etcd.service")


def endpoint(view: View, member: str) -> str:
    """Return the option of etcdctl that asks one member."""
    port = view.variable("temporal_ports")["etcd_client"]
    return f"--endpoints=https://{view.lab.host(member).address}:{port}"


def check_nobody(view: View) -> None:
    """Let every balancer take each server for healthy for ever."""
    for balancer in view.members("load_balancers"):
        for server in view.server_states():
            command = f"disable health {PROXY}/{server}"
            view.on(balancer, f"echo '{command}' | socat -t 5 stdio unix-connect:{ADMIN_SOCKET}")


CONTROLS = (
    Control(
        "asynchronous-replication",
        POSTGRESQL,
        "PostgreSQL acknowledges what no replica has",
        "primary-host",
        # The workflows of the other profile are in Cassandra.
        ("ha_postgresql",),
        replicate_asynchronously,
        ("lost", "wrong", "stuck", "disputed"),
        deafen_replicas,
    ),
    Control(
        "one-copy",
        CASSANDRA,
        "Cassandra keeps one copy of each row",
        "node-host",
        ("ha_cassandra",),
        keep_one_copy,
        (GAP, SLOWEST, "lost", "stuck"),
        # A row has no other node before the one that died comes back.
        waiting=20,
    ),
    Control(
        "one-etcd-member",
        ETCD,
        "etcd has one member, on the host of the primary",
        "primary-host",
        ("ha_postgresql",),
        keep_one_member,
        (GAP,),
        stops=True,
    ),
    Control(
        "no-health-check",
        SERVERS,
        "balancers check no server",
        # One that hangs is left by clients in 13 s, when their pings are not answered, which its target has room for.
        "server-host",
        HIGHLY_AVAILABLE,
        check_nobody,
        (GAP,),
        waiting=10,
    ),
)
# Controls of the list that nobody has made, and why.
NOT_MADE = {
    "workers stop without waiting for their tasks": "no case fails by it, because a task that was cut short is done"
    " again after its timeout; tests/cluster/test_worker_restarts.py bounds their share by a part of what"
    " those have that are killed",
}


def find(profile: str, name: str) -> Control:
    """Return a control of a profile by its name.

    Raises:
        KeyError: there is none; the message names those that there are.
    """
    found = {control.name: control for control in CONTROLS if profile in control.profiles}
    if name not in found:
        raise KeyError(f"no control {name} of {profile}; there are: {', '.join(found) or 'none'}")
    return found[name]


def bitten(control: Control, shortcomings: Sequence[str], result: Result) -> bool:
    """Tell whether the judge said what it has to say of a cluster that is weakened so, and saw it stand for as long."""
    waited = {GAP: result.gap, SLOWEST: result.slowest or 0}
    named = [kind for kind in control.expected if any(said.startswith(kind) for said in shortcomings)]
    shown = any(waited.get(kind, math.inf) >= control.waiting for kind in named)
    return shown and (result.stopped or not control.stops)


def mark(lab: Lab, control: Control) -> None:
    """Write down that nothing is to be measured on a lab any more."""
    (lab.directory / MARK).write_text(f"{control.name}\n", encoding="utf-8")


def weakness(lab: Lab) -> str:
    """Return by which control a lab was weakened; empty for one that is as it should be."""
    path = lab.directory / MARK
    return path.read_text(encoding="utf-8").strip() if path.exists() else ""
