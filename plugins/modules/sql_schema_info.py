#!/usr/bin/python
# Copyright: (c) 2026, The zerospof.temporal maintainers
# Apache License 2.0 (see LICENSE or https://www.apache.org/licenses/LICENSE-2.0)
"""Ansible module: versions of the schemas of Temporal in PostgreSQL."""

from __future__ import annotations

DOCUMENTATION = r"""
module: sql_schema_info
short_description: Tell which versions the schemas of Temporal in PostgreSQL have
version_added: 0.1.0
author: The zerospof.temporal maintainers (@zerospof)
description:
  - Compares the version in each database with the version that a release of the server expects.
  - A server refuses to start on a schema that is older; one that is newer is fine.
options:
  tool:
    description: Path of the schema tool of the release whose schema is wanted. Without it only what is there is told.
    type: path
  tables:
    description: Names of tables whose size is told for each database that has them.
    type: list
    elements: str
    default: []
extends_documentation_fragment:
  - zerospof.temporal.reads_only
  - zerospof.temporal.schema
  - zerospof.temporal.schema.postgresql
seealso:
  - module: zerospof.temporal.sql_schema
"""

EXAMPLES = r"""
- name: The versions of the schemas are known
  zerospof.temporal.sql_schema_info:
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
  register: schemas
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
    schema:
      description: Name of the schema that it holds.
      type: str
    version:
      description: Version in the database; none for a database without a schema.
      type: str
    expected:
      description: Version that the release expects; none without O(tool).
      type: str
    tables:
      description:
        - Those of O(tables) that are there, as C({name, rows, bytes}). The rows are an estimate, V(0) where
          PostgreSQL has counted none yet; the bytes are those of the table with its indexes.
      type: list
      elements: dict
problems:
  description: The schemas that are too old, one sentence each.
  returned: success
  type: list
  elements: str
"""

from ansible.module_utils.basic import AnsibleModule, missing_required_lib
from ansible_collections.zerospof.temporal.plugins.module_utils import _schema_database, _schema_stores


def main() -> None:
    """Run the module."""
    tables = {"tables": {"type": "list", "elements": "str", "default": []}}
    module = AnsibleModule(argument_spec=_schema_database.ARGUMENTS | tables, supports_check_mode=True)
    if _schema_database.PSYCOPG2_IMPORT_ERROR:
        module.fail_json(msg=missing_required_lib("psycopg2"), exception=_schema_database.PSYCOPG2_IMPORT_ERROR)
    _schema_stores.inform(
        module,
        lambda database: _schema_database.version_in(database, module.params),
        lambda database: _schema_database.sizes_in(database, module.params["tables"], module.params),
    )


if __name__ == "__main__":
    main()
