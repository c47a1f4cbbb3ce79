"""A fault on purpose on a live cluster: who is hit, whether that is survived now, and how it is made and ended.

Pure functions over the inventory, what every host says of its units, and what the client saw; nothing here talks to a
host. A *victim* is a host; a person may name hosts, a zone, or a part in the live state (:data:`PARTS`).
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from fnmatch import fnmatchcase
from typing import Any

from ansible_collections.zerospof.temporal.plugins.module_utils import (
    _calls,
    _disk,
    _expiry,
    _rolling,
    _spof,
    _topology,
    _units,
)
from ansible_collections.zerospof.temporal.plugins.module_utils._text import counted
from ansible_collections.zerospof.temporal.plugins.module_utils._timeline import timeline

# What each fault is, and whether the whole host is hit.
FAULTS = {
    "kill": "SIGKILL for the services; systemd starts them again",
    "hang": "SIGSTOP for the services: alive for the kernel, silent for everybody else",
    "cut": "all packets of the hosts are dropped without a word, except ssh and what they say to each other",
}
# Parts that somebody has now.
PRIMARY, VIP_HOLDER = "postgresql_primary", "vip_holder"
PARTS = (PRIMARY, VIP_HOLDER)
SHORTEST, DEFAULT, LONGEST = 10, 60, 600
# A host ends its fault by itself so many seconds after the playbook should have.
GRACE_SECONDS = 60
# Ansible asks so many hosts at once (forks), and the next ones so many seconds later.
FORKS, ROUND_SECONDS = 5, 10
# Version of the schema of result files, which the chaos suite of the repository has, too.
SCHEMA_VERSION = 1
TABLE = "zerospof_drill"
HARM = ("lost", "duplicated", "stuck", "wrong", "unseen")
# Counted like these: what of the drill itself is not as planned, so that it shows nothing.
UNFINISHED = "unfinished"


@dataclass(frozen=True)
class Wishes:
    """What the person asked for; ``tiers`` narrows what is killed or hangs, workflows are started in ``namespace``.

    ``forks`` are those of Ansible, ``certificate_days`` and ``disk_free_percent`` are those of a rolling restart.
    """

    fault: str = ""
    victims: tuple[str, ...] = ()
    tiers: tuple[str, ...] = ()
    seconds: int = DEFAULT
    namespace: str = ""
    forks: int = FORKS
    certificate_days: int = 0
    disk_free_percent: float = 0.0


def _understood(wishes: Mapping[str, Any]) -> tuple[Wishes, list[str]]:
    """Return what ``wishes`` mean, and why some of them mean nothing."""
    fault = str(wishes.get("fault") or "")
    victims = tuple(_rolling.names(wishes.get("victims") or (), "drill_victims", "temporal-b"))
    tiers = tuple(_rolling.names(wishes.get("tiers") or (), "drill_tiers"))
    text = str(wishes.get("seconds") or DEFAULT).strip()
    known = list(wishes.get("namespaces", ()))
    namespace = str(wishes.get("namespace") or (known[0] if known else ""))
    problems = [
        f"drill_{name}: is no wish of a drill; it knows drill_fault, drill_victims, drill_tiers, drill_seconds,"
        " drill_namespace and drill_directory"
        for name in wishes.get("misspelt", ())
    ]
    if fault not in FAULTS:
        problems.append(f"drill_fault: {fault or 'nothing'} is not one of {', '.join(FAULTS)}")
    if not victims:
        problems.append(f"drill_victims: name hosts, a zone, or one of {', '.join(PARTS)}")
    if unknown := [tier for tier in tiers if tier not in _rolling.UNITS]:
        problems.append(f"drill_tiers: {', '.join(unknown)}: not one of {', '.join(_rolling.UNITS)}")
    if tiers and fault == "cut":
        problems.append("drill_tiers: a host is cut off as a whole; leave this out")
    if not (text.isdecimal() and SHORTEST <= int(text) <= LONGEST):
        problems.append(f"drill_seconds: {text} is not between {SHORTEST} and {LONGEST}")
    # Without one there would be a fault, and nobody who tells what clients saw of it.
    if namespace not in known:
        listed = ", ".join(known) or "none"
        problems.append(f"drill_namespace: {namespace or 'nothing'} is not one of temporal_namespaces ({listed})")
    return Wishes(
        fault,
        victims,
        tiers,
        int(text) if text.isdecimal() else DEFAULT,
        namespace,
        int(wishes.get("forks") or FORKS),
        int(wishes.get("certificate_days", 0)),
        float(wishes.get("disk_free_percent", 0)),
    ), problems


def _holders(part: str, groups: _topology.Groups, states: _rolling.States, tiers: _topology.Tiers | None) -> list[str]:
    """Return who has ``part`` now: one host, unless nobody has it or hosts do not agree."""
    if part == PRIMARY:
        return _rolling.leaders(states, _topology.tier_hosts("postgresql", groups, tiers))
    return [host for host, state in states.items() if state["holds_vip"]]


def _hosts(
    asked: Sequence[str],
    groups: _topology.Groups,
    states: _rolling.States,
    known: Sequence[str],
    tiers: _topology.Tiers | None,
) -> tuple[list[str], list[str]]:
    """Return the hosts that ``asked`` means, and what it means none by."""
    found: list[str] = []
    problems = []
    zones = _topology.zone_names(groups)
    for name in asked:
        if name in known:
            found.append(name)
        elif name in zones:
            found += [host for host in groups[name] if host in known]
        elif name in PARTS:
            holders = _holders(name, groups, states, tiers)
            found += [host for host in holders if host in known]
            if len(holders) != 1:
                said = f"{' and '.join(holders)} have" if holders else "no host has"
                problems.append(f"{name}: {said} that part now, not one")
        else:
            problems.append(
                f"drill_victims: {name} is no host of the cluster, no zone, and not one of {', '.join(PARTS)}"
            )
    return list(dict.fromkeys(found)), problems


def _units_of(host: str, states: _rolling.States, tiers: Sequence[str]) -> list[str]:
    """Return the units of ``host`` that are hit: what runs of ``tiers``, or of all that restarts are about."""
    patterns = [pattern for tier in tiers or _rolling.UNITS for pattern in _rolling.UNITS.get(tier, ())]
    names = [unit["name"] for unit in states[host]["units"] if unit["state"] != _units.NEW]
    return [name for name in names if any(fnmatchcase(name, pattern) for pattern in patterns)]


def _unwell(states: _rolling.States) -> list[str]:
    """Return why hosts are not as they are when nothing is the matter."""
    problems = []
    for host, state in states.items():
        down = [unit["name"] for unit in state["units"] if _rolling.NOT_RUNNING in unit["reasons"]]
        if down:
            problems.append(f"{host}: {', '.join(down)} {'does' if len(down) == 1 else 'do'} not run")
        if state.get("interrupted"):
            problems.append(
                f"{host}: a restart of {', '.join(state['interrupted'])} was interrupted; rolling_restart.yml ends it"
            )
    return problems


def _unready(asked: Wishes, hit: Mapping[str, Sequence[str]], states: _rolling.States) -> list[str]:
    """Return why what is ``hit``, units by their host, or what it needs would not come back as it was."""
    problems = []
    # What is cut off goes on; what is killed starts again, and so does what hangs and has a guard.
    if asked.fault != "cut":
        problems += [
            f"{host}: {unit['name']} waits for a restart, which this would be ({'; '.join(unit['reasons'])}); run"
            " rolling_restart.yml"
            for host, names in hit.items()
            for unit in states[host]["units"]
            if unit["name"] in names and unit["state"] == _units.PENDING and unit["reasons"] != [_rolling.NOT_RUNNING]
        ]
    problems += _expiry.certificate_problems(
        {host: state["certificates"] for host, state in states.items()}, asked.certificate_days, authorities=False
    )
    of_databases = {unit for tier in _rolling.DATABASES for unit in _rolling.UNITS[tier]}
    if of_databases.intersection(unit for names in hit.values() for unit in names):
        disks = {host: state["disks"] for host, state in states.items()}
        problems += _disk.disk_problems(disks, asked.disk_free_percent)
    return problems


def slack_seconds(victims: int, forks: int) -> int:
    """Return how long after the first of ``victims`` the last one is hit, and is well again, at most."""
    return max(math.ceil(victims / forks) - 1, 0) * ROUND_SECONDS


def drill_plan(
    groups: _topology.Groups,
    hostvars: _topology.HostVars,
    states: _rolling.States,
    wishes: Mapping[str, Any],
    profile: str,
    vip: str = "",
    tiers: _topology.Tiers | None = None,
) -> dict[str, Any]:
    """Return who is hit by what, for how long, and the problems with which nobody must be.

    ``wishes`` has also the ``namespaces`` of the cluster, and in ``misspelt`` names that look like a wish. ``states``
    are as for :func:`_rolling.rolling_plan`, of every host of the cluster. ``observer`` is the host from which the load
    comes: a Temporal server that is not hit.
    """
    asked, problems = _understood(wishes)
    of_tiers = [host for tier in _rolling.UNITS for host in _topology.tier_hosts(tier, groups, tiers)]
    known = list(dict.fromkeys(of_tiers))
    victims, unclear = _hosts(asked.victims, groups, states, known, tiers)
    problems += unclear
    if asked.victims and not victims:
        problems.append("drill_victims: nobody would be hit")
    if silent := [host for host in known if host not in states]:
        problems.append(f"{', '.join(silent)}: nobody asked how they are; run this without --limit")
    problems += _unwell(states)
    hit = {host: _units_of(host, states, asked.tiers) for host in victims if host in states}
    problems += _unready(asked, hit, states)
    if asked.fault != "cut":
        problems += [
            f"{host}: has no service of {', '.join(asked.tiers) or 'any tier'}" for host in hit if not hit[host]
        ]
    elif here := [
        host for host in victims if hostvars[host].get("ansible_connection") in ("local", "ansible.builtin.local")
    ]:
        problems.append(f"{', '.join(here)}: is where this runs, and would cut itself off")
    lost = _spof.without(groups, hostvars, victims, profile, vip=vip, tiers=tiers, only=asked.tiers)
    problems += [f"this is not survived: {sentence}" for sentence in lost]
    watching = [host for host in _topology.tier_hosts("temporal_servers", groups, tiers) if host not in victims]
    if victims and not watching:
        problems.append("no Temporal server is left that could tell what clients see")
    slack = slack_seconds(len(victims), asked.forks)
    return {
        "fault": asked.fault,
        "seconds": asked.seconds,
        # From the moment at which a host is hit: the fault begins to last when the last one is.
        "deadline": asked.seconds + slack + GRACE_SECONDS,
        # From the first host that is hit to the last one that is well again.
        "lasts": asked.seconds + 2 * slack,
        "profile": profile,
        "victims": victims,
        "units": hit,
        "observer": watching[0] if watching else "",
        "namespace": asked.namespace,
        "sentence": sentence_of(asked, victims),
        "problems": list(dict.fromkeys(problems)),
    }


def sentence_of(asked: Wishes, victims: Sequence[str]) -> str:
    """Return what a person has to say to confirm, which names the very hosts that are hit."""
    what = f"{asked.fault} {' and '.join(asked.tiers)} on" if asked.tiers else asked.fault
    return f"{what} {', '.join(victims)} for {asked.seconds} s"


def drill_text(plan: Mapping[str, Any]) -> str:
    """Return the plan for people."""
    lines = [f"{plan['sentence']}: {FAULTS.get(plan['fault'], 'no fault')}"]
    if plan["fault"] != "cut":
        lines += [f"   {host}: {', '.join(units)}" for host, units in plan["units"].items()]
    who, where = plan["observer"] or "nobody", plan["namespace"] or "no namespace"
    lines.append(f"   {who} starts workflows in {where} meanwhile, through the address that clients use")
    lines.append(f"   each host ends it by itself after {plan['deadline']} s, whatever becomes of this run")
    return "\n".join(lines)


def drill_groups(plan: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Return the hosts of the drill with the groups in which the plays find them."""
    return [
        *({"name": host, "groups": ["drill_victims"]} for host in plan["victims"]),
        {"name": plan["observer"], "groups": ["drill_observer"]},
    ]


