"""Each gate of a rolling restart refuses while what it looks at is wrong, says what that is, and touches nothing.

That a certificate ends soon is in test_certificates.py.
"""

from __future__ import annotations

import contextlib
import json
import re
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path

import pytest
import yaml
from ansible_collections.zerospof.temporal.plugins.module_utils._rolling import PATH_TO_DATABASE, UNITS

from lab.view import ADMIN_SOCKET, PROXY, View
from tests.chaos import victims, whole
from tests.chaos.controls import CONFIGURATION, keep_copies
from tests.chaos.whole import until
from tests.cluster.conftest import LiveCluster, edited
from tests.cluster.losses import break_for, stopped, whole_again
from tests.cluster.test_rolling_restart import RECORDS

pytestmark = pytest.mark.profiles(whole=["ha_postgresql", "ha_cassandra"])

# What is wrong stays so: a gate that waits for long says nothing else.
ROLES = ("cassandra", "etcd", "patroni", "pgbouncer", "temporal_server")
SOON = json.dumps({f"{role}_health_timeout_seconds": 10 for role in ROLES})
# When every service was started, and whether the host was left half-way.
TOUCHED = f"{RECORDS}; ls /var/lib/zerospof/rolling-* 2>/dev/null || true"
SERVICES = " ".join(unit for unit in UNITS["temporal_servers"] if unit not in PATH_TO_DATABASE)
SERVER = f"$(systemctl list-unit-files --state=enabled --no-legend --plain {SERVICES} | cut -d' ' -f1)"
# Segments of 16 MiB with one record in each: twice of what a replica may be behind.
SEGMENTS = "select pg_create_restore_point('gate'), pg_switch_wal() from generate_series(1, 8)"
BEHIND_MEBIBYTES = 65


@contextlib.contextmanager
def dead(view: View, hosts: list[str]) -> Iterator[None]:
    """Hosts are off until the faults of the lab are healed."""
    break_for(view, "kill-host", *hosts)
    yield


@contextlib.contextmanager
def hung_pooler(view: View, hosts: list[str]) -> Iterator[None]:
    """A pooler runs and answers nobody, until the faults of the lab are healed; and nobody ends it for that."""
    guard = "pgbouncer-guard.timer pgbouncer-guard.service"
    for host in hosts:
        view.on(host, f"systemctl stop {guard}")
    try:
        break_for(view, "pause-process", *hosts, "--process", "pgbouncer.service")
        yield
    finally:
        for host in hosts:
            view.on(host, "systemctl start pgbouncer-guard.timer")


@contextlib.contextmanager
def out_of_traffic(view: View, hosts: list[str]) -> Iterator[None]:
    """Frontends serve, and no balancer gives them clients: as after a run that was killed and left no mark."""

    def tell(state: str) -> None:
        for balancer in view.members("load_balancers"):
            for host in hosts:
                command = f"set server {PROXY}/{host} state {state}"
                view.on(balancer, f"echo '{command}' | socat -t 5 stdio unix-connect:{ADMIN_SOCKET}")

    try:
        tell("drain")
        yield
    finally:
        tell("ready")


@contextlib.contextmanager
def cut_off_from_the_ring(view: View, hosts: list[str]) -> Iterator[None]:
    """A server serves and is in no ring but its own: what is said on the ports of the membership stays on the host."""
    [host] = hosts
    asked = view.members("temporal_servers")[0]
    ports = [str(port) for name, port in view.variable("temporal_ports").items() if name.endswith("_membership")]
    rules = [
        f'chain {hook} {{ type filter hook {hook} priority 0; {way} != "lo" tcp dport {{ {", ".join(ports)} }} drop; }}'
        for hook, way in (("input", "iif"), ("output", "oif"))
    ]
    try:
        view.on(host, "nft --file -", "table inet gate {\n" + "\n".join(rules) + "\n}\n")
        until("the others have lost it", lambda: host not in view.history_ring(asked))
        until("it serves all the same", view.every_server_is_up)
        yield
    finally:
        view.on(host, "nft delete table inet gate")
        # Parts of a ring find each other some time; a server that starts finds the others at once.
        view.on(host, f"systemctl restart {SERVER}")


@contextlib.contextmanager
def late(view: View, host: str, process: str, behind: Callable[[], int]) -> Iterator[None]:
    """A process of a replica hangs, and ``behind`` tells how many MiB it is behind by that."""
    [[pid]] = view.query(host, "postgres", process)
    try:
        view.on(host, f"kill -STOP {pid}")
        view.query(view.database_primary(), "postgres", SEGMENTS)
        until("it is far behind", lambda: behind() >= BEHIND_MEBIBYTES)
        yield
    finally:
        view.on(host, f"kill -CONT {pid}")
        until("it has what it missed", lambda: behind() == 0)


