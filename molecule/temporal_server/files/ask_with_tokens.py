"""Ask the frontend at ADDRESS with each of the tokens on the standard input; print what it answers as JSON."""

from __future__ import annotations

import asyncio
import json
import os
import sys
import uuid
from collections.abc import Awaitable
from pathlib import Path

from temporalio.api.common.v1 import WorkflowType
from temporalio.api.taskqueue.v1 import TaskQueue
from temporalio.api.workflowservice.v1 import (
    DescribeNamespaceRequest,
    ListWorkflowExecutionsRequest,
    StartWorkflowExecutionRequest,
)
from temporalio.service import ConnectConfig, RPCError, ServiceClient, TLSConfig, WorkflowService

TLS = Path("/etc/temporal/tls")


async def status(call: Awaitable[object]) -> str:
    """Return how a call ends."""
    try:
        await call
    except RPCError as error:
        return error.status.name
    return "OK"


async def answers(service: WorkflowService, token: str) -> dict[str, str]:
    """Return what the frontend answers to the bearer of ``token``."""
    workflow = StartWorkflowExecutionRequest(
        namespace="production",
        workflow_id=str(uuid.uuid4()),
        workflow_type=WorkflowType(name="nobody-works-on-it"),
        task_queue=TaskQueue(name="nobody"),
        request_id=str(uuid.uuid4()),
    )
    calls = {
        "describe production": (service.describe_namespace, DescribeNamespaceRequest(namespace="production")),
        "list workflows": (
            service.list_workflow_executions,
            ListWorkflowExecutionsRequest(namespace="production"),
        ),
        "start a workflow": (service.start_workflow_execution, workflow),
        "describe staging": (service.describe_namespace, DescribeNamespaceRequest(namespace="staging")),
    }
    # With a token that is refused there would not even be a connection.
    metadata = {"authorization": f"Bearer {token}"}
    return {what: await status(call(request, metadata=metadata)) for what, (call, request) in calls.items()}


async def main() -> None:
    """Ask with each token."""
    tls = TLSConfig(
        server_root_ca_cert=(TLS / "ca.crt").read_bytes(),
        client_cert=(TLS / "temporal.crt").read_bytes(),
        client_private_key=(TLS / "temporal.key").read_bytes(),
        domain="frontend",
    )
    client = await ServiceClient.connect(ConnectConfig(target_host=sys.argv[1], tls=tls))
    tokens = json.load(sys.stdin)["tokens"]
    print(json.dumps({bearer: await answers(client.workflow_service, token) for bearer, token in tokens.items()}))


asyncio.run(main())
# Threads of the SDK can crash the interpreter while it is torn down (github.com/temporalio/sdk-python issue 300).
sys.stdout.flush()
os._exit(0)
