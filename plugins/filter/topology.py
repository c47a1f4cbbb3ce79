# Copyright: (c) 2026, The zerospof.temporal maintainers
# Apache License 2.0 (see LICENSE or https://www.apache.org/licenses/LICENSE-2.0)
"""Filters that turn the inventory into what roles take and people read; the arithmetic is in ``module_utils``."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from ansible.errors import AnsibleError, AnsibleFilterError
from ansible.vars.hostvars import HostVars
from ansible_collections.zerospof.temporal.plugins.module_utils import (
    _drill,
    _drill_page,
    _host,
    _inventory,
    _rolling,
    _scale_in,
    _spof,
    _spof_text,
    _text,
    _topology,
)
from ansible_collections.zerospof.temporal.plugins.module_utils._cluster import Unresolved
from jinja2 import TemplateError, Undefined


def _plain(value: Any) -> Any:  # noqa: ANN401
    """Copy of a value with every template in it resolved; the variables of hosts stay as they are."""
    if isinstance(value, HostVars):
        return value
    if isinstance(value, Mapping):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, Sequence) and not isinstance(value, str | bytes):
        return [_plain(item) for item in value]
    if isinstance(value, Undefined):
        # It raises its own explanation when it is used.
        str(value)
    return value


def _as_filter(function: Callable[..., Any]) -> Callable[..., Any]:
    """Give ``function`` plain values, and let the errors of an inventory end the play with their message alone.

    Ansible hands over containers that look for templates at every access, which makes arithmetic ten times slower.
    """

    def run(*args: Any, **options: Any) -> Any:  # noqa: ANN401
        try:
            return function(
                *(_plain(value) for value in args), **{name: _plain(value) for name, value in options.items()}
            )
        except _topology.TopologyError as error:
            raise AnsibleFilterError(str(error)) from error

    return run


def _resolved(variables: Mapping[str, Any], name: str) -> Any:  # noqa: ANN401
    try:
        return _plain(variables[name])
    except (AnsibleError, TemplateError) as error:
        return Unresolved(str(error).splitlines()[0])


def inventory_problems(
    groups: _topology.Groups,
    hostvars: _topology.HostVars,
    specs: Mapping[str, Mapping[str, Any]],
    matrix: Sequence[_topology.Opening] = (),
    tiers: _topology.Tiers | None = None,
) -> list[str]:
    """Read what the collection knows of ``hostvars``; a template that fails is one problem, not the end.

    Of other variables only the name is read, which may be a misspelt one.
    """
    prefixes = tuple(f"{role}_" for role in specs)
    variables = {
        host: {
            name: _resolved(mine, name) if name.startswith(prefixes) or name == "ansible_host" else None
            for name in mine
        }
        for host in _topology.cluster_hosts(groups, tiers)
        for mine in [hostvars[host]]
    }
    return _inventory.inventory_problems(groups, variables, specs, matrix, tiers)


class FilterModule:
    """Topology filters of the collection."""

    def filters(self) -> dict[str, Callable[..., Any]]:
        """Filter names and their functions."""
        functions = {
            "members": _topology.members,
            "hosts_by_tier": _topology.hosts_by_tier,
            "missing_tiers": _topology.missing_tiers,
            "cluster_inputs": _topology.cluster_inputs,
            "zone_batches": _topology.zone_batches,
            "firewall_rules": _topology.firewall_rules,
            "host_ports": _topology.host_ports,
            "inventory_problems": inventory_problems,
            "refusal_text": _text.refusal_text,
            "fleet_verdict": _host.fleet_verdict,
            "rolling_plan": _rolling.rolling_plan,
            "rolling_text": _rolling.rolling_text,
            "rolling_groups": _rolling.rolling_groups,
            "rolling_serial": _rolling.rolling_serial,
            "rolling_host": _rolling.rolling_host,
            "drill_plan": _drill.drill_plan,
            "drill_text": _drill.drill_text,
            "drill_course": _drill.drill_course,
            "drill_course_text": _drill.drill_course_text,
            "drill_groups": _drill.drill_groups,
            "drill_result": _drill.drill_result,
            "drill_report": _drill.drill_report,
            "drill_failures": _drill.drill_failures,
            "drill_chart": _drill.drill_chart,
            "drill_page": _drill_page.drill_page,
            "enabled_units": _scale_in.enabled_units,
            "groups_without": _scale_in.groups_without,
            "scale_in_plan": _scale_in.scale_in_plan,
            "scale_in_text": _scale_in.scale_in_text,
            "scale_in_groups": _scale_in.scale_in_groups,
            "spof_report": _spof.spof_report,
            "spof_report_text": _spof_text.report_text,
        }
        return {name: _as_filter(function) for name, function in functions.items()}