@contextlib.contextmanager
def not_receiving(view: View, hosts: list[str]) -> Iterator[None]:
    """A replica says that it streams, and gets nothing."""
    [host] = hosts
    primary = view.database_primary()

    def lag() -> int:
        rows = json.loads(view.on(primary, f"patronictl -c {CONFIGURATION} list -f json"))
        return next(row["Lag in MB"] for row in rows if row["Member"] == host)

    with late(view, host, "select pid from pg_stat_wal_receiver", lag):
        yield


@contextlib.contextmanager
def not_applying(view: View, hosts: list[str]) -> Iterator[None]:
    """A replica gets everything, and reads show nothing of it. Patroni would end a pause of its replay by itself."""
    [host] = hosts
    left = "select (pg_last_wal_receive_lsn() - pg_last_wal_replay_lsn())::bigint / 1048576"
    startup = "select pid from pg_stat_activity where backend_type = 'startup'"
    with late(view, host, startup, lambda: int(view.query(host, "postgres", left)[0][0])):
        yield


@contextlib.contextmanager
def one_copy_of_traces(view: View, hosts: list[str]) -> Iterator[None]:
    """All nodes are up, and what the loss of one takes is in a keyspace whose rows nobody misses."""
    try:
        keep_copies(view, "system_traces", 1)
        yield
    finally:
        keep_copies(view, "system_traces", view.variable("cassandra_replication_factor"))


@contextlib.contextmanager
def older_schema(view: View, hosts: list[str]) -> Iterator[None]:
    """A schema that a server would not start on; those that run do not look at it."""
    primary, store = view.database_primary(), "temporal_visibility"
    [[version]] = view.query(primary, store, "select curr_version from schema_version")
    older = "update schema_version set curr_version = '{}'"
    try:
        view.query(primary, store, older.format("1.1"))
        yield
    finally:
        view.query(primary, store, older.format(version))


def servers_are_whole(view: View) -> bool:
    """Every server is in the ring of every other, and the balancer has it."""
    return view.history_members() == set(view.members("temporal_servers")) and view.every_server_is_up()


def first_server(view: View) -> list[str]:
    """The one with which a restart begins."""
    return view.members("temporal_servers")[:1]


def all_but_the_first_server(view: View) -> list[str]:
    """Without them, the one with which a restart begins is the last."""
    return view.members("temporal_servers")[1:]


def last_server(view: View) -> list[str]:
    """One of its peers."""
    return view.members("temporal_servers")[-1:]


def etcd_follower(view: View) -> list[str]:
    """A member of etcd that does not lead."""
    return sorted(set(view.members("etcd")) - set(victims.etcd_leader(view)))[-1:]


def replica(view: View) -> list[str]:
    """A replica; where writes wait for a certain one, another."""
    statement = "select application_name from pg_stat_replication order by sync_state = 'sync', application_name"
    return view.query(view.database_primary(), "postgres", statement)[0]


def all_but_the_holder(view: View) -> list[str]:
    """The balancers that do not have the virtual address."""
    return sorted(set(view.members("load_balancers")) - {view.vip_holder()})


@dataclass(frozen=True)
class Gate:
    """Why ``tier`` must not restart: ``fault`` of ``hosts``, or units of theirs that do not run.

    The run may not touch those: it would begin by starting them. ``sentence``: what it says, of {host}, the first one.
    """

    tier: str
    hosts: Callable[[View], list[str]]
    fault: str | Callable[[View, list[str]], AbstractContextManager[None]]
    sentence: str
    is_whole: Callable[[View], bool]


MISSING = r"history: {host} \(\S+\) is missing; seen: 2, expected: 3"
# A while after its end, Patroni forgets a member.
AWAY = "the replica {host} does not stream|{host} is in the inventory but not in the cluster"
OLDER = r"temporal_visibility: the schema is at 1\.1, the server expects at least"
FEWER = "1 instead of 3 copies in dc1: system_traces"
ALONE = r"no other host could take \S+ {host} is not running"
LAST_ONE = rf"is the last one of {PROXY} that clients can use \({{host}} DRAIN"
DB, TEMPORAL = "postgresql", "temporal_servers"
GATES = {
    "member-down": Gate("etcd", etcd_follower, "etcd.service", "{host} does not serve", whole.etcd_is_whole),
    "replica-down": Gate(DB, replica, "patroni.service", AWAY, whole.database_is_whole),
    "replica-behind": Gate(DB, replica, not_receiving, r"{host} is \d+ bytes behind", whole.database_is_whole),
    "replay-behind": Gate(DB, replica, not_applying, r"{host} has received \d+ bytes that", whole.database_is_whole),
    "node-down": Gate("cassandra", victims.node, "cassandra.service", "{host} is down", whole.ring_is_whole),
    "one-copy": Gate("cassandra", victims.node, one_copy_of_traces, FEWER, whole.ring_is_whole),
    "alone": Gate("load_balancers", all_but_the_holder, "keepalived.service", ALONE, whole.balancers_are_whole),
    "pooler-hung": Gate(TEMPORAL, first_server, hung_pooler, "PgBouncer: its console does not", servers_are_whole),
    "peer-pooler-hung": Gate(TEMPORAL, last_server, hung_pooler, "{host}: PgBouncer: its console", servers_are_whole),
    "last-frontend": Gate(TEMPORAL, all_but_the_first_server, out_of_traffic, LAST_ONE, servers_are_whole),
    "schema-too-old": Gate(TEMPORAL, first_server, older_schema, OLDER, servers_are_whole),
    "server-down": Gate(TEMPORAL, last_server, SERVER, MISSING, servers_are_whole),
    "ring-too-small": Gate(TEMPORAL, last_server, cut_off_from_the_ring, MISSING, servers_are_whole),
    "host-off": Gate(TEMPORAL, last_server, dead, r"\[{host}\]: UNREACHABLE", servers_are_whole),
}
MARKS = {"cassandra": [pytest.mark.profiles(whole=["ha_cassandra"])]}


