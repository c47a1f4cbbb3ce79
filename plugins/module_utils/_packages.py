"""Versions of Debian packages. Pure functions over what ``apt-cache policy`` and ``dpkg-query`` print."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping

# A unit that tracks this file of a package restarts for another version of it: it has the sum of the changelog, too.
_TRACKED = re.compile(r"/var/lib/dpkg/info/(?P<package>[a-z0-9.+-]+)\.md5sums")
# For dpkg-query.
INSTALLED_FORMAT = "${Package} ${source:Package} ${db:Status-Status}\\n"


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


def sources(output: str) -> dict[str, str]:
    """Return the source package of each installed package from what dpkg-query prints by :data:`INSTALLED_FORMAT`."""
    rows = (line.split() for line in output.splitlines())
    return {row[0]: row[1] for row in rows if len(row) == 3 and row[2] == "installed"}


def companions(package: str, by_package: Mapping[str, str]) -> list[str]:
    """Return the installed packages that were made together with ``package``, itself among them."""
    source = by_package.get(package)
    return sorted(name for name, made_of in by_package.items() if made_of == source) if source else []


def upstream_version(version: str) -> str:
    """Return the upstream part of a Debian version: ``1.24.1`` of ``1:1.24.1-1+deb13u1``.

    What upstream did not number, such as ``+dfsg``, is not part of it.
    """
    without_epoch = version.split(":", 1)[-1]
    upstream = without_epoch.rsplit("-", 1)[0]
    return upstream.split("+", 1)[0].split("~", 1)[0]
