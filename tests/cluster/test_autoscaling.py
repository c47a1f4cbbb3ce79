"""Instances of workers follow the load of a real cluster; an agent that dies or sees nothing freezes what runs."""

from __future__ import annotations

import asyncio
import functools
import json
import uuid
from collections.abc import Iterator
from dataclasses import dataclass

import pytest
from temporalio.client import Client, WorkflowHandle

from lab.load import outcome_of
from lab.sample import model, workflows
from tests.chaos.whole import until
from tests.cluster.conftest import LiveCluster

# Minutes that the hour of make test has no room for; molecule/temporal_worker has the same on a server of its own.
pytestmark = pytest.mark.profiles(whole=["basic"])

NAME, QUEUE = "scaled", "scaled-queue"
FEWEST, MOST = 1, 3
CHANGES, DEVICE_SECONDS = 150, 5
AGENT = "temporal-sdk-worker-scaler.service"
SETTINGS = "/etc/temporal-workers/scaling.json"
# Nobody listens there.
NOWHERE = "127.0.0.1:1"
RESULT_SECONDS, UP_SECONDS, DOWN_SECONDS, AGENT_SECONDS = 300, 180, 300, 60


@dataclass(frozen=True)
class Scaled:
    """A deployment whose number of instances follows the load, on all worker hosts of a cluster."""

    cluster: LiveCluster

    @property
    def hosts(self) -> list[str]:
        """The hosts with an agent."""
        return self.cluster.view.members("temporal_workers")

    def on(self, host: str, command: str) -> str:
        """Run a command on a host."""
        return self.cluster.view.on(host, command).strip()

    def instances(self, host: str) -> int:
        """Return how many instances run on a host."""
        return self.cluster.view.instances(host, NAME)

    def holds(self, host: str, since: str) -> bool:
        """Tell whether the agent of a host has said, since a moment in seconds since the epoch, that it is blind."""
        return "the statistics are" in self.on(host, f"journalctl --output=cat --unit={AGENT} --since=@{since}")

    async def have(self, number: int, hosts: list[str], seconds: float) -> None:
        """Wait until each of the hosts has so many instances."""
        await asyncio.to_thread(
            until, f"{number} instances", lambda: all(self.instances(host) == number for host in hosts), seconds
        )

    async def start(self, client: Client) -> list[tuple[model.Change, WorkflowHandle]]:
        """Start many changes at once."""
        changes = [
            model.Change(f"scaled-{uuid.uuid4().hex[:10]}", 10, [model.Device("device", seconds=DEVICE_SECONDS)])
            for _ in range(CHANGES)
        ]
        return [
            (
                change,
                await client.start_workflow(
                    workflows.ConfigureNetwork.run, change, id=change.change_id, task_queue=QUEUE
                ),
            )
            for change in changes
        ]


@pytest.fixture
def scaled(cluster: LiveCluster) -> Iterator[Scaled]:
    """The deployment beside those of the inventory; afterwards the cluster has those alone."""
    inventory = cluster.view.variable("temporal_worker_deployments", cluster.view.members("temporal_workers")[0])
    like = inventory[0]
    declared = {
        **{key: value for key, value in like.items() if key not in {"instances", "metrics_port"}},
        "name": NAME,
        "task_queue": QUEUE,
        "instances_min": FEWEST,
        "instances_max": MOST,
        "metrics_port": 9300,
        # Few slots, so that a small load asks for all instances.
        "environment": like.get("environment", {}) | {"TEMPORAL_WORKER_MAX_CONCURRENT_ACTIVITIES": "4"},
    }
    extra = {
        "temporal_worker_deployments": [*inventory, declared],
        "temporal_worker_scaling": {"calm_seconds": 20},
    }
    there = cluster.run("deploy_workers", "-e", json.dumps(extra))
    assert there.code == 0, there.reasons
    yield Scaled(cluster)
    back = cluster.run("deploy_workers")
    assert back.code == 0, back.reasons


async def judge(started: list[tuple[model.Change, WorkflowHandle]]) -> None:
    """Look at what became of every change."""
    for change, handle in started:
        assert await asyncio.wait_for(outcome_of(handle), RESULT_SECONDS) == model.expected_outcome(change)


async def follow(scaled: Scaled) -> None:
    """What the test promises, in its order."""
    view = scaled.cluster.view
    client = await view.client("scaled@outside", namespace=view.deployment["namespace"])
    deaf, blind = scaled.hosts[:2]

    # From the fewest to the most, and back when the load is gone.
    assert [scaled.instances(host) for host in scaled.hosts] == [FEWEST] * len(scaled.hosts)
    started = await scaled.start(client)
    await scaled.have(MOST, scaled.hosts, UP_SECONDS)
    await judge(started)
    await scaled.have(FEWEST, scaled.hosts, DOWN_SECONDS)

    # One agent is gone, another gets no statistics: their hosts keep what they have, and others do the work.
    scaled.on(deaf, f"systemctl stop {AGENT}")
    scaled.on(blind, f"cp {SETTINGS} /run/scaling.json")
    try:
        since = scaled.on(blind, "date +%s")
        settings = json.loads(scaled.on(blind, f"cat {SETTINGS}"))
        view.on(blind, f"cat > {SETTINGS}", json.dumps(settings | {"addresses": [NOWHERE]}))
        # What it knew last counts for a while.
        holds = functools.partial(scaled.holds, blind, since)
        await asyncio.to_thread(until, "the agent holds", holds, AGENT_SECONDS)
        started = await scaled.start(client)
        await scaled.have(MOST, scaled.hosts[2:], UP_SECONDS)
        await judge(started)
        assert [scaled.instances(host) for host in (deaf, blind)] == [FEWEST, FEWEST]
    finally:
        scaled.on(blind, f"cat /run/scaling.json > {SETTINGS}")
        scaled.on(deaf, f"systemctl start {AGENT}")

    # Both follow the load again.
    started = await scaled.start(client)
    await scaled.have(MOST, scaled.hosts, UP_SECONDS)
    await judge(started)


def test_instances_follow_the_load_and_freeze_when_their_agent_is_blind_or_gone(scaled: Scaled) -> None:
    asyncio.run(follow(scaled))