def cut_rules(addresses: Sequence[str], port: int, virtual_address: str = "", interface: str = "") -> str:
    """Return rules of nftables that drop all but ssh, what stays on the host, and what is said to ``addresses``.

    Of a balancer, also what tells neighbours at ``interface`` that it has the ``virtual_address``: the other rules
    never see ARP, and a balancer that hears none of its peers takes the address from whoever has it. Rules of the
    family arp would not do: keepalived writes its frames past them.
    """
    listed = ", ".join(sorted(addresses))
    chains = []
    for hook, local, other, end in (("input", "iif", "saddr", "dport"), ("output", "oif", "daddr", "sport")):
        chains.append(
            f"  chain {hook} {{\n"
            f"    type filter hook {hook} priority -300; policy drop;\n"
            f'    {local} "lo" accept\n'
            f"    ip {other} {{ {listed} }} accept\n"
            f"    tcp {end} {port} accept\n"
            "  }"
        )
    tables = {"inet": chains, "netdev": []}
    if virtual_address:
        tables["netdev"].append(
            "  chain announcements {\n"
            f'    type filter hook egress device "{interface}" priority 0; policy accept;\n'
            f"    arp saddr ip {virtual_address} drop\n"
            "  }"
        )
    return "".join(
        f"table {family} {TABLE}\ndelete table {family} {TABLE}\n"
        + (f"table {family} {TABLE} {{\n{body}\n}}\n" if (body := "\n".join(chains)) else "")
        for family, chains in tables.items()
    )


