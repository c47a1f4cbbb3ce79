"""Versions of Debian packages. Pure functions over the output of ``apt-cache policy``."""

from __future__ import annotations


def policy(output: str) -> tuple[str | None, str | None]:
    """Return the installed and the candidate version of one package, ``None`` for one that there is not."""
    found = {"Installed": None, "Candidate": None}
    for line in output.splitlines():
        key, _, value = line.strip().partition(":")
        if key in found and found[key] is None and value.strip() not in {"", "(none)"}:
            found[key] = value.strip()
    return found["Installed"], found["Candidate"]


def upstream_version(version: str) -> str:
    """Return the upstream part of a Debian version: ``1.24.1`` of ``1:1.24.1-1+deb13u1``.

    What upstream did not number, such as ``+dfsg``, is not part of it.
    """
    without_epoch = version.split(":", 1)[-1]
    upstream = without_epoch.rsplit("-", 1)[0]
    return upstream.split("+", 1)[0].split("~", 1)[0]
