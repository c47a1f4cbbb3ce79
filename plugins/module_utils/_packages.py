"""Versions of Debian packages. Pure functions over what ``apt-cache policy`` and ``dpkg-query`` print."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

# A unit that tracks this file of a package restarts for another version of it: it has the sum of the changelog, too.
_TRACKED = re.compile(r"/var/lib/dpkg/info/(?P<package>[a-z0-9.+-]+)\.md5sums")
# For dpkg-query.
INSTALLED_FORMAT = "${Package} ${source:Package} ${Version} ${db:Status-Status}\\n"
_ABSENT = ("not-installed", "config-files")
# Where dpkg was interrupted, or a script of the package failed.
_UNFINISHED = ("half-installed", "unpacked", "half-configured")


@dataclass(frozen=True)
class Installed:
    """A package of a host; ``source`` is what it was made from, ``unfinished``: dpkg has not come through with it."""

    source: str
    version: str
    unfinished: bool


def policy(output: str) -> tuple[str | None, str | None]:
    """Return the installed and the candidate version of one package, ``None`` for one that there is not."""
    found = {"Installed": None, "Candidate": None}
    for line in output.splitlines():
        key, _, value = line.strip().partition(":")
        if key in found and found[key] is None and value.strip() not in {"", "(none)"}:
            found[key] = value.strip()
    return found["Installed"], found["Candidate"]


def policies(output: str) -> dict[str, tuple[str | None, str | None]]:
    """Return the installed and the candidate version of each package that was asked for, as :func:`policy` does."""
    parts = re.split(r"^(\S+):$", output, flags=re.MULTILINE)[1:]
    return {name: policy(text) for name, text in zip(parts[::2], parts[1::2], strict=True)}


def tracked(files: Iterable[str]) -> list[str]:
    """Return the packages whose version decides about a service that tracks ``files``."""
    return [match["package"] for file in files if (match := _TRACKED.fullmatch(file))]


def installed(output: str) -> dict[str, Installed]:
    """Return the packages of a host by their names from what dpkg-query prints by :data:`INSTALLED_FORMAT`."""
    rows = [row for line in output.splitlines() if len(row := line.split()) == 4 and row[3] not in _ABSENT]
    return {name: Installed(source, version, status in _UNFINISHED) for name, source, version, status in rows}


def companions(package: str, present: Mapping[str, Installed]) -> list[str]:
    """Return the packages that were made together with ``package``, itself among them."""
    return sorted(name for name, one in present.items() if package in present and one.source == present[package].source)


def upstream_version(version: str) -> str:
    """Return the upstream part of a Debian version: ``1.24.1`` of ``1:1.24.1-1+deb13u1``.

    What upstream did not number, such as ``+dfsg``, is not part of it.
    """
    without_epoch = version.split(":", 1)[-1]
    upstream = without_epoch.rsplit("-", 1)[0]
    return upstream.split("+", 1)[0].split("~", 1)[0]
