#!/usr/bin/python
# Copyright: (c) 2026, The zerospof.temporal maintainers
# Apache License 2.0 (see LICENSE or https://www.apache.org/licenses/LICENSE-2.0)
"""Ansible module: a fault on purpose on this host, with a deadline."""

from __future__ import annotations

DOCUMENTATION = r"""
module: drill_fault
short_description: Make a fault on this host, or end it
version_added: 0.1.0
author: The zerospof.temporal maintainers (@zerospof)
description:
  - Before the fault there is a timer of systemd on the host that ends it, whatever becomes of the connection to the
    host and of the run that made it.
  - Fails when the fault did not happen, and when one that is to be ended was over already. Services that were replaced
    meanwhile are no such failure, but what the cluster made of the fault.
attributes:
  check_mode:
    description: Says that the host would be changed.
    support: full
  diff_mode:
    description: There is no text to compare.
    support: none
options:
  state:
    description: V(present) makes the fault, V(absent) ends it; nothing is done when there is none.
    type: str
    choices: [present, absent]
    default: present
  fault:
    description:
      - V(kill) sends SIGKILL to all processes of the units, once. V(hang) sends SIGSTOP to them, and SIGCONT at the
        end.
      - V(cut) drops all packets but those of ssh, those that stay on the host, and those from and to O(addresses).
        What a balancer tells its neighbours of O(virtual_address) is dropped, too, or it would take the address from
        whoever has it. That needs Linux 5.16.
    type: str
    choices: [kill, hang, cut]
    required: true
  units:
    description: Names of the units with their suffix; for V(kill) and V(hang).
    type: list
    elements: str
    default: []
  addresses:
    description: IPv4 addresses on the same side of the cut, that of this host included; for V(cut).
    type: list
    elements: str
    default: []
  virtual_address:
    description: IPv4 address that the host may have and must not announce; for V(cut) of a balancer.
    type: str
    default: ""
  interface:
    description: Where it would announce O(virtual_address).
    type: str
    default: ""
  ssh_port:
    description: Port of ssh, which is never cut.
    type: int
    default: 22
  deadline_seconds:
    description: After so many seconds the host ends the fault by itself.
    type: int
    default: 120
seealso:
  - module: zerospof.temporal.workflow_load
"""

EXAMPLES = r"""
- name: A balancer is cut off
  zerospof.temporal.drill_fault:
    fault: cut
    addresses: [192.0.2.11]
    virtual_address: 192.0.2.10
    interface: eth0

- name: The services hang
  zerospof.temporal.drill_fault:
    fault: hang
    units: [temporal-history.service]

- name: They go on
  zerospof.temporal.drill_fault:
    fault: hang
    units: [temporal-history.service]
    state: absent
"""

RETURN = r"""
at:
  description: When the fault was there, or was over, even if it was over too early; seconds since the epoch.
  returned: when the fault is as O(state) says
  type: float
"""

import time
from collections.abc import Iterable
from pathlib import Path

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.zerospof.temporal.plugins.module_utils import _drill, _systemd

# A transient unit of this name ends the fault.
TIMER = "zerospof-drill"
# The main processes at the moment of the fault, which are gone after a boot as the fault is.
RECORD = Path("/run/zerospof-drill.json")
ATTEMPTS, PAUSE_SECONDS = 10, 0.5


def processes(module: AnsibleModule, units: Iterable[str]) -> dict[str, str]:
    """Return the main process of each unit; ``0`` for one that does not run."""
    found = {unit: _systemd.main_process(module, unit).name for unit in units}
    return {unit: number if number.isdigit() else "0" for unit, number in found.items()}


def state_of(number: str) -> str:
    """Return the state of a process as the kernel says it (``S``, ``T``, ``Z`` ...), empty when it is gone."""
    try:
        return Path("/proc", number, "stat").read_text(encoding="utf-8").rpartition(")")[2].split()[0]
    except (FileNotFoundError, ProcessLookupError):
        return ""


def spared(module: AnsibleModule, before: dict[str, str]) -> list[str]:
    """Return what the fault is not on: units, or the rules that are not in force."""
    if module.params["fault"] == "cut":
        return [] if has_rules(module) else ["the rules of nftables"]
    now = {unit: (number, state_of(before[unit])) for unit, number in processes(module, before).items()}
    return _drill.spared(module.params["fault"], before, now)


