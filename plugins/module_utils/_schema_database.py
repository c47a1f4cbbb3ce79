"""Reading the versions of Temporal's schemas from PostgreSQL."""

from __future__ import annotations

import contextlib
import traceback
from collections.abc import Iterator
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
# What was counted at the last ANALYZE or VACUUM, or since. Without such a count (-1 since PostgreSQL 14, 0
# before), as after pg_upgrade, the number of live rows is only that of rows that came since.
SIZES = """
SELECT c.relname,
  (CASE WHEN c.reltuples > 0 THEN GREATEST(c.reltuples, s.n_live_tup) ELSE 0 END)::bigint,
  pg_total_relation_size(c.oid)
FROM pg_class c LEFT JOIN pg_stat_all_tables s ON s.relid = c.oid
WHERE c.relname = ANY(%s) AND c.relkind IN ('r', 'p') AND pg_table_is_visible(c.oid)
ORDER BY c.relname
"""


@contextlib.contextmanager
def _cursor(database: str, parameters: dict[str, Any], what: str) -> Iterator[Any]:
    """Give a cursor in ``database``; an error becomes a :class:`SchemaError`, which says that ``what`` is not known."""
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
                yield cursor
        finally:
            connection.close()
    except psycopg2.Error as error:
        place = f"{parameters['address']}:{parameters['port']}/{database}"
        reason = " ".join(str(error).split())
        raise _schema_stores.SchemaError(f"{place}: {what} cannot be read: {reason}") from error


def version_in(database: str, parameters: dict[str, Any]) -> str | None:
    """Return the version of the schema in ``database``, ``None`` when it holds none.

    Raises:
        SchemaError: the database does not answer or refuses.
    """
    with _cursor(database, parameters, "the version of the schema") as cursor:
        try:
            cursor.execute(
                "SELECT curr_version FROM schema_version WHERE version_partition = 0 AND db_name = %s", (database,)
            )
        except psycopg2.Error as error:
            if error.pgcode == psycopg2.errorcodes.UNDEFINED_TABLE:
                return None
            raise
        row = cursor.fetchone()
    return row[0] if row else None


def sizes_in(database: str, tables: list[str], parameters: dict[str, Any]) -> list[dict[str, Any]]:
    """Return those of ``tables`` that are in ``database``, ``[{name, rows, bytes}]``.

    The rows are an estimate, 0 when PostgreSQL has counted none yet.

    Raises:
        SchemaError: the database does not answer or refuses.
    """
    if not tables:
        return []
    with _cursor(database, parameters, "the size of tables") as cursor:
        cursor.execute(SIZES, (tables,))
        return [{"name": name, "rows": rows, "bytes": size} for name, rows, size in cursor.fetchall()]
