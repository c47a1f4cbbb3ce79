"""What is known about a lab between two commands: one directory per lab."""

from __future__ import annotations

import json
import os
import re
from dataclasses import asdict, dataclass, field
from pathlib import Path

from lab.machine import LabError

REPOSITORY = Path(__file__).resolve().parent.parent
NAME = re.compile(r"^[a-z][a-z0-9_-]{0,40}$")


@dataclass(frozen=True)
class Host:
    """A host as the inventory describes it; ``address`` is the one it has in this lab."""

    name: str
    address: str
    zone: str
    image: str


@dataclass(frozen=True)
class Lab:
    """A lab: name, /24 subnet, the inventory it was made from, hosts; ``disks``: databases have disks of their own."""

    name: str
    subnet: str
    inventory: str
    hosts: tuple[Host, ...] = field(default=())
    disks: bool = False

    @property
    def directory(self) -> Path:
        """Where its keys, overlay inventory, secrets and active faults are."""
        return state_root() / self.name

    @property
    def gateway(self) -> str:
        """Address of the machine in the lab's network."""
        return self.subnet.rsplit(".", 1)[0] + ".1"

    @property
    def network(self) -> str:
        """Name of its container network."""
        return f"zerospof-{self.name}"

    def container(self, host: Host) -> str:
        """Name of the container of a host, unique on the machine."""
        return f"{self.name}.{host.name}"

    def host(self, name: str) -> Host:
        """The host of that name."""
        found = next((host for host in self.hosts if host.name == name), None)
        if found is None:
            raise LabError(f"no host {name} in lab {self.name}; it has {', '.join(host.name for host in self.hosts)}")
        return found

    def zone(self, name: str) -> tuple[Host, ...]:
        """The hosts of a zone; ``az_a`` and ``a`` mean the same."""
        zone = name if name.startswith("az_") else f"az_{name}"
        found = tuple(host for host in self.hosts if host.zone == zone)
        if not found:
            zones = sorted({host.zone for host in self.hosts if host.zone})
            raise LabError(f"no host in zone {zone} of lab {self.name}; its zones are {', '.join(zones) or 'none'}")
        return found

    def pick(self, names: list[str]) -> tuple[Host, ...]:
        """Hosts named one by one or by zone."""
        known = {host.name for host in self.hosts}
        picked = [host for name in names for host in ([self.host(name)] if name in known else self._group(name))]
        return tuple(dict.fromkeys(picked))

    def _group(self, name: str) -> tuple[Host, ...]:
        return self.zone(name) if name.startswith("az_") else (self.host(name),)


def state_root() -> Path:
    """Directory of all labs of this checkout."""
    return Path(os.environ.get("ZEROSPOF_LAB_STATE") or REPOSITORY / ".cache" / "lab").resolve()


def cache_root() -> Path:
    """Directory of what all checkouts of this user share."""
    return Path(os.environ.get("ZEROSPOF_CACHE") or Path.home() / ".cache" / "zerospof-temporal").resolve()


def check_name(name: str) -> str:
    """Refuse a lab name that cannot be a container and network name."""
    if not NAME.match(name):
        raise LabError(f"lab name {name!r} is not lower case letters, digits, - and _ (41 at most)")
    return name


def save(lab: Lab) -> None:
    """Write the description of a lab, at once or not at all."""
    lab.directory.mkdir(parents=True, exist_ok=True)
    target = lab.directory / "lab.json"
    draft = target.with_suffix(".new")
    draft.write_text(json.dumps(asdict(lab), indent=2) + "\n")
    draft.replace(target)


def load(name: str) -> Lab:
    """Read a lab that is up or half up.

    Raises:
        LabError: there is none of that name.
    """
    path = state_root() / check_name(name) / "lab.json"
    if not path.exists():
        raise LabError(f"no lab named {name}; start one: python -m lab up --inventory inventories/basic --name {name}")
    row = json.loads(path.read_text())
    hosts = tuple(Host(**host) for host in row.pop("hosts"))
    return Lab(**row, hosts=hosts)


def names() -> list[str]:
    """All labs of this checkout."""
    return sorted(path.parent.name for path in state_root().glob("*/lab.json"))
