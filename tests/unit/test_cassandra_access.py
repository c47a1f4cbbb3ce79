"""Roles of Cassandra may do what is described and nothing else."""

from __future__ import annotations

import contextlib
from types import SimpleNamespace
from typing import Any

import pytest
from ansible_collections.zerospof.temporal.plugins.module_utils import _cassandra_access as access
from ansible_collections.zerospof.temporal.plugins.module_utils import _cassandra_client
from ansible_collections.zerospof.temporal.plugins.modules import cassandra_roles

WORKS = ["SELECT", "MODIFY"]
MAKES = ["CREATE", *WORKS]


def changes(wanted: list[str], **held: Any) -> list[access.Action]:  # noqa: ANN401
    """What is done about a role that is to have ``wanted`` on keyspace temporal and has ``held``."""
    return list(access.changes("app", "temporal", wanted, access.Held(**held)))


def having(**permissions: set[str]) -> dict[str, frozenset[str]]:
    """Permissions on resources, with those that are described."""
    return {"<keyspace temporal>": frozenset(WORKS)} | {name: frozenset(held) for name, held in permissions.items()}


def test_a_role_as_described_is_left_alone() -> None:
    assert changes(["select", "Modify"], permissions=having()) == []


def test_a_new_role_gets_what_is_described() -> None:
    assert changes(WORKS) == [
        (f"role app has {permission} on temporal", f'GRANT {permission} ON KEYSPACE "temporal" TO "app"')
        for permission in ("MODIFY", "SELECT")
    ]


def test_a_superuser_becomes_none() -> None:
    assert changes(WORKS, is_superuser=True, permissions=having()) == [
        ("role app is no superuser", 'ALTER ROLE "app" WITH SUPERUSER = false')
    ]


def test_roles_that_somebody_granted_are_taken_back() -> None:
    assert changes(WORKS, roles=frozenset({"reports", 'odd"one'}), permissions=having()) == [
        ('role app has not the role odd"one', 'REVOKE "odd""one" FROM "app"'),
        ("role app has not the role reports", 'REVOKE "reports" FROM "app"'),
    ]


@pytest.mark.parametrize(
    ("resource", "words"),
    [
        ("<all keyspaces>", "ALL KEYSPACES"),
        ("<keyspace system_auth>", 'KEYSPACE "system_auth"'),
        ("<all tables in temporal>", 'ALL TABLES IN KEYSPACE "temporal"'),
        ("<table temporal.executions>", 'TABLE "temporal"."executions"'),
        ("<table Odd.Name>", 'TABLE "Odd"."Name"'),
        ("<all roles>", "ALL ROLES"),
        ("<role some one>", 'ROLE "some one"'),
        ("<all functions>", "ALL FUNCTIONS"),
        ("<all functions in temporal>", 'ALL FUNCTIONS IN KEYSPACE "temporal"'),
        ("<function temporal.f(int, frozen<list<text>>)>", 'FUNCTION "temporal"."f"(int, frozen<list<text>>)'),
        ("<all mbeans>", "ALL MBEANS"),
        ("<mbean org.apache.cassandra.db:type=*>", "MBEAN 'org.apache.cassandra.db:type=*'"),
    ],
)
def test_whatever_somebody_granted_is_revoked(resource: str, words: str) -> None:
    assert changes(WORKS, permissions=having(**{resource: {"AUTHORIZE"}})) == [
        (f"role app has no AUTHORIZE on {resource}", f'REVOKE AUTHORIZE ON {words} FROM "app"')
    ]


def test_more_than_is_described_on_its_keyspace_is_revoked() -> None:
    assert changes(["SELECT"], permissions=having()) == [
        ("role app has no MODIFY on <keyspace temporal>", 'REVOKE MODIFY ON KEYSPACE "temporal" FROM "app"')
    ]


def test_whoever_makes_tables_keeps_what_cassandra_gives_the_maker_and_no_more() -> None:
    given = {"ALTER", "AUTHORIZE", "DROP", "MODIFY", "SELECT"}
    permissions = {
        "<keyspace temporal>": frozenset(MAKES),
        "<table temporal.executions>": frozenset(given),
        "<table temporal_visibility.executions>": frozenset({"DROP"}),
    }
    assert changes(MAKES, permissions=permissions) == [
        (
            "role app has no DROP on <table temporal_visibility.executions>",
            'REVOKE DROP ON TABLE "temporal_visibility"."executions" FROM "app"',
        )
    ]
    assert len(changes(WORKS, permissions=having(**{"<table temporal.executions>": given}))) == len(given)


def test_a_resource_of_an_unknown_kind_is_told_and_not_passed_over() -> None:
    with pytest.raises(access.UnknownResourceError, match=r"<moon> is unknown to this collection; revoke what"):
        changes(WORKS, permissions=having(**{"<moon>": {"SELECT"}}))


def test_what_a_role_has_through_another_is_not_its_own() -> None:
    """It goes with that role, and revoking it from this one would do nothing, on every run."""
    rows = [
        SimpleNamespace(role="app", resource="<keyspace temporal>", permission="SELECT"),
        SimpleNamespace(role="app", resource="<keyspace temporal>", permission="MODIFY"),
        SimpleNamespace(role="reports", resource="<all keyspaces>", permission="SELECT"),
    ]
    assert access.granted_to("app", rows) == having()


class Ring:
    """The users of a ring, as the module asks for them; remembers the statements that change them."""

    def __init__(self, *, is_superuser: bool, permissions: list[str]) -> None:
        self.role = SimpleNamespace(is_superuser=is_superuser, member_of=None, can_login=True)
        self.permissions = [
            SimpleNamespace(role="app", resource="<keyspace temporal>", permission=permission)
            for permission in permissions
        ]
        self.is_bootstrap = False
        self.done: list[str] = []

    def rows(self, _: object, statement: str, *values: str) -> list[Any]:
        """Answer a question."""
        if statement.startswith("LIST ALL PERMISSIONS"):
            return self.permissions
        return [self.role] if values == ("app",) else []

    def execute(self, statement: str) -> None:
        """Take a change."""
        self.done.append(statement)


@pytest.mark.parametrize("check_mode", [False, True])
@pytest.mark.parametrize(
    ("ring", "expected"),
    [
        (Ring(is_superuser=False, permissions=WORKS), []),
        (
            Ring(is_superuser=True, permissions=["DROP", *WORKS]),
            ['ALTER ROLE "app" WITH SUPERUSER = false', 'REVOKE DROP ON KEYSPACE "temporal" FROM "app"'],
        ),
    ],
)
def test_the_module_does_what_it_says_and_in_check_mode_only_says_it(
    ring: Ring, expected: list[str], *, check_mode: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    ring.done.clear()
    told: dict[str, Any] = {}
    role = {"name": "app", "password": "x", "keyspace": "temporal", "permissions": WORKS}
    module = SimpleNamespace(params={"roles": [role]}, check_mode=check_mode, exit_json=told.update)
    monkeypatch.setattr(cassandra_roles, "AnsibleModule", lambda **_: module)
    monkeypatch.setattr(_cassandra_client, "connection", lambda *_, **__: contextlib.nullcontext(ring))
    monkeypatch.setattr(_cassandra_client, "rows", ring.rows)
    monkeypatch.setattr(_cassandra_client, "accepts", lambda *_: True)
    cassandra_roles.main()
    assert ring.done == ([] if check_mode else expected)
    assert told["changed"] == bool(expected)
    assert len(told["actions"]) == len(expected) == len(told["diff"]["after"].splitlines())
