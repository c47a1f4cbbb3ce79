#!/usr/bin/python
# Copyright: (c) 2026, The zerospof.temporal maintainers
# Apache License 2.0 (see LICENSE or https://www.apache.org/licenses/LICENSE-2.0)
"""Ansible module: whether a workflow gets from a client to a worker and back."""

from __future__ import annotations

DOCUMENTATION = r"""
module: workflow_probe
short_description: Run one workflow per namespace through each address of a cluster
version_added: 0.1.0
author: The zerospof.temporal maintainers (@zerospof)
description:
  - For every address and namespace, starts a workflow with one activity on a task queue of its own, serves it with a
    worker inside of this module that is connected to the same address, and compares the result.
  - Proves that the frontend, history, matching, the database and the namespace do their work together. Needs no worker
    of the cluster and leaves nothing but a closed workflow, which the retention of the namespace removes.
attributes:
  check_mode:
    description: Starts nothing and returns no probes.
    support: full
  diff_mode:
    description: Nothing changes.
    support: none
options:
  addresses:
    description: Addresses (C(host:port)) of frontends or of balancers in front of them.
    type: list
    elements: str
    required: true
  namespaces:
    description: Names of the namespaces.
    type: list
    elements: str
    required: true
  token:
    description: JSON Web Token for a frontend that asks for one; it must allow to write in the namespaces.
    type: str
    default: ""
  timeout_seconds:
    description: Time for each probe; all run at the same time.
    type: float
    default: 30
extends_documentation_fragment: zerospof.temporal.frontend_tls
requirements:
  - temporalio
notes:
  - Needs a Python with C(temporalio), see the example.
"""

EXAMPLES = r"""
- name: A workflow of each namespace completes through each frontend and through the virtual address
  zerospof.temporal.workflow_probe:
    addresses: ["192.0.2.21:7233", "192.0.2.22:7233", "192.0.2.10:7233"]
    namespaces: [production, staging]
    ca_file: /etc/temporal/tls/ca.crt
    cert_file: /etc/temporal/tls/temporal.crt
    key_file: /etc/temporal/tls/temporal.key
  vars:
    ansible_python_interpreter: /opt/zerospof/tools/bin/python
"""

RETURN = r"""
probes:
  description: One element for each address and namespace.
  returned: always
  type: list
  elements: dict
  contains:
    address:
      description: Address of the probe.
      type: str
    namespace:
      description: Namespace of the probe.
      type: str
    workflow_id:
      description: Identity of the workflow, to look it up in the web interface.
      type: str
    seconds:
      description: Time from the start of the workflow to its result.
      type: float
    error:
      description: Why the probe failed; empty when it succeeded.
      type: str
  sample:
    - address: 192.0.2.10:7233
      namespace: production
      workflow_id: zerospof-probe-5c1d0c6a
      seconds: 0.14
      error: ""
"""

import asyncio
import time
import uuid
from datetime import timedelta
from typing import Any

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.zerospof.temporal.plugins.module_utils import _frontend

try:
    from ansible_collections.zerospof.temporal.plugins.module_utils import _probe_workflow
    from temporalio.client import Client
    from temporalio.worker import UnsandboxedWorkflowRunner, Worker
except ImportError:  # main ends with _frontend.require_library before anything here is used.
    pass

# Probes at a time; each is a connection and a worker.
AT_ONCE = 8
# What Temporal's authorizer says of a call that it refuses.
UNAUTHORIZED = "unauthorized"


def reason_of(error: BaseException) -> str:
    """Return the first line of the innermost cause of ``error``."""
    error = _frontend.innermost(error)
    if isinstance(error, TimeoutError):
        return "no result in time"
    # What follows is the wire form of the same answer.
    return _frontend.first_line(error).partition(": Status {")[0]


