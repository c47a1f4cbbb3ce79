#!/usr/bin/python
# Copyright: (c) 2026, The zerospof.temporal maintainers
# Apache License 2.0 (see LICENSE or https://www.apache.org/licenses/LICENSE-2.0)
"""Ansible module: a client that watches the cluster while something is done to it."""

from __future__ import annotations

DOCUMENTATION = r"""
module: client_watch
short_description: Start workflows at a steady rate and write down what a client sees, until nobody asks any more
version_added: 0.1.0
author: The zerospof.temporal maintainers (@zerospof)
description:
  - A client starts a workflow, which needs every tier of the cluster, at a steady rate, and writes each answer to a log
    that M(zerospof.temporal.client_watch_info) reads. It retries as the SDK does by itself, and pings silent
    connections as the collection documents it.
  - No worker is needed. The workflows would begin an hour later, and are deleted after some seconds.
  - The client ends when its log is removed or another client takes its place, when nobody has read the log for
    O(lease_seconds), and after O(seconds).
  - Meant to run beside a change, with C(async).
attributes:
  check_mode:
    description: Starts nothing.
    support: full
  diff_mode:
    description: Nothing changes.
    support: none
options:
  path:
    description: The log.
    type: path
    required: true
  seconds:
    description: How long the client works at most.
    type: float
    required: true
  per_second:
    description: Workflows in a second. A gap below the time between two of them is not seen.
    type: float
    default: 2
  lease_seconds:
    description: The client ends when its log was not read for so long.
    type: float
    default: 7200
extends_documentation_fragment:
  - zerospof.temporal.frontend_client
  - zerospof.temporal.frontend_tls
requirements:
  - temporalio
notes:
  - Needs a Python with C(temporalio), see the example.
seealso:
  - module: zerospof.temporal.client_watch_info
"""

EXAMPLES = r"""
- name: A client watches
  zerospof.temporal.client_watch:
    address: 192.0.2.10:7233
    namespace: production
    path: /run/zerospof-watch.log
    seconds: 14400
    ca_file: /etc/temporal/tls/ca.crt
    cert_file: /etc/temporal/tls/temporal.crt
    key_file: /etc/temporal/tls/temporal.key
  async: 14700
  poll: 0
  vars:
    ansible_python_interpreter: /opt/zerospof/tools/bin/python
"""

RETURN = r"""
calls:
  description: How many workflows the client began to start.
  returned: always
  type: int
  sample: 240
"""

import asyncio
import itertools
import time
import uuid
from collections import deque
from pathlib import Path
from typing import Any

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.zerospof.temporal.plugins.module_utils import _calls, _frontend, _patience, _watch

try:
    from google.protobuf.duration_pb2 import Duration
    from temporalio.api.common.v1 import WorkflowExecution, WorkflowType
    from temporalio.api.taskqueue.v1 import TaskQueue
    from temporalio.api.workflowservice.v1 import DeleteWorkflowExecutionRequest, StartWorkflowExecutionRequest
    from temporalio.client import Client
    from temporalio.service import KeepAliveConfig, RPCError, RPCStatusCode
except ImportError:  # main ends with _frontend.require_library before anything here is used.
    pass

# Until a workflow would begin, and until one ends that nobody has deleted.
DELAY_SECONDS, LIFE_SECONDS = 3600, 7200
# Workflows are deleted when so many newer ones have been started: what tells the visibility store is done by then.
KEPT = 10


async def start(client: Client, name: str) -> _calls.Call:
    """Start one workflow; return the call and what came of it."""
    request = StartWorkflowExecutionRequest(
        namespace=client.namespace,
        workflow_id=name,
        workflow_type=WorkflowType(name="zerospof_watch"),
        task_queue=TaskQueue(name="zerospof-watch"),
        request_id=str(uuid.uuid4()),
        workflow_start_delay=Duration(seconds=DELAY_SECONDS),
        workflow_execution_timeout=Duration(seconds=LIFE_SECONDS),
    )
    began, error = time.time(), ""
    try:
        await client.workflow_service.start_workflow_execution(request, retry=True)
    except RPCError as refused:
        error = f"{refused.status.name} ({refused.message[:80]})"
    except Exception as failed:  # every kind of failure counts here
        error = f"{type(failed).__name__} ({_frontend.first_line(failed)})"
    return _calls.Call(_calls.RETRYING, "start", name, "", began, time.time(), error)


async def delete(client: Client, name: str) -> bool:
    """Delete a workflow; tell whether it is gone."""
    request = DeleteWorkflowExecutionRequest(
        namespace=client.namespace, workflow_execution=WorkflowExecution(workflow_id=name)
    )
    try:
        await client.workflow_service.delete_workflow_execution(request, retry=True)
    except RPCError as refused:
        return refused.status == RPCStatusCode.NOT_FOUND
    except Exception:  # a connection that cannot be made is of no kind of its own
        return False
    return True


async def watch(parameters: dict[str, Any]) -> int:
    """Start workflows for as long as somebody wants to know; return how many."""
    log = _watch.Log(Path(parameters["path"]))
    client = await Client.connect(
        parameters["address"],
        **_frontend.client_options(parameters, parameters["namespace"]),
        identity="zerospof.temporal watch",
        keep_alive_config=KeepAliveConfig(**_patience.PINGS),
        lazy=True,
    )
    run, kept = f"zerospof-watch-{uuid.uuid4().hex[:8]}", deque[str]()
    waiting: set[asyncio.Future[None]] = set()

    async def one(name: str) -> None:
        log.add(await start(client, name))
        # Also what was refused may be there.
        kept.append(name)
        if len(kept) > KEPT and not await delete(client, oldest := kept.popleft()):
            kept.append(oldest)

    due = time.monotonic()
    until = due + parameters["seconds"]
    for number in itertools.count():
        await asyncio.sleep(max(due - time.monotonic(), 0))
        if due > until or not log.wanted(parameters["lease_seconds"]):
            break
        call = asyncio.ensure_future(one(f"{run}-{number}"))
        waiting.add(call)
        call.add_done_callback(waiting.discard)
        due += 1 / parameters["per_second"]
    await asyncio.gather(*waiting)
    await asyncio.gather(*(delete(client, name) for name in kept))
    return number


def main() -> None:
    """Run the module."""
    module = AnsibleModule(
        argument_spec={
            **_frontend.CLIENT_ARGUMENTS,
            "path": {"type": "path", "required": True},
            "seconds": {"type": "float", "required": True},
            "per_second": {"type": "float", "default": 2},
            "lease_seconds": {"type": "float", "default": 7200},
        },
        required_together=_frontend.REQUIRED_TOGETHER,
        supports_check_mode=True,
    )
    _frontend.require_library(module)
    if module.params["per_second"] <= 0:
        module.fail_json(msg=f"per_second is {module.params['per_second']:g}; it has to be more than 0")
    if module.check_mode:
        module.exit_json(changed=False, calls=0)
    try:
        calls = _frontend.in_a_process_of_its_own(lambda: watch(module.params))
    except _frontend.FrontendError as error:
        module.fail_json(msg=f"nobody watches: {error}")
    module.exit_json(changed=False, calls=calls)


if __name__ == "__main__":
    main()
