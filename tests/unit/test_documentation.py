"""What modules say of themselves is said in one place."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml
from ansible.parsing.plugin_docs import read_docstring
from ansible_collections.zerospof.temporal.plugins.doc_fragments.reads_only import ModuleDocFragment

MODULES = sorted((Path(__file__).resolve().parents[2] / "plugins/modules").glob("*.py"))
READS_ONLY = yaml.safe_load(ModuleDocFragment.DOCUMENTATION)["attributes"]


def documentation(module: Path) -> dict[str, Any]:
    """What a module itself says, without its fragments."""
    return read_docstring(str(module))["doc"]


@pytest.mark.parametrize("module", MODULES, ids=lambda path: path.stem)
def test_modes_are_told_by_the_module_or_by_the_fragment_for_those_that_only_read(module: Path) -> None:
    said = documentation(module)
    attributes = said.get("attributes")
    assert attributes != READS_ONLY
    assert bool(attributes) != ("zerospof.temporal.reads_only" in said.get("extends_documentation_fragment", ()))
