#!/usr/bin/python
# Copyright: (c) 2026, The zerospof.temporal maintainers
# Apache License 2.0 (see LICENSE or https://www.apache.org/licenses/LICENSE-2.0)
"""Ansible module: whether the workers of a host run and ask the cluster for work."""

from __future__ import annotations

DOCUMENTATION = r"""
module: worker_health
short_description: Wait until the workers of this host run and poll their task queues
version_added: 0.1.0
author: The zerospof.temporal maintainers (@zerospof)
description:
  - A worker is healthy when systemd runs its unit and the cluster has seen its identity ask for every kind of task
    that it serves since the unit started.
  - Fails with the reason and the last lines of the journal when the time is up.
extends_documentation_fragment: [zerospof.temporal.reads_only, zerospof.temporal.frontend_tls]
options:
  addresses:
    description: Addresses (C(host:port)) at which the workers reach the cluster; the first that answers is asked.
    type: list
    elements: str
    required: true
  workers:
    description: The workers that this host must run.
    type: list
    elements: dict
    required: true
    suboptions:
      unit:
        description: Name of the systemd unit.
        type: str
        required: true
      identity:
        description: Identity with which the worker polls.
        type: str
        required: true
      namespace:
        description: Namespace of the task queue.
        type: str
        required: true
      task_queue:
        description: Task queue.
        type: str
        required: true
      polls:
        description: Kinds of tasks that the worker serves.
        type: list
        elements: str
        choices: [workflow, activity]
        required: true
      version:
        description: Version of a versioned worker, C(deployment:build); empty for one that is not.
        type: str
        default: ""
      token:
        description: JSON Web Token for a frontend that asks for one; it must allow to read the namespace.
        type: str
        default: ""
  timeout_seconds:
    description: Time to become healthy.
    type: float
    default: 60
requirements:
  - temporalio
"""

EXAMPLES = r"""
- name: The workers work
  zerospof.temporal.worker_health:
    addresses: ["192.0.2.10:7233"]
    ca_file: /etc/temporal-workers/tls/ca.crt
    cert_file: /etc/temporal-workers/tls/worker.crt
    key_file: /etc/temporal-workers/tls/worker.key
    workers:
      - unit: temporal-sdk-worker@networking-1.0.0-1.service
        identity: networking:1.0.0@worker-a#1
        namespace: production
        task_queue: networking-queue
        polls: [workflow, activity]
  vars:
    ansible_python_interpreter: /opt/zerospof/tools/bin/python
"""

RETURN = r"""
pollers:
  description: Who asks the task queues for work, and how many seconds ago.
  returned: success
  type: list
  elements: dict
  sample:
    - namespace: production
      task_queue: networking-queue
      kind: workflow
      identity: networking:1.0.0@worker-a#1
      seconds_ago: 2.5
waited_seconds:
  description: How long it took until all workers were healthy.
  returned: success
  type: float
  sample: 1.2
"""

import asyncio
import contextlib
import time

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.zerospof.temporal.plugins.module_utils import _frontend, _worker_client, _workers

# main ends with _frontend.require_library before it is used.
with contextlib.suppress(ImportError):
    from temporalio.service import RPCError, ServiceClient

PAUSE_SECONDS = 1.0


def started_at(module: AnsibleModule, unit: str) -> float | None:
    """Return the Unix time at which the running ``unit`` was started, ``None`` when it does not run."""
    _, text, _ = module.run_command(
        ["systemctl", "show", "--timestamp=unix", "--property=ActiveState,ExecMainStartTimestamp", unit]
    )
    values = dict(line.partition("=")[::2] for line in text.splitlines())
    stamp = values.get("ExecMainStartTimestamp", "").lstrip("@")
    return float(stamp) if values.get("ActiveState") == "active" and stamp else None


async def wait(module: AnsibleModule) -> tuple[list[str], dict[_worker_client.Queue, dict[str, float]]]:
    """Look at units and pollers until all is well or the time is up; return what is wrong and the pollers."""
    wanted = module.params["workers"]
    queues = {
        (worker["namespace"], worker["task_queue"], kind, worker["version"]): worker["token"]
        for worker in wanted
        for kind in worker["polls"]
    }
    deadline = time.monotonic() + module.params["timeout_seconds"]
    client: ServiceClient | None = None
    while True:
        polled: dict[_worker_client.Queue, dict[str, float]] = {}
        started = {worker["unit"]: started_at(module, worker["unit"]) for worker in wanted}
        try:
            client = client or await _worker_client.connect(module.params)
            for queue, token in sorted(queues.items()):
                polled[queue] = await _worker_client.pollers(client, queue, token)
            problems = _workers.unhealthy(wanted, started, polled)
        except (_worker_client.UnreachableError, RPCError) as error:
            client = None
            idle = [problem for problem in _workers.unhealthy(wanted, started, {}) if problem.endswith("does not run")]
            problems = [*idle, f"the cluster does not tell who polls: {error}"]
        if not problems or time.monotonic() + PAUSE_SECONDS > deadline:
            return problems, polled
        await asyncio.sleep(PAUSE_SECONDS)


def main() -> None:
    """Run the module."""
    module = AnsibleModule(
        argument_spec={
            **_worker_client.ARGUMENTS,
            "workers": {
                "type": "list",
                "elements": "dict",
                "required": True,
                "options": {
                    "unit": {"type": "str", "required": True},
                    "identity": {"type": "str", "required": True},
                    "namespace": {"type": "str", "required": True},
                    "task_queue": {"type": "str", "required": True},
                    "polls": {
                        "type": "list",
                        "elements": "str",
                        "choices": ["workflow", "activity"],
                        "required": True,
                    },
                    "version": {"type": "str", "default": ""},
                    "token": {"type": "str", "default": "", "no_log": True},
                },
            },
            "timeout_seconds": {"type": "float", "default": 60},
        },
        required_together=_frontend.REQUIRED_TOGETHER,
        supports_check_mode=True,
    )
    _frontend.require_library(module)
    began = time.monotonic()
    try:
        problems, polled = asyncio.run(wait(module))
    except OSError as error:
        module.fail_json(msg=f"the files of TLS cannot be read: {error}")
    if problems:
        units = [worker["unit"] for worker in module.params["workers"]]
        _, journal, _ = module.run_command(
            ["journalctl", "--no-pager", "--output=cat", "--lines=20", *(f"--unit={unit}" for unit in units)]
        )
        module.fail_json(
            msg=f"after {module.params['timeout_seconds']:g} s: {'; '.join(problems)}", journal=journal.splitlines()
        )
    now = time.time()
    module.exit_json(
        changed=False,
        waited_seconds=round(time.monotonic() - began, 1),
        pollers=[
            {
                "namespace": namespace,
                "task_queue": name,
                "kind": kind,
                "identity": identity,
                "seconds_ago": round(now - at, 1),
            }
            for (namespace, name, kind, _), seen in polled.items()
            for identity, at in sorted(seen.items())
        ],
    )


if __name__ == "__main__":
    main()
