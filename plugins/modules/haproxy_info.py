#!/usr/bin/python
# Copyright: (c) 2026, The zerospof.temporal maintainers
# Apache License 2.0 (see LICENSE or https://www.apache.org/licenses/LICENSE-2.0)
"""Ansible module: what a running HAProxy says about itself and its servers."""

from __future__ import annotations

DOCUMENTATION = r"""
module: haproxy_info
short_description: Ask a running HAProxy for its servers, and wait until there are enough
version_added: 0.1.0
author: The zerospof.temporal maintainers (@zerospof)
description:
  - Reads the admin socket of one HAProxy process.
  - Without O(minimum_servers_up) and O(expect_config_loaded) it reports and never fails.
extends_documentation_fragment: zerospof.temporal.reads_only
options:
  socket:
    description: Path of the admin socket.
    type: path
    required: true
  config:
    description:
      - Configuration file of the process. Its C(description) line is compared with the one that the process has loaded.
    type: path
  expect_config_loaded:
    description: Whether to wait until the process runs the O(config) that is on disk.
    type: bool
    default: false
  minimum_servers_up:
    description: How many servers must be up, by the name of their proxy. Proxies that are not named are not judged.
    type: dict
    default: {}
  wait:
    description: Seconds for which to wait until the expectations are met.
    type: float
    default: 0
seealso:
  - module: zerospof.temporal.haproxy_server
"""

EXAMPLES = r"""
- name: Every proxy of the edge balancer has a server
  zerospof.temporal.haproxy_info:
    socket: /run/haproxy-edge/admin.sock
    config: /etc/haproxy/edge.cfg
    expect_config_loaded: true
    minimum_servers_up: {frontend: 1, ui: 1}
    wait: 60
"""

RETURN = r"""
running:
  description: Whether a process answers on the socket.
  returned: always
  type: bool
version:
  description: Version of the running process.
  returned: when running
  type: str
config_loaded:
  description: Whether the process runs the O(config) that is on disk; V(false) when O(config) is left out.
  returned: always
  type: bool
servers:
  description: The servers of all proxies.
  returned: always
  type: list
  elements: dict
  contains:
    proxy:
      description: Name of the proxy.
      type: str
    name:
      description: Name of the server.
      type: str
    address:
      description: Address and port to which connections go.
      type: str
    state:
      description: What an administrator asked for, V(ready), V(drain) or V(maint).
      type: str
    checked:
      description: Whether the health check runs.
      type: bool
    status:
      description: What HAProxy makes of it, such as V(UP), V(DOWN) or V(DRAIN).
      type: str
    check_status:
      description: Result of the last health check, such as V(L7OK), V(L4TOUT) or V(L7TOUT).
      type: str
    check_reason:
      description: More about the result.
      type: str
    failed_checks:
      description: Number of health checks that have failed.
      type: int
    sessions:
      description: Number of open connections.
      type: int
problems:
  description: Expectations that are not met.
  returned: always
  type: list
  elements: str
"""

import re
import time
from pathlib import Path
from typing import Any

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.zerospof.temporal.plugins.module_utils import _haproxy_admin

INTERVAL_SECONDS = 0.5
DESCRIPTION = re.compile(r"^\s*description\s+(.*?)\s*$", re.MULTILINE)


def description_of(config: str | None) -> str | None:
    """Return the description in the file ``config``, ``None`` when there is none."""
    try:
        found = DESCRIPTION.search(Path(config).read_text(encoding="utf-8")) if config else None
    except FileNotFoundError:
        return None
    return found[1] if found else None


def look(params: dict[str, Any]) -> dict[str, Any]:
    """Return what the process is and does, and what is wrong with that."""
    admin = _haproxy_admin.AdminSocket(params["socket"])
    try:
        info, servers = admin.info(), admin.servers()
    except _haproxy_admin.AdminError as error:
        return {"running": False, "config_loaded": False, "servers": [], "problems": [str(error)]}
    wanted = description_of(params["config"])
    loaded = wanted is not None and info.get("description") == wanted
    problems = []
    if params["expect_config_loaded"] and not loaded:
        problems.append(
            f"the process runs another configuration than {params['config']} ({info.get('description')}, not {wanted})"
        )
    for proxy, minimum in params["minimum_servers_up"].items():
        mine = [server for server in servers if server.proxy == proxy]
        up = sum(server.usable for server in mine)
        if up < int(minimum):
            seen = ", ".join(map(str, mine)) or "the process has no such proxy"
            problems.append(f"{proxy}: {up} of {len(mine)} servers are up, {minimum} must be: {seen}")
    return {
        "running": True,
        "version": info.get("Version", ""),
        "config_loaded": loaded,
        "servers": [server.as_dict() for server in servers],
        "problems": problems,
    }


def main() -> None:
    """Run the module."""
    module = AnsibleModule(
        argument_spec={
            "socket": {"type": "path", "required": True},
            "config": {"type": "path"},
            "expect_config_loaded": {"type": "bool", "default": False},
            "minimum_servers_up": {"type": "dict", "default": {}},
            "wait": {"type": "float", "default": 0},
        },
        required_if=[("expect_config_loaded", True, ("config",))],
        supports_check_mode=True,
    )
    params = module.params
    deadline = time.monotonic() + params["wait"]
    seen = look(params)
    while seen["problems"] and time.monotonic() < deadline:
        time.sleep(INTERVAL_SECONDS)
        seen = look(params)
    expecting = params["expect_config_loaded"] or params["minimum_servers_up"]
    if expecting and seen["problems"]:
        module.fail_json(msg=f"HAProxy at {params['socket']}: {'; '.join(seen['problems'])}", **seen)
    module.exit_json(changed=False, **seen)


if __name__ == "__main__":
    main()
