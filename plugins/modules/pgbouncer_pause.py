#!/usr/bin/python
# Copyright: (c) 2026, The zerospof.temporal maintainers
# Apache License 2.0 (see LICENSE or https://www.apache.org/licenses/LICENSE-2.0)
"""Ansible module: hold queries in PgBouncer, or let them go."""

from __future__ import annotations

DOCUMENTATION = r"""
module: pgbouncer_pause
short_description: Hold queries in PgBouncer while the database behind it changes, or let them go
version_added: 0.1.0
author: The zerospof.temporal maintainers (@zerospof)
description:
  - Paused, PgBouncer lets transactions end and keeps new ones waiting, so that a switchover is a delay for its clients
    and no error.
  - When the transactions do not end in time, the pause is taken back and the module fails.
  - A pause ends by itself after O(longest_seconds), so that a control node that dies meanwhile stops nobody for good.
  - With O(former_primary) queries go as soon as the proxy below has another primary. As an asynchronous task that began
    before the pause, the host then sees to that itself, and no query waits for the control node, nor for one that died
    before it told the primary to hand over.
extends_documentation_fragment:
  - zerospof.temporal.pgbouncer
attributes:
  check_mode:
    description: Can run in check mode; it then does not know whether something would change before PgBouncer 1.19.
    support: partial
  diff_mode:
    description: There are no files to show.
    support: none
options:
  state:
    description: Whether queries are held.
    type: str
    choices: [paused, active]
    required: true
  timeout_seconds:
    description: Time in which running transactions must end.
    type: int
    default: 5
  longest_seconds:
    description: Time after which paused queries go on whatever happens; V(0) for never.
    type: int
    default: 60
  former_primary:
    description: Name of the server of the proxy that is to lose its part before queries go.
    type: str
  unmoved_seconds:
    description:
      - Time that queries are held at most while the proxy still leads to O(former_primary). They go then, and the
        module waits on.
    type: int
    default: 8
  proxy_socket:
    description: Admin socket of the HAProxy that leads to the primary.
    type: path
  wait_seconds:
    description: Time in which the proxy must have another primary.
    type: int
    default: 90
"""

EXAMPLES = r"""
- name: Queries wait
  zerospof.temporal.pgbouncer_pause:
    state: paused

- name: Queries go on when another host has become primary
  zerospof.temporal.pgbouncer_pause:
    state: active
    former_primary: db-a
    proxy_socket: /run/haproxy-database/admin.sock
  async: 120
  poll: 0
"""

RETURN = r"""
state:
  description: Whether queries are held now.
  returned: success
  type: str
"""

import time

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.zerospof.temporal.plugins.module_utils import _haproxy_admin, _pgbouncer_console

# The state is asked for by doing: before 1.19 there is no SHOW STATE.
ALREADY = {"paused": ("already suspended/paused", "already paused"), "active": ("not paused",)}
COMMAND = {"paused": "PAUSE", "active": "RESUME"}
END = "zerospof-pgbouncer-resume"
# A look is one line over a local socket.
LOOK_SECONDS = 0.1


def set_end(module: AnsibleModule, seconds: int) -> None:
    """Let the host itself resume after ``seconds``, or not at all with 0; an earlier order is forgotten."""
    module.run_command(["systemctl", "stop", f"{END}.timer"])
    if seconds:
        timer = [f"--unit={END}", f"--on-active={seconds}", "--timer-property=AccuracySec=1s", "--collect"]
        resume = _pgbouncer_console.argv(module, COMMAND["active"])
        module.run_command(["systemd-run", "--quiet", *timer, *resume], check_rc=True)


def order(module: AnsibleModule, wanted: str) -> bool:
    """Bring PgBouncer into the state ``wanted``; return whether it was in the other one."""
    seconds = module.params["timeout_seconds"]
    code, _, reason = _pgbouncer_console.console(module, COMMAND[wanted], seconds)
    if code == 0:
        return True
    if any(phrase in reason for phrase in ALREADY[wanted]):
        return False
    if wanted == "paused":
        _pgbouncer_console.console(module, COMMAND["active"])
    cause = f"transactions did not end in {seconds} s" if code == _pgbouncer_console.TIMED_OUT else reason
    module.fail_json(msg=f"PgBouncer: {COMMAND[wanted]} failed: {cause}")


def is_held(module: AnsibleModule) -> bool:
    """Tell whether queries are held: a pause has an end."""
    code, _, _ = module.run_command(["systemctl", "--quiet", "is-active", f"{END}.timer"])
    return code == 0


def release(module: AnsibleModule, *, is_active: bool = False) -> bool:
    """Let queries go, and forget the end of the pause; return whether they were held."""
    changed = not is_active and order(module, "active")
    set_end(module, 0)
    return changed


def wait_for_another(module: AnsibleModule, former: str) -> None:
    """Return when the proxy has another primary than ``former``; nobody waits for one that is not told to move."""
    seconds, unmoved = module.params["wait_seconds"], module.params["unmoved_seconds"]
    admin = _haproxy_admin.AdminSocket(module.params["proxy_socket"])
    deadline = time.monotonic() + seconds
    seen = ""
    held_since: float | None = None
    released = False
    while (now := time.monotonic()) < deadline:
        try:
            if _haproxy_admin.has_another(servers := admin.servers(), former):
                return
            seen = ", ".join(map(str, servers))
            is_unmoved = any(server.usable for server in servers)
        except _haproxy_admin.AdminError as error:
            seen, is_unmoved = str(error), False
        if not released and is_unmoved and is_held(module):
            held_since = held_since or now
            if now - held_since >= unmoved:
                released = release(module)
        else:
            held_since = None
        time.sleep(LOOK_SECONDS)
    module.fail_json(msg=f"PgBouncer: its proxy has no other primary than {former} after {seconds} s: {seen}")


def main() -> None:
    """Run the module."""
    module = AnsibleModule(
        argument_spec={
            **_pgbouncer_console.ARGUMENTS,
            "state": {"type": "str", "choices": ["paused", "active"], "required": True},
            "timeout_seconds": {"type": "int", "default": 5},
            "longest_seconds": {"type": "int", "default": 60},
            "former_primary": {"type": "str"},
            "unmoved_seconds": {"type": "int", "default": 8},
            "proxy_socket": {"type": "path"},
            "wait_seconds": {"type": "int", "default": 90},
        },
        required_together=[("former_primary", "proxy_socket")],
        supports_check_mode=True,
    )
    wanted, former = module.params["state"], module.params["former_primary"]
    known = None
    if former and not module.check_mode:
        wait_for_another(module, former)
    else:
        code, state, _ = _pgbouncer_console.console(module, "SHOW STATE")
        known = None if code != 0 else ("active" if "active|yes" in state.splitlines() else "paused")
    if module.check_mode:
        module.exit_json(changed=known != wanted, state=wanted)
    # Before a pause, and after the end of one: until then the host would end it by itself.
    if wanted == "paused":
        set_end(module, module.params["longest_seconds"])
        changed = known != wanted and order(module, wanted)
    else:
        changed = release(module, is_active=known == wanted)
    module.exit_json(changed=changed, state=wanted)


if __name__ == "__main__":
    main()
