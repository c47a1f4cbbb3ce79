"""From an Ansible inventory to the hosts of a lab, and the overlay inventory that points Ansible at them."""

from __future__ import annotations

import ipaddress
import json
import os
import re
import secrets
import shutil
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any, TypeVar, cast

import yaml

from lab import machine
from lab.machine import LabError
from lab.state import REPOSITORY, Host, Lab, cache_root

T = TypeVar("T")

OVERLAY = Path(__file__).parent / "overlay"
DEFAULT_IMAGE = "debian-13"
SECRETS = (
    "postgresql_superuser",
    "postgresql_replication",
    "postgresql_rewind",
    "temporal_database",
    "pgbouncer_auth",
    "patroni_rest",
    "cassandra_superuser",
    "cassandra_temporal",
    "cassandra_schema",
    "cassandra_maintenance",
)
SECRETS_FILE = "secrets.yml"
ADDRESS = re.compile(r"(?<![\d.])(\d{1,3}\.\d{1,3}\.\d{1,3})\.(\d{1,3})(?![\d.])")
GATEWAY_OCTETS = (0, 1, 255)


def listing(path: Path) -> dict[str, Any]:
    """Everything ``ansible-inventory --list`` says about an inventory."""
    if not path.exists():
        raise LabError(f"no inventory at {path}")
    return json.loads(_ansible_inventory("--inventory", path, "--list"))


def _ansible_inventory(*arguments: str | Path) -> str:
    program = Path(sys.executable).with_name("ansible-inventory")
    command = str(program) if program.exists() else shutil.which("ansible-inventory")
    if command is None:
        raise LabError("ansible-inventory is not installed beside this Python nor in PATH")
    environment = os.environ | {"ANSIBLE_CONFIG": str(REPOSITORY / "ansible.cfg")}
    return machine.text([command, *arguments], env=environment)


def group_members(groups: Mapping[str, Any], name: str) -> set[str]:
    """Hosts of a group and of its children."""
    group = groups.get(name, {})
    found = set(group.get("hosts", []))
    return found.union(*(group_members(groups, child) for child in group.get("children", [])))


def read_hosts(groups: Mapping[str, Any], image: str | None = None) -> tuple[Host, ...]:
    """The hosts of an inventory listing, ordered by address; with ``image``, all have that operating system.

    Raises:
        LabError: a host has no IPv4 ``ansible_host``, shares it with another, or is in two zones.
    """
    variables = groups.get("_meta", {}).get("hostvars", {})
    zone_groups = sorted(name for name in groups if name.startswith("az_"))
    zones = {zone: group_members(groups, zone) for zone in zone_groups}
    hosts = []
    for name in group_members(groups, "all"):
        mine = variables.get(name, {})
        if mine.get("ansible_connection") == "local":
            continue
        written = mine.get("ansible_host", "")
        try:
            address = str(ipaddress.IPv4Address(written))
        except ValueError as error:
            raise LabError(f"host {name} needs an IPv4 address in ansible_host, not {written!r}") from error
        in_zones = [zone for zone in zone_groups if name in zones[zone]]
        if len(in_zones) > 1:
            raise LabError(f"host {name} is in {' and '.join(in_zones)}; a host stands in one zone")
        system = image or mine.get("lab_image", DEFAULT_IMAGE)
        hosts.append(Host(name, address, next(iter(in_zones), ""), system))
    if not hosts:
        raise LabError("the inventory has no host")
    taken: dict[str, str] = {}
    for host in hosts:
        if host.address in taken:
            raise LabError(f"hosts {taken[host.address]} and {host.name} have the same ansible_host {host.address}")
        taken[host.address] = host.name
    return tuple(sorted(hosts, key=lambda host: ipaddress.IPv4Address(host.address)))


def subnet_of(hosts: tuple[Host, ...]) -> str:
    """The /24 in which all hosts are.

    Raises:
        LabError: they are in several, or one has the address of the network, the gateway or the broadcast.
    """
    networks = sorted({host.address.rsplit(".", 1)[0] for host in hosts})
    if len(networks) > 1:
        raise LabError(f"the hosts are in several /24 networks ({', '.join(networks)}); a lab is one")
    reserved = [host for host in hosts if int(host.address.rsplit(".", 1)[1]) in GATEWAY_OCTETS]
    if reserved:
        raise LabError(f"host {reserved[0].name} has {reserved[0].address}, which a lab needs for itself")
    return f"{networks[0]}.0/24"


def parse_subnet(value: str) -> str:
    """A private /24 in canonical form."""
    try:
        network = ipaddress.IPv4Network(value)
    except ValueError as error:
        raise LabError(f"subnet {value!r} is not a network such as 10.77.0.0/24: {error}") from error
    if network.prefixlen != 24 or not network.is_private:
        raise LabError(f"subnet {value} is not a private /24 network")
    return str(network)