def has_rules(module: AnsibleModule) -> bool:
    """Tell whether the host is cut off."""
    return module.run_command(["nft", "list", "table", "inet", _drill.TABLE])[0] == 0


def end(module: AnsibleModule) -> None:
    """End the fault and the timer, and leave no trace."""
    if ending := _drill.ending(module.params["fault"], module.params["units"]):
        module.run_command(ending, check_rc=True)
    module.run_command(["systemctl", "stop", f"{TIMER}.timer"])
    RECORD.unlink(missing_ok=True)


def make(module: AnsibleModule) -> None:
    """Make the fault and see that it is there."""
    fault, units = module.params["fault"], module.params["units"]
    if module.run_command(["systemctl", "is-active", "--quiet", f"{TIMER}.timer"])[0] == 0:
        module.fail_json(msg=f"there is a fault on this host already, which {TIMER}.timer ends")
    # Of a fault that nobody but its timer has ended.
    RECORD.unlink(missing_ok=True)
    before = processes(module, units)
    if absent := [unit for unit, number in before.items() if number == "0"]:
        module.fail_json(msg=f"{', '.join(absent)}: does not run, so nothing would happen to it")
    if ending := _drill.ending(fault, units):
        timer = ["systemd-run", "--collect", f"--unit={TIMER}", f"--on-active={module.params['deadline_seconds']}"]
        module.run_command([*timer, "--timer-property=AccuracySec=1s", *ending], check_rc=True)
    RECORD.write_text(module.jsonify(before), encoding="utf-8")
    if fault == "cut":
        rules = _drill.cut_rules(
            *(module.params[name] for name in ("addresses", "ssh_port", "virtual_address", "interface"))
        )
        code, _, reason = module.run_command(["nft", "--file", "-"], data=rules)
    else:
        signal = {"kill": "SIGKILL", "hang": "SIGSTOP"}[fault]
        code, _, reason = module.run_command(["systemctl", "kill", f"--signal={signal}", *units])
    if code != 0:
        end(module)
        module.fail_json(msg=f"{fault} did not happen: {reason.strip()}")
    for _ in range(ATTEMPTS):
        if not (left := spared(module, before)):
            return
        time.sleep(PAUSE_SECONDS)
    end(module)
    module.fail_json(msg=f"{fault} did not happen to {', '.join(left)}")


def main() -> None:
    """Run the module."""
    module = AnsibleModule(
        argument_spec={
            "state": {"type": "str", "choices": ["present", "absent"], "default": "present"},
            "fault": {"type": "str", "choices": ["kill", "hang", "cut"], "required": True},
            "units": {"type": "list", "elements": "str", "default": []},
            "addresses": {"type": "list", "elements": "str", "default": []},
            "virtual_address": {"type": "str", "default": ""},
            "interface": {"type": "str", "default": ""},
            "ssh_port": {"type": "int", "default": 22},
            "deadline_seconds": {"type": "int", "default": 120},
        },
        supports_check_mode=True,
    )
    wanted = {"kill": "units", "hang": "units", "cut": "addresses"}[module.params["fault"]]
    if not module.params[wanted]:
        module.fail_json(msg=f"{module.params['fault']} needs {wanted}")
    if module.params["virtual_address"] and not module.params["interface"]:
        module.fail_json(msg=f"where {module.params['virtual_address']} would be announced is not known: set interface")
    if module.params["state"] == "present":
        if not module.check_mode:
            make(module)
        module.exit_json(changed=True, at=time.time())
    if module.params["fault"] == "kill" or not RECORD.exists():
        RECORD.unlink(missing_ok=True)
        module.exit_json(changed=False, at=time.time())
    if module.check_mode:
        module.exit_json(changed=True, at=time.time())
    early = spared(module, module.from_json(RECORD.read_text(encoding="utf-8")))
    end(module)
    if early:
        text = f"{module.params['fault']} was over before it was to end, for {', '.join(early)}"
        module.fail_json(msg=text, at=time.time())
    module.exit_json(changed=True, at=time.time())


if __name__ == "__main__":
    main()
