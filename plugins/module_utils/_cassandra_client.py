"""Thin I/O around the official driver of Cassandra, shared by the modules that speak CQL."""

from __future__ import annotations

import contextlib
import ssl
import time
import traceback
from collections.abc import Collection, Iterator, Sequence
from typing import TYPE_CHECKING, Any

from ansible.module_utils.basic import missing_required_lib
from ansible_collections.zerospof.temporal.plugins.module_utils import _cassandra

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
BOOTSTRAP = {"bootstrap_timeout_seconds": {"type": "int", "default": 0}}
"""The option of modules that can log in as the superuser with which a new ring begins."""
CONNECT_SECONDS = 5
REQUEST_SECONDS = 30
LOGIN_SECONDS = 30
"""How long a login is tried again of which the ring cannot tell whether it is right."""
AGREEMENT_SECONDS = 60
"""How long nodes may take to have the same schema after a change."""
PAUSE_SECONDS = 1


class LoginError(Exception):
    """The ring does not accept the user with this password."""


class UnreachableError(Exception):
    """None of the addresses answers; the text has the reason of each."""


class UndecidedError(UnreachableError):
    """A node answers, and could not find out whether the password is right."""


class AgreementError(Exception):
    """Nodes have different schemas for too long after a change."""


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


def _login(module: AnsibleModule, user: str, password: str) -> Session:
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
        return cluster.connect()
    except NoHostAvailable as error:
        cluster.shutdown()
        causes = error.errors.values() if isinstance(error.errors, dict) else error.errors
        answers = [str(cause) for cause in causes if isinstance(cause, AuthenticationFailed)]
        if any(map(_cassandra.refuses_login, answers)):
            raise LoginError(f"Cassandra does not accept user {user} with this password") from None
        reasons = "; ".join(f"{address}: {cause}" for address, cause in error.errors.items()) or str(error)
        raise (UndecidedError if answers else UnreachableError)(reasons) from None


@contextlib.contextmanager
def session(module: AnsibleModule, login: tuple[str, str] | None = None) -> Iterator[Session]:
    """Give a session that uses nothing but the addresses of the module, at LOCAL_QUORUM and LOCAL_SERIAL.

    ``login``: user and password instead of those of the module.

    Raises:
        LoginError: the user is unknown or has another password.
        UnreachableError: no address answers, or none could look the user up within ``LOGIN_SECONDS``.
    """
    user, password = login or (module.params["login_user"], module.params["login_password"])
    deadline = time.monotonic() + LOGIN_SECONDS
    while True:
        try:
            opened = _login(module, user, password)
            break
        except UndecidedError:
            if time.monotonic() > deadline:
                raise
        time.sleep(PAUSE_SECONDS)
    try:
        yield opened
    finally:
        opened.cluster.shutdown()


def _first_accepted(module: AnsibleModule, stack: contextlib.ExitStack, *, bootstrap: bool) -> Session:
    """Return a session of the module's login, or of that of a new ring where ``bootstrap`` allows it.

    A ring makes its first user some seconds after its last node has come. Until ``bootstrap_timeout_seconds`` of the
    module have passed, both are therefore tried again.
    """
    deadline = time.monotonic() + module.params.get("bootstrap_timeout_seconds", 0)
    while True:
        try:
            opened = stack.enter_context(session(module))
            opened.is_bootstrap = False
            return opened
        except LoginError:
            if not bootstrap:
                raise
            with contextlib.suppress(LoginError):
                opened = stack.enter_context(session(module, DEFAULT_LOGIN))
                opened.is_bootstrap = True
                return opened
            if time.monotonic() > deadline:
                raise
        time.sleep(PAUSE_SECONDS)


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
            opened = _first_accepted(module, stack, bootstrap=bootstrap)
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
        except AgreementError as error:
            module.fail_json(msg=f"Cassandra: {error}")


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


def change_schema(opened: Session, statement: str) -> None:
    """Carry out a statement that changes the schema, and wait until all nodes that are up have the change.

    The driver waits as well, but for 10 s and without a word when they do not. To repair before every node knows of its
    new rows copies nothing.

    Raises:
        AgreementError: nodes still differ after ``AGREEMENT_SECONDS``.
    """
    opened.execute(statement)
    if not opened.cluster.control_connection.wait_for_schema_agreement(wait_time=AGREEMENT_SECONDS):
        raise AgreementError(f"nodes have different schemas {AGREEMENT_SECONDS} s after: {statement}")


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
