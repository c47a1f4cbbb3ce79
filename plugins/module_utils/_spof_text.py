"""The report about single points of failure as text for people."""

from __future__ import annotations

import textwrap
from collections.abc import Mapping, Sequence
from typing import Any

from ansible_collections.zerospof.temporal.plugins.module_utils._spof import LOSSES
from ansible_collections.zerospof.temporal.plugins.module_utils._text import counted, ruled_columns

NAMES_IN_A_CELL = 2
CHARACTERS_IN_A_CELL = 24
ZONE_COLUMNS = 6
WIDTH = 110


def _cell(hosts: Sequence[str], most_names: int) -> str:
    names = ", ".join(hosts) or "-"
    if len(hosts) > most_names or (len(hosts) > 1 and len(names) > CHARACTERS_IN_A_CELL):
        return counted(len(hosts), "host")
    return names


def _columns(rows: Sequence[Sequence[str]]) -> list[str]:
    """Return the lines of a table with rules below its head and above its sum."""
    head, rule, *lines = ruled_columns(rows)
    return [head, rule, *lines[:-1], rule, lines[-1]]


def _wrapped(text: str, first: str, rest: str) -> list[str]:
    return textwrap.wrap(text, WIDTH, initial_indent=first, subsequent_indent=rest, break_on_hyphens=False)


def _reasons(tier: Mapping[str, Any]) -> list[str]:
    """Lines that say why a tier does not survive; what one host breaks needs no word about zones and pairs."""
    losses = [loss for loss in LOSSES if not tier[f"survives_{loss}"]]
    if "any_one_host" in losses:
        losses = ["any_one_host"]
    return [
        line
        for loss in losses
        for line in _wrapped(f"{tier['name']}, {LOSSES[loss]}: {tier['reasons'][loss]}.", "  ", "    ")
    ]


def _without_hosts(groups: Sequence[str]) -> str:
    """Say which groups have nobody who could be a point of failure, but a cluster needs; empty when none is."""
    return f", but there is no host in {', '.join(groups)}, without which nothing works" if groups else ""


def report_text(report: Mapping[str, Any]) -> str:
    """Return the report for people: a table, then every single point of failure, every "no" and the assumptions."""
    zones = report["zones"]
    narrow = len(zones) > ZONE_COLUMNS

    def row(name: str, entry: Mapping[str, Any], cells: Sequence[str]) -> list[str]:
        return [name, *cells, *("yes" if entry[f"survives_{loss}"] else "NO" for loss in LOSSES)]

    def cells(members: Mapping[str, Sequence[str]], most_names: int = NAMES_IN_A_CELL) -> list[str]:
        if narrow:
            return [f"{sum(map(len, members.values()))} in {sum(map(bool, members.values()))} zones"]
        return [_cell(members[zone], most_names) for zone in zones]

    lines = [f"What cluster {report['cluster']} survives (profile {report['profile']})", ""]
    lines += _columns(
        [
            ["tier", *(["members"] if narrow else zones), *LOSSES.values()],
            *(row(tier["name"], tier, cells(tier["members"])) for tier in report["tiers"]),
            row("all of them", report, cells(report["members"], most_names=0)),
        ]
    )
    points = report["single_points_of_failure"]
    empty = [tier["group"] for tier in report["tiers"] if not (tier["unplaced"] or any(tier["members"].values()))]
    lines += ["", f"Single points of failure: {len(points) or 'none'}{_without_hosts(empty)}"]
    for number, point in enumerate(points, 1):
        place = f" in {point['zone']}" if point["kind"] == "host" and point["zone"] else ""
        what = "zone " if point["kind"] == "az" else ""
        lines += _wrapped(f"{what}{point['name']}{place} ({', '.join(point['tiers'])})", f"{number:>3}. ", "     ")
        lines += _wrapped(f"Without it: {point['effect']}.", "     ", "       ")
        lines += _wrapped(f"Remedy: {point['remedy']}.", "     ", "       ")
    reasons = [line for tier in report["tiers"] for line in _reasons(tier)]
    if reasons:
        lines += ["", "Why not:", *reasons]
    for hint in report["hints"]:
        lines += ["", *_wrapped(f"Hint: {hint}.", "", "  ")]
    lines += ["", "Taken for granted:"]
    for assumption in report["assumptions"]:
        lines += _wrapped(assumption, "  ", "    ")
    return "\n".join(lines)
