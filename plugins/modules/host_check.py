#!/usr/bin/python
# Copyright: (c) 2026, The zerospof.temporal maintainers
# Apache License 2.0 (see LICENSE or https://www.apache.org/licenses/LICENSE-2.0)
"""Ansible module: is this host fit for its part of the cluster?"""

from __future__ import annotations

DOCUMENTATION = r"""
module: host_check
short_description: Tell why a host is not fit for its part of the cluster
version_added: 0.1.0
author: The zerospof.temporal maintainers (@zerospof)
description:
  - Checks the operating system, the machine, its addresses and its clock, and whether a foreign process listens on a
    port that the cluster needs.
  - On a host that gets a node of Cassandra also Java, memory, disk, swap and a limit of the kernel.
  - A host that cannot be reached is a problem among others and does not end the play, so that all are told at once.
  - Changes nothing and never fails for a host that is not fit.
extends_documentation_fragment: zerospof.temporal.reads_only
options:
  address:
    description: Address that the host must have.
    type: str
    required: true
  systems:
    description: Supported systems as C(ID VERSION_ID) of C(/etc/os-release), for example V(debian 13).
    type: list
    elements: str
    required: true
  architecture:
    description: Supported machine as C(uname -m) prints it.
    type: str
    default: x86_64
  ports:
    description: Ports that services of this host listen on.
    type: list
    elements: dict
    default: []
    suboptions:
      name:
        description: Key in C(temporal_ports).
        type: str
        required: true
      port:
        description: Number.
        type: int
        required: true
      at:
        description: V(vip) for a service that listens on the virtual address alone.
        type: str
        choices: [host, vip]
        default: host
  vip:
    description: Virtual address of the cluster; empty for none.
    type: str
    default: ""
  vip_carrier:
    description: Whether this host may carry the virtual address.
    type: bool
    default: false
  vip_interface:
    description: Interface that carries the virtual address; that of the default route when empty.
    type: str
    default: ""
  cassandra:
    description: The node of Cassandra that this host has or gets; leave out for none.
    type: dict
    suboptions:
      data_directory:
        description: Directory of its data.
        type: path
        required: true
      java_home:
        description: Directory of a Java that is there already; empty for that of the distribution.
        type: str
        default: ""
      heap_megabytes:
        description: Heap in MiB; V(0) for a share of the memory.
        type: int
        default: 0
  clock_skew_seconds:
    description: Seconds by which the clock may differ from that of the control node.
    type: float
    default: 1
"""

EXAMPLES = r"""
- name: What is wrong with the host is known
  zerospof.temporal.host_check:
    address: 192.0.2.31
    systems: [debian 12, debian 13]
    ports:
      - {name: postgresql, port: 5432}
  register: fitness
"""

RETURN = r"""
problems:
  description: What is wrong with the host, one sentence each.
  returned: always
  type: list
  elements: str
notes:
  description: What works and should not stay so, one sentence each.
  returned: always
  type: list
  elements: str
cassandra_release:
  description: Release of Cassandra that the node runs, or else would start; empty on a host without its data.
  returned: always
  type: str
system:
  description: Operating system and its version; empty when the host could not be asked.
  returned: always
  type: str
  sample: debian 13
holds_vip:
  description: Whether an interface of this host has the virtual address.
  returned: always
  type: bool
vip_answer:
  description: How something answered at the virtual address; empty when nothing did or this host has it.
  returned: always
  type: str
  sample: it has MAC address 52:54:00:12:34:56
time:
  description: Seconds since the epoch on the clock of the host.
  returned: when the host could be asked
  type: float
"""

import json
import os
import platform
import shutil
import socket
import time
from collections.abc import Iterator
from pathlib import Path

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.zerospof.temporal.plugins.module_utils import (
    _cassandra,
    _host,
    _releases,
    _store,
    _systemd,
)

ARGUMENT_SPEC = {
    "address": {"type": "str", "required": True},
    "systems": {"type": "list", "elements": "str", "required": True},
    "architecture": {"type": "str", "default": "x86_64"},
    "ports": {
        "type": "list",
        "elements": "dict",
        "default": [],
        "options": {
            "name": {"type": "str", "required": True},
            "port": {"type": "int", "required": True},
            "at": {"type": "str", "choices": ["host", "vip"], "default": "host"},
        },
    },
    "vip": {"type": "str", "default": ""},
    "vip_carrier": {"type": "bool", "default": False},
    "vip_interface": {"type": "str", "default": ""},
    "cassandra": {
        "type": "dict",
        "options": {
            "data_directory": {"type": "path", "required": True},
            "java_home": {"type": "str", "default": ""},
            "heap_megabytes": {"type": "int", "default": 0},
        },
    },
    "clock_skew_seconds": {"type": "float", "default": 1},
}
ANSWER_SECONDS = 1.0
DISCARD_PORT = 9
COMPLETE = 0x2


def read(path: str | Path) -> str:
    """Return the text of a file, empty when it cannot be read (a process may end at any time)."""
    try:
        return Path(path).read_text(encoding="utf-8", errors="replace")
    except OSError:
        return ""


def sockets_of(directory: Path) -> Iterator[str]:
    """Yield the inodes of the sockets that the process of ``/proc/<pid>`` holds."""
    for target in _systemd.open_files(directory):
        if target.startswith("socket:["):
            yield target.removeprefix("socket:[").removesuffix("]")


