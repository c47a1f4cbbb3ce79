"""Whether a fault is really there, asked of the hosts and not of the command that made it, and whether it left a trace.

A fault that did not happen would be survived by anything.
"""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

from lab import faults, hosts, network
from lab.disks import BALLAST
from lab.state import Host
from lab.view import View, ViewError
from tests.chaos.cases import FILL, Case

PINGS, PING_SECONDS = 3, 2
ECHOES = 5
AT_ONCE, ATTEMPTS = 6, 4
STOPPED = "T"


class FaultError(Exception):
    """A fault did not happen, did not last, or left something behind; the message says where."""


def process_of(view: View, host: str, process: str) -> str:
    """Return the number of the (first) process that a case means on a host; empty when there is none."""
    command = f"pgrep --oldest --exact '{process}'"
    if process.endswith(".service"):
        command = f"systemctl show --property=MainPID --value '{process}'"
    try:
        # Units of a pattern come with empty lines between them.
        numbers = view.on(host, command).split()
        return numbers[0].removeprefix("0") if numbers else ""
    except ViewError:
        return ""


def state_of(view: View, host: str, number: str) -> str:
    """Return the letter that ps has for the state of a process; empty when there is none."""
    return view.on(host, f"ps -o stat= -p {number} | cat").strip()[:1]


def runs(view: View, host: str, number: str) -> bool:
    """Tell whether a process exists, has not ended and is not stopped, as it is after SIGSTOP."""
    return state_of(view, host, number) not in ("", STOPPED, "Z", "X")


def hears(view: View, host: str, other: Host) -> bool:
    """Tell whether a host gets answers of another one."""
    ping = f"ping -c {PINGS} -i 0.3 -W {PING_SECONDS} {other.address}"
    said = view.on(host, f"{ping} >/dev/null && echo heard || echo silent")
    return said.strip() == "heard"


def round_trip(view: View, host: str, other: Host) -> float:
    """Return the shortest time in milliseconds in which a host got an answer of another one; 0 when it got none."""
    said = view.on(host, f"ping -q -c {ECHOES} -i 0.2 -W {PING_SECONDS} {other.address} | tail -n 1")
    found = re.search(r"= ([\d.]+)/", said)
    return float(found[1]) if found else 0.0


def finds(view: View, host: str, name: str) -> bool:
    """Tell whether a host finds the address of a name."""
    return view.on(host, f"timeout {PING_SECONDS} getent hosts '{name}' >/dev/null && echo found || true") != ""


def is_valid(view: View, host: str, file: str) -> bool:
    """Tell whether the certificate in a file of a host is one whose time is not over."""
    return view.on(host, f"openssl x509 -checkend 0 -noout -in '{file}' >/dev/null && echo valid || true") != ""


def is_full(view: View, host: str, directory: str) -> bool:
    """Tell whether a disk was filled: a hundredth may have become free again by what a database deletes."""
    left, size = view.on(host, f"df --output=avail,size {directory} | tail -n 1").split()
    ballast = view.on(host, f"ls {directory}/{BALLAST} 2>/dev/null || true")
    return ballast != "" and int(left) * 100 < int(size)


def lasting(look: Callable[[], list[str]]) -> list[str]:
    """Return what ``look`` finds in each of some attempts: a process with much memory needs a moment to die."""
    found = look()
    for _ in range(ATTEMPTS - 1):
        if not found:
            break
        time.sleep(1)
        found = look()
    return found


