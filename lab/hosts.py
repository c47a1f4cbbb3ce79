"""Hosts of a lab: one systemd container each, on the lab's own bridge network."""

from __future__ import annotations

import contextlib
import io
import ipaddress
import json
import shutil
import socket
import tarfile
import time
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from lab import images, machine, network
from lab.machine import LabError, podman
from lab.state import Host, Lab, cache_root

BOOT_TIMEOUT = 180
SSH_TIMEOUT = 60
PARALLEL = 6
LABEL = "zerospof.lab"
OWNER = "zerospof.directory"

# Unpacks the files given on stdin, makes the image's package lists count as fresh (what they name is in the archive
# cache, so roles install without a network), and waits for the end of the boot.
CONFIGURE = f"""
tar --extract --directory=/ --no-same-owner --file=- || exit 1
mkdir -p /var/lib/apt/periodic && touch /var/lib/apt/periodic/update-success-stamp /var/lib/apt/lists
state=unknown
end=$(($(date +%s) + {BOOT_TIMEOUT}))
while [ "$(date +%s)" -lt "$end" ]; do
    state=$(systemctl is-system-running 2>/dev/null)
    case $state in running | degraded) break ;; esac
    sleep 0.2
done
echo "$state"
systemctl --failed --plain --no-legend | cut -d' ' -f1
"""


def each(hosts: Iterable[Host], work: Callable[[Host], None]) -> None:
    """Do the same to many hosts at once; the first error is raised after all have ended."""
    with ThreadPoolExecutor(PARALLEL) as pool:
        futures = [pool.submit(work, host) for host in hosts]
    errors = [error for future in futures if (error := future.exception())]
    if errors:
        raise errors[0]


def states(lab: Lab) -> dict[str, str]:
    """State of each container of a lab by its name: running, paused, exited, created ..."""
    rows = json.loads(podman("ps", "--all", "--format=json", f"--filter=label={LABEL}={lab.name}").stdout or b"[]")
    return {row["Names"][0]: row["State"] for row in rows or []}


def up(lab: Lab) -> None:
    """Make the network and all hosts exist, run and answer on ssh; take up whatever a broken run left."""
    references = images.ensure({host.image for host in lab.hosts})
    if owner(lab) != str(lab.directory):
        machine.say(f"replace lab {lab.name} of {owner(lab)}")
        down(lab)
    _ensure_network(lab)
    _ensure_key(lab)
    _remove(lab, [name for name in states(lab) if name not in {lab.container(host) for host in lab.hosts}])
    with machine.step(f"start {len(lab.hosts)} hosts"):
        each(lab.hosts, lambda host: _ensure_container(lab, host, references[host.image]))
    network.steady_gateway(lab)
    with machine.step(f"boot {len(lab.hosts)} hosts"):
        each(lab.hosts, lambda host: settle(lab, host))


def owner(lab: Lab) -> str:
    """State directory of the lab that has this name on this machine: another checkout may use the same one."""
    found = podman("network", "inspect", lab.network, check=False)
    labels = (json.loads(found.stdout)[0].get("labels") or {}) if found.returncode == 0 else {}
    return str(labels.get(OWNER, lab.directory))


def down(lab: Lab) -> None:
    """Remove the hosts and the network of a lab."""
    for host in lab.hosts:
        close_ssh(host)
    for table in network.tables(lab):
        network.drop_table(table)
    _remove(lab, list(states(lab)))
    podman("network", "rm", "--force", lab.network, check=False)


def settle(lab: Lab, host: Host) -> None:
    """Give a started host its names and keys, and wait until it has booted and answers on ssh."""
    command = ("exec", "--interactive", lab.container(host), "sh", "-c", CONFIGURE)
    done = podman(*command, stdin=_host_files(lab, host), timeout=BOOT_TIMEOUT + 30, check=False)
    if done.returncode:
        raise LabError(f"{host.name} did not survive its boot: {machine.reason(done)}")
    lines = done.stdout.decode().split()
    state, failed = (lines or ["unknown"])[0], lines[1:]
    if state not in ("running", "degraded"):
        raise LabError(f"{host.name} did not boot in {BOOT_TIMEOUT} s: systemd says {state}")
    if failed:
        machine.say(f"{host.name} runs with failed units: {' '.join(failed)}")
    _wait_for_ssh(host)


def close_ssh(host: Host) -> None:
    """End the shared ssh connections to a host, which would hang when it is gone."""
    for path in (machine.RUN / "ssh").glob(f"{host.address}-*"):
        with contextlib.suppress(LabError):
            machine.run(["ssh", "-O", "exit", "-o", f"ControlPath={path}", host.address], check=False, timeout=5)
        path.unlink(missing_ok=True)


