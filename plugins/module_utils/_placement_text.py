"""Where workflows are as text for people: a table, what each host has as bars, and what that means."""

from __future__ import annotations

import textwrap
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from ansible_collections.zerospof.temporal.plugins.module_utils._placement import CASSANDRA
from ansible_collections.zerospof.temporal.plugins.module_utils._text import counted, ruled_columns

ROWS = 20
BAR_CHARACTERS = 40
WIDTH = 110
OF_NODES = "Copies on each Cassandra node"
OF_SERVERS = "Workflows by the Temporal host that owns their shard"


def _named(host: Mapping[str, Any]) -> str:
    return f"{host['name']} ({host['zone']})" if host["zone"] else host["name"]


def _table(placement: Mapping[str, Any], most_rows: int) -> list[str]:
    servers = {server["name"]: _named(server) for server in placement["servers"]}
    nodes = {node["name"]: _named(node) + " down" * (not node["is_up"]) for node in placement["nodes"]}
    copies = max(len(row["copies"]) for row in placement["workflows"])
    quorum = placement["quorum"]
    head = ["workflow", "shard", "owner"]
    head += ["up", *(f"copy {number}" for number in range(1, copies + 1))] if copies else []
    rows = [
        [
            row["workflow_id"],
            str(row["shard"]),
            servers.get(row["owner"], "nobody"),
            *([f"{row['copies_up']} of {copies}" + ", no quorum" * (row["copies_up"] < quorum)] if copies else []),
            *(nodes[name] for name in row["copies"]),
        ]
        for row in placement["workflows"][:most_rows]
    ]
    more = len(placement["workflows"]) - len(rows)
    return ruled_columns([head, *rows]) + (
        [f"and {more} more; a file with all of them: -e placement_file=F.json"] if more else []
    )


def _bars(hosts: Sequence[Mapping[str, Any]], state: str, down: str) -> Iterator[str]:
    """Yield a line for each host, by zone; that of a host whose ``state`` is not true has dots and says ``down``."""
    names = max(len(host["name"]) for host in hosts)
    zones = max(len(host["zone"]) for host in hosts)
    most = max(host["workflows"] for host in hosts)
    digits = len(str(most))
    former = None
    for host in sorted(hosts, key=lambda host: host["zone"]):
        zone = host["zone"] if host["zone"] != former else ""
        bar = (("#" if host[state] else ".") * round(BAR_CHARACTERS * host["workflows"] / (most or 1))).ljust(1)
        line = f"  {zone:<{zones}}  {host['name']:<{names}}  {host['workflows']:>{digits}}  {bar}"
        yield f"{line}  {down}" if not host[state] else line.rstrip()
        former = host["zone"]


def meaning(placement: Mapping[str, Any]) -> list[str]:
    """Return lines that say how many workflows have how many copies left."""
    return textwrap.wrap(_meaning(placement), WIDTH)


def _meaning(placement: Mapping[str, Any]) -> str:
    if placement["persistence_store"] != CASSANDRA:
        return (
            f"No copies are shown: {placement['persistence_store']} keeps these workflows, and every member of it has "
            "all of them. Only Cassandra (profile ha_cassandra) spreads them."
        )
    if not placement["nodes"]:
        return "No copies are shown: the ring of Cassandra was not asked."
    summary = placement["summary"]
    if summary["with_all_copies"] == summary["workflows"]:
        return f"Every workflow has all its {placement['replication_factor']} copies."
    return (
        f"Workflows with all {placement['replication_factor']} copies: {summary['with_all_copies']}; "
        f"with fewer, but a quorum: {summary['with_a_quorum'] - summary['with_all_copies']}; "
        f"without a quorum, which stand still: {summary['without_a_quorum']}."
    )


def placement_text(placement: Mapping[str, Any], rows: int = ROWS) -> str:
    """Return the placement for people; of the workflows the first ``rows``, of everything else all."""
    count, shards = len(placement["workflows"]), placement["history_shards"]
    used = len({row["shard"] for row in placement["workflows"]})
    lines = [
        f"Namespace {placement['namespace']} ({placement['namespace_id']}): "
        f"{counted(count, 'workflow')} in {used} of {shards} history shards",
        "",
        *_table(placement, rows),
    ]
    if placement["nodes"]:
        lines += ["", OF_NODES, *_bars(placement["nodes"], "is_up", "down")]
    lines += ["", OF_SERVERS, *_bars(placement["servers"], "is_member", "not in the ring")]
    return "\n".join([*lines, "", *meaning(placement)])