async def run(parameters: dict[str, Any], address: str, namespace: str, workflow_id: str) -> float:
    """Run one workflow and return how many seconds it took.

    Raises:
        Exception: whatever the client raises when the cluster does not do its work.
    """
    client = await Client.connect(
        address,
        **_frontend.client_options(parameters, namespace),
        identity="zerospof.temporal",
    )
    started = time.monotonic()
    # Before there is a worker, whose refusal would hide the reason for which a start is refused.
    asked = await client.start_workflow(
        _probe_workflow.Probe.run,
        workflow_id,
        id=workflow_id,
        task_queue=workflow_id,
        execution_timeout=timedelta(seconds=parameters["timeout_seconds"]),
    )
    worker = Worker(
        client,
        task_queue=workflow_id,
        workflows=[_probe_workflow.Probe],
        activities=[_probe_workflow.echo],
        # What is served is known here, and the sandbox cannot import from the archive that Ansible sends.
        workflow_runner=UnsandboxedWorkflowRunner(),
        max_cached_workflows=0,
    )
    tasks = {asyncio.ensure_future(worker.run()), asyncio.ensure_future(asked.result())}
    try:
        # The worker ends first only when it fails, and then its reason is raised here.
        first, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        answer = first.pop().result()
        seconds = time.monotonic() - started
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
    if answer != workflow_id:
        raise ValueError(f"the workflow returned {answer!r} and not {workflow_id!r}")
    return seconds


async def probe(parameters: dict[str, Any], address: str, namespace: str, slots: asyncio.Semaphore) -> dict[str, Any]:
    """Return the outcome of one probe as the module publishes it."""
    outcome = {
        "address": address,
        "namespace": namespace,
        "workflow_id": f"zerospof-probe-{uuid.uuid4().hex[:8]}",
        "seconds": 0.0,
        "error": "",
    }
    async with slots:
        try:
            work = run(parameters, address, namespace, outcome["workflow_id"])
            outcome["seconds"] = round(await asyncio.wait_for(work, parameters["timeout_seconds"]), 3)
        except Exception as error:  # whatever goes wrong is the answer
            outcome["error"] = reason_of(error)
    return outcome


async def probe_all(parameters: dict[str, Any]) -> list[dict[str, Any]]:
    """Run all probes, ``AT_ONCE`` at a time."""
    slots = asyncio.Semaphore(AT_ONCE)
    pairs = [(address, namespace) for address in parameters["addresses"] for namespace in parameters["namespaces"]]
    return list(await asyncio.gather(*(probe(parameters, *pair, slots) for pair in pairs)))


def refusal(probes: list[dict[str, Any]], token: str) -> str:
    """Return which of ``probes`` failed and why, and what to do for want of a token; empty when none did."""
    failed = [row for row in probes if row["error"]]
    if not failed:
        return ""
    reasons = "; ".join(f"{row['namespace']} through {row['address']}: {row['error']}" for row in failed)
    text = f"{len(failed)} of {len(probes)} workflows did not complete: {reasons}"
    if not any(UNAUTHORIZED in row["error"] for row in failed):
        return text
    state = "is refused" if token else "is empty"
    return f"{text}; temporal_verification_token {state}: set it to a token that may write in every namespace"


def main() -> None:
    """Run the module."""
    module = AnsibleModule(
        argument_spec={
            **{name: spec for name, spec in _frontend.ARGUMENTS.items() if name not in {"address", "port"}},
            "addresses": {"type": "list", "elements": "str", "required": True},
            "namespaces": {"type": "list", "elements": "str", "required": True},
            "token": {"type": "str", "default": "", "no_log": True},
            "timeout_seconds": {"type": "float", "default": 30},
        },
        required_together=_frontend.REQUIRED_TOGETHER,
        supports_check_mode=True,
    )
    _frontend.require_library(module)
    if module.check_mode:
        module.exit_json(changed=False, probes=[])
    probes = _frontend.in_a_process_of_its_own(lambda: probe_all(module.params))
    if reason := refusal(probes, module.params["token"]):
        module.fail_json(msg=reason, probes=probes)
    module.exit_json(changed=False, probes=probes)


if __name__ == "__main__":
    main()
