"""apply.yml brings a change to everything that it is for, zone by zone under load, and to nothing else."""

from __future__ import annotations

import asyncio
import re
from pathlib import Path

import pytest
import yaml

from lab.view import View
from tests.chaos.ledger import ledger
from tests.chaos.whole import until
from tests.cluster.conftest import LiveCluster, Run
from tests.cluster.test_rolling_restart import restarted, starts, wait_for_every_server
from tests.cluster.test_rolling_upgrade import UNITS, judged

# Minutes under load.
pytestmark = pytest.mark.profiles(whole=["basic"])

BLOB_LIMIT = {"limit.blobSize.warn": [{"value": 600_000}]}


def described(path: Path, setting: str, value: object) -> tuple[str, ...]:
    """The words of a run in which every server has one more setting."""
    path.write_text(yaml.safe_dump({"all": {"vars": {setting: value}}}), encoding="utf-8")
    return ("-i", str(path))


def watched(view: View) -> int:
    """How many workflows of a watching client the cluster has."""

    async def count() -> int:
        namespace = view.variable("temporal_namespaces")[0]["name"]
        client = await view.client("test@outside", namespace=namespace)
        return (await client.count_workflows("WorkflowType = 'zerospof_watch'")).count

    return asyncio.run(count())


def changed(run: Run) -> list[str]:
    """The hosts of which a run changed something."""
    return [host for host, number in run.changed.items() if number]


def test_a_changed_setting_restarts_what_reads_it_and_a_dynamic_one_nothing(
    cluster: LiveCluster, tmp_path: Path
) -> None:
    view = cluster.view
    new = described(tmp_path / "log.yml", "temporal_server_config_overrides", {"log": {"level": "warn"}})
    try:
        before = starts(view)
        with ledger(view, tmp_path / "ledger.sqlite") as books:
            applied = cluster.run("apply", *new)
        assert applied.code == 0, applied.reasons
        judged(books)
        after = starts(view)
        servers = view.members("temporal_servers")
        assert restarted(before, after) == {(host, service) for host in servers for service in UNITS}
        for number, host in enumerate(servers, start=1):
            batch = f"temporal_servers, batch {number} of 3 ({view.lab.host(host).zone})"
            assert f"{batch}: {host}" in applied.output
            seen = re.search(
                rf"{re.escape(batch)} came through: the watching client started (\d+) workflows", applied.output
            )
            assert int(seen[1]) > 0
        # The client has ended, and deleted what it had started.
        assert [host for host in servers if view.on(host, "ls /run | grep zerospof-watch || true")] == []
        until("nothing is left of it", lambda: watched(view) == 0)

        dynamic = described(tmp_path / "dynamic.yml", "temporal_server_dynamic_config", BLOB_LIMIT)
        live = cluster.run("apply", *new, *dynamic)
        assert live.code == 0, live.reasons
        assert changed(live) == servers
        assert "Nothing is to be restarted" in live.output
        assert starts(view) == after
    finally:
        back = cluster.run("apply")
    assert back.code == 0, back.reasons
    idle = starts(view)
    again = cluster.run("apply")
    assert again.code == 0, again.reasons
    assert changed(again) == []
    assert starts(view) == idle
    wait_for_every_server(view)
