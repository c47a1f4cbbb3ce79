"""Which releases of a product stand on a host, which one is selected, and which one a process runs.

``<directory>/<version>`` holds a release, ``<directory>/current`` selects one and ``<directory>/previous`` names the
one that was selected before the last step forward. The functions of this file do no I/O.
"""

from __future__ import annotations

import re

_VERSION = re.compile(r"\d+\.\d+\.\d+[\w.-]*")
# What the kernel adds to the name of a program whose file is gone.
_DELETED = " (deleted)"


def version_of(path: str | None, directory: str) -> str | None:
    """Return the release below ``directory`` that ``path`` leads into, ``None`` when it leads elsewhere.

    ``path`` is a program, or a link relative to ``directory``.
    """
    if not path:
        return None
    below = path.removesuffix(_DELETED).removeprefix(f"{directory.rstrip('/')}/")
    name = below.partition("/")[0]
    return name if _VERSION.fullmatch(name) else None


def versions(names: list[str]) -> list[str]:
    """Return those of ``names`` that are releases, in order."""
    return sorted(name for name in names if _VERSION.fullmatch(name))
