"""Reading the versions of Temporal's schemas from PostgreSQL and from the schema tool."""

from __future__ import annotations

import mmap
import traceback
from pathlib import Path
from typing import Any

from ansible_collections.zerospof.temporal.plugins.module_utils import _schema

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
    "stores": {
        "type": "list",
        "elements": "dict",
        "required": True,
        "options": {
            "database": {"type": "str", "required": True},
            "schema": {"type": "str", "required": True},
        },
    },
    "tool": {"type": "path", "required": True},
}
CONNECT_SECONDS = 5


class SchemaError(RuntimeError):
    """A version cannot be told; the message says of what and why."""


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
        raise SchemaError(f"{place}: the version of the schema cannot be read: {reason}") from error
    return row[0] if row else None


def expected_by(tool: str, schema: str) -> str:
    """Return the version of ``schema`` that the release of the program ``tool`` expects.

    Raises:
        SchemaError: the program is absent or does not know the schema.
    """
    try:
        with Path(tool).open("rb") as program, mmap.mmap(program.fileno(), 0, access=mmap.ACCESS_READ) as content:
            version = _schema.newest_embedded(schema, content)  # type: ignore[arg-type]
    except (OSError, ValueError) as error:
        raise SchemaError(f"{tool}: cannot be read: {error}") from error
    if version is None:
        raise SchemaError(f"{tool}: holds no schema named {schema}")
    return version
