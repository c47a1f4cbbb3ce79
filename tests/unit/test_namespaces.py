"""Namespaces are brought to their description, and what cannot be brought there is refused in words."""

from __future__ import annotations

from typing import Any

import pytest
from ansible_collections.zerospof.temporal.plugins.module_utils._namespaces import Namespace, NamespaceError, plan

WANTED = Namespace("production", 30, "Live workflows", {"CustomerId": "Keyword", "Due": "Datetime"})


def present(**changes: object) -> Namespace:
    """Return the wanted namespace with ``changes``."""
    return Namespace(**{**WANTED.as_dict(), **changes})


def test_a_namespace_as_described_needs_nothing() -> None:
    assert not plan(WANTED, present()).changed


def test_an_absent_namespace_is_created_with_its_search_attributes() -> None:
    steps = plan(WANTED, None)
    assert steps.create
    assert not steps.update
    assert steps.add_search_attributes == WANTED.search_attributes
    assert steps.after == WANTED


@pytest.mark.parametrize("difference", [{"retention_days": 3}, {"description": "Something else"}])
def test_retention_and_description_are_updated(difference: dict[str, Any]) -> None:
    steps = plan(WANTED, present(**difference))
    assert steps.changed
    assert steps.update
    assert not steps.create
    assert not steps.add_search_attributes


def test_only_missing_search_attributes_are_added() -> None:
    steps = plan(WANTED, present(search_attributes={"CustomerId": "Keyword"}))
    assert steps.add_search_attributes == {"Due": "Datetime"}
    assert not steps.update


def test_search_attributes_that_nobody_describes_stay() -> None:
    steps = plan(WANTED, present(search_attributes={**WANTED.search_attributes, "Old": "Int"}))
    assert not steps.changed
    assert steps.after is not None
    assert steps.after.search_attributes["Old"] == "Int"


def test_a_search_attribute_of_another_type_is_refused_with_both_types() -> None:
    with pytest.raises(
        NamespaceError, match=r"production: search attribute CustomerId is of type Int .* become Keyword"
    ):
        plan(WANTED, present(search_attributes={"CustomerId": "Int"}))


def test_a_retention_below_one_day_is_refused_with_its_value() -> None:
    with pytest.raises(NamespaceError, match="retention_days is 0"):
        Namespace.from_options({"name": "production", "retention_days": 0})


def test_an_unknown_type_is_refused_with_the_known_ones() -> None:
    options = {"name": "production", "retention_days": 3, "search_attributes": {"CustomerId": "String"}}
    with pytest.raises(NamespaceError, match="unknown type 'String'; use one of Text, Keyword"):
        Namespace.from_options(options)


def test_options_without_extras_are_a_namespace() -> None:
    namespace = Namespace.from_options(
        {"name": "x", "retention_days": 3, "description": None, "search_attributes": None}
    )
    assert namespace == Namespace("x", 3)
