#!/usr/bin/python
# Copyright: (c) 2026, The zerospof.temporal maintainers
# Apache License 2.0 (see LICENSE or https://www.apache.org/licenses/LICENSE-2.0)
"""Ansible module: take a server out of a running HAProxy, and back."""

from __future__ import annotations

DOCUMENTATION = r"""
module: haproxy_server
short_description: Take a server out of the traffic of a running HAProxy, and back
version_added: 0.1.0
author: The zerospof.temporal maintainers (@zerospof)
description:
  - Speaks to the admin socket of one HAProxy process. To drain a server, run it on every host that balances to it.
  - >-
    To leave, the server is drained first and its health check disabled then. To come back, the health check is enabled
    first, and the server gets traffic only after it has passed. With the health check left running, a server
    that says NOT_SERVING while it shuts down is marked down, and its last requests are cut.
  - The state is kept by a reload of HAProxy, not by a restart.
  - The last server that clients can use is neither drained nor put into maintenance, unless its proxy has no other.
attributes:
  check_mode:
    description: Can run in check mode and report what would change.
    support: full
  diff_mode:
    description: Shows state and health check before and after.
    support: full
options:
  socket:
    description: Path of the admin socket.
    type: path
    required: true
  proxy:
    description: Name of the proxy.
    type: str
    required: true
  server:
    description: Name of the server in the proxy.
    type: str
    required: true
  state:
    description:
      - V(ready) gives new connections to the server.
      - V(drain) gives it none and leaves those that it has.
      - V(maint) gives it none and closes those that it has where HAProxy is told to do so when a server goes down.
    type: str
    choices: [ready, drain, maint]
  leaving:
    description: Servers of the proxy that leave at the same time, so that clients cannot count on them either.
    type: list
    elements: str
    default: []
  health:
    description: Whether the health check of the server runs. A server whose check is disabled counts as healthy.
    type: str
    choices: [enabled, disabled]
  wait:
    description:
      - Seconds to wait, for V(ready) until the server is up, for V(drain) and V(maint) until clients can use another
        one, and then as long again until it has no connection.
      - With V(0) it is not waited for. When the time runs out the task fails.
    type: float
    default: 0
seealso:
  - module: zerospof.temporal.haproxy_info
"""

EXAMPLES = r"""
- name: The frontend on temporal-a gets no new connections
  zerospof.temporal.haproxy_server:
    socket: /run/haproxy-edge/admin.sock
    proxy: frontend
    server: temporal-a
    state: drain
    health: disabled

- name: The frontend on temporal-a is back after its health check has passed
  zerospof.temporal.haproxy_server:
    socket: /run/haproxy-edge/admin.sock
    proxy: frontend
    server: temporal-a
    state: ready
    health: enabled
    wait: 30
"""

RETURN = r"""
server:
  description: The server as it is afterwards, with the keys that M(zerospof.temporal.haproxy_info) returns.
  returned: always
  type: dict
"""

import time

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.zerospof.temporal.plugins.module_utils._haproxy_admin import (
    READY,
    AdminError,
    AdminSocket,
    Server,
    is_last,
)

INTERVAL_SECONDS = 0.1
# After a health check is enabled the result of the last one still shows; within this time there is a new one.
SETTLE_SECONDS = 1.5