def remap(value: T, old: str, new: str) -> T:
    """Copy of a variable's value in which addresses of the old /24 are those of the new one, last octet kept."""
    result: object = value
    if isinstance(value, str):
        before, after = old.rsplit(".", 1)[0], new.rsplit(".", 1)[0]
        result = ADDRESS.sub(lambda m: f"{after}.{m[2]}" if m[1] == before else m[0], value)
    elif isinstance(value, list):
        result = [remap(item, old, new) for item in value]
    elif isinstance(value, dict):
        result = {remap(key, old, new): remap(item, old, new) for key, item in value.items()}
    return cast(T, result)


def host_variables(groups: Mapping[str, Any], hosts: tuple[Host, ...], old: str, new: str) -> dict[str, Any]:
    """Variables of each host that name an address of the old subnet, with the new one.

    Written as host variables, which outrank every group variable of the inventory they replace.
    """
    variables = groups.get("_meta", {}).get("hostvars", {})
    result = {}
    for host in hosts:
        mine = variables.get(host.name, {})
        changed = {name: remap(value, old, new) for name, value in mine.items()}
        result[host.name] = {name: value for name, value in changed.items() if value != mine[name]}
        result[host.name]["ansible_host"] = remap(host.address, old, new)
    return result


def connection(lab: Lab) -> dict[str, Any]:
    """How Ansible and testinfra reach the hosts.

    Both read the common arguments, so they share connections; ssh takes the first value it sees of an option, which is
    why ``ssh_args`` of an ansible.cfg may repeat ControlMaster and ControlPersist.
    """
    options = {
        "BatchMode": "yes",
        "StrictHostKeyChecking": "no",
        "UserKnownHostsFile": "/dev/null",
        "LogLevel": "ERROR",
        "ConnectTimeout": 15,
        "ServerAliveInterval": 5,  # notice within 15 s that a host has died under an open connection
        "ServerAliveCountMax": 3,
        "ControlMaster": "auto",
        "ControlPersist": "300s",
        "ControlPath": f"{machine.RUN}/ssh/%h-%p-%r",
    }
    return {
        "ansible_user": "root",
        "ansible_python_interpreter": "/usr/bin/python3",
        "ansible_ssh_private_key_file": str(lab.directory / "ssh_key"),
        "ansible_ssh_common_args": " ".join(f"-o {name}={value}" for name, value in options.items()),
        "ansible_ssh_pipelining": True,
    }


def ssh_command(lab: Lab, host: Host) -> list[str]:
    """The command that opens a shell on a host, over the connection that Ansible has open already."""
    settings = connection(lab)
    options = settings["ansible_ssh_common_args"].split()
    return ["ssh", "-i", settings["ansible_ssh_private_key_file"], *options, f"root@{host.address}"]


def write_overlay(lab: Lab, variables: Mapping[str, Any]) -> Path:
    """Write the overlay inventory; secrets that exist are kept."""
    folder = lab.directory / "inventory"
    group_vars = folder / "group_vars" / "all"
    group_vars.mkdir(parents=True, exist_ok=True)
    for stale in group_vars.glob("*.yml"):
        if stale.name != SECRETS_FILE:
            stale.unlink()
    shutil.copytree(OVERLAY / "group_vars" / "all", group_vars, dirs_exist_ok=True)
    directories = {
        "temporal_pki_directory": str(lab.directory / "pki"),
        "temporal_artifact_directory": str(cache_root() / "artifacts"),
    }
    _write(folder / "hosts.yml", {"all": {"hosts": dict(variables)}})
    _write(group_vars / "connection.yml", connection(lab))
    _write(group_vars / "directories.yml", directories)
    _write_secrets(group_vars / SECRETS_FILE)
    return folder


def write_complete(lab: Lab) -> Path:
    """Write inventory and overlay as one file, for tools that take a single one (testinfra)."""
    both = ("--inventory", lab.inventory, "--inventory", lab.directory / "inventory")
    path = lab.directory / "inventory.yml"
    path.touch(mode=0o600)
    path.write_text(_ansible_inventory(*both, "--list", "--yaml"))
    return path


def _write_secrets(path: Path) -> None:
    known = yaml.safe_load(path.read_text())["temporal_secrets"] if path.exists() else {}
    values = {name: known.get(name) or secrets.token_urlsafe(24) for name in SECRETS}
    if values != known:
        path.touch(mode=0o600)
        path.chmod(0o600)
        _write(path, {"temporal_secrets": values})


def _write(path: Path, content: Mapping[str, Any]) -> None:
    path.write_text("---\n" + yaml.safe_dump(dict(content), sort_keys=False, width=200))
