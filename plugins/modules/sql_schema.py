#!/usr/bin/python
# Copyright: (c) 2026, The zerospof.temporal maintainers
# Apache License 2.0 (see LICENSE or https://www.apache.org/licenses/LICENSE-2.0)
"""Ansible module: the schemas of Temporal in PostgreSQL."""

from __future__ import annotations

DOCUMENTATION = r"""
module: sql_schema
short_description: Bring the schemas of Temporal in PostgreSQL to the version of a release
version_added: 0.1.0
author: The zerospof.temporal maintainers (@zerospof)
description:
  - Sets up and updates schemas with C(temporal-sql-tool) where they are older than what the tool carries.
  - A schema that is newer is left alone, because an older server runs on it and there is no way back.
  - Nothing locks the schema, so run this on one host only.
extends_documentation_fragment:
  - zerospof.temporal.schema
attributes:
  check_mode:
    description:
      - Can run in check mode and report what would change.
      - Where the database or the tool is not there yet, everything would change.
    support: full
  diff_mode:
    description: Shows the versions before and after.
    support: full
seealso:
  - module: zerospof.temporal.sql_schema_info
"""

EXAMPLES = r"""
- name: The schemas are those of the release
  zerospof.temporal.sql_schema:
    address: 127.0.0.1
    port: 5000
    user: temporal
    password: "{{ temporal_secrets.temporal_database }}"
    ca_file: /etc/temporal/tls/ca.crt
    cert_file: /etc/temporal/tls/temporal.crt
    key_file: /etc/temporal/tls/temporal.key
    tool: /opt/temporal-server/current/temporal-sql-tool
    stores:
      - {database: temporal, schema: postgresql/v12/temporal}
      - {database: temporal_visibility, schema: postgresql/v12/visibility}
"""

RETURN = r"""
stores:
  description: The databases with the versions of their schemas.
  returned: success
  type: list
  elements: dict
  contains:
    database:
      description: Name of the database.
      type: str
    before:
      description: Version before the task; none for a database without a schema.
      type: str
    after:
      description: Version after the task.
      type: str
    expected:
      description: Version that the release expects.
      type: str
"""

import sys
from typing import Any

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.zerospof.temporal.plugins.module_utils import _schema, _schema_database

PLUGIN = "postgres12_pgx"


def run_tool(module: AnsibleModule, store: dict[str, str], *arguments: str) -> None:
    """Run the schema tool on the database of ``store``; end with what it says when it fails."""
    parameters = module.params
    environment = {
        "SQL_PLUGIN": PLUGIN,
        "SQL_HOST": parameters["address"],
        "SQL_PORT": str(parameters["port"]),
        "SQL_USER": parameters["user"],
        "SQL_PASSWORD": parameters["password"],
        "SQL_DATABASE": store["database"],
    }
    if parameters["ca_file"]:
        environment |= {"SQL_TLS": "true", "SQL_TLS_CA_FILE": parameters["ca_file"]}
    if parameters["cert_file"]:
        environment |= {"SQL_TLS_CERT_FILE": parameters["cert_file"], "SQL_TLS_KEY_FILE": parameters["key_file"]}
    code, output, error = module.run_command([parameters["tool"], *arguments], environ_update=environment)
    if code != 0:
        module.fail_json(
            msg=f"{store['database']}: temporal-sql-tool {' '.join(arguments)} failed with exit code {code}",
            stdout=output,
            stderr=error,
        )


def converge(module: AnsibleModule, store: dict[str, str]) -> dict[str, Any]:
    """Bring the schema of ``store`` to the version of the tool; return the versions."""
    database, schema = store["database"], store["schema"]
    expected = _schema_database.expected_by(module.params["tool"], schema)
    before = after = _schema_database.version_in(database, module.params)
    if _schema.is_older(before, expected):
        if module.check_mode:
            after = expected
        else:
            # Makes the tables in which the version is kept, and nothing where they are.
            run_tool(module, store, "setup-schema", "--version", "0.0")
            run_tool(module, store, "update-schema", "--schema-name", schema)
            after = _schema_database.version_in(database, module.params)
            if _schema.is_older(after, expected):
                module.fail_json(msg=f"{database}: the schema is at {after} after the update, {expected} is expected")
    return {"database": database, "before": before, "after": after, "expected": expected}


def plan_without_database(module: AnsibleModule, store: dict[str, str], reason: str) -> dict[str, Any]:
    """Return what check mode says about a ``store`` that cannot be asked yet."""
    module.warn(f"{store['database']}: the schema would be set up; it cannot be asked yet: {reason}")
    return {"database": store["database"], "before": None, "after": "of the release", "expected": "of the release"}


def main() -> None:
    """Run the module."""
    module = AnsibleModule(argument_spec=_schema_database.ARGUMENTS, supports_check_mode=True)
    stores = []
    for store in module.params["stores"]:
        try:
            if _schema_database.PSYCOPG2_IMPORT_ERROR:
                raise _schema_database.SchemaError(f"psycopg2 is not installed for {sys.executable}")
            stores.append(converge(module, store))
        except _schema_database.SchemaError as error:
            if not module.check_mode:
                module.fail_json(msg=str(error))
            stores.append(plan_without_database(module, store, str(error)))
    changes = [store for store in stores if store["before"] != store["after"]]
    module.exit_json(
        changed=bool(changes),
        stores=stores,
        diff=[
            {
                "before_header": f"schema of {store['database']}",
                "after_header": f"schema of {store['database']}",
                "before": f"{store['before'] or 'none'}\n",
                "after": f"{store['after']}\n",
            }
            for store in changes
        ],
    )


if __name__ == "__main__":
    main()
