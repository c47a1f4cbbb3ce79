"""What a role of Cassandra may do, and what takes from it whatever is not described.

Pure functions over what ``system_auth.roles`` and ``LIST ALL PERMISSIONS`` tell; nothing here talks to a node.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from ansible_collections.zerospof.temporal.plugins.module_utils._cassandra_client import identifier, literal

Action = tuple[str, str]
"""What people read, and the statement that does it."""

# Resources as LIST PERMISSIONS writes them (the toString of IResource in Cassandra 4.1 and 5.0), and as GRANT does.
_RESOURCES = (
    (r"<all (keyspaces|roles|functions|mbeans)>", lambda name: f"ALL {name.upper()}"),
    (r"<keyspace (\w+)>", lambda name: f"KEYSPACE {identifier(name)}"),
    (r"<all tables in (\w+)>", lambda name: f"ALL TABLES IN KEYSPACE {identifier(name)}"),
    (r"<table (\w+)\.(\w+)>", lambda keyspace, name: f"TABLE {identifier(keyspace)}.{identifier(name)}"),
    (r"<all functions in (\w+)>", lambda name: f"ALL FUNCTIONS IN KEYSPACE {identifier(name)}"),
    (
        r"<function (\w+)\.(.+?)\((.*)\)>",
        lambda keyspace, name, types: f"FUNCTION {identifier(keyspace)}.{identifier(name)}({types})",
    ),
    (r"<role (.+)>", lambda name: f"ROLE {identifier(name)}"),
    (r"<mbean (.+)>", lambda name: f"MBEAN {literal(name)}"),
)


class UnknownResourceError(ValueError):
    """A role has a permission on something that this collection does not know; the message says what to do."""


@dataclass(frozen=True)
class Held:
    """What a role has: whether it is a superuser, the ``roles`` granted to it, and its own permissions by resource."""

    is_superuser: bool = False
    roles: frozenset[str] = frozenset()
    permissions: Mapping[str, frozenset[str]] = field(default_factory=dict)


def granted_to(name: str, rows: list[Any]) -> dict[str, frozenset[str]]:
    """Return the permissions of the role ``name`` by resource, of the ``rows`` of LIST PERMISSIONS.

    These have what it gets through other roles, too, with the names of those.
    """
    found: dict[str, set[str]] = {}
    for row in rows:
        if row.role == name:
            found.setdefault(row.resource, set()).add(row.permission)
    return {resource: frozenset(held) for resource, held in found.items()}


def target(resource: str) -> str:
    """Return a resource, as LIST PERMISSIONS writes it, in the words of GRANT and REVOKE.

    Raises:
        UnknownResourceError: it is of an unknown kind.
    """
    for pattern, words in _RESOURCES:
        match = re.fullmatch(pattern, resource)
        if match:
            return words(*match.groups())
    raise UnknownResourceError(f"{resource} is unknown to this collection; revoke what is granted on it by hand")


def _kept(resource: str, keyspace: str, wanted: frozenset[str], held: frozenset[str]) -> frozenset[str]:
    """Return the permissions on ``resource`` that a role with the permissions ``wanted`` on ``keyspace`` keeps.

    Cassandra gives whoever makes a table all permissions on it, so those of a role that may make tables there stay.
    """
    if resource == f"<keyspace {keyspace}>":
        return wanted
    return held if "CREATE" in wanted and resource.startswith(f"<table {keyspace}.") else frozenset()


def changes(name: str, keyspace: str, permissions: list[str], held: Held) -> Iterator[Action]:
    """Yield what leaves the role ``name`` with ``permissions`` on ``keyspace`` and nothing else.

    Raises:
        UnknownResourceError: it has a permission on something of an unknown kind.
    """
    role = identifier(name)
    wanted = frozenset(permission.upper() for permission in permissions)
    if held.is_superuser:
        yield f"role {name} is no superuser", f"ALTER ROLE {role} WITH SUPERUSER = false"
    for other in sorted(held.roles):
        yield f"role {name} has not the role {other}", f"REVOKE {identifier(other)} FROM {role}"
    for permission in sorted(wanted - held.permissions.get(f"<keyspace {keyspace}>", frozenset())):
        yield (
            f"role {name} has {permission} on {keyspace}",
            f"GRANT {permission} ON KEYSPACE {identifier(keyspace)} TO {role}",
        )
    for resource, having in sorted(held.permissions.items()):
        for permission in sorted(having - _kept(resource, keyspace, wanted, having)):
            yield (
                f"role {name} has no {permission} on {resource}",
                f"REVOKE {permission} ON {target(resource)} FROM {role}",
            )
