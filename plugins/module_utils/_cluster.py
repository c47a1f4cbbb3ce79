"""An inventory together with what its hosts say about every option of the collection's roles."""

from __future__ import annotations

import copy
import difflib
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ansible.module_utils.common.arg_spec import ArgumentSpecValidator
from ansible_collections.zerospof.temporal.plugins.module_utils._text import listed
from ansible_collections.zerospof.temporal.plugins.module_utils._topology import (
    Groups,
    HostVars,
    Opening,
    Tiers,
    tier_group,
    tier_hosts,
    tiers_by_host,
    zone_names,
    zones_by_host,
)

CHARACTERS_IN_A_MESSAGE = 60
# Variables that may hold secrets: no message shows their values, and what is made of them is shown in no diff.
SECRET_OPTIONS = (
    "temporal_secrets",
    "temporal_verification_token",
    "temporal_ui_config_overrides",
    "temporal_worker_config_overrides",
)
_UNDEFINED = re.compile(r"'(\w+)' is undefined")


@dataclass(frozen=True)
class Unresolved:
    """A variable whose template cannot be resolved, with the reason."""

    message: str


def nearest(name: str, names: Iterable[str], similarity: float = 0.7) -> str:
    """Return a hint that names the most similar of ``names``, empty when none is similar."""
    found = difflib.get_close_matches(name, list(names), n=1, cutoff=similarity)
    return f" (did you mean {found[0]}?)" if found else ""


def shown(value: Any) -> str:  # noqa: ANN401
    """Return ``value`` as it stands in a message, cut when it is long; of a list or dict, the size."""
    # What is in it may be secret, as the environment of a worker is.
    if isinstance(value, list | dict):
        return f"a {type(value).__name__} of {len(value)}"
    text = repr(value)
    return text if len(text) <= CHARACTERS_IN_A_MESSAGE else f"{text[:CHARACTERS_IN_A_MESSAGE]}..."


