"""Which releases of a product stand on a host, which one is selected, and which one a process runs.

``<directory>/<version>`` holds a release, ``<directory>/current`` selects one and ``<directory>/previous`` names the
one that was selected before the last step forward. The functions of this file do no I/O.

* ``hosts``: ``{host: {selected, previous, installed, running, started}}`` as ``zerospof.temporal.releases_info`` tells.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

Version = tuple[int, ...]

RELEASE = re.compile(r"\d+\.\d+\.\d+")
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


def run_by(paths: Iterable[str | None], directory: str) -> str:
    """Return the release below ``directory`` that a process runs, empty when it runs none.

    ``paths``: its program, then the files that it has open; the program of a Java process is the JVM. Links are
    resolved in them: an upgrade has moved the link already when the old release still runs.
    """
    return next(filter(None, (version_of(path, directory) for path in paths)), "")


def parse(release: str) -> Version:
    """Return ``1.31.2`` as ``(1, 31, 2)``."""
    return tuple(int(part) for part in release.split("."))


def versions_of(host: Mapping[str, Any]) -> list[str]:
    """Return the releases that ``host`` has selected and that its services run, each once, the selected one first."""
    return list(dict.fromkeys(filter(None, [host["selected"], *host["running"].values()])))


def others(hosts: Mapping[str, Mapping[str, Any]], *expected: str) -> list[str]:
    """Return the releases on ``hosts`` but for the ``expected`` ones, oldest first."""
    seen = {version for state in hosts.values() for version in versions_of(state)}
    return sorted(seen - set(expected), key=parse)


def moves(hosts: Mapping[str, Mapping[str, Any]], target: str) -> dict[str, str]:
    """Return why each host that does not run ``target`` through and through has to restart."""
    return {
        host: f"{' and '.join(left)} becomes {target}"
        for host, state in hosts.items()
        if (left := [version for version in versions_of(state) if version != target])
    }


def moves_text(plan: Mapping[str, Any], product: str) -> str:
    """Return for people which hosts of ``product`` get the release that the ``plan`` leads to."""
    if not plan["moves"]:
        return f"Every {product} host runs {plan['target']}."
    return f"{product} {plan['target']} comes to: {', '.join(plan['moves'])}"


def stopped(state: Mapping[str, Any]) -> list[str]:
    """Return the services of a host that do not run."""
    return [unit for unit, version in state["running"].items() if not version]


def mixed(hosts: Mapping[str, Mapping[str, Any]], advice: str) -> str:
    """Say which releases the hosts have, and with ``advice`` what to do first."""
    shown = [
        f"{host} has {' and '.join(versions)}" for host, state in hosts.items() if (versions := versions_of(state))
    ]
    return f"the hosts have different releases ({', '.join(shown)}); {advice}"


def absent(hosts: Mapping[str, Mapping[str, Any]], members: Sequence[str], who: str) -> list[str]:
    """Say of which ``members`` of the inventory, ``who`` are the hosts of one product, nothing is known."""
    problems = []
    if missing := [host for host in members if host not in hosts]:
        problems.append(f"--limit leaves out {', '.join(missing)}, and what runs there decides: add all {who}")
    if empty := [host for host in hosts if not hosts[host]["selected"]]:
        problems.append(f"{', '.join(empty)}: nothing is installed there; add hosts with site.yml before or afterwards")
    return problems


def release_problems(
    hosts: Mapping[str, Mapping[str, Any]],
    wanted: str,
    variable: str = "temporal_version",
    playbook: str = "rolling_upgrade.yml",
) -> list[str]:
    """Say which hosts, whose services were ever started, would change their release to ``wanted``.

    ``variable`` is where the inventory names the release, ``playbook`` the one that changes it.
    """
    by_release: dict[str, list[str]] = {}
    for host, state in hosts.items():
        if state["started"] and state["selected"] and state["selected"] != wanted:
            by_release.setdefault(state["selected"], []).append(host)
    return [
        f"{variable} is {wanted}, and {', '.join(names)} {'has' if len(names) == 1 else 'have'} {release}:"
        f" site.yml changes the release of no live service. Change it with {playbook}, or put {variable}"
        f" back to {release}"
        for release, names in by_release.items()
    ]
