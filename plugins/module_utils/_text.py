"""Words that several texts for people need."""

from __future__ import annotations

from collections.abc import Sequence


def counted(number: int, one: str, many: str = "") -> str:
    """Return ``1 host``, ``2 hosts``; ``many`` is the plural where an s does not make it."""
    return f"{number} {one if number == 1 else many or one + 's'}"


def refusal_text(problems: Sequence[str], subject: str) -> str:
    """Return with how many problems of ``subject`` a run ends before it changes anything, and which these are."""
    return "\n  - ".join((f"{counted(len(problems), 'problem')} with {subject}; nothing was changed:", *problems))
