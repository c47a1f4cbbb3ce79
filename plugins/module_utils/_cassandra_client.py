"""Thin I/O around the official driver of Cassandra, shared by the modules that speak CQL."""

from __future__ import annotations

import contextlib
import ssl
import traceback
from collections.abc import Collection, Iterator, Sequence
from typing import TYPE_CHECKING, Any

from ansible.module_utils.basic import missing_required_lib

try:
    from cassandra import AuthenticationFailed, ConsistencyLevel, DriverException
    from cassandra.auth import PlainTextAuthProvider
    from cassandra.cluster import EXEC_PROFILE_DEFAULT, Cluster, ExecutionProfile, NoHostAvailable
    from cassandra.policies import WhiteListRoundRobinPolicy
    from cassandra.query import SimpleStatement

    LIBRARY_ERROR = None
    REFUSALS: tuple[type[Exception], ...] = (DriverException,)
    """What a statement raises that the ring does not carry out."""
except ImportError:
    LIBRARY_ERROR = traceback.format_exc()
    REFUSALS = ()

if TYPE_CHECKING:
    from ansible.module_utils.basic import AnsibleModule
    from cassandra.cluster import Session

ARGUMENTS = {
    "addresses": {"type": "list", "elements": "str", "required": True},
    "port": {"type": "int", "default": 9042},
    "login_user": {"type": "str", "required": True},
    "login_password": {"type": "str", "required": True, "no_log": True},
    "ca_file": {"type": "path"},
    "cert_file": {"type": "path"},
    "key_file": {"type": "path"},
}
MEMBERS = {
    "type": "list",
    "elements": "dict",
    "required": True,
    "options": {
        "name": {"type": "str", "required": True},
        "address": {"type": "str", "required": True},
        "zone": {"type": "str"},
        "rack": {"type": "str"},
    },
}
Table = tuple[str, str]
"""A table: its keyspace and its name."""
DEFAULT_LOGIN = ("cassandra", "cassandra")
"""The superuser with which a new ring begins."""
CONNECT_SECONDS = 5
REQUEST_SECONDS = 30


class LoginError(Exception):
    """The ring does not accept the user with this password."""


class UnreachableError(Exception):
    """None of the addresses answers; the text has the reason of each."""


def require_library(module: AnsibleModule) -> None:
    """End the module when the driver is missing."""
    if LIBRARY_ERROR:
        module.fail_json(msg=missing_required_lib("cassandra-driver"), exception=LIBRARY_ERROR)


def _tls(module: AnsibleModule) -> ssl.SSLContext | None:
    if not module.params["ca_file"]:
        return None
    context = ssl.create_default_context(cafile=module.params["ca_file"])
    if module.params["cert_file"]:
        context.load_cert_chain(module.params["cert_file"], module.params["key_file"])
    return context


@contextlib.contextmanager
def session(module: AnsibleModule, login: tuple[str, str] | None = None) -> Iterator[Session]:
    """Give a session that uses nothing but the addresses of the module, at LOCAL_QUORUM and LOCAL_SERIAL.

    ``login``: user and password instead of those of the module.

    Raises:
        LoginError: the user is unknown or has another password.
        UnreachableError: no address answers.
    """
    user, password = login or (module.params["login_user"], module.params["login_password"])
    addresses: Sequence[str] = module.params["addresses"]
    profile = ExecutionProfile(
        load_balancing_policy=WhiteListRoundRobinPolicy(addresses),
        consistency_level=ConsistencyLevel.LOCAL_QUORUM,
        serial_consistency_level=ConsistencyLevel.LOCAL_SERIAL,
        request_timeout=REQUEST_SECONDS,
    )
    cluster = Cluster(
        addresses,
        port=module.params["port"],
        auth_provider=PlainTextAuthProvider(user, password),
        ssl_context=_tls(module),
        execution_profiles={EXEC_PROFILE_DEFAULT: profile},
        protocol_version=5,
        connect_timeout=CONNECT_SECONDS,
        control_connection_timeout=CONNECT_SECONDS,
        # The metadata of tables is of no use here and costs a second.
        schema_metadata_enabled=False,
        token_metadata_enabled=False,
    )
    try:
        try:
            opened = cluster.connect()
        except NoHostAvailable as error:
            causes = error.errors.values() if isinstance(error.errors, dict) else error.errors
            if any(isinstance(cause, AuthenticationFailed) for cause in causes):
                raise LoginError(f"Cassandra does not accept user {user} with this password") from None
            raise UnreachableError(
                "; ".join(f"{address}: {cause}" for address, cause in error.errors.items()) or str(error)
            ) from None
        yield opened
    finally:
        cluster.shutdown()