def _host_files(lab: Lab, host: Host) -> bytes:
    names = [f"{other.address} {other.name}" for other in lab.hosts]
    local = ["127.0.0.1 localhost", "::1 localhost ip6-localhost"]
    files = {
        "etc/hosts": "\n".join([*local, *names]) + "\n",
        "root/.ssh/authorized_keys": (lab.directory / "ssh_key.pub").read_text(),
    }
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as archive:
        for name, content in files.items():
            entry = tarfile.TarInfo(name)
            entry.size, entry.mode, entry.mtime = len(content), 0o644, int(time.time())
            archive.addfile(entry, io.BytesIO(content.encode()))
    return buffer.getvalue()


def _wait_for_ssh(host: Host) -> None:
    deadline = time.monotonic() + SSH_TIMEOUT
    while time.monotonic() < deadline:
        with contextlib.suppress(OSError), socket.create_connection((host.address, 22), timeout=2) as connection:
            connection.settimeout(2)
            if connection.recv(4) == b"SSH-":
                return
        time.sleep(0.2)
    raise LabError(f"{host.name} ({host.address}) has booted but does not answer on ssh after {SSH_TIMEOUT} s")


def _ensure_key(lab: Lab) -> None:
    key = lab.directory / "ssh_key"
    if not key.exists():
        machine.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", f"lab {lab.name}", "-f", key])


def _ensure_network(lab: Lab) -> None:
    found = podman("network", "inspect", lab.network, check=False)
    if found.returncode == 0:
        subnets = [row["subnet"] for row in json.loads(found.stdout)[0]["subnets"]]
        if subnets == [lab.subnet]:
            return
        raise LabError(f"lab {lab.name} is up in {subnets[0]}; run first: python -m lab down --name {lab.name}")
    taken = overlapping(lab.subnet, _routes())
    if taken:
        raise LabError(f"subnet {lab.subnet} is in use on this machine ({taken}); choose another with --subnet")
    options = ["--driver=bridge", "--disable-dns", f"--subnet={lab.subnet}", f"--gateway={lab.gateway}"]
    labels = [f"--label={LABEL}={lab.name}", f"--label={OWNER}={lab.directory}"]
    podman("network", "create", *options, *labels, lab.network)


def _routes() -> list[tuple[str, str]]:
    rows = json.loads(machine.text(["ip", "-json", "-4", "route"]))
    routes = [(row["dst"], row.get("dev", "")) for row in rows if row["dst"] != "default"]
    for name in podman("network", "ls", f"--filter=label={LABEL}", "--format={{.Name}}").stdout.decode().split():
        details = json.loads(podman("network", "inspect", name).stdout)[0]
        routes += [(subnet["subnet"], f"lab network {name}") for subnet in details.get("subnets", [])]
    return routes


def overlapping(subnet: str, routes: list[tuple[str, str]]) -> str:
    """First of the (destination, device) pairs that shares an address with the subnet, for people; empty if none."""
    mine = ipaddress.IPv4Network(subnet)
    return next((f"{to} {dev}" for to, dev in routes if mine.overlaps(ipaddress.IPv4Network(to, strict=False))), "")


def _ensure_container(lab: Lab, host: Host, reference: str) -> None:
    container = lab.container(host)
    wanted = f"{host.address} {host.image} {lab.subnet}"
    found = podman("inspect", container, check=False)
    if found.returncode == 0:
        details = json.loads(found.stdout)[0]
        status = details["State"]["Status"]
        # A container that was created and never ran is the rest of a failed start.
        if status != "created" and (details["Config"]["Labels"] or {}).get("zerospof.spec") == wanted:
            if status == "paused":
                podman("unpause", container)
            elif status != "running":
                podman("start", container)
            return
        _remove(lab, [container])
    podman(
        "run",
        "--detach",
        f"--name={container}",
        f"--hostname={host.name}",
        f"--label={LABEL}={lab.name}",
        f"--label=zerospof.spec={wanted}",
        f"--network={lab.network}",
        f"--ip={host.address}",
        f"--mac-address={network.hardware_address(host.address)}",
        "--no-hosts",
        f"--volume={_compiled_code()}:/var/cache/lab-python",
        *machine.container_options(),
        "--cap-drop=SYS_TIME",  # the clock is the machine's
        "--systemd=always",
        "--cgroupns=private",
        reference,
    )


def _compiled_code() -> Path:
    """Directory that all hosts of all labs share; lab/compile_cache.py fills it."""
    directory = cache_root() / "python"
    directory.mkdir(parents=True, exist_ok=True)
    return directory


def _remove(lab: Lab, containers: list[str]) -> None:
    if containers:
        with machine.step(f"remove {len(containers)} hosts of lab {lab.name}"):
            podman("rm", "--force", "--time=0", "--volumes", *containers)


def remove_state(directory: Path) -> None:
    """Forget a lab."""
    shutil.rmtree(directory, ignore_errors=True)
