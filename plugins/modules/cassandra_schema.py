#!/usr/bin/python
# Copyright: (c) 2026, The zerospof.temporal maintainers
# Apache License 2.0 (see LICENSE or https://www.apache.org/licenses/LICENSE-2.0)
"""Ansible module: the schema of Temporal in Cassandra."""

from __future__ import annotations

DOCUMENTATION = r"""
module: cassandra_schema
short_description: Bring the schema of Temporal in Cassandra to the version of a release
version_added: 0.1.0
author: The zerospof.temporal maintainers (@zerospof)
description:
  - Sets up and updates the schema with C(temporal-cassandra-tool) where it is older than what the tool carries.
  - A schema that is newer is left alone, because an older server runs on it and there is no way back.
  - Nothing locks the schema, so run this on one host only. The keyspace must be there.
  - Every statement waits until all nodes agree on the schema, which takes a second or two for each of 37.
extends_documentation_fragment:
  - zerospof.temporal.schema
  - zerospof.temporal.cassandra
attributes:
  check_mode:
    description:
      - Can run in check mode and report what would change.
      - Where the ring or the tool is not there yet, everything would change.
    support: full
  diff_mode:
    description: Shows the versions before and after.
    support: full
seealso:
  - module: zerospof.temporal.cassandra_schema_info
  - module: zerospof.temporal.cassandra_keyspaces
"""

EXAMPLES = r"""
- name: The schema is that of the release
  zerospof.temporal.cassandra_schema:
    addresses: [192.0.2.11, 192.0.2.12]
    login_user: temporal_schema
    login_password: "{{ temporal_secrets.cassandra_schema }}"
    ca_file: /etc/temporal/tls/ca.crt
    cert_file: /etc/temporal/tls/temporal.crt
    key_file: /etc/temporal/tls/temporal.key
    tool: /opt/temporal-server/current/temporal-cassandra-tool
    stores:
      - {database: temporal, schema: cassandra/temporal}
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
    before:
      description: Version before the task; none for a keyspace without a schema.
      type: str
    after:
      description: Version after the task.
      type: str
    expected:
      description: Version that the release expects.
      type: str
"""

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.zerospof.temporal.plugins.module_utils import _schema_keyspace, _schema_stores


def main() -> None:
    """Run the module."""
    module = AnsibleModule(
        argument_spec=_schema_keyspace.ARGUMENTS | _schema_stores.NEEDS_TOOL, supports_check_mode=True
    )
    parameters = module.params

    def environment(keyspace: str) -> dict[str, str]:
        found = {
            "CASSANDRA_HOST": ",".join(parameters["addresses"]),
            "CASSANDRA_PORT": str(parameters["port"]),
            "CASSANDRA_USER": parameters["login_user"],
            "CASSANDRA_PASSWORD": parameters["login_password"],
            "CASSANDRA_KEYSPACE": keyspace,
        }
        if parameters["ca_file"]:
            found |= {"CASSANDRA_ENABLE_TLS": "true", "CASSANDRA_TLS_CA": parameters["ca_file"]}
        if parameters["cert_file"]:
            found |= {"CASSANDRA_TLS_CERT": parameters["cert_file"], "CASSANDRA_TLS_KEY": parameters["key_file"]}
        return found

    _schema_stores.converge(module, lambda keyspace: _schema_keyspace.version_in(module, keyspace), environment)


if __name__ == "__main__":
    main()
