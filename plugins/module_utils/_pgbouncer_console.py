"""Thin I/O around psql, shared by the PgBouncer modules."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ansible_collections.zerospof.temporal.plugins.module_utils import _pgbouncer

if TYPE_CHECKING:
    from ansible.module_utils.basic import AnsibleModule

ARGUMENTS = {
    "port": {"type": "int", "default": 6432},
    "socket_directory": {"type": "path", "default": "/run/pgbouncer"},
    "owner": {"type": "str", "default": "postgres"},
}

_PSQL = ("psql", "--no-psqlrc", "--no-password", "--quiet", "--tuples-only", "--no-align", "--set=ON_ERROR_STOP=1")

# What timeout(1) returns when it had to end the command.
TIMED_OUT = 124


def argv(module: AnsibleModule, command: str) -> list[str]:
    """Return the program that runs ``command`` on the administration console.

    The console admits the user ``pgbouncer`` without a password when it comes over the socket as the user under
    whom PgBouncer runs.
    """
    parameters = module.params
    target = ["--host", parameters["socket_directory"], "--port", str(parameters["port"])]
    target += ["--username", "pgbouncer", "--dbname", "pgbouncer"]
    return ["runuser", "-u", parameters["owner"], "--", *_PSQL, *target, "--command", command]


def console(module: AnsibleModule, command: str, seconds: int = 5) -> tuple[int, str, str]:
    """Run ``command`` on the administration console; return exit code, output and reason of a failure."""
    code, output, error = module.run_command(
        ["timeout", str(seconds), *argv(module, command)],
        environ_update={"LC_ALL": "C", "PGCONNECT_TIMEOUT": str(seconds)},
        cwd="/",
    )
    return code, output.strip(), _pgbouncer.reason(error)


def query(module: AnsibleModule, database: str, user: str, password: str, seconds: int = 5) -> tuple[int, str]:
    """Run ``SELECT 1`` through the pool; return exit code and the reason of a failure."""
    target = ["--host", "127.0.0.1", "--port", str(module.params["port"]), "--username", user, "--dbname", database]
    code, _, error = module.run_command(
        ["timeout", str(seconds), *_PSQL, *target, "--command", "SELECT 1"],
        environ_update={"LC_ALL": "C", "PGCONNECT_TIMEOUT": str(seconds), "PGPASSWORD": password},
        cwd="/",
    )
    return code, _pgbouncer.reason(error)
