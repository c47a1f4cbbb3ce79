"""Every file of tests on clusters has its place."""

from __future__ import annotations

import ast
from pathlib import Path

CLUSTER = Path(__file__).resolve().parents[1] / "cluster"


def test_every_file_of_cluster_tests_has_its_place() -> None:
    """The order is read, because tests on clusters have marks that are unknown here."""
    [order] = [
        ast.literal_eval(node.value)
        for node in ast.parse((CLUSTER / "conftest.py").read_text(encoding="utf-8")).body
        if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == "ORDER"
    ]
    assert sorted(order) == sorted(path.name for path in CLUSTER.glob("test_*.py"))
