"""Whether a live cluster may go from one release of Temporal to another, and what that will do.

Pure functions over what every Temporal host and the databases say; nothing here talks to a host. The rules are those
of Temporal: one minor at a time, the schema before the servers, and a server runs on the schema of the next minor but
on no older one; no schema ever goes back.

* ``hosts``: ``{host: {selected, previous, installed, running, started}}`` as ``zerospof.temporal.releases_info`` tells.
* ``schemas``: ``[{database, schema, version, tables: [{name, rows, bytes}]}]``; ``version`` ``None``: no schema at all.
  ``rows`` is 0 when PostgreSQL has counted none yet, whatever there is.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ansible_collections.zerospof.temporal.plugins.module_utils import _schema
from ansible_collections.zerospof.temporal.plugins.module_utils._releases import (
    RELEASE,
    Version,
    absent,
    mixed,
    moves,
    moves_text,
    others,
    parse,
    stopped,
    versions_of,
)
from ansible_collections.zerospof.temporal.plugins.module_utils._text import counted

CASSANDRA = "cassandra/temporal"
POSTGRESQL = "postgresql/v12/temporal"
VISIBILITY = "postgresql/v12/visibility"


@dataclass(frozen=True)
class Minor:
    """The releases of one minor: the newest patch that is known, and the schema that they need in each store."""

    newest_patch: int
    needs: Mapping[str, str]


# From schema/cassandra/version.go and schema/postgresql/v12/version.go of each release.
MINORS: dict[Version, Minor] = {
    (1, 29): Minor(7, {CASSANDRA: "1.13", POSTGRESQL: "1.18", VISIBILITY: "1.9"}),
    (1, 30): Minor(6, {CASSANDRA: "1.13", POSTGRESQL: "1.18", VISIBILITY: "1.13"}),
    (1, 31): Minor(2, {CASSANDRA: "1.13", POSTGRESQL: "1.19", VISIBILITY: "1.14"}),
}
# In go.mod of later releases.
RETRACTED = ("1.26.0", "1.26.1", "1.30.0")


@dataclass(frozen=True)
class Rewrite:
    """A version of a schema whose step writes ``table`` anew, ``times`` times, while nobody can read it."""

    schema: str
    version: str
    table: str
    times: int


# Each ALTER TABLE that adds a generated column is one. Up to 1.13 they are one statement (combined_v1.10_v1.13.sql).
REWRITES = (
    Rewrite(VISIBILITY, "1.13", "executions_visibility", 1),
    Rewrite(VISIBILITY, "1.14", "executions_visibility", 2),
)
# 35 million rows took 57 minutes for each column (github.com/temporalio/temporal issue 10358).
ROWS_PER_SECOND = 10_000
# Of a table whose rows PostgreSQL has not counted. Each has some KiB with its indexes, so these are rather
# too many than too few.
BYTES_PER_ROW = 1_000


def _minor(release: str) -> Version:
    return parse(release)[:2]


def _dotted(version: Version) -> str:
    return ".".join(map(str, version))


def is_known(release: str) -> bool:
    """Tell whether ``release`` is one that the table was made for."""
    row = MINORS.get(_minor(release))
    return row is not None and parse(release)[2] <= row.newest_patch


def newest(minor: Version) -> str:
    """Return the newest release of ``minor`` by its name, or words for it when the table has none."""
    row = MINORS.get(minor)
    return f"{_dotted(minor)}.{row.newest_patch}" if row else f"a release of {_dotted(minor)}"


def migrations(schemas: Sequence[Mapping[str, Any]], target: str) -> list[dict[str, Any]]:
    """Return what the schema of ``target`` changes, ``[{database, before, after, rewrites}]``.

    ``rewrites`` are ``[{table, times, rows, counted, bytes, seconds}]``: tables that nobody can read meanwhile, and
    about how long; without ``counted`` the rows are guessed from the bytes. Nothing is returned for a release that the
    table does not know.
    """
    row = MINORS.get(_minor(target))
    found = []
    for store in schemas:
        after = row.needs.get(store["schema"]) if row else None
        if after is None or not _schema.is_older(store["version"], after):
            continue
        times: dict[str, int] = {}
        for step in REWRITES:
            passed = step.schema == store["schema"] and not _schema.is_older(after, step.version)
            if passed and store["version"] is not None and _schema.is_older(store["version"], step.version):
                times[step.table] = times.get(step.table, 0) + step.times
        sizes = {table["name"]: table for table in store.get("tables", ())}
        rewrites = [_rewrite(sizes[table], count) for table, count in times.items() if table in sizes]
        found.append({"database": store["database"], "before": store["version"], "after": after, "rewrites": rewrites})
    return found


def _rewrite(table: Mapping[str, Any], times: int) -> dict[str, Any]:
    rows = table["rows"] or table["bytes"] // BYTES_PER_ROW
    return {
        "table": table["name"],
        "times": times,
        "rows": rows,
        "counted": table["rows"] > 0,
        "bytes": table["bytes"],
        "seconds": times * rows / ROWS_PER_SECOND,
    }


def _size(rewrite: Mapping[str, Any]) -> str:
    times = "once" if rewrite["times"] == 1 else f"{rewrite['times']} times"
    size = f"{counted(rewrite['rows'], 'row')}, {math.ceil(rewrite['bytes'] / 2**20)} MiB"
    seconds = math.ceil(rewrite["seconds"])
    if not rewrite["counted"]:
        size += f" (by its size alone; ANALYZE {rewrite['table']} has them counted)"
    return f"writes {rewrite['table']} anew {times}: about {size}, {seconds} s in which no search is answered"


def _lock_problems(steps: Sequence[Mapping[str, Any]], limit: float) -> list[str]:
    return [
        f"the schema of {step['database']} from {step['before']} to {step['after']} {_size(rewrite)}, and the limit is"
        f" {limit:g} s; choose a quiet hour and say so with -e lock_limit_seconds={math.ceil(rewrite['seconds'])}"
        for step in steps
        for rewrite in step["rewrites"]
        if rewrite["seconds"] > limit
    ]


def _path_problems(start: str, target: str) -> list[str]:
    """Say why the servers must not go from ``start`` to ``target``."""
    if parse(target) < parse(start):
        return [
            f"{start} to {target} is a step back; rollback.yml takes one, to the release that the hosts had before,"
            " as far as the schema allows"
        ]
    here, there = _minor(start), _minor(target)
    if there > (here[0], here[1] + 1):
        between = (here[0], here[1] + 1)
        return [
            f"{start} to {target} skips {_dotted(between)}, and servers work side by side only with those of the next"
            f" minor; upgrade to {newest(between)} first"
        ]
    return []


def _target_problems(target: str, accept_unknown: bool) -> list[str]:
    if target in RETRACTED:
        return [f"{target} was retracted by those who made it; take {newest(_minor(target))}"]
    if not is_known(target) and not accept_unknown:
        return [
            f"{target} is not a release that is known here (up to {newest(max(MINORS))}), so nobody can tell what it"
            " does to the schema; read its release notes, try it elsewhere, and say so with -e accept_unknown=true"
        ]
    return []


def _minor_of_schema(schema: str, version: str) -> Version | None:
    """Return the first minor that needs ``version`` of ``schema``, ``None`` when it is newer than all of them.

    The oldest minor of the table stands for all before it.
    """
    fitting = [minor for minor, row in MINORS.items() if not _schema.is_older(row.needs.get(schema), version)]
    return min(fitting, default=None)


def _schema_problems(schemas: Sequence[Mapping[str, Any]], target: str, accept_unknown: bool) -> list[str]:
    """Say on which schemas the servers of ``target`` must not run because they are too new for them."""
    problems = []
    for store in schemas:
        if store["version"] is None:
            problems.append(f"{store['database']} holds no schema; this is no live cluster: run site.yml")
            continue
        minor = _minor_of_schema(store["schema"], store["version"])
        at = f"the schema of {store['database']} is at {store['version']}"
        if minor is None and is_known(target) and not accept_unknown:
            problems.append(
                f"{at}, which is newer than any that is known here, so nobody can tell whether {target} runs on it;"
                " if its release notes say so, -e accept_unknown=true"
            )
        elif minor not in (None, min(MINORS)) and minor > (_minor(target)[0], _minor(target)[1] + 1):
            problems.append(
                f"{at}, that of {_dotted(minor)}, on which {target} was never run: a server runs on the schema of the"
                " next minor at most, and no schema goes back; restore a backup of before, or take a newer release"
            )
    return problems


def upgrade_plan(
    hosts: Mapping[str, Mapping[str, Any]],
    members: Sequence[str],
    schemas: Sequence[Mapping[str, Any]],
    target: str,
    wishes: Mapping[str, Any],
) -> dict[str, Any]:
    """Return ``{start, target, moves, migrations, problems}`` of the way to the release ``target``.

    ``members``: all Temporal hosts of the inventory. ``wishes``: ``accept_unknown`` and ``lock_limit_seconds``.
    ``start``: the release that hosts go back to when the new one fails them; empty when there is none. ``moves``:
    reason by host that does not run ``target`` yet. With ``problems`` nothing must be changed.
    """
    limit, accept_unknown = str(wishes["lock_limit_seconds"]), bool(wishes["accept_unknown"])
    plan: dict[str, Any] = {"start": "", "target": target, "moves": {}, "migrations": [], "problems": []}
    if not RELEASE.fullmatch(target):
        return {**plan, "problems": [f"temporal_version: {target} is no release such as 1.31.2; give three numbers"]}
    problems = absent(hosts, members, "Temporal hosts")
    present = others(hosts, target)
    if len(present) > 1:
        problems.append(mixed(hosts, f"bring all of them to {present[-1]} first, with it as temporal_version"))
    problems += _target_problems(target, accept_unknown)
    for start in present:
        problems += _path_problems(start, target)
    problems += _schema_problems(schemas, target, accept_unknown)
    steps = migrations(schemas, target)
    start = present[-1] if present else _remembered(hosts, target)
    for host, state in hosts.items():
        if target in versions_of(state) and steps:
            problems.append(
                f"{host} has {target} before its schema is there ({', '.join(map(_step, steps))}), and the schema goes"
                f" first; select {start or 'the former release'} there again (/opt/temporal-server/current)"
            )
        elif target not in versions_of(state) and state["selected"] and (down := stopped(state)):
            problems.append(
                f"{host}: {', '.join(down)} does not run, and a host must be healthy before it changes its release;"
                " repair it, or start it with rolling_restart.yml"
            )
    if not limit.isdecimal():
        problems.append(f"lock_limit_seconds: {limit} is no number of seconds")
    else:
        problems += _lock_problems(steps, float(limit))
    return {**plan, "start": start, "moves": moves(hosts, target), "migrations": steps, "problems": problems}


def _step(step: Mapping[str, Any]) -> str:
    return f"{step['database']} is at {step['before']} and needs {step['after']}"


def _remembered(hosts: Mapping[str, Mapping[str, Any]], release: str) -> str:
    """Return the release that the hosts had before ``release``, empty when they do not agree on one that is older.

    A host that came back from a later release remembers ``release`` itself, so the others are asked.
    """
    told = {state["previous"] for state in hosts.values() if release in versions_of(state)}
    former = [one for one in told if one and parse(one) < parse(release)]
    return former[0] if len(former) == 1 else ""


def rollback_plan(
    hosts: Mapping[str, Mapping[str, Any]],
    members: Sequence[str],
    schemas: Sequence[Mapping[str, Any]],
    wishes: Mapping[str, Any],
) -> dict[str, Any]:
    """Return the way back to the release that the hosts had before, in the form of :func:`upgrade_plan`.

    The hosts with the newest release say which one that was; an upgrade that was given up half-way is taken back, too.
    """
    plan: dict[str, Any] = {"start": "", "target": "", "moves": {}, "migrations": [], "problems": []}
    problems = absent(hosts, members, "Temporal hosts")
    present = others(hosts)
    if not present:
        return {**plan, "problems": problems}
    newest_one = present[-1]
    target = _remembered(hosts, newest_one)
    if not target:
        problems.append(
            f"no release before {newest_one} is remembered (/opt/temporal-server/previous), so there is none to go back"
            " to"
        )
        return {**plan, "problems": problems}
    if others(hosts, newest_one, target):
        problems.append(mixed(hosts, f"bring all of them to {newest_one} first, with it as temporal_version"))
    if _minor(newest_one) > (_minor(target)[0], _minor(target)[1] + 1):
        problems.append(f"{newest_one} to {target} skips a minor, and servers work side by side only with the next one")
    problems += _schema_problems(schemas, target, bool(wishes["accept_unknown"]))
    problems += [
        f"{host}: /opt/temporal-server/{target} is not there any more; unpack into it"
        f" temporal-server-{target}-linux-amd64.tar.gz of temporal_artifact_directory"
        for host, state in hosts.items()
        if state["selected"] and target not in state["installed"]
    ]
    return {**plan, "target": target, "moves": moves(hosts, target), "problems": problems}


def upgrade_text(plan: Mapping[str, Any]) -> str:
    """Return for people what the releases and schemas become."""
    lines = [moves_text(plan, "Temporal")]
    if plan["moves"] and plan["start"]:
        lines.append(f"A host that does not come through goes back to {plan['start']}.")
    for step in plan["migrations"] if plan["moves"] else ():
        sizes = "".join(f"; {_size(rewrite)}" for rewrite in step["rewrites"])
        lines.append(f"First the schema of {step['database']} goes from {step['before']} to {step['after']}{sizes}.")
    return "\n".join(lines)