@dataclass(frozen=True)
class Watch:
    """A look at the victims of a case, begun before the fault: ``processes`` are theirs at that moment, by host."""

    view: View
    case: Case
    victims: list[str]
    processes: Mapping[str, str]

    @property
    def hosts(self) -> list[Host]:
        """The hosts that are hit: of a cut in one direction, the first zone."""
        named = self.victims[:1] if self.case.command == "cut-one-way" else self.victims
        return list(self.view.lab.pick(named))

    @property
    def outside(self) -> Host:
        """A host that a cut leaves on the other side."""
        if self.case.command == "cut-one-way":
            return self.view.lab.pick(self.victims[1:])[0]
        return next(host for host in self.view.lab.hosts if host not in self.hosts)

    def untouched(self) -> list[str]:
        """Return the victims that the fault is not on, empty when it is on all of them."""
        lab, kind = self.view.lab, self.case.command
        if kind in ("kill-host", "kill-az"):
            states = hosts.states(lab)
            return [host.name for host in self.hosts if states.get(lab.container(host)) == "running"]
        if kind == "pause-host":
            states = hosts.states(lab)
            return [host.name for host in self.hosts if states.get(lab.container(host)) != "paused"]
        if kind in ("kill-process", "pause-process"):
            # Another one in its place is what the cluster made of the fault.
            return [name for name, number in self.processes.items() if runs(self.view, name, number)]
        if kind in ("cut-az", "cut-host", "cut-one-way"):
            outside = self.outside
            with ThreadPoolExecutor(AT_ONCE) as pool:
                heard = pool.map(lambda host: hears(self.view, host.name, outside), self.hosts)
                return [host.name for host, is_heard in zip(self.hosts, heard, strict=True) if is_heard]
        if kind == "latency":
            least = float(self.case.options[1]) / 2
            # Each host has its own line: from one beside it the way is as long.
            far = self.outside
            return [host.name for host in self.hosts if round_trip(self.view, host.name, far) < least]
        if kind == "forget-names":
            # Some systems find their own name without asking anybody.
            others = {host.name: next(o.name for o in self.view.lab.hosts if o != host) for host in self.hosts}
            return [name for name, other in others.items() if finds(self.view, name, other)]
        if kind == "expire-certificate":
            return [host.name for host in self.hosts if is_valid(self.view, host.name, self.case.options[1])]
        if kind == FILL:
            return [host.name for host in self.hosts if not is_full(self.view, host.name, self.case.options[1])]
        raise FaultError(f"nobody can tell whether {kind} happened")

    def touched(self) -> list[str]:
        """Return the victims that the fault is on; what was killed stays dead and is on nobody."""
        if self.case.command == "kill-process":
            return []
        if self.case.command == "pause-process":
            # One that has ended is not stopped any more.
            return [name for name, number in self.processes.items() if state_of(self.view, name, number) == STOPPED]
        free = self.untouched()
        return [host.name for host in self.hosts if host.name not in free]

    def remains(self) -> list[str]:
        """Return the victims that the fault is still on after it was healed, with its name."""
        return [f"{self.case.command} on {name}" for name in lasting(self.touched)]

    def check(self, moment: str) -> None:
        """Raise unless the fault is on every victim.

        Raises:
            FaultError: it is not.
        """
        if spared := lasting(self.untouched):
            raise FaultError(f"{self.case.command} was not on {', '.join(spared)} {moment}")


def watch(view: View, case: Case, victims: list[str]) -> Watch:
    """Begin to watch the victims of a case.

    Raises:
        FaultError: what is to be killed or frozen does not run, or what is to be cut off is already.
    """
    made = Watch(view, case, victims, {})
    if case.process:
        processes = {host.name: process_of(view, host.name, case.process) for host in made.hosts}
        if absent := [name for name, number in processes.items() if not number]:
            raise FaultError(f"{case.process} does not run on {', '.join(absent)}")
        made = Watch(view, case, victims, processes)
    if early := {host.name for host in made.hosts} - set(made.untouched()):
        raise FaultError(f"{', '.join(sorted(early))} had the fault before it was made")
    return made


def traces(view: View) -> list[str]:
    """Return what faults have left in a lab that nobody breaks any more, empty when nothing is."""
    lab = view.lab
    states = hosts.states(lab)
    return [
        *(f"fault {fault.name}" for fault in faults.active(lab)),
        *(f"filter table {table}" for table in network.tables(lab)),
        *(
            f"{host.name} is {states.get(lab.container(host), 'absent')}"
            for host in lab.hosts
            if states.get(lab.container(host)) != "running"
        ),
    ]