def ending(fault: str, units: Sequence[str]) -> list[str]:
    """Return the command that ends a fault, also one that is over; empty for one that ends by itself."""
    if fault == "hang":
        return ["systemctl", "kill", "--signal=SIGCONT", *units]
    # What is not there cannot be deleted, and what is there cannot be made anew but as it is.
    gone = "; ".join(f"table {family} {TABLE}; delete table {family} {TABLE}" for family in ("inet", "netdev"))
    return ["nft", gone] if fault == "cut" else []


def spared(fault: str, before: Mapping[str, str], now: Mapping[str, tuple[str, str]]) -> list[str]:
    """Return the units that a fault of processes spared.

    ``before``: the main process of each unit before the fault. ``now``: that of now, and the state of the one before as
    ``ps`` says it, empty when it is gone. One that was replaced is what the cluster made of the fault.
    """
    alive = {"kill": "", "hang": "T"}[fault]
    return [
        unit
        for unit, number in before.items()
        if now[unit][0] == number and not (now[unit][1][:1] == alive if alive else now[unit][1][:1] in ("", "Z", "X"))
    ]


def drill_course(plan: Mapping[str, Any], hostvars: _topology.HostVars, now: float) -> dict[str, Any]:
    """Return what became of the fault.

    ``hostvars``: what :mod:`drill_fault` said of each victim, as ``__drill_made`` and ``__drill_over``. ``now`` and the
    results ``began``, when the last victim was hit, and ``ended``, when the first was well again, are seconds since the
    epoch; ``started`` is the former in ISO 8601. ``problems``: what is not as planned. ``suffering``: victims of which
    nobody knows that they are well again.
    """
    made = {host: hostvars[host].get("__drill_made") or {} for host in plan["victims"]}
    over = {host: hostvars[host].get("__drill_over") or {} for host in plan["victims"]}
    began = max((float(told["at"]) for told in made.values() if "at" in told), default=now)
    ended = min((float(told["at"]) for told in over.values() if "at" in told), default=now)
    problems, suffering = [], []
    for host in plan["victims"]:
        hit = "at" in made[host]
        if not hit:
            problems.append(f"{host}: the fault was not made: {_said(made[host])}")
        if "at" not in over[host]:
            suffering.append(host)
            problems.append(f"{host}: nobody has seen that it is well again: {_said(over[host])}")
            if plan["fault"] != "kill":
                latest = float(made[host].get("at", now)) + plan["deadline"]
                problems[-1] += f"; its own timer ends the fault by {_utc(latest):%H:%M:%S} UTC"
        elif over[host].get("failed"):
            problems.append(f"{host}: {_said(over[host])}")
        elif hit and plan["fault"] != "kill" and not over[host].get("changed"):
            problems.append(f"{host}: the fault was over before it was to end")
    return {
        "began": began,
        "ended": max(began, ended),
        "started": f"{_utc(began):%Y-%m-%dT%H:%M:%SZ}",
        "problems": problems,
        "suffering": suffering,
    }


