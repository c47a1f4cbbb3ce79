"""Activities of declared workers have one partition, from which none is lost when a worker stops."""

from __future__ import annotations

import asyncio

from ansible_collections.zerospof.temporal.plugins.module_utils._workers import TEMPORALS_PARTITIONS
from temporalio.api.taskqueue.v1 import TaskQueue
from temporalio.api.workflowservice.v1 import ListTaskQueuePartitionsRequest, ListTaskQueuePartitionsResponse

from tests.cluster.conftest import LiveCluster


async def partitions(cluster: LiveCluster, task_queue: str) -> ListTaskQueuePartitionsResponse:
    """Return the partitions of a task queue for writing, which are those of which the server tells."""
    namespace = cluster.view.deployment["namespace"]
    client = await cluster.view.client("queues@outside", namespace=namespace)
    return await client.workflow_service.list_task_queue_partitions(
        ListTaskQueuePartitionsRequest(namespace=namespace, task_queue=TaskQueue(name=task_queue))
    )


def test_activities_of_declared_workers_have_one_partition(cluster: LiveCluster) -> None:
    declared = asyncio.run(partitions(cluster, cluster.view.deployment["task_queue"]))
    assert len(declared.activity_task_queue_partitions) == 1
    assert len(declared.workflow_task_queue_partitions) == TEMPORALS_PARTITIONS
    other = asyncio.run(partitions(cluster, "nobody-declared"))
    assert len(other.activity_task_queue_partitions) == TEMPORALS_PARTITIONS
    assert len(other.workflow_task_queue_partitions) == TEMPORALS_PARTITIONS
