"""Faults on purpose, each with a deadline after which it heals itself.

The record of a fault and its watchdog process exist before the fault does, so whatever happens to the command that
injects it, the fault ends.
"""

from __future__ import annotations

import contextlib
import json
import os
import secrets
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, replace
from pathlib import Path

from lab import delay, disks, hosts, machine, network
from lab.expired import expired
from lab.machine import LabError, podman
from lab.state import REPOSITORY, Host, Lab

DEFAULT_SECONDS = 120
# Nobody answers at the address of the name server, which is one of documentation. In place: a mount cannot be renamed.
FORGET_NAMES = """
for name in hosts resolv.conf; do
    [ -e /run/lab-$name ] || cp /etc/$name /run/lab-$name || exit 1
done
echo 127.0.0.1 localhost >/etc/hosts
echo nameserver 192.0.2.1 >/etc/resolv.conf
"""
RECALL_NAMES = """
for name in hosts resolv.conf; do
    [ ! -e /run/lab-$name ] || { cat /run/lab-$name >/etc/$name && rm /run/lab-$name; }
done
"""


@dataclass(frozen=True)
class Fault:
    """One active fault. ``others`` are the far side of a one-way cut; times are seconds since the epoch.

    ``token`` tells it from a later fault of the same name; ``delay`` holds (milliseconds, jitter, loss in percent).
    ``process`` says what of the hosts is meant when not all of them is, as in :func:`_signal`, and ``file`` is a file
    or a directory on them.
    """

    name: str
    kind: str
    hosts: tuple[str, ...]
    deadline: float
    others: tuple[str, ...] = ()
    delay: tuple[float, float, float] = (0, 0, 0)
    token: str = ""
    process: str = ""
    file: str = ""

    def remaining(self, now: float) -> float:
        """Seconds until it heals itself."""
        return max(0.0, self.deadline - now)


def _folder(lab: Lab) -> Path:
    return lab.directory / "faults"


def active(lab: Lab) -> list[Fault]:
    """All faults of a lab that nobody has healed yet."""
    rows = []
    for path in sorted(_folder(lab).glob("*.json")):
        with contextlib.suppress(FileNotFoundError):  # healed by somebody else just now
            rows.append(json.loads(path.read_text()))
    lists = ("hosts", "others", "delay")
    return [Fault(**{key: tuple(value) if key in lists else value for key, value in row.items()}) for row in rows]


def record(lab: Lab, fault: Fault) -> None:
    """Write the record of a fault, at once or not at all."""
    _folder(lab).mkdir(exist_ok=True)
    draft = _folder(lab) / f"{fault.name}.new"
    draft.write_text(json.dumps(asdict(fault)))
    draft.rename(draft.with_suffix(".json"))


def _members(lab: Lab, names: tuple[str, ...]) -> list[Host]:
    return [host for host in lab.hosts if host.name in names]


@contextlib.contextmanager
def locked(lab: Lab) -> Iterator[None]:
    """Be the only command that changes a lab."""
    with machine.lock(machine.RUN / f"{lab.name}.lock"):
        yield


def inject(lab: Lab, fault: Fault) -> None:
    """Start a fault; one of the same name is replaced and gets the new deadline.

    Raises:
        LabError: a host that should die or freeze does not run.
    """
    heal_expired(lab)
    if fault.kind in ("kill", "pause", "pause-process", "names", "certificate", "disk"):
        _must_run(lab, fault.hosts)
    previous = next((old for old in active(lab) if old.name == fault.name), None)
    if previous:
        _end_processes(previous)
    fault = replace(fault, token=secrets.token_hex(8))
    record(lab, fault)
    _spawn(lab, "_watchdog", fault)
    try:
        _INJECT[fault.kind](lab, fault)
    except LabError:
        heal(lab, fault)
        raise


def kill_process(lab: Lab, names: tuple[str, ...], process: str) -> None:
    """Kill processes of hosts, which systemd is there to start again: no fault that anybody has to heal.

    Raises:
        LabError: a host does not run, or has no such process.
    """
    _must_run(lab, names)
    for host in _members(lab, names):
        _signal(lab, host, "KILL", process)


def heal(lab: Lab, fault: Fault) -> None:
    """End a fault; harmless when it is already over."""
    _HEAL[fault.kind](lab, fault)
    (_folder(lab) / f"{fault.name}.json").unlink(missing_ok=True)
    _end_processes(fault)


def heal_all(lab: Lab, names: list[str] | None = None) -> list[str]:
    """End all faults, or those named; answers their names."""
    found = active(lab)
    unknown = sorted(set(names or []) - {fault.name for fault in found})
    if unknown:
        raise LabError(f"no active fault {', '.join(unknown)} in lab {lab.name}")
    chosen = [fault for fault in found if not names or fault.name in names]
    # Cuts and delays first: a host that boots behind them would be slow to come back.
    for fault in sorted(chosen, key=lambda fault: fault.kind in ("kill", "pause")):
        heal(lab, fault)
    return [fault.name for fault in chosen]