def _said(told: Mapping[str, Any]) -> str:
    """Return why a module did not do its work."""
    return str(told.get("msg") or "nobody knows why").strip()


def _utc(moment: float) -> datetime:
    return datetime.fromtimestamp(moment, UTC)


def drill_course_text(course: Mapping[str, Any]) -> str:
    """Return what became of a fault for people."""
    return "\n".join([*course["problems"], *([] if course["suffering"] else ["Nobody suffers any more."])])


def harm_of(
    started: Sequence[str], seen: Mapping[str, Mapping[str, Any]], visible: int | None
) -> tuple[dict[str, int], list[str]]:
    """Return how often each thing happened that must not, and each in words.

    ``started``: ids whose start was acknowledged. ``seen``: every workflow of the load that exists, by id, with its
    ``status``, whether its result is ``right``, and how many ``runs`` of it there are. ``visible``: how many completed
    ones the visibility store counts, ``None`` when it did not answer.
    """
    found: dict[str, list[str]] = {kind: [] for kind in HARM}
    for name in started:
        if name not in seen:
            found["lost"].append(f"{name} was acknowledged and is not there")
    for name, workflow in seen.items():
        if workflow["runs"] > 1:
            found["duplicated"].append(f"{name} has {workflow['runs']} runs")
        if workflow["status"] == "RUNNING":
            found["stuck"].append(f"{name} has not ended")
        elif workflow["status"] != "COMPLETED" or not workflow["right"]:
            found["wrong"].append(
                f"{name} ended as {workflow['status']}, with {'the' if workflow['right'] else 'no right'} result"
            )
    completed = sum(workflow["status"] == "COMPLETED" for workflow in seen.values())
    if visible != completed:
        found["unseen"].append(f"{completed} workflows completed, and the visibility store counts {visible}")
    words = [f"{kind}: {problem}" for kind, problems in found.items() for problem in problems]
    return {kind: len(problems) for kind, problems in found.items()}, words