class Cluster:
    """The inventory, and every option of the collection's roles as each of its hosts has it."""

    def __init__(
        self,
        groups: Groups,
        hostvars: HostVars,
        specs: Mapping[str, Mapping[str, Any]],
        matrix: Sequence[Opening],
        tiers: Tiers | None,
    ) -> None:
        self.groups = groups
        self.hostvars = hostvars
        self.matrix = matrix
        self.tiers = tiers
        self.roles = list(specs)
        self.zones = zone_names(groups)
        self.zones_of = zones_by_host(groups)
        self.tiers_of = tiers_by_host(groups, tiers)
        self.hosts = [host for host in self.tiers_of if host in hostvars]
        self.options: dict[str, Mapping[str, Any]] = {}
        for entry_points in specs.values():
            for entry_point in entry_points.values():
                for name, option in (entry_point.get("options") or {}).items():
                    self.options.setdefault(name, option)
        self.inputs = specs.get("temporal", {}).get("main", {}).get("options", {})
        self.type_problems: list[str] = []
        self._values: dict[str, list[tuple[Any, list[str]]]] = {}
        for name in self.options:
            self._values[name] = list(self._checked(name))

    def members(self, tier: str) -> list[str]:
        """Hosts of ``tier``."""
        return tier_hosts(tier, self.groups, self.tiers)

    def group(self, tier: str) -> str:
        """Name of the group that plays ``tier``."""
        return tier_group(tier, self.tiers)

    def where(self, hosts: Sequence[str]) -> str:
        """Return the hosts as words; empty when they are all hosts of the cluster."""
        return "" if len(hosts) == len(self.hosts) else f" on {listed(hosts)}"

    def values(self, name: str) -> list[tuple[Any, list[str]]]:
        """Distinct values of an option with their hosts, converted to its type; values of a wrong type are left out."""
        return self._values.get(name, [])

    def value(self, name: str) -> Any:  # noqa: ANN401
        """The value of a collection-wide input; ``None`` when it has none or a wrong one."""
        values = self.values(name)
        return values[0][0] if values else None

    def by_host(self, name: str) -> dict[str, Any]:
        """The value of an option on each host that has one of the right type."""
        return {host: value for value, hosts in self.values(name) for host in hosts}

    def _checked(self, name: str) -> Iterator[tuple[Any, list[str]]]:
        """Yield the values of an option, and note those of a wrong type as problems."""
        option = self.options[name]
        hosts_by_value: dict[str, tuple[Any, list[str]]] = {}
        without: list[str] = []
        for host in self.hosts:
            if name in self.hostvars[host]:
                value = self.hostvars[host][name]
                hosts_by_value.setdefault(repr(value), (value, []))[1].append(host)
            else:
                without.append(host)
        if without:
            hosts_by_value.setdefault(repr(option.get("default")), (option.get("default"), []))[1].extend(without)
        for value, hosts in hosts_by_value.values():
            if value is None:
                self.type_problems += self._without_value(name, hosts)
                continue
            if isinstance(value, str) and "{{" in value:
                continue
            if isinstance(value, Unresolved):
                self.type_problems += self._unresolved(name, value, hosts)
                continue
            result = ArgumentSpecValidator({name: _optional(option)}).validate({name: copy.deepcopy(value)})
            faults = list(_faults(name, option, value, result.error_messages))
            self.type_problems += [f"{name}{self.where(hosts)}: {fault}" for fault in faults]
            if not faults:
                yield result.validated_parameters[name], hosts

    def _without_value(self, name: str, hosts: Sequence[str]) -> Iterator[str]:
        """Yield the problem of a name that the inventory has with nothing behind it; missing secrets are told apart."""
        empty = [host for host in hosts if name in self.hostvars[host]]
        if empty and name not in SECRET_OPTIONS:
            yield f"{name}{self.where(empty)}: has no value; give it one or take the line out"

    def _unresolved(self, name: str, value: Unresolved, hosts: Sequence[str]) -> Iterator[str]:
        """Yield the problem of a template; what it will be given by facts or role defaults is no problem yet."""
        undefined = _UNDEFINED.search(value.message)
        given_later = undefined and (undefined[1] in self.options or undefined[1].startswith("ansible_"))
        if given_later or "has no attribute" in value.message:
            return
        yield f"{name}{self.where(hosts)}: cannot be resolved: {value.message}; define what it refers to"


def _optional(option: Mapping[str, Any]) -> dict[str, Any]:
    """The option as one that need not be given and has no default, for a check of its type alone."""
    return {key: value for key, value in option.items() if key not in ("required", "default")}


def _faults(name: str, option: Mapping[str, Any], value: Any, messages: Sequence[str]) -> Iterator[str]:  # noqa: ANN401
    """Yield what is wrong with the type of a value, in the words of an inventory and without the value of a secret."""
    kind = option.get("type", "str")
    if name in SECRET_OPTIONS or option.get("no_log"):
        if messages:
            yield f"must be a {kind}; see docs/variables.md"
        return
    if kind in ("str", "path") and isinstance(value, list | dict):
        yield f"must be text, not {shown(value)}; correct the value"
    names = option.get("options", {})
    # An element of a list is told of twice: once as text that is no dictionary, once as an element that is none.
    elements = any(message.startswith("Elements value") for message in messages)
    for message in messages:
        if elements and message.startswith("dictionary requested"):
            continue
        unknown = re.match(rf"{name}\.([\w.]+)\. Supported parameters", message)
        if unknown:
            key = unknown[1].rpartition(".")[2]
            yield f"has no key {key}{nearest(key, names)}; its keys are {', '.join(sorted(names))}"
        else:
            # What follows repeats the value.
            told = re.sub(r"(unable to convert to \w+): .*", r"\1", message, flags=re.DOTALL)
            yield f"{told} (seen: {shown(value)}); correct the value"
