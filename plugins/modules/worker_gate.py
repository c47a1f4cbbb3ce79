#!/usr/bin/python
# Copyright: (c) 2026, The zerospof.temporal maintainers
# Apache License 2.0 (see LICENSE or https://www.apache.org/licenses/LICENSE-2.0)
"""Ansible module: whether a workflow ends well on a build of versioned workers that gets no others yet."""

from __future__ import annotations

DOCUMENTATION = r"""
module: worker_gate
short_description: Run a workflow on a build of versioned workers before it gets any other
version_added: 0.1.0
author: The zerospof.temporal maintainers (@zerospof)
description:
  - Starts one workflow that is pinned to the build, whatever is current, and waits for its result.
  - A build that has passed is not asked again as long as the namespace keeps the workflow.
  - One that does not pass loses the share of the workflows that a rollout may have given it before; one that is current
    keeps everything, as nobody else may be there.
attributes:
  check_mode:
    description: Starts nothing.
    support: full
  diff_mode:
    description: Shows nothing.
    support: none
options:
  build:
    description: The build.
    type: str
    required: true
  task_queue:
    description: Task queue of its workers.
    type: str
    required: true
  workflow:
    description: Type of the workflow.
    type: str
    required: true
  arguments:
    description: What the workflow is given.
    type: list
    elements: raw
    default: []
  timeout_seconds:
    description: Time until the workflow has to have ended.
    type: float
    default: 60
  take_back:
    description: Whether a build that does not pass loses the share that it has.
    type: bool
    default: true
extends_documentation_fragment: [zerospof.temporal.worker_deployment, zerospof.temporal.frontend_tls]
seealso:
  - module: zerospof.temporal.worker_rollout
"""

EXAMPLES = r"""
- name: The build configures a device of the laboratory
  zerospof.temporal.worker_gate:
    addresses: ["192.0.2.10:7233"]
    namespace: production
    deployment: networking
    build: 1.1.0
    task_queue: networking-queue
    workflow: ConfigureNetwork
    arguments: [{change_id: gate, vlan: 10, devices: [{name: laboratory}]}]
  vars:
    ansible_python_interpreter: /opt/zerospof/tools/bin/python
"""

RETURN = r"""
workflow_id:
  description: Identity of the workflow, to look it up in the web interface.
  returned: always
  type: str
  sample: zerospof-gate-networking-1.1.0
"""

import asyncio
from datetime import timedelta
from typing import Any

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.zerospof.temporal.plugins.module_utils import _frontend, _worker_client

try:
    from temporalio.client import Client
    from temporalio.common import (
        PinnedVersioningOverride,
        WorkerDeploymentVersion,
        WorkflowIDConflictPolicy,
        WorkflowIDReusePolicy,
    )
    from temporalio.exceptions import TemporalError, WorkflowAlreadyStartedError
    from temporalio.service import RPCError
except ImportError:  # main ends with _frontend.require_library before anything here is used.
    pass


async def run(parameters: dict[str, Any], workflow_id: str) -> bool:
    """Run the workflow; return whether it ran now and not in an earlier run.

    Raises:
        TemporalError: it does not end well.
    """
    service = await _worker_client.connect(parameters)
    client = Client(service, namespace=parameters["namespace"])
    try:
        handle = await client.start_workflow(
            parameters["workflow"],
            args=parameters["arguments"],
            id=workflow_id,
            task_queue=parameters["task_queue"],
            execution_timeout=timedelta(seconds=parameters["timeout_seconds"]),
            # One that runs since an interrupted run is waited for; one that failed may have another try.
            id_conflict_policy=WorkflowIDConflictPolicy.USE_EXISTING,
            id_reuse_policy=WorkflowIDReusePolicy.ALLOW_DUPLICATE_FAILED_ONLY,
            versioning_override=PinnedVersioningOverride(
                WorkerDeploymentVersion(parameters["deployment"], parameters["build"])
            ),
            rpc_metadata=_worker_client.authorization(parameters["token"]),
        )
    except WorkflowAlreadyStartedError:
        return False
    # The result itself is the author's: its type may be known to the package alone.
    await handle.result(rpc_metadata=_worker_client.authorization(parameters["token"]))
    return True


async def taken_back(parameters: dict[str, Any], reason: str) -> str:
    """Take what the build has of the workflows, from a run that was interrupted; return what became of it, in words."""
    deployment, build = _worker_client.Deployment(parameters), parameters["build"]
    try:
        if (await deployment.routing(build)).ramping != build:
            return ""
        await deployment.take_back(build, reason)
    except (OSError, RuntimeError, RPCError) as error:
        return f"; a share of the workflows that it may have is not taken back: {_frontend.first_line(error)}"
    return "; the share of the workflows that it had is taken back"


def main() -> None:
    """Run the module."""
    module = AnsibleModule(
        argument_spec={
            **_worker_client.DEPLOYMENT_ARGUMENTS,
            "build": {"type": "str", "required": True},
            "task_queue": {"type": "str", "required": True},
            "workflow": {"type": "str", "required": True},
            "arguments": {"type": "list", "elements": "raw", "default": []},
            "timeout_seconds": {"type": "float", "default": 60},
            "take_back": {"type": "bool", "default": True},
        },
        required_together=_frontend.REQUIRED_TOGETHER,
        supports_check_mode=True,
    )
    _frontend.require_library(module)
    workflow_id = f"zerospof-gate-{module.params['deployment']}-{module.params['build']}"
    if module.check_mode:
        module.exit_json(changed=False, workflow_id=workflow_id)
    try:
        changed = asyncio.run(run(module.params, workflow_id))
    except (OSError, RuntimeError, TemporalError) as error:
        reason = (
            f"build {module.params['build']} of {module.params['deployment']} does not pass its gate:"
            f" {module.params['workflow']} ({workflow_id}): {_frontend.first_line(_frontend.innermost(error))}"
        )
        after = asyncio.run(taken_back(module.params, reason)) if module.params["take_back"] else ""
        module.fail_json(msg=reason + after, workflow_id=workflow_id)
    module.exit_json(changed=changed, workflow_id=workflow_id)


if __name__ == "__main__":
    main()
