"""Whether a cluster is whole, and waiting until it is."""

from __future__ import annotations

import time
from collections.abc import Callable

import tests.conftest  # noqa: F401  makes the checkout importable as the collection that it is

# isort: split
from ansible_collections.zerospof.temporal.plugins.module_utils._cassandra import parse_status

from lab.view import View
from tests.chaos.victims import etcd_status

SETTLE_SECONDS = 120
STEADY_SECONDS = 2
STREAMING = "select application_name from pg_stat_replication where state = 'streaming'"
BALANCER_UNITS = "keepalived.service haproxy-edge.service"


class UnsettledError(AssertionError):
    """Something that has to come true did not in time; the message has what was seen last."""


def until(what: str, look: Callable[[], bool], seconds: float = SETTLE_SECONDS) -> None:
    """Wait until ``look`` is true; what it raises means not yet, as hosts that it asks may just come back.

    Raises:
        UnsettledError: it was not in time.
    """
    deadline = time.monotonic() + seconds
    while True:
        try:
            if look():
                return
            said = "it is not so"
        except Exception as error:
            said = repr(error)
        if time.monotonic() > deadline:
            raise UnsettledError(f"not in {seconds:.0f} s: {what}; last: {said}")
        time.sleep(1)


def replicas(view: View) -> set[str]:
    """Hosts that follow the primary now."""
    return {name for [name] in view.query(view.database_primary(), "postgres", STREAMING)}


def database_is_whole(view: View) -> bool:
    """One primary that all others follow, and a balancer that has every server.

    A replica that cannot follow, as it is on another timeline, begins to every five seconds: so there are two looks.
    """
    others = set(view.members("postgresql")) - {view.database_primary()}
    if others and replicas(view) == others:
        time.sleep(STEADY_SECONDS)
    return replicas(view) == others and view.every_server_is_up()


def ring_is_whole(view: View) -> bool:
    """Every node sees every node up, and the balancer has every server."""
    nodes = view.members("cassandra")
    for node in nodes:
        seen = parse_status(view.on(node, "nodetool status"))
        if len(seen) != len(nodes) or not all(row.is_settled for row in seen):
            return False
    return view.every_server_is_up()


def balancers_are_whole(view: View) -> bool:
    """Every balancer runs."""
    return all(view.on(host, f"systemctl is-active {BALANCER_UNITS}") for host in view.members("load_balancers"))


def etcd_is_whole(view: View) -> bool:
    """Every member answers, and one of them leads."""
    status = etcd_status(view)
    return set(status) == set(view.members("etcd")) and sum(status.values()) == 1


def cluster_is_whole(view: View) -> bool:
    """Nothing is missing in any tier, so that a fault hits what its case says and nothing else."""
    return (
        balancers_are_whole(view)
        and etcd_is_whole(view)
        and database_is_whole(view)
        and ring_is_whole(view)
        and view.history_members() == set(view.members("temporal_servers"))
        and all(view.servers_of(view.workers()).values())
    )
