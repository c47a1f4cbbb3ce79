#!/usr/bin/python
# Copyright: (c) 2026, The zerospof.temporal maintainers
# Apache License 2.0 (see LICENSE or https://www.apache.org/licenses/LICENSE-2.0)
"""Ansible module: who holds a virtual IP address."""

from __future__ import annotations

DOCUMENTATION = r"""
module: vip_info
short_description: Tell who on the network holds a virtual IPv4 address
version_added: 0.1.0
author: The zerospof.temporal maintainers (@zerospof)
description:
  - Looks at the addresses of this host, and asks all others by ARP. Two holders (a split brain) are seen as two.
  - Without O(expect) it reports and never fails.
  - Needs root, and a host in the same network segment as the holders.
extends_documentation_fragment: zerospof.temporal.reads_only
options:
  address:
    description: The virtual IPv4 address.
    type: str
    required: true
  interface:
    description: Interface on which the address is or would be.
    type: str
    required: true
  port:
    description: TCP port that must accept a connection at the address, besides what O(expect) says.
    type: int
  expect:
    description:
      - V(one) wants one holder, wherever it is, V(elsewhere) one holder that is not this host.
      - V(not_here) wants only that it is not this host, V(nobody) wants no holder.
    type: str
    choices: [one, elsewhere, not_here, nobody]
  wait:
    description: Seconds for which to look until it is as expected.
    type: float
    default: 0
"""

EXAMPLES = r"""
- name: One balancer holds the VIP and answers
  zerospof.temporal.vip_info:
    address: 192.0.2.10
    interface: eth0
    port: 7233
    expect: one
    wait: 30
"""

RETURN = r"""
here:
  description: Whether this host has the address.
  returned: always
  type: bool
holders:
  description: MAC addresses of all hosts that have the address, this host included.
  returned: always
  type: list
  elements: str
problems:
  description: What is not as expected.
  returned: always
  type: list
  elements: str
"""

import json
import socket
import time
from pathlib import Path
from typing import Any

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.zerospof.temporal.plugins.module_utils import _arp

PROBES = 2
ANSWER_SECONDS = 0.3
CONNECT_SECONDS = 1.0
INTERVAL_SECONDS = 0.5


def has_address(module: AnsibleModule, address: str) -> bool:
    """Tell whether this host has ``address`` on any interface."""
    _, output, _ = module.run_command(["ip", "-json", "address", "show", "to", address], check_rc=True)
    return any(interface.get("addr_info") for interface in json.loads(output or "[]"))


def others_with_address(address: str, interface: str, own_mac: bytes) -> set[str]:
    """Return the MAC addresses of the other hosts that answer for ``address``."""
    found = set()
    with socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(_arp.ETHERTYPE)) as wire:
        wire.bind((interface, _arp.ETHERTYPE))
        for _ in range(PROBES):
            wire.send(_arp.probe(own_mac, address))
            deadline = time.monotonic() + ANSWER_SECONDS
            while (left := deadline - time.monotonic()) > 0:
                wire.settimeout(left)
                try:
                    holder = _arp.holder(wire.recv(1500), own_mac, address)
                except TimeoutError:
                    break
                if holder:
                    found.add(holder)
    return found


def judge(address: str, expect: str | None, here: bool, holders: list[str]) -> list[str]:
    """Return what is wrong with ``holders`` under the expectation ``expect``."""
    seen = f"{address} is held by {', '.join(holders) or 'nobody'}" + (" (this host has it)" if here else "")
    fine = {
        None: True,
        "one": len(holders) == 1,
        "elsewhere": len(holders) == 1 and not here,
        "not_here": not here,
        "nobody": not holders,
    }
    wanted = {
        "one": "one host must hold it",
        "elsewhere": "one other host must hold it",
        "not_here": "this host must not hold it; drain it first",
        "nobody": "no host may hold it",
    }
    return [] if fine[expect] else [f"{seen}; {wanted[expect or 'one']}"]


def look(module: AnsibleModule) -> dict[str, Any]:
    """Return who holds the address and what is wrong with that."""
    address, interface, port = (module.params[name] for name in ("address", "interface", "port"))
    mac = Path(f"/sys/class/net/{interface}/address").read_text(encoding="ascii").strip()
    here = has_address(module, address)
    others = others_with_address(address, interface, _arp.mac_bytes(mac))
    holders = sorted(others | ({mac} if here else set()))
    problems = judge(address, module.params["expect"], here, holders)
    if port and holders:
        try:
            socket.create_connection((address, port), CONNECT_SECONDS).close()
        except OSError as error:
            problems.append(f"{address}:{port} does not accept connections: {error}")
    return {"here": here, "holders": holders, "problems": problems}


def main() -> None:
    """Run the module."""
    module = AnsibleModule(
        argument_spec={
            "address": {"type": "str", "required": True},
            "interface": {"type": "str", "required": True},
            "port": {"type": "int"},
            "expect": {"type": "str", "choices": ["one", "elsewhere", "not_here", "nobody"]},
            "wait": {"type": "float", "default": 0},
        },
        supports_check_mode=True,
    )
    deadline = time.monotonic() + module.params["wait"]
    try:
        seen = look(module)
        while seen["problems"] and time.monotonic() < deadline:
            time.sleep(INTERVAL_SECONDS)
            seen = look(module)
    except (OSError, ValueError) as error:
        module.fail_json(msg=f"cannot ask for {module.params['address']} on {module.params['interface']}: {error}")
    if module.params["expect"] and seen["problems"]:
        module.fail_json(msg="; ".join(seen["problems"]), **seen)
    module.exit_json(changed=False, **seen)


if __name__ == "__main__":
    main()