class Target:
    """The server that the task names."""

    def __init__(self, admin: AdminSocket, proxy: str, name: str) -> None:
        """Remember where the server is."""
        self.admin, self.proxy, self.name = admin, proxy, name

    def look(self) -> Server:
        """Return the server as it is now.

        Raises:
            AdminError: the process does not answer or has no such server.
        """
        servers = self.admin.servers()
        for server in servers:
            if (server.proxy, server.name) == (self.proxy, self.name):
                return server
        known = ", ".join(f"{server.proxy}/{server.name}" for server in servers) or "none"
        raise AdminError(f"there is no server {self.proxy}/{self.name}; there are: {known}")

    def check_others(self, leaving: list[str], deadline: float) -> None:
        """Return when clients have a server without this one and those that are ``leaving``, or have none anyway.

        Raises:
            AdminError: they would have none at ``deadline``.
        """
        while is_last(servers := [one for one in self.admin.servers() if one.proxy == self.proxy], self.name, leaving):
            if time.monotonic() >= deadline:
                others = ", ".join(str(server) for server in servers if server.name != self.name)
                place = f"{self.name} is the last one of {self.proxy} that clients can use"
                raise AdminError(f"{place} ({others}); bring another one back first")
            time.sleep(INTERVAL_SECONDS)

    def set_state(self, state: str) -> None:
        """Ask for ready, drain or maint."""
        self.admin.order(f"set server {self.proxy}/{self.name} state {state}")

    def set_health_check(self, enabled: bool) -> None:
        """Run the health check or do not."""
        self.admin.order(f"{'enable' if enabled else 'disable'} health {self.proxy}/{self.name}")

    def wait_for_check(self, deadline: float, enabled_at: float) -> None:
        """Return when a health check that ran after ``enabled_at`` has passed.

        Raises:
            AdminError: there was none before ``deadline``; both are times of the monotonic clock.
        """
        server = self.look()
        failed, since = server.failed_checks, enabled_at
        while not server.check_passes or time.monotonic() < since + SETTLE_SECONDS:
            if time.monotonic() >= deadline:
                raise AdminError(f"{self.proxy}: the health check has not passed in time: {server}")
            time.sleep(INTERVAL_SECONDS)
            server = self.look()
            if server.failed_checks > failed:
                failed, since = server.failed_checks, time.monotonic()

    def wait_until_up(self, deadline: float) -> None:
        """Return when the server is up.

        Raises:
            AdminError: it is not before ``deadline``.
        """
        while not (server := self.look()).usable:
            if time.monotonic() >= deadline:
                raise AdminError(f"{self.proxy}: the server is not up in time: {server}")
            time.sleep(INTERVAL_SECONDS)

    def wait_until_empty(self, deadline: float) -> None:
        """Return when the server has no connection.

        Raises:
            AdminError: it has some at ``deadline``.
        """
        while (server := self.look()).sessions:
            if time.monotonic() >= deadline:
                raise AdminError(f"{self.proxy}: {server} still has {server.sessions} connections")
            time.sleep(INTERVAL_SECONDS)


def converge(target: Target, before: Server, state: str, checked: bool, wait: float) -> None:
    """Bring the server to ``state`` and its health check to ``checked`` in the order that loses no request."""
    started = time.monotonic()
    deadline = started + wait
    if checked and not before.checked:
        target.set_health_check(enabled=True)
        if state == READY and wait:
            target.wait_for_check(deadline, started)
    if state != before.state:
        target.set_state(state)
    if not checked and before.checked:
        target.set_health_check(enabled=False)
    if wait and state == READY:
        target.wait_until_up(deadline)
    elif wait:
        target.wait_until_empty(deadline)


def main() -> None:
    """Run the module."""
    module = AnsibleModule(
        argument_spec={
            "socket": {"type": "path", "required": True},
            "proxy": {"type": "str", "required": True},
            "server": {"type": "str", "required": True},
            "state": {"type": "str", "choices": ["ready", "drain", "maint"]},
            "leaving": {"type": "list", "elements": "str", "default": []},
            "health": {"type": "str", "choices": ["enabled", "disabled"]},
            "wait": {"type": "float", "default": 0},
        },
        required_one_of=[("state", "health")],
        supports_check_mode=True,
    )
    params = module.params
    target = Target(AdminSocket(params["socket"]), params["proxy"], params["server"])
    try:
        before = target.look()
        state = params["state"] or before.state
        if params["state"] not in (None, READY):
            target.check_others(params["leaving"], time.monotonic() + params["wait"])
        checked = before.checked if params["health"] is None else params["health"] == "enabled"
        if not module.check_mode:
            converge(target, before, state, checked, params["wait"])
        after = target.look()
    except AdminError as error:
        module.fail_json(msg=f"HAProxy at {params['socket']}: {error}")
    words = {True: "enabled", False: "disabled"}
    module.exit_json(
        changed=(state, checked) != (before.state, before.checked),
        server=after.as_dict(),
        diff={
            "before": {"state": before.state, "health": words[before.checked]},
            "after": {"state": state, "health": words[checked]},
        },
    )


if __name__ == "__main__":
    main()
