# Copyright: (c) 2026, The zerospof.temporal maintainers
# Apache License 2.0 (see LICENSE or https://www.apache.org/licenses/LICENSE-2.0)
"""Lookup of everything that the roles of this collection can be told."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any

from ansible.module_utils.common.yaml import yaml_load
from ansible.plugins.lookup import LookupBase

DOCUMENTATION = r"""
name: argument_specs
short_description: Argument specifications of the roles of this collection
version_added: 0.1.0
author: The zerospof.temporal maintainers (@zerospof)
description:
  - Reads C(meta/argument_specs.yml) of every role of this collection.
options:
  _terms:
    description: Not used.
    type: list
"""

EXAMPLES = r"""
- name: The inputs of the collection are listed
  ansible.builtin.debug:
    msg: "{{ lookup('zerospof.temporal.argument_specs').common.main.options | list }}"
"""

RETURN = r"""
_raw:
  description: One dictionary from the name of a role to its entry points.
  type: list
  elements: dict
"""

ROLES = Path(__file__).resolve().parents[2] / "roles"


@cache
def _specifications() -> dict[str, Any]:
    """Read all files once in a process: variables that call the lookup are evaluated anew at each use."""
    return {
        path.parts[-3]: yaml_load(path.read_text(encoding="utf-8"))["argument_specs"]
        for path in sorted(ROLES.glob("*/meta/argument_specs.yml"))
    }


class LookupModule(LookupBase):
    """Read the specifications."""

    def run(
        self,
        terms: list[Any],
        variables: Mapping[str, Any] | None = None,
        **kwargs: Any,  # noqa: ANN401
    ) -> list[dict[str, Any]]:
        """Return one dictionary from the name of a role to its entry points."""
        return [_specifications()]
