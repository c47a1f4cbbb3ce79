"""The report of a drill as a page: what clients saw as a picture and a table, and what became of their workflows.

Pure functions over what :mod:`_drill` returns.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from html import escape
from typing import Any

from ansible_collections.zerospof.temporal.plugins.module_utils import _drill
from ansible_collections.zerospof.temporal.plugins.module_utils._text import counted

# The report of the chaos suite looks like this, too.
STYLE = """
body { font: 15px/1.45 system-ui, sans-serif; color: #222; max-width: 1240px; margin: 2em auto; padding: 0 1em }
table { border-collapse: collapse; margin: 1em 0; font-size: 13px }
th, td { border: 1px solid #ccc; padding: 3px 8px; text-align: left; vertical-align: top }
th { background: #f2f2f2 } .no { background: #fbe3d6 } .yes { background: #e2f0e4 }
svg { width: 100%; height: auto; border: 1px solid #ddd }
"""
VERDICT_STYLE = ".no, .yes { padding: .5em 1em }"
COLUMNS = ("client", "starts", "longest gap", "it began", "longest before the fault", "slowest start", "errors")


def _table(columns: Sequence[str], lines: Sequence[Sequence[object]]) -> str:
    head = "".join(f"<th>{escape(name)}</th>" for name in columns)
    rows = ["".join(f"<td>{escape(str(cell))}</td>" for cell in line) for line in lines]
    return f"<table>{''.join(f'<tr>{row}</tr>' for row in (head, *rows))}</table>"


def _list(lines: Sequence[str]) -> str:
    return f"<ul>{''.join(f'<li>{escape(line)}</li>' for line in lines)}</ul>" if lines else ""


def _of_client(name: str, client: Mapping[str, Any]) -> list[str]:
    """Return the line of a client, in the order of ``COLUMNS``."""
    if not client["calls"]:
        return [name, "0", *[""] * (len(COLUMNS) - 2)]
    return [
        name,
        str(client["calls"]),
        f"{client['longest_gap']:.1f} s",
        f"{client['gap_from']:+.1f} s from the fault",
        f"{client['gap_before']:.1f} s",
        f"{client['slowest']:.1f} s",
        "; ".join(f"{count} x {kind}" for kind, count in client["errors"].items()) or "none",
    ]


def drill_page(result: Mapping[str, Any], chart: str) -> str:
    """Return the HTML document, which needs nothing beside itself.

    ``result``: what :func:`_drill.drill_result` returned. ``chart``: the picture of :func:`_drill.drill_chart`.
    """
    title = f"Drill: {result['command']}"
    failures = _drill.drill_failures(result)
    verdict = f'<div class="no">It was not passed:{_list(failures)}</div>' if failures else '<p class="yes">Passed.</p>'
    versions = "".join(f", {name} {version}" for name, version in result["versions"].items())
    lasted = f"{result['started']}; it lasted {result['held_seconds']:g} s."
    where = f"{result['profile']}, {counted(result['hosts'], 'host')}{versions}; {lasted}"
    parts = [
        f'<!DOCTYPE html>\n<html lang="en"><head><meta charset="utf-8"><title>{escape(title)}</title>',
        f"<style>{STYLE}{VERDICT_STYLE}</style></head><body><h1>{escape(title)}</h1>",
        f"<p>{escape(where)}</p>",
        verdict,
        "<h2>What clients saw</h2>",
        f"<p>Each of three clients began {result['per_second']:g} workflows a second. Bars are starts by the moment in"
        " which they ended: blue ones succeeded, those of other colours failed.</p>",
        chart,
        _table(COLUMNS, [_of_client(name, client) for name, client in result["clients"].items()]),
        "<h2>What the cluster kept</h2>",
        _table(
            ("acknowledged starts", *_drill.HARM),
            [[result["starts"], *(result["found"][kind] for kind in _drill.HARM)]],
        ),
        _list(result["problems"]),
        "</body></html>\n",
    ]
    return "\n".join(part for part in parts if part)
