"""Reading the versions of Temporal's schemas from Cassandra."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

from ansible_collections.zerospof.temporal.plugins.module_utils import _cassandra_client, _schema_stores

if TYPE_CHECKING:
    from ansible.module_utils.basic import AnsibleModule

ARGUMENTS: dict[str, dict[str, Any]] = {**_cassandra_client.ARGUMENTS, **_schema_stores.ARGUMENTS}
VERSION_TABLE = "schema_version"


def version_in(module: AnsibleModule, keyspace: str) -> str | None:
    """Return the version of the schema in ``keyspace``, ``None`` when it holds none.

    Raises:
        SchemaError: the ring does not answer or refuses.
    """
    if _cassandra_client.LIBRARY_ERROR:
        raise _schema_stores.SchemaError(f"cassandra-driver is not installed for {sys.executable}")
    tables = "SELECT table_name FROM system_schema.tables WHERE keyspace_name = %s AND table_name = %s"
    version = (
        f"SELECT curr_version FROM {_cassandra_client.identifier(keyspace)}.{VERSION_TABLE} WHERE keyspace_name = %s"
    )
    try:
        with _cassandra_client.session(module) as session:
            if not _cassandra_client.rows(session, tables, keyspace, VERSION_TABLE):
                return None
            found = _cassandra_client.rows(session, version, keyspace)
    except (_cassandra_client.LoginError, _cassandra_client.UnreachableError, *_cassandra_client.REFUSALS) as error:
        place = f"{', '.join(module.params['addresses'])} keyspace {keyspace}"
        raise _schema_stores.SchemaError(f"{place}: the version of the schema cannot be read: {error}") from error
    return found[0].curr_version if found else None
