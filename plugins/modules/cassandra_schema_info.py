#!/usr/bin/python
# Copyright: (c) 2026, The zerospof.temporal maintainers
# Apache License 2.0 (see LICENSE or https://www.apache.org/licenses/LICENSE-2.0)
"""Ansible module: version of the schema of Temporal in Cassandra."""

from __future__ import annotations

DOCUMENTATION = r"""
module: cassandra_schema_info
short_description: Tell which version the schema of Temporal in Cassandra has
version_added: 0.1.0
author: The zerospof.temporal maintainers (@zerospof)
description:
  - Compares the version in each keyspace with the version that a release of the server expects.
  - A server refuses to start on a schema that is older; one that is newer is fine.
options:
  tool:
    description: Path of the schema tool of the release whose schema is wanted. Without it only what is there is told.
    type: path
extends_documentation_fragment:
  - zerospof.temporal.reads_only
  - zerospof.temporal.schema
  - zerospof.temporal.cassandra
seealso:
  - module: zerospof.temporal.cassandra_schema
"""

EXAMPLES = r"""
- name: The version of the schema is known
  zerospof.temporal.cassandra_schema_info:
    addresses: [192.0.2.11, 192.0.2.12]
    login_user: temporal_schema
    login_password: "{{ temporal_secrets.cassandra_schema }}"
    ca_file: /etc/temporal/tls/ca.crt
    cert_file: /etc/temporal/tls/temporal.crt
    key_file: /etc/temporal/tls/temporal.key
    tool: /opt/temporal-server/current/temporal-cassandra-tool
    stores:
      - {database: temporal, schema: cassandra/temporal}
  register: schemas
"""

RETURN = r"""
stores:
  description: The keyspaces with the versions of their schemas.
  returned: success
  type: list
  elements: dict
  contains:
    database:
      description: Name of the keyspace.
      type: str
    schema:
      description: Name of the schema that it holds.
      type: str
    version:
      description: Version in the keyspace; none for a keyspace without a schema.
      type: str
    expected:
      description: Version that the release expects; none without O(tool).
      type: str
    tables:
      description: Empty, because no version of a schema in Cassandra writes a table anew.
      type: list
      elements: dict
problems:
  description: The schemas that are too old, one sentence each.
  returned: success
  type: list
  elements: str
"""

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.zerospof.temporal.plugins.module_utils import (
    _cassandra_client,
    _schema_keyspace,
    _schema_stores,
)


def main() -> None:
    """Run the module."""
    module = AnsibleModule(argument_spec=_schema_keyspace.ARGUMENTS, supports_check_mode=True)
    _cassandra_client.require_library(module)
    _schema_stores.inform(module, lambda keyspace: _schema_keyspace.version_in(module, keyspace))


if __name__ == "__main__":
    main()
