"""Loads programs that hosts run, which are no modules of any package here."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from types import ModuleType

ROOT = Path(__file__).resolve().parents[1]


def load(path: str) -> ModuleType:
    """Return a new module of the program at ``path``, relative to the checkout."""
    place = ROOT / path
    specification = importlib.util.spec_from_file_location(place.stem, place)
    assert specification
    assert specification.loader
    module = importlib.util.module_from_spec(specification)
    specification.loader.exec_module(module)
    return module
