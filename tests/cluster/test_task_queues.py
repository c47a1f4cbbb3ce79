"""A task queue has as many partitions as its workers can be told at their stop."""

from __future__ import annotations

import asyncio

from ansible_collections.zerospof.temporal.plugins.module_utils._workers import WORKFLOW_PARTITIONS
from temporalio.api.taskqueue.v1 import TaskQueue
from temporalio.api.workflowservice.v1 import ListTaskQueuePartitionsRequest, ListTaskQueuePartitionsResponse

from tests.cluster.conftest import LiveCluster


async def partitions(cluster: LiveCluster, task_queue: str) -> ListTaskQueuePartitionsResponse:
    """Return the partitions of a task queue as the server has them."""
    namespace = cluster.view.deployment["namespace"]
    client = await cluster.view.client("queues@outside", namespace=namespace)
    return await client.workflow_service.list_task_queue_partitions(
        ListTaskQueuePartitionsRequest(namespace=namespace, task_queue=TaskQueue(name=task_queue))
    )


def test_activities_have_one_partition_and_workflow_tasks_of_declared_workers_several(cluster: LiveCluster) -> None:
    declared = asyncio.run(partitions(cluster, cluster.view.deployment["task_queue"]))
    assert len(declared.activity_task_queue_partitions) == 1
    assert len(declared.workflow_task_queue_partitions) == WORKFLOW_PARTITIONS
    other = asyncio.run(partitions(cluster, "nobody-declared"))
    assert len(other.activity_task_queue_partitions) == len(other.workflow_task_queue_partitions) == 1