def _calls_of(load: Mapping[str, Any]) -> list[_calls.Call]:
    return [_calls.Call(**call) for call in load.get("calls", ())]


def _unfinished(load: Mapping[str, Any], course: Mapping[str, Any], is_whole: bool) -> list[str]:
    """Return why a drill shows less than it was to show."""
    problems = list(course["problems"])
    if "calls" not in load:
        problems.append(f"clients have told nothing: {_said(load)}")
    if not is_whole:
        problems.append("nobody knows whether the cluster is whole again")
    return problems


def drill_result(
    plan: Mapping[str, Any],
    load: Mapping[str, Any],
    course: Mapping[str, Any],
    versions: Mapping[str, str],
    hosts: int,
    is_whole: bool,
) -> dict[str, Any]:
    """Return what the drill showed, in the schema of the result files of the chaos suite.

    ``load``: what :mod:`workflow_load` returned, or with which ``msg`` it failed. ``course``: what became of the fault,
    as :func:`drill_course` returns it. ``is_whole``: every gate let pass since.
    """
    calls = _calls_of(load)
    began, ended = float(course["began"]), float(course["ended"])
    clients = {name: _calls.summary([call for call in calls if call.flavour == name], began) for name in _calls.CLIENTS}
    unfinished = _unfinished(load, course, is_whole)
    problems = [f"{UNFINISHED}: {problem}" for problem in unfinished] + list(load.get("problems", ()))
    return {
        "case": f"drill-{plan['fault']}",
        "profile": plan["profile"],
        "started": course["started"],
        "command": plan["sentence"],
        "victims": list(plan["victims"]),
        "held_seconds": round(ended - began, 1),
        "per_second": float(load.get("per_second", 0)),
        "clients": clients,
        "starts": sum(call.acked for call in calls),
        "signals": 0,
        "found": dict(load.get("found") or dict.fromkeys(HARM, 0)) | {UNFINISHED: len(unfinished)},
        "problems": problems[:20],
        "hosts": hosts,
        "machine": "machines of their own",
        "busy_percent": None,
        "versions": dict(versions),
        "commit": "",
        "schema_version": SCHEMA_VERSION,
    }


