"""Versions of Temporal's database schemas.

The schema tools carry every version of every schema as embedded files
(``<schema>/versioned/v<version>/manifest.json``); the newest of them is what the server of the same release
expects. The functions of this file do no I/O; modules pass in what they read.
"""

from __future__ import annotations

import re

Version = tuple[int, ...]


def parse(version: str) -> Version:
    """Return ``1.19`` as ``(1, 19)``, so that 1.9 is older than 1.19."""
    return tuple(int(part) for part in version.split("."))


def newest_embedded(schema: str, tool: bytes) -> str | None:
    """Return the newest version of ``schema`` (``postgresql/v12/temporal``) inside of the program ``tool``.

    ``tool`` may be anything that the regular expressions of Python search, a memory map for example.
    """
    pattern = re.escape(schema.encode()) + rb"/versioned/v(\d+(?:\.\d+)+)/manifest\.json"
    versions = {match.decode() for match in re.findall(pattern, tool)}
    return max(versions, key=parse, default=None)


def is_older(present: str | None, expected: str) -> bool:
    """Tell whether a schema of version ``present`` (``None``: none at all) is too old for ``expected``."""
    return present is None or parse(present) < parse(expected)
