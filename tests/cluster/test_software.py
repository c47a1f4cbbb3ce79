"""Hosts run what the support matrix of the README promises, and Temporal speaks to its pooler accordingly."""

from __future__ import annotations

import asyncio
import re

import yaml
from ansible_collections.zerospof.temporal.plugins.module_utils._pgbouncer import version_tuple

from lab.view import View
from tests.chaos.whole import until
from tests.cluster.conftest import ROOT

POOLER = "runuser -u postgres -- psql -qtAX -h /run/pgbouncer -p 6432 pgbouncer pgbouncer -c 'SHOW VERSION'"
# A tier of each row of the support matrix and what says the version of each component that the row names.
SOFTWARE = {
    "Temporal server": ("temporal_servers", ["/opt/temporal-server/current/temporal-server --version"]),
    "PostgreSQL / Patroni": ("postgresql", ["/usr/lib/postgresql/*/bin/postgres --version", "patroni --version"]),
    "etcd": ("etcd", ["etcd --version"]),
    "Cassandra": ("cassandra", ["nodetool version"]),
    "PgBouncer": ("temporal_servers", [POOLER]),
    "HAProxy / keepalived": ("load_balancers", ["haproxy -v", "keepalived --version 2>&1"]),
}
VERSION = re.compile(r"\d+\.\d+(\.\d+)?")
FOLLOWS_PREPARED_STATEMENTS = (1, 21)
# Whether the last statements of Temporal that the database has seen on its connections have their parameters apart.
SEEN = (
    "select distinct position(chr(36) || '1' in query) > 0 from pg_stat_activity"
    " where usename = 'temporal' and query ~* 'where|values'"
)


async def ask_visibility(view: View) -> None:
    """Have the visibility store asked something with a parameter: on Cassandra little else comes by."""
    client = await view.client("test@outside", namespace=view.deployment["namespace"])
    await client.count_workflows("WorkflowType = 'none of that name'")


def support_matrix() -> dict[str, dict[str, list[str]]]:
    """Versions of the components of each row, by release of Debian."""
    section = (ROOT / "README.md").read_text(encoding="utf-8").split("## Support matrix")[1].split("\n## ")[0]
    rows = [
        [cell.strip() for cell in line.strip("|").split("|")] for line in section.splitlines() if line.startswith("|")
    ]
    (_, *releases), _, *components = rows
    return {
        name: {release: cell.split(",")[0].split(" / ") for release, cell in zip(releases, cells, strict=True)}
        for name, *cells in components
    }


def release(view: View, host: str) -> str:
    """The release of Debian that a host runs."""
    return view.on(host, ". /etc/os-release; echo Debian $VERSION_ID").strip()


def found(view: View, host: str, command: str) -> str:
    """The first version in what a command prints."""
    version = VERSION.search(view.on(host, command))
    assert version, f"{host}: no version in the answer to {command}"
    return version[0]


def test_hosts_have_the_operating_system_of_the_lab(view: View) -> None:
    for host in view.lab.hosts:
        assert release(view, host.name) == host.image.replace("debian-", "Debian ")


def test_hosts_run_what_the_support_matrix_says(view: View) -> None:
    matrix = support_matrix()
    assert matrix.keys() == SOFTWARE.keys()
    for row, (tier, commands) in SOFTWARE.items():
        for host in view.members(tier):
            promised = matrix[row][release(view, host)]
            runs = [found(view, host, command) for command in commands]
            # 1.18 promises 1.18.0 and not 1.180.0.
            kept = [f"{version}.".startswith(f"{wanted}.") for version, wanted in zip(runs, promised, strict=True)]
            assert all(kept), f"{host} runs {runs} as {row}, not {promised}"


def test_temporal_sends_queries_in_the_way_that_its_pooler_can_follow(view: View) -> None:
    """A PgBouncer that does not follow prepared statements gives one client those of another."""
    [follows] = {
        version_tuple(found(view, host, POOLER))[:2] >= FOLLOWS_PREPARED_STATEMENTS
        for host in view.members("temporal_servers")
    }
    for host in view.members("temporal_servers"):
        stores = yaml.safe_load(view.on(host, "cat /etc/temporal/server.yaml"))["persistence"]["datastores"].values()
        modes = {store["sql"]["connectAttributes"]["default_query_exec_mode"] for store in stores if "sql" in store}
        assert modes == {"cache_statement" if follows else "simple_protocol"}
    primary = view.database_primary()

    # With the simple protocol the values stand in the text.
    def is_seen() -> bool:
        asyncio.run(ask_visibility(view))
        return ["t" if follows else "f"] in view.query(primary, "postgres", SEEN)

    until(f"the primary sees queries with parameters apart: {follows}", is_seen)
    assert follows or ["t"] not in view.query(primary, "postgres", SEEN)
