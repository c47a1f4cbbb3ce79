#!/usr/bin/python
# Copyright: (c) 2026, The zerospof.temporal maintainers
# Apache License 2.0 (see LICENSE or https://www.apache.org/licenses/LICENSE-2.0)
"""Ansible module: which builds of versioned workers somebody still needs."""

from __future__ import annotations

DOCUMENTATION = r"""
module: worker_builds_info
short_description: Tell which builds of versioned workers have work, and which of a host nobody needs
version_added: 0.1.0
author: The zerospof.temporal maintainers (@zerospof)
description:
  - A build is needed while it is declared, is current, ramps, or has pinned workflows that have not ended. The server
    looks for those every few minutes, and not any more once it calls the build drained. So those that somebody has
    pinned to it since are counted by visibility; a build for which that fails is taken to be needed.
options:
  namespace:
    description: Namespace of the deployment. This or O(settings) is needed.
    type: str
  settings:
    description:
      - File with the environment of a build, as the role C(temporal_worker) writes it. The namespace and the token are
        taken from it, for a deployment that is not declared any more.
    type: path
  declared:
    description: The build that the host is to run; empty when it is to run none of the deployment.
    type: str
    required: true
  present:
    description: The units of the host by build.
    type: dict
    default: {}
extends_documentation_fragment:
  - zerospof.temporal.worker_deployment
  - zerospof.temporal.frontend_tls
  - zerospof.temporal.reads_only
seealso:
  - module: zerospof.temporal.worker_rollout
"""

EXAMPLES = r"""
- name: What the host runs without need is known
  zerospof.temporal.worker_builds_info:
    addresses: ["192.0.2.10:7233"]
    namespace: production
    deployment: networking
    declared: 1.1.0
    present: {1.0.0: [temporal-sdk-worker@networking-1.0.0-1.service]}
  vars:
    ansible_python_interpreter: /opt/zerospof/tools/bin/python
"""

RETURN = r"""
builds:
  description: The builds that the server knows, with the status that it gives them.
  returned: success
  type: dict
  sample: {1.0.0: draining, 1.1.0: current}
routing:
  description: The build that is current and the one that ramps, empty for none, and the share of that in percent.
  returned: success
  type: dict
  sample: {current: 1.1.0, ramping: "", percentage: 0}
idle:
  description: Builds of the host that nobody needs.
  returned: success
  type: list
  elements: str
  sample: []
idle_units:
  description: Their units.
  returned: success
  type: list
  elements: str
  sample: []
needed_units:
  description: The units of the other builds of the host.
  returned: success
  type: list
  elements: str
  sample: [temporal-sdk-worker@networking-1.0.0-1.service]
"""

import asyncio
import contextlib
from pathlib import Path

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.zerospof.temporal.plugins.module_utils import _frontend, _rollout, _worker_client, _workers

# main ends with _frontend.require_library before it is used.
with contextlib.suppress(ImportError):
    from temporalio.service import RPCError


async def unneeded(deployment: _worker_client.Deployment, candidates: list[str]) -> list[str]:
    """Return those of ``candidates`` to which no running workflow is pinned; not one of which that is not known."""
    found = []
    for build in candidates:
        with contextlib.suppress(OSError, RuntimeError, RPCError):
            if await deployment.pinned(build) == 0:
                found.append(build)
    return found


async def look(
    deployment: _worker_client.Deployment, present: list[str], declared: str
) -> tuple[_rollout.Routing, list[str]]:
    """Return the routing of a deployment, and which of the builds that are ``present`` nobody needs.

    Raises:
        OSError, RuntimeError, RPCError: the cluster does not tell the routing.
    """
    routing = await deployment.routing()
    candidates = _rollout.idle(present, declared, routing, deployment.builds)
    return routing, await unneeded(deployment, candidates)


def main() -> None:
    """Run the module."""
    module = AnsibleModule(
        argument_spec={
            **_worker_client.DEPLOYMENT_ARGUMENTS,
            "namespace": {"type": "str"},
            "settings": {"type": "path"},
            "declared": {"type": "str", "required": True},
            "present": {"type": "dict", "default": {}},
        },
        required_together=_frontend.REQUIRED_TOGETHER,
        required_one_of=[["namespace", "settings"]],
        mutually_exclusive=[["namespace", "settings"]],
        supports_check_mode=True,
    )
    _frontend.require_library(module)
    parameters = module.params
    if path := module.params["settings"]:
        settings = _workers.settings_of(Path(path).read_text(encoding="utf-8"))
        token = settings.get("TEMPORAL_API_KEY", "")
        module.no_log_values |= {token} - {""}
        parameters = parameters | {"namespace": settings["TEMPORAL_NAMESPACE"], "token": token}
    deployment = _worker_client.Deployment(parameters)
    present = module.params["present"]
    try:
        routing, idle = asyncio.run(look(deployment, list(present), module.params["declared"]))
    except (OSError, RuntimeError, RPCError) as error:
        module.fail_json(msg=f"worker deployment {module.params['deployment']}: {error}")
    module.exit_json(
        changed=False,
        builds={row.build: row.status for row in deployment.builds},
        routing=_worker_client.shown(routing),
        idle=idle,
        idle_units=[unit for build in idle for unit in present[build]],
        needed_units=[unit for build in present if build not in idle for unit in present[build]],
    )


if __name__ == "__main__":
    main()
