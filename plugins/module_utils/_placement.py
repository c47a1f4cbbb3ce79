"""Where workflows are: the history shard of each, the Temporal host that owns it, and the Cassandra nodes that hold it.

What is said of a workflow concerns its row in Temporal's table ``executions``, whose partition is the history shard:
the state on which every step of the workflow is a conditional write. The functions of this file do no I/O.
"""

from __future__ import annotations

import contextlib
import json
import re
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

from ansible_collections.zerospof.temporal.plugins.module_utils._history_shards import (
    REPLICA_POINTS,
    HistoryRing,
    history_shard,
)
from ansible_collections.zerospof.temporal.plugins.module_utils._murmur3 import history_shard_token
from ansible_collections.zerospof.temporal.plugins.module_utils._ring_safety import RingMember, TokenRing

# The answer travels from the host as one JSON document, of 13 MB then.
MOST_WORKFLOWS = 100_000
CASSANDRA = "cassandra"
_RANGE = re.compile(r"(?P<prefix>.*?)(?P<first>\d+)-(?P<last>\d+)")


class QuestionError(ValueError):
    """It is not clear which workflows are meant; the message says what to write."""


def _split(text: str) -> list[str]:
    """Return the ids in ``["a","b"]``, ``[a,b]`` or ``a,b``: what an extra variable outside of a JSON document is."""
    if text.startswith("[") != text.endswith("]"):
        raise QuestionError(
            f'workflow_ids is cut off: {text}; write it without spaces, or as -e \'{{"workflow_ids": ["a", "b"]}}\''
        )
    with contextlib.suppress(ValueError):
        names = json.loads(text)
        if isinstance(names, list) and all(isinstance(name, str) for name in names):
            return names
    return [name.strip().strip("\"'") for name in text.removeprefix("[").removesuffix("]").split(",")]


def _named(workflow_ids: Any) -> list[str]:  # noqa: ANN401
    names = _split(workflow_ids.strip()) if isinstance(workflow_ids, str) else workflow_ids
    if not isinstance(names, Sequence):
        raise QuestionError(f"workflow_ids is {names!r}; write a list of texts")
    for name in names:
        if not isinstance(name, str):
            raise QuestionError(f'workflow_ids has {name!r}, which is no text; write "{name}"')
        if not name:
            raise QuestionError("workflow_ids has an empty text, and no workflow has an empty id")
    return list(names)


def _ranged(text: str) -> range | list[str]:
    if not text:
        return []
    match = _RANGE.fullmatch(text)
    if match is None:
        raise QuestionError(
            f"workflow_id_range is {text!r}; write the first and the last number: 1000-4000 or order-1-500"
        )
    prefix, first, last = match.groups()
    if int(first) > int(last):
        raise QuestionError(f"workflow_id_range {text} runs backwards; write {prefix}{last}-{first}")
    if int(last) - int(first) >= MOST_WORKFLOWS:
        raise QuestionError(
            f"workflow_id_range {text} has {int(last) - int(first) + 1} workflows; {MOST_WORKFLOWS} are the most"
        )
    return [f"{prefix}{number:0{len(first)}d}" for number in range(int(first), int(last) + 1)]


def workflows_meant(workflow_ids: Any = None, workflow_id_range: str | None = None) -> list[str]:  # noqa: ANN401
    """Return the ids that are named one by one and those of a range, each once.

    A range has the first and the last number, and may have a prefix: ``1000-4000``, ``order-1-500``. Where the first
    number has leading zeros, all are as wide.

    Raises:
        QuestionError: there is none, or it cannot be understood.
    """
    found = [*_named(workflow_ids or []), *_ranged(str(workflow_id_range or "").strip())]
    if not found:
        raise QuestionError(
            "no workflow is named; add -e workflow_id_range=1000-4000 or -e workflow_ids=order-7,order-8"
        )
    return list(dict.fromkeys(found))


