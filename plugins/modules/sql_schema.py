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
  - zerospof.temporal.schema.postgresql
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

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.zerospof.temporal.plugins.module_utils import _schema_database, _schema_stores

PLUGIN = "postgres12_pgx"


def main() -> None:
    """Run the module."""
    module = AnsibleModule(
        argument_spec=_schema_database.ARGUMENTS | _schema_stores.NEEDS_TOOL, supports_check_mode=True
    )
    parameters = module.params

    def version_in(database: str) -> str | None:
        if _schema_database.PSYCOPG2_IMPORT_ERROR:
            raise _schema_stores.SchemaError(f"psycopg2 is not installed for {sys.executable}")
        return _schema_database.version_in(database, parameters)

    def environment(database: str) -> dict[str, str]:
        found = {
            "SQL_PLUGIN": PLUGIN,
            "SQL_HOST": parameters["address"],
            "SQL_PORT": str(parameters["port"]),
            "SQL_USER": parameters["user"],
            "SQL_PASSWORD": parameters["password"],
            "SQL_DATABASE": database,
        }
        if parameters["ca_file"]:
            found |= {"SQL_TLS": "true", "SQL_TLS_CA_FILE": parameters["ca_file"]}
        if parameters["cert_file"]:
            found |= {"SQL_TLS_CERT_FILE": parameters["cert_file"], "SQL_TLS_KEY_FILE": parameters["key_file"]}
        return found

    _schema_stores.converge(module, version_in, environment)


if __name__ == "__main__":
    main()
