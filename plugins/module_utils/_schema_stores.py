"""What the modules about Temporal's schemas do with their stores, whatever the kind of the database."""

from __future__ import annotations

import mmap
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ansible_collections.zerospof.temporal.plugins.module_utils import _schema

if TYPE_CHECKING:
    from ansible.module_utils.basic import AnsibleModule

ARGUMENTS: dict[str, dict[str, Any]] = {
    "stores": {
        "type": "list",
        "elements": "dict",
        "required": True,
        "options": {
            "database": {"type": "str", "required": True},
            "schema": {"type": "str", "required": True},
        },
    },
    "tool": {"type": "path"},
}
# For whoever changes a schema.
NEEDS_TOOL: dict[str, dict[str, Any]] = {"tool": {"type": "path", "required": True}}

Store = dict[str, str]
VersionIn = Callable[[str], str | None]
"""Returns the version of the schema in a database, ``None`` when it holds none; raises :class:`SchemaError`."""
SizesIn = Callable[[str], list[dict[str, Any]]]
"""Returns tables of a database with their sizes; raises :class:`SchemaError`."""


class SchemaError(RuntimeError):
    """A version cannot be told; the message says of what and why."""


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


def run_tool(module: AnsibleModule, database: str, environment: dict[str, str], *arguments: str) -> None:
    """Run the schema tool on ``database``, which ``environment`` leads to; end with what it says when it fails."""
    tool = module.params["tool"]
    code, output, error = module.run_command([tool, *arguments], environ_update=environment)
    if code != 0:
        module.fail_json(
            msg=f"{database}: {Path(tool).name} {' '.join(arguments)} failed with exit code {code}",
            stdout=output,
            stderr=error,
        )


def converge(module: AnsibleModule, version_in: VersionIn, environment: Callable[[str], dict[str, str]]) -> None:
    """Bring the schema of every store to the version of the tool, and end the module.

    ``environment`` returns the variables with which the tool reaches a database.
    """
    stores = []
    for store in module.params["stores"]:
        try:
            stores.append(_converge(module, store, version_in, environment))
        except SchemaError as error:
            if not module.check_mode:
                module.fail_json(msg=str(error))
            module.warn(f"{store['database']}: the schema would be set up; it cannot be asked yet: {error}")
            unknown = {"before": None, "after": "of the release", "expected": "of the release"}
            stores.append({"database": store["database"], **unknown})
    changes = [store for store in stores if store["before"] != store["after"]]
    module.exit_json(
        changed=bool(changes),
        stores=stores,
        diff=[
            {
                "before_header": f"schema of {store['database']}",
                "after_header": f"schema of {store['database']}",
                "before": f"{store['before'] or 'none'}\n",
                "after": f"{store['after']}\n",
            }
            for store in changes
        ],
    )


def _converge(
    module: AnsibleModule, store: Store, version_in: VersionIn, environment: Callable[[str], dict[str, str]]
) -> dict[str, Any]:
    """Bring the schema of ``store`` to the version of the tool; return the versions."""
    database, schema = store["database"], store["schema"]
    expected = expected_by(module.params["tool"], schema)
    before = after = version_in(database)
    if _schema.is_older(before, expected):
        if module.check_mode:
            after = expected
        else:
            # Makes the tables in which the version is kept, and nothing where they are.
            run_tool(module, database, environment(database), "setup-schema", "--version", "0.0")
            run_tool(module, database, environment(database), "update-schema", "--schema-name", schema)
            after = version_in(database)
            if _schema.is_older(after, expected):
                module.fail_json(msg=f"{database}: the schema is at {after} after the update, {expected} is expected")
    return {"database": database, "before": before, "after": after, "expected": expected}


def inform(module: AnsibleModule, version_in: VersionIn, sizes_in: SizesIn = lambda _: []) -> None:
    """Tell which version the schema of every store has and which are too old, and end the module.

    Without a tool nobody knows what is expected, and none is too old.
    """
    tool = module.params["tool"]
    try:
        stores = [
            {
                "database": store["database"],
                "schema": store["schema"],
                "version": version_in(store["database"]),
                "expected": expected_by(tool, store["schema"]) if tool else None,
                "tables": sizes_in(store["database"]),
            }
            for store in module.params["stores"]
        ]
    except SchemaError as error:
        module.fail_json(msg=str(error))
    problems = [
        f"{store['database']}: the schema is at {store['version'] or 'no version'},"
        f" the server expects at least {store['expected']}"
        for store in stores
        if store["expected"] and _schema.is_older(store["version"], store["expected"])
    ]
    module.exit_json(changed=False, stores=stores, problems=problems)
