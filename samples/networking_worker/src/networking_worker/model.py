"""What a change of the network is and what must come of it. Pure functions: no I/O, no clock."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field

TASK_QUEUE = "networking-queue"
HIGHEST_VLAN = 4094
MOST_ATTEMPTS = 5

CONFIGURED = "configured"
ROLLED_BACK = "rolled back"


@dataclass(frozen=True)
class Device:
    """A device, and how the simulated one behaves.

    ``seconds``: how long it takes to apply a configuration. ``failures``: how many attempts it leaves unanswered;
    with ``MOST_ATTEMPTS`` it never answers.
    ``refuses``: it rejects every configuration. ``drifts``: it confirms one configuration and runs another.
    """

    name: str
    seconds: float = 0.05
    failures: int = 0
    refuses: bool = False
    drifts: bool = False


@dataclass(frozen=True)
class Change:
    """One VLAN for a list of devices; with ``hold`` somebody must approve before it is verified and kept."""

    change_id: str
    vlan: int
    devices: list[Device]
    hold: bool = False


@dataclass(frozen=True)
class Outcome:
    """What became of a change: the commit of every device, or the devices restored (last first) and the reason."""

    change_id: str
    status: str
    commits: dict[str, str] = field(default_factory=dict)
    restored: list[str] = field(default_factory=list)
    reason: str = ""


@dataclass(frozen=True)
class Progress:
    """Answer to the query ``progress``: the stage of the workflow, the commits made so far, and who approved."""

    stage: str
    commits: dict[str, str] = field(default_factory=dict)
    approved_by: str = ""


class InvalidChangeError(ValueError):
    """A change that no device should see; the message lists all that is wrong with it."""


def configuration(device: Device, vlan: int) -> str:
    """Return the lines that ``device`` is to run."""
    return f"hostname {device.name}\nvlan {vlan}\ninterface trunk0\n switchport trunk allowed vlan add {vlan}\n"


def commit_of(text: str) -> str:
    """Return the identity of a configuration: the same text has the same commit on every device and worker."""
    return hashlib.sha256(text.encode()).hexdigest()[:12]


def refusal(device: Device, vlan: int) -> str:
    """Return what a device says that refuses."""
    return f"{device.name} refuses vlan {vlan}"


def silence(device: Device) -> str:
    """Return what is said of a device that does not answer."""
    return f"{device.name} does not answer"


def drift(device: Device) -> str:
    """Return what is said of a device that runs something else than it confirmed."""
    return f"{device.name} runs something else than it confirmed"


def check(change: Change) -> None:
    """Accept a change or say why not.

    Raises:
        InvalidChangeError: the VLAN is out of range, or devices are missing or named twice.
    """
    names = [device.name for device in change.devices]
    problems = []
    if not 1 <= change.vlan <= HIGHEST_VLAN:
        problems.append(f"vlan {change.vlan} is not between 1 and {HIGHEST_VLAN}")
    if not names:
        problems.append("it names no device")
    problems += [f"device {name} is named twice" for name in sorted({name for name in names if names.count(name) > 1})]
    if problems:
        raise InvalidChangeError(f"change {change.change_id}: {'; '.join(problems)}")


def expected_outcome(change: Change) -> Outcome:
    """Return what ``ConfigureNetwork`` must return for a valid change, on whichever workers its steps ran."""
    touched = []
    for device in change.devices:
        touched.append(device.name)
        if device.refuses or device.failures >= MOST_ATTEMPTS:
            reason = refusal(device, change.vlan) if device.failures < MOST_ATTEMPTS else silence(device)
            return Outcome(change.change_id, ROLLED_BACK, restored=touched[::-1], reason=reason)
    drifting = next((device for device in change.devices if device.drifts), None)
    if drifting:
        return Outcome(change.change_id, ROLLED_BACK, restored=touched[::-1], reason=drift(drifting))
    commits = {device.name: commit_of(configuration(device, change.vlan)) for device in change.devices}
    return Outcome(change.change_id, CONFIGURED, commits=commits)
