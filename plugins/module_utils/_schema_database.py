"""Reading the versions of Temporal's schemas from PostgreSQL."""

from __future__ import annotations

import traceback
from typing import Any

from ansible_collections.zerospof.temporal.plugins.module_utils import _schema_stores

try:
    import psycopg2
    import psycopg2.errorcodes
except ImportError:
    PSYCOPG2_IMPORT_ERROR: str | None = traceback.format_exc()
else:
    PSYCOPG2_IMPORT_ERROR = None

ARGUMENTS: dict[str, dict[str, Any]] = {
    "address": {"type": "str", "required": True},
    "port": {"type": "int", "default": 5432},
    "user": {"type": "str", "required": True},
    "password": {"type": "str", "required": True, "no_log": True},
    "ca_file": {"type": "path"},
    "cert_file": {"type": "path"},
    "key_file": {"type": "path"},
    **_schema_stores.ARGUMENTS,
}
CONNECT_SECONDS = 5


def version_in(database: str, parameters: dict[str, Any]) -> str | None:
    """Return the version of the schema in ``database``, ``None`` when it holds none.

    Raises:
        SchemaError: the database does not answer or refuses.
    """
    place = f"{parameters['address']}:{parameters['port']}/{database}"
    try:
        connection = psycopg2.connect(
            host=parameters["address"],
            port=parameters["port"],
            user=parameters["user"],
            password=parameters["password"],
            dbname=database,
            connect_timeout=CONNECT_SECONDS,
            sslmode="verify-full" if parameters["ca_file"] else "disable",
            sslrootcert=parameters["ca_file"],
            sslcert=parameters["cert_file"],
            sslkey=parameters["key_file"],
        )
        try:
            with connection.cursor() as cursor:
                cursor.execute(
                    "SELECT curr_version FROM schema_version WHERE version_partition = 0 AND db_name = %s", (database,)
                )
                row = cursor.fetchone()
        finally:
            connection.close()
    except psycopg2.Error as error:
        if error.pgcode == psycopg2.errorcodes.UNDEFINED_TABLE:
            return None
        reason = " ".join(str(error).split())
        raise _schema_stores.SchemaError(f"{place}: the version of the schema cannot be read: {reason}") from error
    return row[0] if row else None
