"""Who is to be hit, read from the live cluster at the moment of the fault: names of hosts or of zones."""

from __future__ import annotations

import json
from collections import Counter

from lab.view import View, ViewError

ETCDCTL = (
    "ETCDCTL_API=3 etcdctl --cacert=/etc/etcd/tls/ca.crt --cert=/etc/etcd/tls/etcd.crt --key=/etc/etcd/tls/etcd.key"
)


def of_one_zone(view: View, tier: str, one: str) -> list[str]:
    """The hosts of a tier that stand where ``one`` of them does."""
    zone = view.lab.host(one).zone
    return [host for host in view.members(tier) if view.lab.host(host).zone == zone]


def vip_holder(view: View) -> list[str]:
    """The balancer that has the virtual address."""
    return [view.vip_holder()]


def two_balancers(view: View) -> list[str]:
    """The balancer that has the virtual address, and the one that would take it over next."""
    [holder] = vip_holder(view)
    # keepalived gives priorities in the order of the names.
    return [holder, next(host for host in view.members("load_balancers") if host != holder)]


def server_of_most_clients(view: View) -> list[str]:
    """The Temporal server that most clients outside of the cluster are connected to."""
    outside = f"{view.lab.gateway}:"
    counts = Counter(server for client, server in view.sessions().items() if client.startswith(outside))
    if not counts:
        raise ViewError("no client outside of the cluster is connected to any server")
    return [counts.most_common(1)[0][0]]


def servers_but_one(view: View) -> list[str]:
    """All Temporal servers but the last."""
    return view.members("temporal_servers")[:-1]


def holder_and_server(view: View) -> list[str]:
    """The balancer that has the virtual address, and the server that most clients are connected to."""
    return vip_holder(view) + server_of_most_clients(view)


def database_primary(view: View) -> list[str]:
    """The PostgreSQL host that takes writes."""
    return [view.database_primary()]


def primary_and_holder(view: View) -> list[str]:
    """The PostgreSQL host that takes writes, and the balancer that has the virtual address."""
    return database_primary(view) + vip_holder(view)


def replica(view: View) -> list[str]:
    """A replica that the primary waits for."""
    statement = "select application_name from pg_stat_replication where sync_state in ('sync', 'quorum')"
    rows = view.query(view.database_primary(), "postgres", statement)
    if not rows:
        raise ViewError("the primary waits for no replica")
    return [min(rows)[0]]


def etcd_status(view: View) -> dict[str, bool]:
    """Every member of etcd that answers, and whether it leads."""
    members = view.members("etcd")
    port = view.variable("temporal_ports")["etcd_client"]
    endpoints = {f"https://{view.lab.host(member).address}:{port}": member for member in members}
    asked = view.answering(members)[0]
    command = f"{ETCDCTL} --write-out=json --endpoints={','.join(endpoints)} endpoint status || true"
    rows = json.loads(view.on(asked, command) or "[]")
    return {endpoints[row["Endpoint"]]: row["Status"]["header"]["member_id"] == row["Status"]["leader"] for row in rows}


def etcd_leader(view: View) -> list[str]:
    """The member of etcd that leads."""
    leaders = [member for member, leads in etcd_status(view).items() if leads]
    if len(leaders) != 1:
        raise ViewError(f"{', '.join(leaders) or 'no member'} leads etcd, not one")
    return leaders


def etcd_majority(view: View) -> list[str]:
    """The member of etcd that leads, and as many others as it needs to decide anything."""
    [leader] = etcd_leader(view)
    members = view.members("etcd")
    others = [member for member in members if member != leader]
    return [leader, *others[: len(members) // 2]]


def node(view: View) -> list[str]:
    """A node of Cassandra that is no seed of its zone where there is one."""
    return [view.members("cassandra")[-1]]


def node_of_another_zone(view: View) -> list[str]:
    """A node of Cassandra that stands in another zone than :func:`node`."""
    zone = view.lab.host(node(view)[0]).zone
    return [host for host in view.members("cassandra") if view.lab.host(host).zone != zone][-1:]


def nodes_of_a_zone(view: View) -> list[str]:
    """All nodes of Cassandra that stand in one zone."""
    return of_one_zone(view, "cassandra", node(view)[0])


def worker(view: View) -> list[str]:
    """A host of workers."""
    return view.members("temporal_workers")[:1]


def workers_but_one(view: View) -> list[str]:
    """All hosts of workers but the last."""
    return view.members("temporal_workers")[:-1]


def workers_of_a_zone(view: View) -> list[str]:
    """All hosts of workers of one zone."""
    return of_one_zone(view, "temporal_workers", view.members("temporal_workers")[0])


def zone_of_primary(view: View) -> list[str]:
    """The zone in which PostgreSQL takes writes."""
    return [view.lab.host(view.database_primary()).zone]


def zone_of_vip_holder(view: View) -> list[str]:
    """The zone in which the virtual address is."""
    return [view.lab.host(view.vip_holder()).zone]


def zone_of_primary_and_next(view: View) -> list[str]:
    """The zone in which PostgreSQL takes writes, and the one after it."""
    zones = all_zones(view)
    [zone] = zone_of_primary(view)
    return [zone, zones[(zones.index(zone) + 1) % len(zones)]]


def zone_of_neither(view: View) -> list[str]:
    """The first zone that has neither the primary nor the virtual address."""
    taken = zone_of_primary(view) + zone_of_vip_holder(view)
    return [zone for zone in all_zones(view) if zone not in taken][:1]


def all_zones(view: View) -> list[str]:
    """Every zone."""
    return sorted({host.zone for host in view.lab.hosts})


CHOICES = {
    function.__name__: function
    for function in (
        vip_holder,
        two_balancers,
        server_of_most_clients,
        servers_but_one,
        holder_and_server,
        database_primary,
        primary_and_holder,
        replica,
        etcd_leader,
        etcd_majority,
        node,
        node_of_another_zone,
        nodes_of_a_zone,
        worker,
        workers_but_one,
        workers_of_a_zone,
        zone_of_primary,
        zone_of_vip_holder,
        zone_of_neither,
        zone_of_primary_and_next,
        all_zones,
    )
}