def listeners(ports: set[int]) -> Iterator[_host.Listener]:
    """Yield who listens on any of ``ports``."""
    inodes = {
        inode: port
        for table in ("tcp", "tcp6")
        for inode, port in _host.parse_listening(read(f"/proc/net/{table}")).items()
        if port in ports
    }
    if not inodes:
        return
    for directory in Path("/proc").glob("[0-9]*"):
        found = {inodes[inode] for inode in sockets_of(directory) if inode in inodes}
        for port in found:
            unit = _host.parse_unit(read(directory / "cgroup"))
            yield _host.Listener(port, read(directory / "comm").strip(), int(directory.name), unit)


def default_interface() -> str:
    """Return the interface of the default route, empty when there is none."""
    routes = [line.split() for line in read("/proc/net/route").splitlines()[1:]]
    return next((route[0] for route in routes if route[1] == "00000000"), "")


def answer_at(vip: str, ports: list[int]) -> str:
    """Return how something answers at ``vip``, empty when nothing does.

    An open or refused TCP connection is an answer, and so is an entry in the kernel's ARP table, which a datagram to
    the discard port provokes.
    """
    family = socket.AF_INET6 if ":" in vip else socket.AF_INET
    for port in ports:
        with socket.socket(family, socket.SOCK_STREAM) as connection:
            connection.settimeout(ANSWER_SECONDS)
            try:
                connection.connect((vip, port))
            except ConnectionRefusedError:
                return f"it refuses connections to port {port}"
            except OSError:
                continue
            return f"it accepts connections to port {port}"
    with socket.socket(family, socket.SOCK_DGRAM) as datagram:
        try:
            datagram.sendto(b"", (vip, DISCARD_PORT))
        except OSError:
            return ""
    time.sleep(ANSWER_SECONDS / 4)
    for row in (line.split() for line in read("/proc/net/arp").splitlines()[1:]):
        if row[0] == vip and int(row[2], 16) & COMPLETE:
            return f"it has MAC address {row[3]}"
    return ""


def look(module: AnsibleModule) -> _host.Host:
    """Read what there is to know about this host."""
    status, output, _ = module.run_command(["ip", "-json", "address"])
    found = tuple(listeners({entry["port"] for entry in module.params["ports"]}))
    units = {listener.unit for listener in found if listener.unit}
    return _host.Host(
        system=_host.parse_os_release(read("/etc/os-release")),
        architecture=platform.machine(),
        systemd=Path("/run/systemd/system").is_dir(),
        root=os.geteuid() == 0,
        interfaces=_host.parse_addresses(json.loads(output)) if status == 0 else (),
        listeners=found,
        managed_units=frozenset(unit for unit in units if _systemd.tracked_files_of(unit) is not None),
    )


def look_at_store(module: AnsibleModule) -> _store.Store:
    """Read what decides whether a node of Cassandra can live here."""
    wanted = module.params["cassandra"]
    directory = Path(wanted["data_directory"])
    place = next(path for path in (directory, *directory.parents) if path.exists())
    memory = _store.parse_memory(read("/proc/meminfo"))
    java = Path(wanted["java_home"], "bin", "java")
    return _store.Store(
        java=module.run_command([str(java), "-version"])[2] if wanted["java_home"] and java.exists() else "",
        is_container=Path("/run/systemd/container").exists(),
        is_set_up=Path("/etc/sysctl.d/60-zerospof-cassandra.conf").exists(),
        is_running=_systemd.is_active(module, "cassandra.service"),
        has_data=(directory / "data" / "system").exists(),
        was_in_ring=Path(_cassandra.RING_RECORD).exists(),
        memory=memory.get("MemTotal", 0),
        available=memory.get("MemAvailable", 0),
        map_count=int(read("/proc/sys/vm/max_map_count") or 0),
        swaps=_store.parse_swaps(read("/proc/swaps")),
        free=shutil.disk_usage(place).free >> 20,
        shares_root=place.stat().st_dev == Path("/").stat().st_dev,
    )


def release_of_node(module: AnsibleModule) -> str:
    """Return the release that the node runs, else the one with which it would start, empty when there is none."""
    current = Path("/opt/cassandra/current")
    installed = current.readlink().name if current.is_symlink() else ""
    files = _systemd.open_files(_systemd.main_process(module, "cassandra.service"))
    return _releases.run_by(files, str(current.parent)) or installed


def main() -> None:
    """Run the module."""
    module = AnsibleModule(argument_spec=ARGUMENT_SPEC, supports_check_mode=True)
    now = time.time()
    params = module.params
    host = look(module)
    vip = params["vip"]
    holds_vip = bool(vip) and _host.has_address(host, vip)
    carried = vip if params["vip_carrier"] else ""
    asks = bool(carried) and not holds_vip
    problems, notes, release = [], [], ""
    if params["cassandra"]:
        store = look_at_store(module)
        heap = _cassandra.heap_megabytes(store.memory, params["cassandra"]["heap_megabytes"])
        problems += _store.problems(store, host.system, params["cassandra"], heap)
        notes += _store.notes(store, params["cassandra"])
        release = release_of_node(module) if store.has_data else ""
    module.exit_json(
        changed=False,
        problems=[
            *_host.machine_problems(host, params["systems"], params["architecture"]),
            *_host.address_problems(host, params["address"], carried, params["vip_interface"] or default_interface()),
            *_host.port_problems(host, params["ports"]),
            *problems,
        ],
        notes=notes,
        cassandra_release=release,
        system=host.system,
        holds_vip=holds_vip,
        vip_answer=answer_at(vip, [e["port"] for e in params["ports"] if e["at"] == "vip"]) if asks else "",
        time=now,
    )


if __name__ == "__main__":
    main()
