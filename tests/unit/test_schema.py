"""The version of a schema decides whether the schema tool has work and whether a server may start."""

from __future__ import annotations

import pytest
from ansible_collections.zerospof.temporal.plugins.module_utils import _schema

TOOL = b"".join(
    b"\x00postgresql/v12/" + name.encode() + b"/manifest.json\x01"
    for name in (
        "temporal/versioned/v1.9",
        "temporal/versioned/v1.19",
        "temporal/versioned/v1.10",
        "visibility/versioned/v1.14",
        "visibility/versioned/v1.2",
    )
)


@pytest.mark.parametrize(
    ("schema", "version"), [("postgresql/v12/temporal", "1.19"), ("postgresql/v12/visibility", "1.14")]
)
def test_the_newest_version_in_the_tool_is_the_expected_one(schema: str, version: str) -> None:
    assert _schema.newest_embedded(schema, TOOL) == version


def test_a_schema_that_the_tool_does_not_carry_has_no_version() -> None:
    assert _schema.newest_embedded("cassandra/temporal", TOOL) is None


@pytest.mark.parametrize(
    ("present", "older"), [(None, True), ("0.0", True), ("1.9", True), ("1.18", True), ("1.19", False), ("1.20", False)]
)
def test_versions_are_compared_as_numbers(present: str | None, older: bool) -> None:
    assert _schema.is_older(present, "1.19") is older
