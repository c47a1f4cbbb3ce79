"""The report on faults, made of the result files alone: tables for the documentation, and a page with the pictures.

Pure functions; `python -m tests.docs --write` writes what they return, and without --write tells whether docs and
results agree.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from html import escape
from pathlib import Path

import tests.conftest  # noqa: F401  makes the checkout importable as the collection that it is

# isort: split
from ansible_collections.zerospof.temporal.plugins.module_utils._calls import CLIENTS, PATIENT, RETRYING, SINGLE
from ansible_collections.zerospof.temporal.plugins.module_utils._drill_page import STYLE

from tests.baseline.result import Outcome
from tests.chaos import controls, spof
from tests.chaos.cases import HIGHLY_AVAILABLE, NOT_MADE, PROFILES, find, of_profile
from tests.chaos.result import FAILED, GAP, SLOWEST, Row, Run, read_all, rows, shortcomings
from tests.chaos.spof import NOT_MEASURED, NOT_THERE

# What the README shows of all cases.
HEADLINES = (
    "vip-holder-host",
    "server-host",
    "frontend-hung",
    "primary-killed",
    "primary-host",
    "two-node-hosts",
    "workers-but-one",
    "zone-of-primary-dead",
    "zone-of-primary-cut",
)
COLUMNS = (
    "what fails",
    "fault",
    "target",
    "runs",
    "longest gap, median",
    "worst",
    "slowest call",
    "target met",
    "worst, single attempts",
    "failed calls",
    "lost, duplicated or stuck",
)


class MarkerError(Exception):
    """A page has no place for what is generated; the message says which marker is missing."""


def seconds(value: float) -> str:
    """Return a duration as cells show it."""
    return f"{value:.1f} s"


def verdict(row: Row) -> str:
    """Return what became of the target of a row that was measured."""
    if row.profile in row.case.stops:
        return "none: single point of failure"
    if row.met is None:
        return "none set"
    return "yes" if row.met else f"**no**: {', '.join(row.missed)}"


def kept(row: Row) -> str:
    """Return what happened in any run that must not."""
    kinds = dict.fromkeys(kind for run in row.runs for kind in run.result.found)
    return ", ".join(f"**{row.found(kind)} {kind}**" for kind in kinds if row.found(kind)) or "nothing"


def slowest(row: Row) -> float | None:
    """Return the slowest call of any run, ``None`` when nobody looked."""
    return max((known for run in row.runs if (known := run.result.slowest) is not None), default=None)


def cells(row: Row) -> list[str]:
    """Return the cells of a row, in the order of ``COLUMNS``."""
    head = [row.case.tier, row.case.title, "" if row.target is None else f"{row.target:g} s"]
    if not row.runs:
        return [*head, NOT_MEASURED, *[""] * (len(COLUMNS) - len(head) - 1)]
    single = max(run.result.clients[SINGLE].longest_gap for run in row.runs)
    return [
        *head,
        str(len(row.runs)),
        seconds(row.median),
        seconds(max(row.gaps)),
        NOT_MEASURED if slowest(row) is None else seconds(slowest(row)),
        verdict(row),
        seconds(single),
        " / ".join(str(row.failed(client)) for client in CLIENTS),
        kept(row),
    ]


def markdown(columns: Sequence[str], lines: Sequence[Sequence[str]]) -> str:
    """Return a table."""
    text = [f"| {' | '.join(columns)} |", "|" + "---|" * len(columns), *(f"| {' | '.join(line)} |" for line in lines)]
    return "\n".join(" ".join(line.split()) for line in text)


def circumstances(profile: str, runs: Sequence[Run]) -> str:
    """Return in one sentence where and with what the results of a profile were measured."""
    results = [run.result for run in runs if run.result.profile == profile]
    if not results:
        return f"{NOT_MEASURED}."
    days = sorted({result.started[:10] for result in results})
    machines = "; ".join(sorted({result.machine for result in results}))
    software = sorted({", ".join(f"{name} {value}" for name, value in result.versions.items()) for result in results})
    hosts = " or ".join(str(number) for number in sorted({result.hosts for result in results}))
    rates = " or ".join(f"{rate:g}" for rate in sorted({result.per_second for result in results}))
    busy = [result.busy_percent for result in results if result.busy_percent is not None]
    commits = dict.fromkeys(short(result.commit) for result in sorted(results, key=lambda one: one.started))
    noted = Counter(result.second_judge for result in results)
    return (
        f"{len(results)} runs from {days[0]} to {days[-1]}: {hosts} hosts on one machine, {machines},"
        f" which were {min(busy, default='?')} to {max(busy, default='?')} % busy; {'; '.join(software)}."
        f" Each of three clients began {rates} workflow{'' if rates == '1' else 's'} a second."
        f" The command line began its workflow during the fault in {noted['during']} of them, after it in"
        f" {noted['after']}; of {noted['']} nobody noted it. The collection was that of {', '.join(commits)}."
    )


def short(commit: str) -> str:
    """Return a commit as people write it, with its plus when the checkout had changes of its own."""
    return commit[:7] + "+" * commit.endswith("+")


def of_all(runs: Sequence[Run]) -> dict[str, list[Row]]:
    """Return the rows of each profile."""
    return {profile: rows(profile, of_profile(profile), runs) for profile in PROFILES}


def not_made() -> str:
    """Return the table of the faults and the controls that nobody has made."""
    return markdown(("not made", "why"), [*NOT_MADE.items(), *controls.NOT_MADE.items()])


def bites(control: controls.Control, profile: str, runs: Sequence[Run]) -> list[str]:
    """Return the line of a control: what the judge said of each run on a cluster that was weakened."""
    case = find(profile, control.case)
    head = [f"`{profile}`", control.title, f"{case.tier}: {case.title}"]
    if not runs:
        return [*head, NOT_MEASURED, ""]
    judged = [(shortcomings(case, run.result), run.result) for run in runs]
    return [
        *head,
        "; ".join(dict.fromkeys(words for of_one, _ in judged for words in of_one)) or "nothing",
        "yes" if all(controls.bitten(control, *one) for one in judged) else "**no**",
    ]


def controls_seen(directory: Path = controls.DIRECTORY) -> str:
    """Return the table of the controls."""
    lines = []
    for control in controls.CONTROLS:
        runs = read_all(directory / control.name)
        for profile in control.profiles:
            lines.append(bites(control, profile, [run for run in runs if run.result.profile == profile]))
    return markdown(("inventory", "weakened", "fault", "what the judge said", "it has to"), lines)


def documentation(runs: Sequence[Run]) -> str:
    """Return the tables of docs/fault_tolerance.md."""
    parts = []
    for profile, of_one in of_all(runs).items():
        parts += [f"### `{profile}`", circumstances(profile, runs), markdown(COLUMNS, [cells(row) for row in of_one])]
    return "\n\n".join(parts)


def headline(row: Row | None) -> str:
    """Return what the README says of a row; ``None`` is a fault that the profile cannot have."""
    if row is None:
        return NOT_THERE
    if not row.runs:
        return NOT_MEASURED
    missed = f"; the target is {row.target:g} s" if GAP in row.missed else ""
    late = f"; a call took {seconds(slowest(row))}" if SLOWEST in row.missed else ""
    failed = f"; {row.failed(PATIENT)} calls failed" if FAILED in row.missed else ""
    harm = "" if row.kept else f"; {kept(row)}"
    return f"{seconds(max(row.gaps))} ({len(row.runs)} run{'s' * (len(row.runs) > 1)}){missed}{late}{failed}{harm}"


def readme(runs: Sequence[Run]) -> str:
    """Return the table of README.md."""
    found = {(row.case.name, profile): row for profile, of_one in of_all(runs).items() for row in of_one}
    lines = []
    for name in HEADLINES:
        of_case = [found.get((name, profile)) for profile in HIGHLY_AVAILABLE]
        case = next(row.case for row in of_case if row is not None)
        lines.append([f"{case.tier}: {case.title}", *(headline(row) for row in of_case)])
    return markdown(["what fails", *(f"`{profile}`" for profile in HIGHLY_AVAILABLE)], lines)


def single_points(runs: Sequence[Run], outcomes: Sequence[Outcome]) -> str:
    """Return the table of what stops when one part fails, in the system of before and in this one."""
    return markdown(spof.COLUMNS, spof.lines(runs, outcomes))


OWN_STYLE = ".absent { color: #888 } section { margin: 2.5em 0 }"


def plain(cell: str) -> str:
    """Return a cell of Markdown as HTML."""
    return escape(cell.replace("**", "").replace("`", ""))


def html_line(line: Sequence[str]) -> str:
    """Return a line of the table of single points of failure."""
    return f"<tr>{''.join(f'<td>{plain(cell)}</td>' for cell in line)}</tr>"


def html_row(row: Row) -> str:
    """Return a row of a table of the page."""
    colour = {True: "yes", False: "no", None: ""}[row.met and row.kept] if row.runs else "absent"
    values = "".join(f"<td>{plain(cell)}</td>" for cell in cells(row))
    return f'<tr class="{colour}">{values}</tr>'


def details(row: Row) -> str:
    """Return the section of the page about one row: the picture of its worst run, and what clients were told in it."""
    title = f"<h3>{plain(f'{row.profile}: {row.case.tier}, {row.case.title}')}</h3>"
    if not row.runs:
        return f'<section>{title}<p class="absent">{NOT_MEASURED}</p></section>'
    worst = row.worst.result
    lines = [
        f"<p>{plain(worst.command)}; {worst.started}; the fault lasted {worst.held_seconds:g} s. The worst of"
        f" {len(row.runs)} run(s) with {', '.join(seconds(gap) for gap in row.gaps)}.</p>",
        row.worst.chart,
        "<table><tr><th>client</th><th>calls</th><th>longest gap</th><th>it began</th><th>longest before the fault</th>"
        "<th>errors</th></tr>",
    ]
    for name, client in worst.clients.items():
        told = "; ".join(f"{count} x {kind}" for kind, count in client.errors.items()) or "none"
        lines.append(
            f"<tr><td>{plain(name)}</td><td>{client.calls}</td><td>{seconds(client.longest_gap)}</td>"
            f"<td>{client.gap_from:+.1f} s from the fault</td><td>{seconds(client.gap_before)}</td>"
            f"<td>{plain(told)}</td></tr>"
        )
    problems = "".join(f"<li>{plain(problem)}</li>" for problem in worst.problems)
    return f"<section>{title}{''.join(lines)}</table>{f'<ul>{problems}</ul>' if problems else ''}</section>"


def page(runs: Sequence[Run], outcomes: Sequence[Outcome]) -> str:
    """Return the page with tables and pictures, which needs nothing beside itself."""
    parts = [
        "<h2>What stops when one part fails</h2><table><tr>",
        *(f"<th>{plain(name)}</th>" for name in spof.COLUMNS),
    ]
    parts += ["</tr>", *map(html_line, spof.lines(runs, outcomes)), "</table>"]
    for profile, of_one in of_all(runs).items():
        parts += [f"<h2>{profile}</h2><p>{plain(circumstances(profile, runs))}</p><table><tr>"]
        parts += [*(f"<th>{column}</th>" for column in COLUMNS), "</tr>", *map(html_row, of_one), "</table>"]
        parts += map(details, of_one)
    return "\n".join(
        [
            '<!DOCTYPE html>\n<html lang="en"><head><meta charset="utf-8"><title>Faults, measured</title>',
            f"<style>{STYLE}{OWN_STYLE}</style></head><body><h1>Faults, measured</h1>",
            f"<p>Failed calls are those of three clients: {PATIENT}, {RETRYING}, {SINGLE}. The gap is the longest time",
            "between two acknowledged starts (balancers: or questions; workers: between two ends of workflows)",
            "that one of the first two saw. Bars are",
            "calls by the moment in which they ended: blue ones succeeded, those of other colours failed.</p>",
            *parts,
            "</body></html>\n",
        ]
    )


def markers(name: str) -> tuple[str, str]:
    """Return the lines between which a generated part of a page stands."""
    return f"<!-- {name}: made by `make docs`, do not edit -->", f"<!-- end of {name} -->"


def put(text: str, name: str, content: str) -> str:
    """Return a page with ``content`` between its markers.

    Raises:
        MarkerError: it does not have each of them once, in this order.
    """
    begin, end = markers(name)
    if text.count(begin) != 1 or text.count(end) != 1 or text.index(begin) > text.index(end):
        raise MarkerError(f"expected once, one after the other: {begin} {end}")
    return f"{text[: text.index(begin)]}{begin}\n\n{content}\n\n{text[text.index(end) :]}"


# What is made, by the path of the page: of the text that it has now, and of the results of both systems.
NAME, OF_PARTS = "results of the chaos suite", "what stops when one part fails"


def with_tables(text: str, of_faults: str, of_parts: str) -> str:
    """Return a page with both tables in their places."""
    return put(put(text, NAME, of_faults), OF_PARTS, of_parts)


PAGES: dict[str, Callable[[str, Sequence[Run], Sequence[Outcome]], str]] = {
    "README.md": lambda text, runs, outcomes: with_tables(text, readme(runs), single_points(runs, outcomes)),
    "docs/fault_tolerance.md": lambda text, runs, outcomes: with_tables(
        text,
        "\n\n".join([documentation(runs), "### Controls", controls_seen(), "### Not made", not_made()]),
        single_points(runs, outcomes),
    ),
    "docs/fault_tolerance.html": lambda _, runs, outcomes: page(runs, outcomes),
}
