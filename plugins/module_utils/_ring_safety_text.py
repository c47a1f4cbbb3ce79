"""What a live ring of Cassandra bears, as text for people."""

from __future__ import annotations

import textwrap
from collections.abc import Iterator, Mapping
from math import comb
from typing import Any

from ansible_collections.zerospof.temporal.plugins.module_utils._text import (
    HOSTS_IN_A_MESSAGE,
    counted,
    joined,
    listed,
    percent,
    ruled_columns,
    table,
)

WIDTH = 110
TITLE = "What the ring of Cassandra bears now"
SETS = {1: "any one node", 2: "any two nodes"}


def ring_safety_text(told: Mapping[str, Any], report: Mapping[str, Any] | None = None) -> str:
    """Return what a ring bears, for people; ``told`` is what the module ``cassandra_ring_info`` returned.

    With ``report``, that of the inventory (:func:`_spof.spof_report`), it also says which of its promises are not kept.
    """
    if "safety" not in told:
        reason = str(told.get("msg") or "no node has told its ring").strip().splitlines()[0]
        return textwrap.fill(f"{TITLE} is not known: {reason}", WIDTH)
    safety = told["safety"]
    rows = [
        ["loss of", "borne", "stands still otherwise"],
        *_now(safety),
        *(_of_sets(safety, size) for size in SETS if _sets(safety, size)["total"]),
        *(
            [_zone(zone["name"]), "yes" if zone["safe"] else "NO", "" if zone["safe"] else _loss(zone, safety)]
            for zone in safety["zones"]
        ),
    ]
    lines = [TITLE, *table(_facts(safety)), "", *ruled_columns(rows)]
    remarks = [*_strangers(told), *_broken_promises(safety, report or {})]
    return "\n".join([*lines, *([""] if remarks else []), *(line for one in remarks for line in _wrapped(one))])


def _wrapped(text: str) -> list[str]:
    return textwrap.wrap(text, WIDTH, subsequent_indent="  ", break_on_hyphens=False)


def _sets(safety: Mapping[str, Any], size: int) -> Mapping[str, Any]:
    return next(entry for entry in safety["sets"] if entry["size"] == size)


def _zone(name: str) -> str:
    return f"zone {name}" if name else "nodes in no zone"


def _facts(safety: Mapping[str, Any]) -> list[tuple[str, str]]:
    zones, load = len(safety["zones"]), {name: held["ranges"] for name, held in safety["load"].items()}
    racks = f" and {counted(safety['racks'], 'rack')}" if safety["racks"] != zones else ""
    least, most = (choose(load, key=load.__getitem__) for choose in (min, max))
    even = percent(load[least]) == percent(load[most])
    span = "" if even else f" ({least}) to {percent(load[most])} ({most})"
    return [
        ("copies (RF)", f"{safety['replication_factor']}, of which {safety['quorum']} must live"),
        ("nodes", f"{safety['nodes']} in {counted(zones, 'zone')}{racks}"),
        ("down", listed(safety["down"]) or "none"),
        ("load per node", f"{percent(load[least])}{span} of all data"),
    ]


def _loss(lost: Mapping[str, Any], safety: Mapping[str, Any]) -> str:
    shards = f", {lost['shards']} of {safety['history_shards']} history shards" if safety["history_shards"] else ""
    return f"{percent(lost['ranges'])} of the ranges{shards}"


def _now(safety: Mapping[str, Any]) -> Iterator[list[str]]:
    """Yield what is lost already, if there is reason to ask."""
    is_lost = safety["now"]["ranges"] > 0
    if is_lost or safety["down"]:
        yield ["no further node", "NO" if is_lost else "yes", _loss(safety["now"], safety) if is_lost else ""]


def _of_sets(safety: Mapping[str, Any], size: int) -> list[str]:
    entry = _sets(safety, size)
    share = f"{entry['safe'] or 'none'} of {entry['total']}"
    if entry["safe"] == entry["total"]:
        return [SETS[size], f"yes, {share}", ""]
    which = _which(safety, entry)
    smaller = [one for one in safety["sets"] if one["size"] < size]
    # A set that cannot be lost for a smaller one in it may take more than that, and is not among the worst.
    has_more = safety["now"]["ranges"] > 0 or any(one["breaking"] for one in smaller)
    worst = [safety["now"], *(one["worst"][0] for one in [*smaller, entry] if one["worst"])]
    loss = _loss(max(worst, key=lambda lost: lost["ranges"]), safety)
    return [SETS[size], f"NO, {share}{which and f': {which}'}", f"{loss}, or more" if has_more else f"up to {loss}"]


def _which(safety: Mapping[str, Any], entry: Mapping[str, Any]) -> str:
    """Say which sets can be lost: by a rule, or by their names when they are few; empty when neither says it."""
    zones = safety["zones"]
    if entry["size"] == 2 and all(zone["name"] and zone["safe"] for zone in zones):
        alive = [len(set(zone["nodes"]) - set(safety["down"])) for zone in zones]
        within = sum(comb(nodes, 2) for nodes in alive)
        if within == entry["safe"] and within:
            return "two of one zone"
        if within:
            return "two of one zone, and others"
    few = entry["safe_sets"] if len(entry["safe_sets"]) <= HOSTS_IN_A_MESSAGE else []
    return ", ".join(" + ".join(names) for names in few)


def _strangers(told: Mapping[str, Any]) -> Iterator[str]:
    """Yield a sentence for each way in which the nodes are not those of the inventory."""
    unknown = [member["name"] for member in told["members"] if not member["zone"]]
    if told["missing"]:
        yield f"In the inventory, but not in the ring: {listed(told['missing'])}."
    if unknown:
        yield f"In the ring, but not in the inventory: {listed(unknown)}."


def _broken_promises(safety: Mapping[str, Any], report: Mapping[str, Any]) -> Iterator[str]:
    """Yield a sentence on the copies, and one on the losses that the inventory bears whatever the tokens are."""
    rings = [tier["ring"] for tier in report.get("tiers", ()) if "ring" in tier]
    for promised in rings:
        copies, kept = promised["replication_factor"], safety["replication_factor"]
        if copies != kept:
            yield f"The inventory asks for {counted(copies, 'copy', 'copies')} of every row; the ring keeps {kept}."
        if losses := [*_unkept(promised, safety)]:
            yield f"Promised by the inventory, but not borne now: the loss of {joined(losses, 'or')}."


def _unkept(promised: Mapping[str, Any], safety: Mapping[str, Any]) -> Iterator[str]:
    for size, name in SETS.items():
        always, now = _sets(promised, size), _sets(safety, size)
        if always["guaranteed"] == always["total"] and now["safe"] != now["total"]:
            yield name
    zones = {zone["name"] for zone in promised["zones"] if zone["guaranteed"]}
    yield from (_zone(zone["name"]) for zone in safety["zones"] if zone["name"] in zones and not zone["safe"])