def question(namespace: str, workflow_ids: Any = None, workflow_id_range: str | None = None) -> dict[str, Any]:  # noqa: ANN401
    """Return ``{problem, workflow_ids}``; the problem is empty when namespace and workflows are clear."""
    try:
        if not namespace:
            raise QuestionError("no namespace is named; add -e namespace=production")
        return {"problem": "", "workflow_ids": workflows_meant(workflow_ids, workflow_id_range)}
    except QuestionError as error:
        return {"problem": str(error), "workflow_ids": []}


def _host_of(address: str) -> str:
    """Return ``10.0.0.1`` of ``10.0.0.1:7234`` and ``2001:db8::1`` of ``[2001:db8::1]:7234``."""
    return address.rpartition(":")[0].strip("[]")


def _servers(members: Sequence[Mapping[str, Any]], history_ring: Sequence[str]) -> dict[str, dict[str, Any]]:
    """Return the Temporal hosts by address: those of the inventory, then members of the ring that it does not name."""
    present = [_host_of(address) for address in history_ring]
    rows = [(member["address"], member["name"], member.get("zone") or "") for member in members]
    rows += [(address, address, "") for address in sorted(set(present) - {row[0] for row in rows})]
    return {
        address: {"name": name, "zone": zone, "address": address, "is_member": address in present}
        for address, name, zone in rows
    }


def placement(
    namespace: Mapping[str, str],
    workflow_ids: Sequence[str],
    *,
    store: str,
    shards: int,
    servers: Sequence[Mapping[str, Any]],
    history_ring: Sequence[str],
    nodes: Sequence[RingMember] = (),
    replication_factor: int = 0,
    replica_points: int = REPLICA_POINTS,
) -> dict[str, Any]:
    """Return where each workflow is and how many each host has, as docs/placement.md describes it.

    * ``namespace``: its ``name`` and ``id``.
    * ``store``: the persistence that the cluster names; its rows have copies to show when it is ``cassandra``.
    * ``shards``: number of history shards of the cluster.
    * ``servers``: the Temporal hosts of the inventory, each ``{name, address, zone}``.
    * ``history_ring``: ``host:port`` of the members of the history service.
    * ``nodes``: the Cassandra ring.

    Raises:
        ValueError: the nodes are no ring.
    """
    owners = HistoryRing(history_ring, replica_points)
    nodes = nodes if store == CASSANDRA else ()
    ring = TokenRing(nodes, replication_factor) if nodes else None
    by_address = _servers(servers, history_ring)
    is_up = {node.name: node.is_up for node in nodes}

    def of_shard(shard: int) -> dict[str, Any]:
        owner = owners.owner(shard)
        copies = ring.replicas(history_shard_token(shard)) if ring else ()
        return {
            "shard": shard,
            "owner": by_address[_host_of(owner)]["name"] if owner else "",
            "copies": list(copies),
            "copies_up": sum(is_up[name] for name in copies),
        }

    shard_of = {name: history_shard(namespace["id"], name, shards) for name in workflow_ids}
    places = {shard: of_shard(shard) for shard in set(shard_of.values())}
    workflows = [{"workflow_id": name, **places[shard]} for name, shard in shard_of.items()]
    owned = Counter(row["owner"] for row in workflows)
    held = Counter(name for row in workflows for name in row["copies"])
    quorum = replication_factor // 2 + 1 if ring else 0
    return {
        "schema_version": 1,
        "namespace": namespace["name"],
        "namespace_id": namespace["id"],
        "persistence_store": store,
        "history_shards": shards,
        "replication_factor": replication_factor if ring else 0,
        "quorum": quorum,
        "workflows": workflows,
        "servers": [server | {"workflows": owned[server["name"]]} for server in by_address.values()],
        "nodes": [
            {
                "name": node.name,
                "zone": node.zone,
                "rack": node.rack,
                "address": node.address,
                "is_up": node.is_up,
                "workflows": held[node.name],
            }
            for node in sorted(nodes, key=lambda node: node.zone)
        ],
        "summary": {
            "workflows": len(workflows),
            "with_all_copies": sum(row["copies_up"] == len(row["copies"]) for row in workflows),
            "with_a_quorum": sum(row["copies_up"] >= quorum for row in workflows),
            "without_a_quorum": sum(row["copies_up"] < quorum for row in workflows),
        },
    }
