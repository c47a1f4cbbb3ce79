"""Disks of their own for the data of databases, so that one can be full while all others are not.

Hosts of a lab share the disk of the machine. On request, the directories in which databases keep their data become file
systems of their own: of a sparse file each, which the host itself mounts at every boot.
"""

from __future__ import annotations

import os
import stat
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from lab import hosts, inventory, machine
from lab.machine import podman
from lab.state import Host, Lab

# Directory of the data by group, and what it may become.
DIRECTORIES = {"postgresql": "/var/lib/postgresql", "cassandra": "/var/lib/cassandra"}
SIZE = "6G"
# Number of the kernel for its loop devices (Documentation/admin-guide/devices.txt).
LOOP = 7
BALLAST = ".lab-ballast"
# In which the guard of PostgreSQL remembers for an hour that a disk was full.
LITTLE_ROOM = "/run/patroni-disk-guard/little_room"

# Takes an empty file system as an archive.
MAKE = """
set -e
image="/var/lab-disk$(echo "$1" | tr / -)"
mountpoint --quiet "$1" && exit 0
[ ! -e "$image" ] && [ -z "$(ls -A "$1" 2>/dev/null)" ] || { echo "$1 has files already" >&2; exit 1; }
tar --extract --sparse --directory=/var --file=-
mv /var/empty-disk "$image"
mkdir --parents "$1"
echo "$image $1 ext4 loop 0 0" >>/etc/fstab
mount "$1"
rmdir "$1/lost+found"
"""
# Whoever writes meanwhile gets what is left between two steps.
FILL = f"""
mountpoint --quiet "$1" || {{ echo "$1 is on the disk of the machine: make the lab with --disks" >&2; exit 1; }}
for _ in 1 2 3 4 5; do
    left=$(df --output=avail --block-size=1 "$1" | tail -n 1)
    [ "$left" -gt 0 ] || break
    touch "$1/{BALLAST}"
    fallocate --length "$(($(stat --format=%s "$1/{BALLAST}") + left))" "$1/{BALLAST}" 2>/dev/null ||
        cat /dev/zero >>"$1/{BALLAST}" 2>/dev/null || true
done
"""


def _run(lab: Lab, host: Host, script: str, *words: str, stdin: bytes | None = None, check: bool = True) -> None:
    command = ("exec", "--interactive", lab.container(host), "sh", "-c", script, "sh", *words)
    podman(*command, stdin=stdin, check=check)


def _empty() -> bytes:
    """Return an archive with an empty file system, made here: hosts have no tools for that.

    Without a journal, with which every write of a database would be two of the machine.
    """
    with tempfile.TemporaryDirectory() as directory:
        image = Path(directory) / "empty-disk"
        machine.run(["truncate", f"--size={SIZE}", image])
        machine.run(["mkfs.ext4", "-q", "-m", "0", "-F", "-O", "^has_journal", image])
        return machine.run(["tar", "--create", "--sparse", f"--directory={directory}", image.name]).stdout


def provide(groups: Mapping[str, Any]) -> None:
    """Have a loop device for each disk, beside those that others use: hosts see what is there when they start."""
    wanted = sum(len(inventory.group_members(groups, group)) for group in DIRECTORIES if group in groups)
    used = len(machine.run(["losetup", "--noheadings", "--list"]).stdout.splitlines())
    for number in range(wanted + used):
        device = Path(f"/dev/loop{number}")
        if not device.exists():
            os.mknod(device, stat.S_IFBLK | 0o600, os.makedev(LOOP, number))


def make(lab: Lab, groups: Mapping[str, Any]) -> None:
    """Give the hosts of the inventory ``groups`` their disks; harmless for those that have them.

    Raises:
        LabError: a directory has files already, or the machine has no loop devices.
    """
    archive = _empty()
    for group, directory in DIRECTORIES.items():
        members = inventory.group_members(groups, group) if group in groups else set()
        hosts.each(
            [host for host in lab.hosts if host.name in members],
            lambda host, directory=directory: _run(lab, host, MAKE, directory, stdin=archive),
        )


def fill(lab: Lab, host: Host, directory: str) -> None:
    """Leave nothing of the disk of a directory.

    Raises:
        LabError: the directory is no file system of its own.
    """
    _run(lab, host, FILL, directory)


def free(lab: Lab, host: Host, directory: str) -> None:
    """Give back what :func:`fill` took, and let the host forget that it had no room; harmless when that is nothing."""
    _run(lab, host, f'rm --force "$1/{BALLAST}" {LITTLE_ROOM}', directory, check=False)
