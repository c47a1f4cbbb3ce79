"""Words that several texts for people need."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

HOSTS_IN_A_MESSAGE = 3


def counted(number: int, one: str, many: str = "") -> str:
    """Return ``1 host``, ``2 hosts``; ``many`` is the plural where an s does not make it."""
    return f"{number} {one if number == 1 else many or one + 's'}"


def listed(names: Sequence[str]) -> str:
    """Return the first of ``names`` and how many more there are."""
    shown = ", ".join(names[:HOSTS_IN_A_MESSAGE])
    rest = len(names) - HOSTS_IN_A_MESSAGE
    return f"{shown} and {rest} more" if rest > 0 else shown


def joined(words: Iterable[str], link: str = "and") -> str:
    """Return ``one``, ``one and two``, ``one, two and three``."""
    *most, last = words
    return f"{', '.join(most)} {link} {last}" if most else last


def percent(share: float) -> str:
    """Return a share from 0 to 1 as a whole number of percent, or below that as one digit."""
    return f"{100 * share:.0f} %" if share >= 0.01 else f"{100 * share:.1g} %"


def refusal_text(problems: Sequence[str], subject: str) -> str:
    """Return with how many problems of ``subject`` a run ends before it changes anything, and which these are."""
    return "\n  - ".join((f"{counted(len(problems), 'problem')} with {subject}; nothing was changed:", *problems))


def ruled_columns(rows: Sequence[Sequence[str]]) -> list[str]:
    """Return the lines of a table with a rule below its head."""
    widths = [max(len(cell) for cell in column) for column in zip(*rows, strict=True)]
    lines = ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows]
    return [lines[0], "  ".join("-" * width for width in widths), *lines[1:]]


def table(rows: Sequence[Sequence[object]]) -> list[str]:
    """Return the lines of a table without a frame, two blanks before each."""
    widths = [max(len(str(row[column])) for row in rows) for column in range(len(rows[0]) - 1)]
    return [
        "  " + "  ".join([*(f"{cell!s:<{width}}" for cell, width in zip(row, widths, strict=False)), str(row[-1])])
        for row in rows
    ]
