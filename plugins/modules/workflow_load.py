#!/usr/bin/python
# Copyright: (c) 2026, The zerospof.temporal maintainers
# Apache License 2.0 (see LICENSE or https://www.apache.org/licenses/LICENSE-2.0)
"""Ansible module: workflows at a steady rate, and what became of them."""

from __future__ import annotations

DOCUMENTATION = r"""
module: workflow_load
short_description: Start workflows at a steady rate, and tell what clients saw and what became of them
version_added: 0.1.0
author: The zerospof.temporal maintainers (@zerospof)
description:
  - Three clients, each with a connection of its own, start a workflow with one activity at a steady rate. One is told
    what the collection documents (it retries for up to 60 s, and asks again what nobody knows the end of), one nothing,
    and one never to retry. A worker inside of this module serves them through the same address.
  - When the time is up and everything is quiet, asks the cluster what became of each workflow. One that has not ended
    after an hour is ended by the cluster.
  - Meant to run beside a fault, with C(async).
attributes:
  check_mode:
    description: Starts nothing and returns no calls.
    support: full
  diff_mode:
    description: Nothing changes.
    support: none
options:
  seconds:
    description: How long workflows are started.
    type: float
    required: true
  per_second:
    description: Workflows of each client.
    type: float
    default: 2
  quiet_seconds:
    description: How long to wait afterwards for those that have not ended.
    type: float
    default: 120
extends_documentation_fragment:
  - zerospof.temporal.frontend_client
  - zerospof.temporal.frontend_tls
requirements:
  - temporalio
notes:
  - Needs a Python with C(temporalio), see the example.
seealso:
  - module: zerospof.temporal.workflow_probe
"""

EXAMPLES = r"""
- name: Workflows are started for two minutes
  zerospof.temporal.workflow_load:
    address: 192.0.2.10:7233
    namespace: production
    seconds: 120
    ca_file: /etc/temporal/tls/ca.crt
    cert_file: /etc/temporal/tls/temporal.crt
    key_file: /etc/temporal/tls/temporal.key
  async: 600
  poll: 0
  vars:
    ansible_python_interpreter: /opt/zerospof/tools/bin/python
"""

RETURN = r"""
calls:
  description: Every start, in the order in which they began.
  returned: always
  type: list
  elements: dict
  contains:
    flavour:
      description: The client.
      type: str
    kind:
      description: What it asked for.
      type: str
    workflow_id:
      description: Identity of the workflow.
      type: str
    token:
      description: Empty.
      type: str
    began:
      description: Seconds since the epoch.
      type: float
    ended:
      description: Seconds since the epoch.
      type: float
    error:
      description: What the client was told; empty for a success.
      type: str
found:
  description: How often each thing happened that must not.
  returned: always
  type: dict
  sample: {lost: 0, duplicated: 0, stuck: 0, wrong: 0, unseen: 0}
problems:
  description: The same in words.
  returned: always
  type: list
  elements: str
per_second:
  description: Workflows of each client.
  returned: always
  type: float
"""

import asyncio
import contextlib
import time
import uuid
from collections import Counter
from collections.abc import Awaitable
from datetime import timedelta
from typing import Any

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.zerospof.temporal.plugins.module_utils import _calls, _drill, _frontend, _patience

try:
    from ansible_collections.zerospof.temporal.plugins.module_utils import _probe_workflow
    from google.protobuf.duration_pb2 import Duration
    from temporalio.api.common.v1 import Payloads, WorkflowType
    from temporalio.api.taskqueue.v1 import TaskQueue
    from temporalio.api.workflowservice.v1 import CountWorkflowExecutionsRequest, StartWorkflowExecutionRequest
    from temporalio.client import Client, WorkflowFailureError
    from temporalio.service import KeepAliveConfig, RetryConfig, RPCError, RPCStatusCode
    from temporalio.worker import UnsandboxedWorkflowRunner, Worker
except ImportError:  # main ends with _frontend.require_library before anything here is used.
    pass

# A single attempt has the time in which the SDK gives up.
ATTEMPT_SECONDS = 10
# A workflow that nobody serves any more, as when this module is killed, does not stay open.
LIFE_SECONDS = 3600
AT_ONCE = 8
WORKFLOW = "zerospof_probe"
SHORT = {_calls.PATIENT: "patient", _calls.RETRYING: "sdk", _calls.SINGLE: "single"}


async def connect(parameters: dict[str, Any], flavour: str) -> Client:
    """Return a client as one of the three is told to be."""
    patient = flavour == _calls.PATIENT
    return await Client.connect(
        parameters["address"],
        **_frontend.client_options(parameters, parameters["namespace"]),
        identity=f"zerospof.temporal {SHORT[flavour]}",
        retry_config=RetryConfig(**_patience.RETRIES) if patient else None,
        keep_alive_config=KeepAliveConfig(**_patience.PINGS) if patient else KeepAliveConfig.default,
    )


