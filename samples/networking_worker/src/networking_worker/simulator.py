"""The device side, simulated: what a device answers depends on the device and the question alone.

There is no state to keep, so an activity that runs on one host and the next one that runs on another see the same
network, as they would with real devices.
"""

from __future__ import annotations

import asyncio

from networking_worker.model import MOST_ATTEMPTS, Device, commit_of, configuration, refusal, silence


class DeviceUnreachableError(ConnectionError):
    """The device did not answer; asking again may help."""


class ConfigurationRefusedError(ValueError):
    """The device rejects the configuration; asking again does not help."""


async def apply(device: Device, vlan: int, attempt: int) -> str:
    """Apply the configuration and return the commit that the device confirms; ``attempt`` counts from 1.

    Raises:
        DeviceUnreachableError: the device leaves this attempt unanswered.
        ConfigurationRefusedError: the device rejects the configuration.
    """
    await asyncio.sleep(device.seconds)
    if attempt <= device.failures or device.failures >= MOST_ATTEMPTS:
        raise DeviceUnreachableError(silence(device))
    if device.refuses:
        raise ConfigurationRefusedError(refusal(device, vlan))
    return commit_of(configuration(device, vlan))


def running_commit(device: Device, vlan: int) -> str:
    """Return the commit of what the device runs after it confirmed the configuration for ``vlan``."""
    return commit_of("vlan 1\n" if device.drifts else configuration(device, vlan))


def restore(device: Device) -> str:
    """Let the device run what it ran before and return its name; restoring twice is the same as once."""
    return device.name
