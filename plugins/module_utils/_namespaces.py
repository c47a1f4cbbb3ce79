"""What must be done so that a Temporal namespace is as described.

The functions of this file do no I/O; the modules pass in what they read.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

# Names of temporal.api.enums.v1.IndexedValueType as people write them.
ATTRIBUTE_TYPES = ("Text", "Keyword", "Int", "Double", "Bool", "Datetime", "KeywordList")


class NamespaceError(ValueError):
    """The description cannot be met; the message says what to do."""


@dataclass(frozen=True)
class Namespace:
    """A namespace as it is wanted or as it was read."""

    name: str
    retention_days: int
    description: str = ""
    search_attributes: Mapping[str, str] = field(default_factory=dict)

    @classmethod
    def from_options(cls, options: Mapping[str, Any]) -> Namespace:
        """Return the namespace that the options of a module describe.

        Raises:
            NamespaceError: a retention below one day or a type that Temporal does not have.
        """
        name, days = options["name"], options["retention_days"]
        if days < 1:
            raise NamespaceError(f"namespace {name}: retention_days is {days}; Temporal keeps at least 1 day")
        attributes = options.get("search_attributes") or {}
        for attribute, kind in attributes.items():
            if kind not in ATTRIBUTE_TYPES:
                raise NamespaceError(
                    f"namespace {name}: search attribute {attribute} has the unknown type {kind!r};"
                    f" use one of {', '.join(ATTRIBUTE_TYPES)}"
                )
        return cls(name, days, options.get("description") or "", dict(attributes))

    def as_dict(self) -> dict[str, Any]:
        """Return the namespace as the modules publish it."""
        return {
            "name": self.name,
            "retention_days": self.retention_days,
            "description": self.description,
            "search_attributes": dict(sorted(self.search_attributes.items())),
        }


@dataclass(frozen=True)
class Plan:
    """The steps that lead from what is to what is wanted."""

    create: bool = False
    update: bool = False
    add_search_attributes: Mapping[str, str] = field(default_factory=dict)
    after: Namespace | None = None

    @property
    def changed(self) -> bool:
        """Tell whether there is anything to do."""
        return self.create or self.update or bool(self.add_search_attributes)


def plan(wanted: Namespace, present: Namespace | None) -> Plan:
    """Return the steps from ``present`` (``None``: there is no such namespace) to ``wanted``.

    Search attributes are only ever added: those that nobody describes stay, because workflows may carry them.

    Raises:
        NamespaceError: a search attribute exists with another type. Temporal cannot change a type, so a person
            has to decide.
    """
    if present is None:
        return Plan(create=True, add_search_attributes=wanted.search_attributes, after=wanted)
    for attribute, kind in wanted.search_attributes.items():
        found = present.search_attributes.get(attribute, kind)
        if found != kind:
            raise NamespaceError(
                f"namespace {wanted.name}: search attribute {attribute} is of type {found} and cannot become {kind};"
                f" describe it as {found}, or give the new attribute another name"
            )
    missing = {name: kind for name, kind in wanted.search_attributes.items() if name not in present.search_attributes}
    return Plan(
        update=(wanted.retention_days, wanted.description) != (present.retention_days, present.description),
        add_search_attributes=missing,
        after=Namespace(
            wanted.name, wanted.retention_days, wanted.description, {**present.search_attributes, **missing}
        ),
    )
