"""Workflow_A goes through the cluster, survives the death of its server, and any worker sees every task."""

from __future__ import annotations

import asyncio
import uuid
from concurrent.futures import ThreadPoolExecutor

import pytest
from temporalio.worker import Worker

from lab.flow import Facts, Flow
from lab.sample import activities, model, workflows
from lab.view import View

SECONDS_FOR_ONE_WORKFLOW = 30
ACTIVITIES = [
    activities.validate_change,
    activities.apply_configuration,
    activities.verify_device,
    activities.roll_back,
]


@pytest.fixture(scope="module")
def facts(view: View) -> Facts:
    return asyncio.run(Flow(view).run())


def test_workers_are_on_different_servers(facts: Facts, view: View) -> None:
    assert set(facts.worker_servers.values()) == set(view.members("temporal_servers"))


def test_the_state_was_in_the_database_of_every_zone_before_any_worker_ran(facts: Facts, view: View) -> None:
    if view.members("cassandra"):
        zones = sorted(view.lab.host(host).zone for host in facts.database_hosts)
        assert zones == ["az_a", "az_b", "az_c"]
    else:
        assert facts.primary in facts.database_hosts
        assert facts.database_hosts == view.members("postgresql")


def test_one_of_the_workers_won_and_no_other_began_the_workflow(facts: Facts) -> None:
    assert facts.begun.keys() == facts.worker_servers.keys()
    assert [identity for identity, tasks in facts.begun.items() if ("", 1) in tasks] == [facts.winner]


def test_client_and_worker_left_the_dead_server(facts: Facts) -> None:
    assert facts.killed not in (facts.moved_to, facts.client_moved_to)


def test_the_workflow_went_on_to_the_right_result(facts: Facts) -> None:
    assert facts.outcome == facts.expected


async def run_across(view: View, doors: dict[str, str], started_on: str, worked_on: str) -> None:
    """Run a workflow that is started through one server by a worker that is connected to another alone."""
    namespace = view.deployment["namespace"]
    queue = f"pinned-{uuid.uuid4().hex[:8]}"
    change = model.Change(queue, vlan=7, devices=[model.Device("switch-1"), model.Device("switch-2")])
    client = await view.client(f"client@{started_on}", address=doors[started_on], namespace=namespace)
    connected = await view.client(f"worker@{worked_on}", address=doors[worked_on], namespace=namespace)
    serving = Worker(
        connected,
        task_queue=queue,
        workflows=[workflows.ConfigureNetwork],
        activities=ACTIVITIES,
        activity_executor=ThreadPoolExecutor(2),
    )
    async with serving:
        handle = await client.start_workflow(workflows.ConfigureNetwork.run, change, id=queue, task_queue=queue)
        outcome = await asyncio.wait_for(handle.result(), SECONDS_FOR_ONE_WORKFLOW)
        history = await handle.fetch_history()
    assert outcome == model.expected_outcome(change)
    done_by = {
        event.workflow_task_started_event_attributes.identity
        for event in history.events
        if event.HasField("workflow_task_started_event_attributes")
    }
    assert done_by == {f"worker@{worked_on}"}


def test_a_worker_of_any_server_sees_the_tasks_of_every_server(view: View, facts: Facts) -> None:
    servers = view.members("temporal_servers")

    async def all_pairs(doors: dict[str, str]) -> None:
        await asyncio.gather(*(run_across(view, doors, one, other) for one in servers for other in servers))

    assert facts.outcome  # the cluster is whole again
    with view.doors(servers, through=view.members("temporal_workers")[0]) as doors:
        asyncio.run(all_pairs(doors))