@contextlib.contextmanager
def connection(module: AnsibleModule, *, bootstrap: bool | None = None) -> Iterator[Session | None]:
    """Give a session of the module, ``None`` in check mode where there is nobody to ask yet; end it on any failure.

    ``bootstrap``: whether to take the login of a new ring when that of the module is refused; by default the option of
    this name says so. The session has the attribute ``is_bootstrap``.
    """
    bootstrap = module.params.get("bootstrap", False) if bootstrap is None else bootstrap
    if LIBRARY_ERROR and module.check_mode:
        yield None
        return
    require_library(module)
    with contextlib.ExitStack() as stack:
        try:
            try:
                opened = stack.enter_context(session(module))
                opened.is_bootstrap = False
            except LoginError as refusal:
                if not bootstrap:
                    raise
                try:
                    opened = stack.enter_context(session(module, DEFAULT_LOGIN))
                except LoginError:
                    raise refusal from None
                opened.is_bootstrap = True
        except UnreachableError as error:
            if not module.check_mode:
                module.fail_json(msg=f"Cassandra does not answer: {error}")
            module.warn(f"Cassandra does not answer yet, so everything would be made: {error}")
            opened = None
        except LoginError as error:
            module.fail_json(msg=f"{error}; correct the password in temporal_secrets")
        try:
            yield opened
        except REFUSALS as error:
            module.fail_json(msg=f"Cassandra refuses: {type(error).__name__}: {error}")


def accepts(module: AnsibleModule, user: str, password: str) -> bool:
    """Tell whether ``user`` can log in with ``password``."""
    try:
        with session(module, (user, password)):
            return True
    except LoginError:
        return False


def identifier(name: str) -> str:
    """Return ``name`` as CQL quotes names."""
    return '"' + name.replace('"', '""') + '"'


def literal(text: str) -> str:
    """Return ``text`` as CQL quotes text."""
    return "'" + text.replace("'", "''") + "'"


def rows(opened: Session, statement: str, *values: Any) -> list[Any]:  # noqa: ANN401
    """Return all rows of a statement."""
    return list(opened.execute(statement, values or None))


def replications(opened: Session) -> dict[str, dict[str, str]]:
    """Return the replication of every keyspace as ``system_schema.keyspaces`` holds it, by name."""
    query = "SELECT keyspace_name, replication FROM system_schema.keyspaces"
    return {row.keyspace_name: dict(row.replication) for row in rows(opened, query)}


def tables(opened: Session) -> set[Table]:
    """Return every table, by its keyspace and its name."""
    query = "SELECT keyspace_name, table_name FROM system_schema.tables"
    return {(row.keyspace_name, row.table_name) for row in rows(opened, query)}


def repairs(opened: Session, table: Table, present: Collection[Table]) -> dict[str, str]:
    """Return the change of copies after which each node has repaired, and that of the ring, by name.

    ``present``: the tables that there are. Empty without the ``table`` of repairs: no ring that was made here is
    without, and no copies were changed.
    """
    if table not in present:
        return {}
    return {row.name: row.generation for row in rows(opened, f"SELECT name, generation FROM {quoted(table)}")}


def table_named(name: str) -> Table:
    """Return the table that ``name`` means, which is ``keyspace.table``."""
    keyspace, _, table = name.partition(".")
    return keyspace, table


def quoted(table: Table) -> str:
    """Return the name of a table as CQL has it."""
    return ".".join(map(identifier, table))


def serial_read(opened: Session, role: str) -> None:
    """Read a row by Paxos, as every conditional write of Temporal begins; raises when there is no quorum for it."""
    statement = SimpleStatement(
        "SELECT role FROM system_auth.roles WHERE role = %s", consistency_level=ConsistencyLevel.LOCAL_SERIAL
    )
    opened.execute(statement, (role,))
