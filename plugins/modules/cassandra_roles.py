#!/usr/bin/python
# Copyright: (c) 2026, The zerospof.temporal maintainers
# Apache License 2.0 (see LICENSE or https://www.apache.org/licenses/LICENSE-2.0)
"""Ansible module: who may do what in Cassandra."""

from __future__ import annotations

DOCUMENTATION = r"""
module: cassandra_roles
short_description: Roles of Cassandra exist with the described passwords and permissions, and the default one is locked
version_added: 0.1.0
author: The zerospof.temporal maintainers (@zerospof)
description:
  - Makes O(login_user) a superuser with O(login_password), logging in as the user with which a new ring begins, and
    then takes from that user its login and its rights.
  - Makes the described roles. They are no superusers, no roles are granted to them, and permissions that are not
    described are revoked, whatever they are on; those on the tables of its keyspace stay with a role that may CREATE
    there, because Cassandra gives them to whoever makes a table.
  - A password is changed when the role cannot log in with it.
attributes:
  check_mode:
    description: Can run in check mode; where no node answers yet it says that all would be made.
    support: full
  diff_mode:
    description: Shows roles and permissions, never passwords.
    support: full
options:
  roles:
    description: The roles.
    type: list
    elements: dict
    default: []
    suboptions:
      name:
        description: Name of the role.
        type: str
        required: true
      password:
        description: Password of the role.
        type: str
        required: true
      keyspace:
        description: Keyspace on which the role has permissions.
        type: str
        required: true
      permissions:
        description: Permissions on that keyspace, as CQL names them.
        type: list
        elements: str
        required: true
  bootstrap_timeout_seconds:
    description:
      - How long to wait for the user with which a new ring begins, where neither that nor O(login_user) can log in. The
        ring makes it some seconds after its last node has come.
    type: int
    default: 0
extends_documentation_fragment: zerospof.temporal.cassandra
"""

EXAMPLES = r"""
- name: Temporal reads and writes its keyspace and nothing else
  zerospof.temporal.cassandra_roles:
    addresses: [192.0.2.11]
    login_user: administrator
    login_password: "{{ temporal_secrets.cassandra_superuser }}"
    ca_file: /etc/cassandra/tls/ca.crt
    cert_file: /etc/cassandra/tls/cassandra.crt
    key_file: /etc/cassandra/tls/cassandra.key
    roles:
      - name: temporal
        password: "{{ temporal_secrets.cassandra_temporal }}"
        keyspace: temporal
        permissions: [SELECT, MODIFY]
"""

RETURN = r"""
actions:
  description: What was done, or would be in check mode.
  returned: success
  type: list
  elements: str
"""

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.zerospof.temporal.plugins.module_utils import _cassandra_access, _cassandra_client

if TYPE_CHECKING:
    from ansible_collections.zerospof.temporal.plugins.module_utils._cassandra_access import Action
    from cassandra.cluster import Session


def administrator(module: AnsibleModule) -> Iterator[Action]:
    """Yield what makes the login of the module the superuser, as the user with which a new ring begins."""
    user, password = module.params["login_user"], module.params["login_password"]
    yield (
        f"role {user} is the superuser",
        f"CREATE ROLE IF NOT EXISTS {_cassandra_client.identifier(user)} WITH SUPERUSER = true AND LOGIN = true "
        f"AND PASSWORD = {_cassandra_client.literal(password)}",
    )


def lock_default(session: Session) -> Iterator[Action]:
    """Yield what locks the user with which a new ring begins."""
    name = _cassandra_client.DEFAULT_LOGIN[0]
    found = _cassandra_client.rows(
        session, "SELECT can_login, is_superuser FROM system_auth.roles WHERE role = %s", name
    )
    if found and (found[0].can_login or found[0].is_superuser):
        yield (
            f"role {name} cannot log in",
            f"ALTER ROLE {_cassandra_client.identifier(name)} WITH SUPERUSER = false AND LOGIN = false",
        )


def described(module: AnsibleModule, session: Session, role: dict[str, Any]) -> Iterator[Action]:
    """Yield what makes one role as it is described."""
    name = _cassandra_client.identifier(role["name"])
    password = _cassandra_client.literal(role["password"])
    found = _cassandra_client.rows(
        session, "SELECT is_superuser, member_of FROM system_auth.roles WHERE role = %s", role["name"]
    )
    held = _cassandra_access.Held()
    if not found:
        yield (
            f"role {role['name']} exists",
            f"CREATE ROLE {name} WITH SUPERUSER = false AND LOGIN = true AND PASSWORD = {password}",
        )
    else:
        if not _cassandra_client.accepts(module, role["name"], role["password"]):
            yield (
                f"role {role['name']} has another password",
                f"ALTER ROLE {name} WITH LOGIN = true AND PASSWORD = {password}",
            )
        listed = _cassandra_client.rows(session, f"LIST ALL PERMISSIONS OF {name} NORECURSIVE")
        held = _cassandra_access.Held(
            is_superuser=bool(found[0].is_superuser),
            roles=frozenset(found[0].member_of or ()),
            permissions=_cassandra_access.granted_to(role["name"], listed),
        )
    yield from _cassandra_access.changes(role["name"], role["keyspace"], role["permissions"], held)


def main() -> None:
    """Run the module."""
    module = AnsibleModule(
        argument_spec={
            **_cassandra_client.ARGUMENTS,
            **_cassandra_client.BOOTSTRAP,
            "roles": {
                "type": "list",
                "elements": "dict",
                "default": [],
                "options": {
                    "name": {"type": "str", "required": True},
                    "password": {"type": "str", "required": True, "no_log": True},
                    "keyspace": {"type": "str", "required": True},
                    "permissions": {"type": "list", "elements": "str", "required": True},
                },
            },
        },
        supports_check_mode=True,
    )
    done: list[str] = []

    def act(session: Session, actions: Iterator[Action]) -> None:
        for what, statement in actions:
            done.append(what)
            if not module.check_mode:
                session.execute(statement)

    with _cassandra_client.connection(module, bootstrap=True) as session:
        if session is None:
            done += [f"role {role['name']} exists" for role in module.params["roles"]]
        elif session.is_bootstrap:
            act(session, administrator(module))
    # Again, as the superuser that there is now: nobody can take rights from themselves.
    if session is not None and not (session.is_bootstrap and module.check_mode):
        with _cassandra_client.connection(module) as session:
            act(session, lock_default(session))
            try:
                for role in module.params["roles"]:
                    act(session, described(module, session, role))
            except _cassandra_access.UnknownResourceError as error:
                module.fail_json(msg=f"Cassandra: {error}")
    module.exit_json(
        changed=bool(done),
        actions=done,
        diff={"before": "", "after": "".join(f"{what}\n" for what in done)},
    )


if __name__ == "__main__":
    main()
