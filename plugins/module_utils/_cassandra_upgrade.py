"""Whether a live ring of Cassandra may go from one patch release to another.

Pure functions over what every node says (``hosts`` as in ``_releases``); nothing here talks to a host. Nodes of two
patch releases of one minor serve side by side. Another minor writes other files and has a schema of its own, for which
its NEWS.txt has the way; and no release is sure to read what a newer one wrote.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from ansible_collections.zerospof.temporal.plugins.module_utils import _releases

VARIABLE = "temporal_versions.cassandra"
UNIT = "cassandra.service"


def _path_problems(start: str, target: str) -> list[str]:
    here, there = _releases.parse(start), _releases.parse(target)
    if there < here:
        return [
            f"{start} to {target} is a step back, and no release of Cassandra is sure to read what a newer one wrote;"
            f" put {VARIABLE} back to {start}"
        ]
    if there[:2] != here[:2]:
        return [
            f"{start} to {target} is a step to another minor, whose nodes write files and a schema of their own; only"
            f" patch releases of {here[0]}.{here[1]} are open here"
        ]
    return []


def cassandra_upgrade_plan(
    hosts: Mapping[str, Mapping[str, Any]], members: Sequence[str], target: str
) -> dict[str, Any]:
    """Return ``{target, moves, resumed, problems}`` of the way of the whole ring to the patch release ``target``.

    ``members``: all nodes of the inventory. ``moves``: reason by node that does not run ``target`` yet. ``resumed``: an
    earlier run has begun, so the ring need not be whole at the start. With ``problems`` nothing must be changed.
    """
    plan: dict[str, Any] = {"target": target, "moves": {}, "resumed": False, "problems": []}
    if not _releases.RELEASE.fullmatch(target):
        return {**plan, "problems": [f"{VARIABLE}: {target} is no release such as 5.0.6; give three numbers"]}
    problems = _releases.absent(hosts, members, "nodes of Cassandra")
    present = _releases.others(hosts, target)
    if len(present) > 1:
        advice = f"bring all of them to {present[-1]} first, with it as {VARIABLE}"
        problems.append(_releases.mixed(hosts, advice))
    for start in present:
        problems += _path_problems(start, target)
    problems += [
        f"{host}: {UNIT} does not run, and a node must be in the ring before it changes its release; repair it, or"
        " start it with rolling_restart.yml"
        for host, state in hosts.items()
        if state["selected"] and state["selected"] != target and _releases.stopped(state)
    ]
    resumed = any(target in _releases.versions_of(state) for state in hosts.values())
    return {**plan, "moves": _releases.moves(hosts, target), "resumed": resumed, "problems": problems}


def cassandra_upgrade_text(plan: Mapping[str, Any]) -> str:
    """Return for people what becomes of the ring."""
    lines = [_releases.moves_text(plan, "Cassandra")]
    if plan["moves"]:
        lines.append("First each of these keeps a snapshot of its tables, on its own disk.")
    return "\n".join(lines)