def drill_chart(load: Mapping[str, Any], course: Mapping[str, Any], plan: Mapping[str, Any]) -> str:
    """Return the load of a drill as an SVG document."""
    marks = [_calls.Mark(float(course["began"]), plan["sentence"]), _calls.Mark(float(course["ended"]), "ended")]
    return timeline(_calls_of(load), marks)


def _harm(result: Mapping[str, Any]) -> list[str]:
    """Return how often each thing happened to workflows that must not."""
    return [f"{kind} {count}" for kind, count in result["found"].items() if count and kind != UNFINISHED]


def drill_report(result: Mapping[str, Any]) -> str:
    """Return what a drill showed for people."""
    lines = [f"{result['command']}; it lasted {result['held_seconds']:g} s"]
    for name, client in result["clients"].items():
        if not client["calls"]:
            lines.append(f"   {name:<22} no start")
            continue
        kinds = ", ".join(f"{count} x {kind}" for kind, count in client["errors"].items()) or "no error"
        since = f"{client['gap_from']:+.1f} s from the fault"
        lines.append(
            f"   {name:<22} {counted(client['calls'], 'start')}, longest gap {client['longest_gap']:.1f} s ({since}),"
            f" {client['gap_before']:.1f} s before it; {kinds}"
        )
    harm = ", ".join(_harm(result))
    lines.append(f"   of {counted(result['starts'], 'acknowledged start')}: {harm or 'nothing lost, everything once'}")
    return "\n".join([*lines, *(f"   {problem}" for problem in result["problems"])])


def drill_failures(result: Mapping[str, Any]) -> list[str]:
    """Return why a drill was not passed; empty when it was."""
    of_itself = [problem for problem in result["problems"] if problem.startswith(f"{UNFINISHED}: ")]
    found = _harm(result)
    failed = sum(result["clients"][_calls.PATIENT]["errors"].values())
    if failed:
        found.append(f"{counted(failed, 'call')} failed with the collection's settings")
    if result["clients"][_calls.PATIENT]["calls"] == 0:
        found.append("nobody started a workflow")
    return of_itself + found


def as_rows(calls: Sequence[_calls.Call]) -> list[dict[str, Any]]:
    """Return calls as a module returns them."""
    return [asdict(call) for call in calls]