async def start(client: Client, flavour: str, name: str, task_queue: str) -> _calls.Call:
    """Start one workflow; return the call and what came of it."""
    request = StartWorkflowExecutionRequest(
        namespace=client.namespace,
        workflow_id=name,
        workflow_type=WorkflowType(name=WORKFLOW),
        task_queue=TaskQueue(name=task_queue),
        input=Payloads(payloads=await client.data_converter.encode([name])),
        request_id=str(uuid.uuid4()),
        workflow_execution_timeout=Duration(seconds=LIFE_SECONDS),
    )
    retries, began, error = flavour != _calls.SINGLE, time.time(), ""
    limit = {} if retries else {"timeout": timedelta(seconds=ATTEMPT_SECONDS)}

    def ask() -> Awaitable[object]:
        return client.workflow_service.start_workflow_execution(request, retry=retries, **limit)

    try:
        await (_patience.insist(ask) if flavour == _calls.PATIENT else ask())
    except RPCError as refused:
        error = f"start {refused.status.name}: {str(refused)[:80]}"
    except Exception as failed:  # every kind of failure counts here
        error = f"start {type(failed).__name__}: {failed}"
    return _calls.Call(flavour, "start", name, "", began, time.time(), error)


async def steadily(client: Client, flavour: str, name: str, parameters: dict[str, Any]) -> list[_calls.Call]:
    """Start workflows until the time is up, whether earlier starts have ended or not; return all calls."""
    until = time.monotonic() + parameters["seconds"]
    due, number, begun = time.monotonic(), 0, []
    while due < until:
        await asyncio.sleep(max(due - time.monotonic(), 0))
        begun.append(asyncio.ensure_future(start(client, flavour, f"{name}-{SHORT[flavour]}-{number}", name)))
        number, due = number + 1, due + 1 / parameters["per_second"]
    return list(await asyncio.gather(*begun))


async def look(client: Client, name: str, runs: int) -> dict[str, Any] | None:
    """Return what became of a workflow, ``None`` when there is none."""
    asked = client.get_workflow_handle(name)
    try:
        status = (await asked.describe()).status
        answer = await asked.result() if status and status.name == "COMPLETED" else None
    except WorkflowFailureError:
        answer = None
    except RPCError as error:
        if error.status == RPCStatusCode.NOT_FOUND:
            return None
        raise
    return {"status": status.name if status else "unknown", "right": answer == name, "runs": runs}


async def judge(
    client: Client, name: str, calls: list[_calls.Call], quiet_seconds: float
) -> tuple[dict[str, int], list[str]]:
    """Ask what became of every workflow until all is quiet or the time is up; return what must not be."""
    deadline = time.monotonic() + quiet_seconds
    query = f'WorkflowId STARTS_WITH "{name}-"'
    lanes = asyncio.Semaphore(AT_ONCE)
    while True:
        runs = Counter([execution.id async for execution in client.list_workflows(query)])
        ids = sorted({call.workflow_id for call in calls} | set(runs))

        async def one(workflow_id: str, runs: Counter[str] = runs) -> dict[str, Any] | None:
            async with lanes:
                return await look(client, workflow_id, runs[workflow_id])

        told = await asyncio.gather(*(one(workflow_id) for workflow_id in ids))
        counted = await client.workflow_service.count_workflow_executions(
            CountWorkflowExecutionsRequest(
                namespace=client.namespace, query=f'{query} AND ExecutionStatus = "Completed"'
            ),
            retry=True,
        )
        seen = {workflow_id: row for workflow_id, row in zip(ids, told, strict=True) if row is not None}
        found, problems = _drill.harm_of([call.workflow_id for call in calls if call.acked], seen, counted.count)
        if not (found["stuck"] or found["unseen"]) or time.monotonic() > deadline:
            return found, problems
        await asyncio.sleep(2)


async def load(parameters: dict[str, Any]) -> dict[str, Any]:
    """Run the clients and a worker; return the calls and the verdict."""
    name = f"zerospof-drill-{uuid.uuid4().hex[:8]}"
    clients = {flavour: await connect(parameters, flavour) for flavour in _calls.CLIENTS}
    patient = await connect(parameters, _calls.PATIENT)
    worker = Worker(
        patient,
        task_queue=name,
        workflows=[_probe_workflow.Probe],
        activities=[_probe_workflow.echo],
        workflow_runner=UnsandboxedWorkflowRunner(),
        max_cached_workflows=0,
    )
    serving = asyncio.ensure_future(worker.run())
    try:
        made = await asyncio.gather(
            *(steadily(client, flavour, name, parameters) for flavour, client in clients.items())
        )
        calls = sorted((call for of_one in made for call in of_one), key=lambda call: call.began)
        found, problems = await judge(patient, name, calls, parameters["quiet_seconds"])
    finally:
        serving.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await serving
    return {
        "calls": _drill.as_rows(calls),
        "found": found,
        "problems": problems,
        "per_second": parameters["per_second"],
    }


def main() -> None:
    """Run the module."""
    module = AnsibleModule(
        argument_spec={
            **_frontend.CLIENT_ARGUMENTS,
            "seconds": {"type": "float", "required": True},
            "per_second": {"type": "float", "default": 2},
            "quiet_seconds": {"type": "float", "default": 120},
        },
        required_together=_frontend.REQUIRED_TOGETHER,
        supports_check_mode=True,
    )
    _frontend.require_library(module)
    if module.check_mode:
        nothing = dict.fromkeys(_drill.HARM, 0)
        module.exit_json(changed=False, calls=[], found=nothing, problems=[], per_second=module.params["per_second"])
    try:
        told = _frontend.in_a_process_of_its_own(lambda: load(module.params))
    except _frontend.FrontendError as error:
        module.fail_json(msg=f"what clients see is not known: {error}")
    module.exit_json(changed=False, **told)


if __name__ == "__main__":
    main()
