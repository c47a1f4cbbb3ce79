"""How backups are named, how many are kept, and what is said of one that is not there; the same for all roles.

Pure functions; nothing here touches a file.
"""

from __future__ import annotations

import re
from collections.abc import Iterable

# What others name otherwise is theirs to keep or to clear.
PREFIX = "zerospof-"
# Begins with the prefix and sorts by time: zerospof-20261125T063000Z.
_TAG = re.compile(rf"{PREFIX}\d{{8}}T\d{{6}}Z")


def is_tag(name: str) -> bool:
    """Tell whether ``name`` is one that this collection gives to snapshots and backups."""
    return bool(_TAG.fullmatch(name))


def expired(names: Iterable[str], kept: int) -> list[str]:
    """Return the tags of this collection among ``names`` except the ``kept`` newest, at least one."""
    return sorted(filter(is_tag, names))[: -max(kept, 1)]


def release(version: str) -> tuple[int, ...]:
    """Return ``version`` such that releases compare; what follows the numbers does not count."""
    return tuple(int(number) for number in re.findall(r"\d+", version)[:3])


def missing(directory: str, tag: str, names: Iterable[str]) -> str:
    """Return that ``directory``, which holds ``names``, has no backup ``tag``."""
    there = ", ".join(sorted(filter(is_tag, names))) or "none"
    return f"{directory} has no backup {tag or 'without a tag'}; it has {there}"


def too_full(place: str, needed: int, free: int) -> str | None:
    """Return that ``needed`` bytes do not fit into ``place``, ``None`` when they do."""
    return f"{place} needs {needed >> 20} MiB more, and {free >> 20} MiB are free" if needed > free else None


def data_problem(variable: str, data: str, is_forced: bool) -> str | None:
    """Return why a restore must not replace what is there, ``None`` when it may.

    ``variable``: the one that gives it up. ``data``: when it was last written, as words; empty when there is nothing.
    """
    if not data or is_forced:
        return None
    return (
        f"it has data, last written {data}, which would be lost; take a backup of them first, and set "
        f"{variable}: true to give them up"
    )


def missing_members(members: Iterable[str], present: Iterable[str]) -> str | None:
    """Return that a restore of all ``members`` does not reach those that are not ``present``, ``None`` when it does."""
    absent = sorted(set(members) - set(present))
    return f"{', '.join(absent)} would not be restored with it; run on all members at once" if absent else None