def heal_expired(lab: Lab) -> None:
    """End the faults whose watchdog did not live to see the deadline."""
    now = time.time()
    for fault in active(lab):
        if fault.remaining(now) == 0:
            heal(lab, fault)


def start_host(lab: Lab, host: Host) -> None:
    """Bring a killed or paused host back before its deadline, and take it out of the faults that hold it."""
    holding = [fault for fault in active(lab) if fault.kind in ("kill", "pause") and host.name in fault.hosts]
    _revive(lab, [host])
    for fault in holding:
        rest = tuple(name for name in fault.hosts if name != host.name)
        if rest:
            record(lab, replace(fault, hosts=rest))
        else:
            heal(lab, fault)


def forget(lab: Lab) -> None:
    """End the processes behind the faults of a lab that is to go."""
    for fault in active(lab):
        _end_processes(fault)


def watch(lab: Lab, name: str, token: str) -> None:
    """Body of the watchdog: wait for the deadline, then heal unless somebody else did or the fault is a newer one."""

    def mine() -> Fault | None:
        return next((fault for fault in active(lab) if fault.name == name and fault.token == token), None)

    while (fault := mine()) and fault.remaining(time.time()) > 0:
        time.sleep(min(fault.remaining(time.time()), 5))
    with locked(lab):
        if (fault := mine()) and hosts.owner(lab) == str(lab.directory):
            machine.say(f"{time.strftime('%F %T')} deadline: heal {name}")
            heal(lab, fault)


def delay_packets(lab: Lab, name: str, token: str) -> None:
    """Body of the process behind a latency fault."""
    fault = next(fault for fault in active(lab) if fault.name == name and fault.token == token)
    milliseconds, jitter, loss = fault.delay
    ports = network.ports(lab, _members(lab, fault.hosts))
    line = delay.Line(milliseconds / 1000, jitter / 1000, loss / 100)
    delay.relay(network.bridge(lab), list(ports.values()), line)


def _must_run(lab: Lab, names: tuple[str, ...]) -> None:
    found = hosts.states(lab)
    for host in _members(lab, names):
        state = found.get(lab.container(host), "absent")
        if state != "running":
            raise LabError(f"{host.name} is {state}, not running; run: python -m lab heal --name {lab.name}")


def _signal(lab: Lab, host: Host, name: str, process: str, check: bool = True) -> None:
    """Signal all processes of a unit, when ``process`` is one; else the oldest process that is called so."""
    command = f"kill -s {name} $(pgrep --oldest --exact '{process}')"
    if process.endswith(".service"):
        command = f"systemctl kill --signal=SIG{name} '{process}'"
    podman("exec", lab.container(host), "sh", "-c", command, check=check)


def _kill(lab: Lab, fault: Fault) -> None:
    members = _members(lab, fault.hosts)
    for port in network.ports(lab, members).values():
        network.unplug(port)
    podman("kill", "--signal=KILL", *[lab.container(host) for host in members])
    for host in members:
        hosts.close_ssh(host)
    _refresh(lab, set(fault.hosts))


def _pause(lab: Lab, fault: Fault) -> None:
    podman("pause", *[lab.container(host) for host in _members(lab, fault.hosts)])


def _pause_process(lab: Lab, fault: Fault) -> None:
    for host in _members(lab, fault.hosts):
        _signal(lab, host, "STOP", fault.process)


def _continue_process(lab: Lab, fault: Fault) -> None:
    for host in _members(lab, fault.hosts):
        # Whatever ended meanwhile needs no signal.
        _signal(lab, host, "CONT", fault.process, check=False)


def _forget_names(lab: Lab, fault: Fault) -> None:
    for host in _members(lab, fault.hosts):
        podman("exec", lab.container(host), "sh", "-c", FORGET_NAMES)


def _recall_names(lab: Lab, fault: Fault) -> None:
    for host in _members(lab, fault.hosts):
        # A host that was started anew got its names with that.
        podman("exec", lab.container(host), "sh", "-c", RECALL_NAMES, check=False)


def _original(lab: Lab, fault: Fault, host: Host) -> Path:
    """Where the file of a host is kept while another one is in its place: on this machine, which outlives hosts."""
    return _folder(lab) / f"{fault.name}.{host.name}.original"


def _expire(lab: Lab, fault: Fault) -> None:
    pki = lab.directory / "pki"
    for host in _members(lab, fault.hosts):
        kept = _original(lab, fault, host)
        if not kept.exists():
            kept.write_bytes(podman("exec", lab.container(host), "cat", fault.file).stdout)
        made = expired(kept.read_bytes(), (pki / "ca.crt").read_bytes(), (pki / "ca.key").read_bytes())
        _put(lab, host, fault.file, made)


def _renew(lab: Lab, fault: Fault) -> None:
    for host in _members(lab, fault.hosts):
        kept = _original(lab, fault, host)
        if kept.exists():
            _put(lab, host, fault.file, kept.read_bytes())
            kept.unlink()


