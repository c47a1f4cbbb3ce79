"""The faults that a cluster must bear: what is broken, who is the victim, and for how long clients may wait.

Nothing is done here. A case names a command of the lab and a function of :mod:`tests.chaos.victims`; its targets are
the longest time between two successes that a client of the SDK may see, and are ``None`` where what fails is a single
point of failure, so that only keeping everything that was acknowledged is demanded.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

import tests.conftest  # noqa: F401  makes the checkout importable as the collection that it is

# isort: split
from ansible_collections.zerospof.temporal.plugins.module_utils._calls import COMPLETE

from lab.disks import DIRECTORIES

BALANCERS, SERVERS, POSTGRESQL, ETCD, CASSANDRA, WORKERS, ZONES, NAMES = (
    "balancers",
    "Temporal servers",
    "PostgreSQL",
    "etcd",
    "Cassandra",
    "workers",
    "zones",
    "names",
)
PROFILES = ("basic", "ha_postgresql", "ha_cassandra")
HIGHLY_AVAILABLE = PROFILES[1:]
FILL = "fill-disk"
GROUPS = {POSTGRESQL: "postgresql", CASSANDRA: "cassandra"}
# What a process needs to be started again and found by its peers, with air.
PROCESS_SECONDS = 20
# What peers need to notice a silent host (14 s) and to take over from it.
HOST_SECONDS = 30
# Patroni's lease (20 s) has to run out first, and two of the targets are 35 s.
DATABASE_SECONDS = 50
ZONE_SECONDS = 60
# A server looks for a new certificate every minute (refreshInterval).
CERTIFICATE_SECONDS = 150
SLOW_MILLISECONDS = 50
# Within this time tasks that a dead worker had are done by others, and new ones wait for nobody.
WORKERS_TARGET, WORKERS_SECONDS = 60, 75
# On two cores for everybody, two workers of three were slower than the whole load came in.
WORKERS_SHARE = 0.5


@dataclass(frozen=True)
class Case:
    """One fault.

    ``command``: of the lab; the victims follow it. ``process``: what of the victims dies or hangs, when it is not the
    whole host. ``options``: more words of the command. ``targets``: seconds by profile. ``seconds``: how long the fault
    lasts before it is healed. ``stops``: profiles in which the victim is a single point of failure, so that nothing
    goes on before it is back. ``then``: whose hosts die, of :mod:`tests.chaos.victims`, while the cluster recovers from
    the first fault, for as long: right after its end or, where ``rejoined``, once every node of Cassandra is up again.
    ``share``: how much of the load of the profile clients make, where capacity has to be left without the victims.
    """

    name: str
    tier: str
    title: str
    command: str
    victims: str
    targets: Mapping[str, float | None]
    seconds: int
    process: str = ""
    options: tuple[str, ...] = ()
    stops: tuple[str, ...] = ()
    then: str = ""
    rejoined: bool = False
    share: float = 1.0

    @property
    def second(self) -> Case:
        """The fault that comes while the cluster recovers from this one."""
        return replace(self, command="kill-host", victims=self.then, process="", options=(), then="")

    @property
    def counted(self) -> tuple[str, ...]:
        """The kinds of calls whose success ends a gap; clients make those of each at a steady rate.

        Balancers treat all calls alike, and are lost for less time than two starts are apart. In all other cases only
        the start of a workflow counts, which needs every tier below. No start needs a worker: there, ends of workflows
        count.
        """
        return {BALANCERS: ("start", "describe"), WORKERS: (COMPLETE,)}.get(self.tier, ("start",))

    def words(self, victims: list[str]) -> list[str]:
        """Return the command of the lab that makes the fault."""
        return [self.command, *victims, *(["--process", self.process] if self.process else []), *self.options]


def both(seconds: float) -> dict[str, float | None]:
    """Return the same target for every profile without a single point of failure."""
    return dict.fromkeys(HIGHLY_AVAILABLE, seconds)


def everywhere(seconds: float) -> dict[str, float | None]:
    """Return the same target for every profile: what fails has a second one in all of them."""
    return dict.fromkeys(PROFILES, seconds)


def killed(name: str, tier: str, title: str, victims: str, targets: Mapping[str, float | None], process: str) -> Case:
    """Return the case of a process that gets SIGKILL."""
    return Case(name, tier, title, "kill-process", victims, targets, PROCESS_SECONDS, process)


def hung(
    name: str, tier: str, title: str, victims: str, process: str, profiles: tuple[str, ...] = HIGHLY_AVAILABLE
) -> Case:
    """Return the case of a process that gets SIGSTOP: alive for the kernel, silent for everybody else."""
    return Case(name, tier, title, "pause-process", victims, dict.fromkeys(profiles, 20), DATABASE_SECONDS, process)


def full(name: str, tier: str, title: str, victims: str, targets: Mapping[str, float | None]) -> Case:
    """Return the case of a disk with data of a tier on which nothing more can be written."""
    options = ("--directory", DIRECTORIES[GROUPS[tier]])
    return Case(name, tier, title, FILL, victims, targets, DATABASE_SECONDS, options=options)


# A whole cluster on three hosts and a database: each of them is balancer, Temporal server and host of workers at once.
ON_BASIC: Mapping[str, float | None] = {"basic": 3}
NO_TARGET: Mapping[str, float | None] = {"basic": None}
HOLDER, SERVER, PRIMARY = "vip_holder", "server_of_most_clients", "database_primary"
ON_CASSANDRA: Mapping[str, float | None] = {"ha_cassandra": 10}
CUT_ZONE: Mapping[str, float | None] = {"ha_postgresql": 35, "ha_cassandra": 20}

CASES = (
    Case(
        "vip-holder-host",
        BALANCERS,
        "host of the virtual address dies",
        "kill-host",
        HOLDER,
        both(1) | ON_BASIC,
        HOST_SECONDS,
    ),
    Case("two-balancer-hosts", BALANCERS, "hosts of two balancers die", "kill-host", "two_balancers", both(1), 30),
    killed("balancer-killed", BALANCERS, "HAProxy is killed", HOLDER, everywhere(1), "haproxy-edge.service"),
    killed("keepalived-killed", BALANCERS, "keepalived is killed", HOLDER, everywhere(1), "keepalived.service"),
    hung("balancer-hung", BALANCERS, "HAProxy hangs", HOLDER, "haproxy-edge.service"),
    hung("keepalived-hung", BALANCERS, "keepalived hangs", HOLDER, "keepalived.service"),
    Case("server-host", SERVERS, "host of a server dies", "kill-host", SERVER, everywhere(3), HOST_SECONDS),
    Case(
        "balancer-and-server-hosts",
        SERVERS,
        "hosts of the virtual address and of a server die",
        "kill-host",
        "holder_and_server",
        both(3),
        HOST_SECONDS,
    ),
    # As many as a zone has, or more.
    Case("servers-but-one", SERVERS, "all hosts but one die", "kill-host", "servers_but_one", both(10), HOST_SECONDS),
    killed("frontend-killed", SERVERS, "frontend is killed", SERVER, everywhere(3), "temporal-frontend.service"),
    killed("history-killed", SERVERS, "history is killed", SERVER, everywhere(3), "temporal-history.service"),
    killed("matching-killed", SERVERS, "matching is killed", SERVER, everywhere(3), "temporal-matching.service"),
    killed(
        "worker-service-killed", SERVERS, "worker service is killed", SERVER, everywhere(3), "temporal-worker.service"
    ),
    hung("frontend-hung", SERVERS, "frontend hangs", SERVER, "temporal-frontend.service", PROFILES),
    hung("history-hung", SERVERS, "history hangs", SERVER, "temporal-history.service", PROFILES),
    hung("matching-hung", SERVERS, "matching hangs", SERVER, "temporal-matching.service", PROFILES),
    hung("worker-service-hung", SERVERS, "worker service hangs", SERVER, "temporal-worker.service"),
    killed("pooler-killed", SERVERS, "PgBouncer is killed", SERVER, both(5), "pgbouncer.service"),
    hung("pooler-hung", SERVERS, "PgBouncer hangs", SERVER, "pgbouncer.service"),
    hung("proxy-hung", SERVERS, "HAProxy in front of the database hangs", SERVER, "haproxy-database.service"),
    killed(
        "primary-killed", POSTGRESQL, "PostgreSQL of the primary is killed", PRIMARY, both(5) | NO_TARGET, "postgres"
    ),
    Case(
        "primary-host",
        POSTGRESQL,
        "host of the primary dies",
        "kill-host",
        PRIMARY,
        both(25) | NO_TARGET,
        DATABASE_SECONDS,
        stops=("basic",),
    ),
    killed("patroni-killed", POSTGRESQL, "Patroni of the primary is killed", PRIMARY, both(5), "patroni"),
    Case(
        "patroni-and-primary-killed",
        POSTGRESQL,
        "Patroni and PostgreSQL of the primary are killed",
        "kill-process",
        PRIMARY,
        both(25),
        HOST_SECONDS,
        "patroni.service",
    ),
    hung("patroni-hung", POSTGRESQL, "Patroni of the primary hangs", PRIMARY, "patroni"),
    hung("postmaster-hung", POSTGRESQL, "the first process of PostgreSQL of the primary hangs", PRIMARY, "postgres"),
    hung("primary-hung", POSTGRESQL, "Patroni and PostgreSQL of the primary hang", PRIMARY, "patroni.service"),
    hung(
        "replica-hung", POSTGRESQL, "Patroni and PostgreSQL of a synchronous replica hang", "replica", "patroni.service"
    ),
    Case(
        "primary-frozen",
        POSTGRESQL,
        "host of the primary is frozen, and thaws",
        "pause-host",
        PRIMARY,
        both(25),
        DATABASE_SECONDS,
    ),
    full("primary-disk-full", POSTGRESQL, "disk of the primary is full", PRIMARY, both(25)),
    full("replica-disk-full", POSTGRESQL, "disk of a synchronous replica is full", "replica", both(25)),
    Case(
        "primary-then-server",
        POSTGRESQL,
        "host of the primary dies, and that of a Temporal server while it recovers",
        "kill-host",
        PRIMARY,
        # What either of them may cost.
        both(28),
        HOST_SECONDS,
        then=SERVER,
    ),
    Case(
        "primary-and-holder",
        POSTGRESQL,
        "hosts of the primary and of the virtual address die",
        "kill-host",
        "primary_and_holder",
        both(25),
        DATABASE_SECONDS,
    ),
    # A host that is silent, as one that hangs is.
    Case("replica-host", POSTGRESQL, "host of a synchronous replica dies", "kill-host", "replica", both(20), 30),
    killed("etcd-leader-killed", ETCD, "leader is killed", "etcd_leader", both(5), "etcd.service"),
    hung("etcd-leader-hung", ETCD, "leader hangs", "etcd_leader", "etcd.service"),
    hung("etcd-majority-hung", ETCD, "a majority hangs", "etcd_majority", "etcd.service"),
    Case("node-host", CASSANDRA, "host of a node dies", "kill-host", "node", ON_CASSANDRA, HOST_SECONDS),
    killed("node-killed", CASSANDRA, "Cassandra is killed", "node", ON_CASSANDRA, "cassandra.service"),
    full("node-disk-full", CASSANDRA, "disk of a node is full", "node", ON_CASSANDRA),
    Case("two-node-hosts", CASSANDRA, "both nodes of a zone die", "kill-host", "nodes_of_a_zone", ON_CASSANDRA, 30),
    Case(
        "node-then-another",
        CASSANDRA,
        "host of a node dies, and that of one in another zone as soon as it is up again",
        "kill-host",
        "node",
        ON_CASSANDRA,
        HOST_SECONDS,
        then="node_of_another_zone",
        # Of three copies, one each in two zones are down otherwise, which is one too many.
        rejoined=True,
    ),
    Case("node-cut", CASSANDRA, "a node is silently cut off", "cut-host", "node", ON_CASSANDRA, HOST_SECONDS),
    Case(
        "node-hung",
        CASSANDRA,
        "a node hangs",
        "pause-process",
        "node",
        {"ha_cassandra": 20},
        DATABASE_SECONDS,
        "cassandra.service",
    ),
    Case(
        "workers-but-one",
        WORKERS,
        "all hosts but one die",
        "kill-host",
        "workers_but_one",
        everywhere(WORKERS_TARGET),
        WORKERS_SECONDS,
        share=WORKERS_SHARE,
    ),
    Case(
        "workers-of-a-zone",
        WORKERS,
        "all hosts of a zone die",
        "kill-host",
        "workers_of_a_zone",
        everywhere(WORKERS_TARGET),
        WORKERS_SECONDS,
        share=WORKERS_SHARE,
    ),
    replace(
        hung(
            "workers-hung", WORKERS, "all workers of a host hang", "worker", "temporal-sdk-worker@*.service", PROFILES
        ),
        share=WORKERS_SHARE,
    ),
    *(
        Case(f"{name}-{how}", ZONES, f"{title} {done}", command, victims, targets, ZONE_SECONDS, stops=tuple(stops))
        for name, title, victims, alone in (
            ("zone-of-primary", "zone of the PostgreSQL primary", "zone_of_primary", NO_TARGET),
            ("zone-of-vip", "zone of the virtual address", "zone_of_vip_holder", {}),
            ("zone-of-neither", "a zone without either of them", "zone_of_neither", {}),
        )
        for how, done, command, targets, stops in (
            ("dead", "dies", "kill-az", {"ha_postgresql": 25, "ha_cassandra": 10} | alone, alone),
            ("cut", "is silently cut off", "cut-az", CUT_ZONE, ()),
        )
    ),
    Case(
        "zone-of-primary-one-way",
        ZONES,
        "zone of the PostgreSQL primary is not heard by the next zone",
        "cut-one-way",
        "zone_of_primary_and_next",
        CUT_ZONE,
        ZONE_SECONDS,
    ),
    Case(
        "zone-slow",
        ZONES,
        f"packets to the zone of the PostgreSQL primary take {SLOW_MILLISECONDS} ms, one of a hundred is lost",
        "latency",
        "zone_of_primary",
        both(5),
        ZONE_SECONDS,
        options=("--milliseconds", str(SLOW_MILLISECONDS), "--jitter", "10", "--loss", "1"),
    ),
    Case("names-gone", NAMES, "no host finds a name any more", "forget-names", "all_zones", both(5), ZONE_SECONDS),
    Case(
        "certificate-expired",
        SERVERS,
        "certificate of a server has expired",
        "expire-certificate",
        SERVER,
        both(3),
        CERTIFICATE_SECONDS,
        options=("--file", "/etc/temporal/tls/temporal.crt"),
    ),
)


# Faults that have no case here, and why.
NOT_MADE = {
    "a clock steps": "containers have the clock of the machine: its step is one of all hosts, and of the judge",
    "two nodes of Cassandra in different zones, with five copies of each row": "no profile keeps five copies;"
    " tests/cluster/test_ring_loss.py makes a ring that does, and loses each kind of two nodes",
    "a fault during a rolling restart or upgrade": "a playbook runs beside it; tests/cluster/test_interruption.py,"
    " test_package_upgrade.py and test_rolling_upgrade.py end hosts, services and the control node in the middle",
    "planned switchover of PostgreSQL": "not a fault; tests/cluster/test_scale.py and tests/bench/rolling_restart.py"
    " measure it",
}


def of_profile(profile: str) -> list[Case]:
    """Return the cases that a profile has."""
    return [case for case in CASES if profile in case.targets]


def find(profile: str, name: str) -> Case:
    """Return a case of a profile by its name.

    Raises:
        KeyError: there is none; the message names those that there are.
    """
    found = {case.name: case for case in of_profile(profile)}
    if name not in found:
        raise KeyError(f"no case {name} of {profile}; there are: {', '.join(found)}")
    return found[name]