def touched(view: View, tier: str) -> dict[str, str]:
    """What a restart would change on the hosts of ``tier`` that are on."""
    return {host: view.on(host, TOUCHED) for host in view.answering(view.members(tier))}


@pytest.mark.parametrize(
    "gate", [pytest.param(gate, id=name, marks=MARKS.get(gate.tier, [])) for name, gate in GATES.items()]
)
def test_a_gate_refuses_says_why_and_touches_nothing(cluster: LiveCluster, gate: Gate) -> None:
    view = cluster.view
    until("the tier is whole", lambda: gate.is_whole(view))
    hosts = gate.hosts(view)
    down = hosts if isinstance(gate.fault, str) else []
    fault = stopped(view, hosts, gate.fault) if isinstance(gate.fault, str) else gate.fault(view, hosts)
    # PostgreSQL cannot restart without the servers, whose queries wait meanwhile.
    limit = ":".join([gate.tier, TEMPORAL, *(f"!{host}" for host in down)])
    asked = ("-e", json.dumps({"tiers": [gate.tier], "force": True}), "-e", SOON, "--limit", limit)
    with whole_again(view, "the tier is whole again", lambda: gate.is_whole(view)), fault:
        before = touched(view, gate.tier)
        refused = cluster.run("rolling_restart", *asked)
        after = touched(view, gate.tier)
    assert refused.code != 0
    assert re.search(gate.sentence.format(host=hosts[0]), " ".join(refused.output.split())), refused.reasons
    assert after == before


def test_a_host_that_must_not_restart_keeps_those_beside_it_from_it(cluster: LiveCluster, tmp_path: Path) -> None:
    view, servers = cluster.view, edited(cluster, tmp_path)
    refused, beside, _ = view.members(TEMPORAL)
    # As if both stood in one zone: they are a batch.
    for file in servers.place.glob("*/hosts.yml"):
        groups = yaml.safe_load(file.read_text(encoding="utf-8"))
        zones = groups["all"].get("children", {})
        if beside in zones.get(view.lab.host(beside).zone, {}).get("hosts", {}):
            moved = zones[view.lab.host(beside).zone]["hosts"].pop(beside)
            zones[view.lab.host(refused).zone]["hosts"][beside] = moved
            file.write_text(yaml.safe_dump(groups), encoding="utf-8")
    until("the tier is whole", lambda: servers_are_whole(view))
    asked = ("-e", json.dumps({"tiers": [TEMPORAL], "force": True}), "-e", SOON, "--limit", TEMPORAL)
    with whole_again(view, "the tier is whole again", lambda: servers_are_whole(view)), hung_pooler(view, [refused]):
        before = touched(view, TEMPORAL)
        run = servers.run("rolling_restart", *asked)
        after = touched(view, TEMPORAL)
    assert run.code != 0
    assert f"batch 1 of 2 (az_a): {refused}, {beside}" in run.output
    assert f"{refused} ({TEMPORAL}, az_a) must not restart: " in run.output
    assert "Batch 1 of 2 and later ones were not touched" in " ".join(run.output.split())
    assert after == before


def test_no_database_restarts_while_one_has_too_little_room_on_its_disk(cluster: LiveCluster) -> None:
    view = cluster.view
    before = touched(view, "postgresql")
    asked = {"tiers": ["postgresql"], "force": True, "accept_outage": True, "temporal_disk_free_least_percent": 101}
    refused = cluster.run("rolling_restart", "-e", json.dumps(asked))
    assert refused.code != 0
    assert f"{view.database_primary()}: the disk of /var/lib/" in refused.output
    assert touched(view, "postgresql") == before