def _fill(lab: Lab, fault: Fault) -> None:
    for host in _members(lab, fault.hosts):
        disks.fill(lab, host, fault.file)


def _free(lab: Lab, fault: Fault) -> None:
    for host in _members(lab, fault.hosts):
        disks.free(lab, host, fault.file)


def _put(lab: Lab, host: Host, file: str, content: bytes) -> None:
    """Write a file of a host that runs; owner and mode stay."""
    podman("exec", "--interactive", lab.container(host), "sh", "-c", f"cat > '{file}'", stdin=content)


def _cut(lab: Lab, fault: Fault) -> None:
    members = _members(lab, fault.hosts)
    inside = network.bridge_ports(lab, members)
    addresses = [host.address for host in members]
    network.load_rules(network.cut_rules(network.table(lab, fault.name), inside, addresses))


def _cut_one_way(lab: Lab, fault: Fault) -> None:
    source, target = (network.bridge_ports(lab, _members(lab, names)) for names in (fault.hosts, fault.others))
    network.load_rules(network.one_way_rules(network.table(lab, fault.name), source, target))


def _delay(lab: Lab, fault: Fault) -> None:
    _end_processes(fault, "_delay")
    _spawn(lab, "_delay", fault)
    ports = network.ports(lab, _members(lab, fault.hosts)).values()
    deadline = time.monotonic() + 10
    while not all(Path("/sys/class/net", network.delayed_port(port), "master").exists() for port in ports):
        if time.monotonic() > deadline:
            raise LabError(f"packets are not delayed after 10 s; see {_folder(lab)}/log")
        time.sleep(0.05)
    _cut_anew(lab)


def _undelay(lab: Lab, fault: Fault) -> None:
    _end_processes(fault, "_delay")
    for port in network.ports(lab, _members(lab, fault.hosts)).values():
        network.plug_into_bridge(lab, port)
    _cut_anew(lab)


def _uncut(lab: Lab, fault: Fault) -> None:
    network.drop_table(network.table(lab, fault.name))


def _heal_hosts(lab: Lab, fault: Fault) -> None:
    _revive(lab, _members(lab, fault.hosts))


def _revive(lab: Lab, members: list[Host]) -> None:
    found = hosts.states(lab)
    paused = [lab.container(host) for host in members if found.get(lab.container(host)) == "paused"]
    dead = [host for host in members if found.get(lab.container(host)) in ("exited", "stopped", "created")]
    if paused:
        podman("unpause", *paused)
    if dead:
        with machine.step(f"start {', '.join(host.name for host in dead)}"):
            podman("start", *[lab.container(host) for host in dead])
            network.steady_gateway(lab)
            _refresh(lab, {host.name for host in dead})
    with machine.step(f"wait for {', '.join(host.name for host in members)}"):
        hosts.each(members, lambda host: hosts.settle(lab, host))


def _refresh(lab: Lab, changed: set[str]) -> None:
    """Hosts that died have no wire any more and hosts that started have a new one: let delays and cuts follow."""
    for fault in active(lab):
        if fault.kind == "latency" and changed & {*fault.hosts}:
            _delay(lab, fault)
    _cut_anew(lab)


def _cut_anew(lab: Lab) -> None:
    for fault in active(lab):
        if fault.kind in ("cut", "cut-one-way"):
            _INJECT[fault.kind](lab, fault)


_INJECT: dict[str, Callable[[Lab, Fault], None]] = {
    "kill": _kill,
    "pause": _pause,
    "pause-process": _pause_process,
    "cut": _cut,
    "cut-one-way": _cut_one_way,
    "latency": _delay,
    "names": _forget_names,
    "certificate": _expire,
    "disk": _fill,
}
_HEAL: dict[str, Callable[[Lab, Fault], None]] = {
    "kill": _heal_hosts,
    "pause": _heal_hosts,
    "pause-process": _continue_process,
    "cut": _uncut,
    "cut-one-way": _uncut,
    "latency": _undelay,
    "names": _recall_names,
    "certificate": _renew,
    "disk": _free,
}


def _spawn(lab: Lab, command: str, fault: Fault) -> None:
    """Start a process of this package that outlives the present one."""
    with (_folder(lab) / "log").open("ab") as log:
        subprocess.Popen(
            [sys.executable, "-m", "lab", command, "--name", lab.name, fault.name, fault.token],
            cwd=REPOSITORY,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            start_new_session=True,
        )


def _end_processes(fault: Fault, command: str = "") -> None:
    """End the processes of a fault, found by its token; not the one that asks."""
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        with contextlib.suppress(OSError):
            words = path.read_bytes().decode(errors="replace").split("\0")
            pid = int(path.parent.name)
            if fault.token and fault.token in words and command in (*words, "") and pid != os.getpid():
                os.kill(pid, signal.SIGKILL)
