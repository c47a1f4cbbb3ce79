#!/usr/bin/python
# Copyright: (c) 2026, The zerospof.temporal maintainers
# Apache License 2.0 (see LICENSE or https://www.apache.org/licenses/LICENSE-2.0)
"""Ansible module: a deployment of versioned workers goes back to what served before."""

from __future__ import annotations

DOCUMENTATION = r"""
module: worker_rollback
short_description: Take back the build of versioned workers that ramps, or else the one that is current
version_added: 0.1.0
author: The zerospof.temporal maintainers (@zerospof)
description:
  - Where a build ramps, it gets no more workflows. Where none does, the build that was current before is current again,
    once a worker of it polls.
  - Pinned workflows end on the build that began them.
  - The server remembers that the build was taken back, so that M(zerospof.temporal.worker_rollout) refuses it.
attributes:
  check_mode:
    description: Can run in check mode and report what would change.
    support: full
  diff_mode:
    description: Shows who is current and who ramps.
    support: full
options:
  reason:
    description: What the server remembers.
    type: str
    default: somebody took it back
  patience_seconds:
    description:
      - How long the first worker of the build before may take to poll, when it has just been started.
      - With V(0) it has to poll already, in check mode, too.
    type: float
    default: 60
extends_documentation_fragment: [zerospof.temporal.worker_deployment, zerospof.temporal.frontend_tls]
seealso:
  - module: zerospof.temporal.worker_rollout
"""

EXAMPLES = r"""
- name: The build before serves
  zerospof.temporal.worker_rollback:
    addresses: ["192.0.2.10:7233"]
    ca_file: /etc/temporal-workers/tls/ca.crt
    cert_file: /etc/temporal-workers/tls/worker.crt
    key_file: /etc/temporal-workers/tls/worker.key
    namespace: production
    deployment: networking
  vars:
    ansible_python_interpreter: /opt/zerospof/tools/bin/python
"""

RETURN = r"""
routing:
  description: Builds that are current and that ramp, and the share of the latter.
  returned: success
  type: dict
  sample: {current: 1.0.0, ramping: "", percentage: 0}
taken_back:
  description: The build that was taken back.
  returned: success
  type: str
  sample: 1.1.0
"""

import asyncio
import contextlib
import time

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.zerospof.temporal.plugins.module_utils import _frontend, _rollout, _worker_client

# main ends with _frontend.require_library before it is used.
with contextlib.suppress(ImportError):
    from temporalio.service import RPCError


LOOK_SECONDS = 2.0


async def way_back(
    module: AnsibleModule, deployment: _worker_client.Deployment
) -> tuple[_rollout.Routing, _rollout.Action]:
    """Return the routing, and the way back once a worker of the build before polls; in check mode it is not awaited."""
    patience = module.params["patience_seconds"]
    deadline = time.monotonic() + patience
    while True:
        routing = await deployment.routing()
        action = _rollout.way_back(routing, await deployment.ways_back(time.time() - _worker_client.POLL_SECONDS))
        if action.kind != _rollout.WAIT:
            return routing, action
        if module.check_mode and patience:
            return routing, _rollout.Action(_rollout.PROMOTE, action.reason)
        if module.check_mode or time.monotonic() + LOOK_SECONDS > deadline:
            return routing, _rollout.no_way_back(action.reason)
        await asyncio.sleep(LOOK_SECONDS)


async def roll_back(module: AnsibleModule) -> tuple[_rollout.Routing, _rollout.Routing, _rollout.Action]:
    """Go back, except in check mode; return the routing before and after, and what was, or would be, done."""
    deployment = _worker_client.Deployment(module.params)
    before, action = await way_back(module, deployment)
    if action.kind == _rollout.REFUSE or module.check_mode:
        # Of a promotion, the reason is the build.
        planned = _rollout.after(action, action.reason, before, time.time()) if module.check_mode else before
        return before, planned, action
    if action.kind == _rollout.TAKE_BACK:
        await deployment.take_back(before.ramping, module.params["reason"])
    else:
        if before.current:
            await deployment.note(before.current, {_worker_client.TAKEN_BACK: module.params["reason"]})
        await deployment.promote(action.reason)
    return before, await deployment.routing(), action


def main() -> None:
    """Run the module."""
    module = AnsibleModule(
        argument_spec={
            **_worker_client.DEPLOYMENT_ARGUMENTS,
            "reason": {"type": "str", "default": "somebody took it back"},
            "patience_seconds": {"type": "float", "default": 60},
        },
        required_together=_frontend.REQUIRED_TOGETHER,
        supports_check_mode=True,
    )
    _frontend.require_library(module)
    name = f"worker deployment {module.params['deployment']}"
    try:
        before, now, action = asyncio.run(roll_back(module))
    except (OSError, RuntimeError, RPCError) as error:
        module.fail_json(msg=f"{name}: {error}")
    if action.kind == _rollout.REFUSE:
        module.fail_json(msg=f"{name}: {action.reason}", routing=_worker_client.shown(before))
    module.exit_json(
        changed=True,
        routing=_worker_client.shown(now),
        taken_back=before.ramping or before.current,
        diff=_worker_client.difference(before, now, name),
    )


if __name__ == "__main__":
    main()
