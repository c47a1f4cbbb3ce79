"""Which packages of the distribution the services of a live cluster may change, and which services restart for that.

Pure functions over what every host says of its packages; nothing here talks to a host.

* ``hosts``: ``{host: [{name, units, installed, candidate, newer, unfinished, companions: {name: candidate}}]}``, the
  packages of the services of each host as ``zerospof.temporal.service_packages_info`` tells.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from fnmatch import fnmatchcase
from typing import Any

from ansible_collections.zerospof.temporal.plugins.module_utils import _packages, _rolling
from ansible_collections.zerospof.temporal.plugins.module_utils._text import counted

Hosts = Mapping[str, Sequence[Mapping[str, Any]]]

# The tiers whose services come from packages of the distribution.
TIERS = ("etcd", "postgresql", "temporal_servers", "load_balancers")
# What speaks against another major, by the beginning of the package's name; the empty one is for all others.
MAJORS = {
    "postgresql-": "the data of one major of PostgreSQL cannot be read by another",
    "": "its settings and its peers were made for the old one; read its release notes and try it on hosts of its own",
}
# Products of which servers work side by side only with those of the next minor.
ONE_MINOR_AT_A_TIME = ("etcd-server",)


def _numbers(version: str) -> tuple[int, ...]:
    """Return ``(3, 5)`` of ``3.5.16-4``."""
    return tuple(int(number) for number in re.findall(r"\d+", _packages.upstream_version(version))[:2])


def _tier_of(unit: str) -> str:
    """Return the tier in whose step ``unit`` restarts; empty for none."""
    tiers = (tier for tier, units in _rolling.UNITS.items() if any(fnmatchcase(unit, known) for known in units))
    return next(tiers, "")


def _path_problem(package: Mapping[str, Any], oldest: str, left_out: Sequence[str]) -> str:
    """Say why a host must not get the candidate of ``package``; empty when it may.

    Some host has the version ``oldest`` of it; of those that are ``left_out`` nothing is known.
    """
    name, candidate = package["name"], package["candidate"]
    here, there, last = _numbers(package["installed"]), _numbers(candidate), _numbers(oldest)
    step = f"{name} {package['installed']} to {candidate}"
    if not package["newer"]:
        return f"{step} is a step back, which apt was told to take; see `apt-cache policy {name}`"
    if here[:1] != there[:1]:
        reason = next(reason for beginning, reason in MAJORS.items() if name.startswith(beginning))
        return f"{step} is a step to another major: {reason}"
    if name in ONE_MINOR_AT_A_TIME and there != here and left_out:
        return (
            f"{step} is a step to another minor, and --limit leaves out {', '.join(left_out)}: what one member has"
            " decides about the others; add all members"
        )
    if name in ONE_MINOR_AT_A_TIME and there > (last[0], last[1] + 1):
        return (
            f"{step}: a member has {oldest}, and members work side by side only with those of the next minor; bring all"
            f" of them to {last[0]}.{last[1] + 1} first"
        )
    return ""


def _tier_problems(tiers: Sequence[str]) -> list[str]:
    return [
        f"tiers: {tier} has no service that comes from a package of the distribution; {', '.join(TIERS)} have"
        for tier in tiers
        if tier not in TIERS
    ]


def package_plan(hosts: Hosts, tiers: object = (), etcd_members: Sequence[str] = ()) -> dict[str, Any]:
    """Return ``{tiers, moves, packages, problems}``.

    ``tiers``: only the services of these, as a person writes them; in the result, those that were meant.
    ``etcd_members``: all of the inventory. ``moves``: ``{host: {unit: reason}}`` of the services that restart.
    ``packages``: ``{host: {tier: [name=version]}}`` to be installed before they do. With ``problems`` nothing must be
    changed.

    Raises:
        TopologyError: ``tiers`` is no list.
    """
    asked = _rolling.names(tiers) or list(TIERS)
    problems = _tier_problems(asked)
    refused: dict[str, list[str]] = {}
    oldest = _oldest(hosts)
    left_out = [member for member in etcd_members if member not in hosts]
    moves: dict[str, dict[str, str]] = {}
    packages: dict[str, dict[str, list[str]]] = {}
    for host, present in hosts.items():
        for package in present:
            units = {unit: _tier_of(unit) for unit in package["units"] if _tier_of(unit) in asked}
            name, installed, candidate = package["name"], package["installed"], package["candidate"]
            step = f"{name} {installed} becomes {candidate}"
            wanted = [f"{one}={version}" for one, version in package["companions"].items()]
            if not units:
                continue
            if candidate in (None, installed):
                if not package["unfinished"]:
                    continue
                step, wanted = f"{name} {installed} is not installed to the end", [f"{name}={installed}"]
            elif problem := _path_problem(package, oldest[name], left_out):
                refused.setdefault(problem, []).append(host)
                continue
            for unit, tier in units.items():
                before = moves.setdefault(host, {}).get(unit)
                moves[host][unit] = f"{before}, {step}" if before else step
                mine = packages.setdefault(host, {}).setdefault(tier, [])
                mine += [one for one in wanted if one not in mine]
    problems += [f"{', '.join(names)}: {problem}" for problem, names in refused.items()]
    return {"tiers": asked, "moves": moves, "packages": packages, "problems": problems}


def _oldest(hosts: Hosts) -> dict[str, str]:
    """Return the oldest version of each package that a host has."""
    found: dict[str, str] = {}
    for packages in hosts.values():
        for package in packages:
            name, installed = package["name"], package["installed"]
            if name not in found or _numbers(installed) < _numbers(found[name]):
                found[name] = installed
    return found


def package_text(plan: Mapping[str, Any]) -> str:
    """Return for people whether anything is to be installed."""
    if not plan["packages"]:
        return "The services have the newest packages that apt offers."
    return f"Other packages come to {counted(len(plan['packages']), 'host')}, each before its services restart."
