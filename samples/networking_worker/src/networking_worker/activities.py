"""The steps that touch devices. Each may run again after a failure, so each can be repeated without harm."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine

from temporalio import activity
from temporalio.exceptions import ApplicationError

from networking_worker import model, simulator
from networking_worker.model import Change, Device

HEARTBEAT_SECONDS = 1.0


@activity.defn
def validate_change(change: Change) -> None:
    """Accept the change or fail for good."""
    activity.logger.info("validate change %s", change.change_id)
    try:
        model.check(change)
    except model.InvalidChangeError as error:
        raise ApplicationError(str(error), type="InvalidChange", non_retryable=True) from error


@activity.defn
async def apply_configuration(device: Device, vlan: int) -> str:
    """Apply the configuration to one device and return its commit; give up one that has been asked often enough."""
    activity.logger.info("configure %s", device.name)
    attempt = activity.info().attempt
    try:
        return await _with_heartbeats(simulator.apply(device, vlan, attempt))
    except simulator.DeviceUnreachableError as error:
        given_up = attempt >= model.MOST_ATTEMPTS
        raise ApplicationError(str(error), type="DeviceUnreachable", non_retryable=given_up) from error
    except simulator.ConfigurationRefusedError as error:
        raise ApplicationError(str(error), type="ConfigurationRefused", non_retryable=True) from error


@activity.defn
async def verify_device(device: Device, vlan: int, commit: str) -> None:
    """Fail for good unless the device runs what it confirmed."""
    activity.logger.info("verify %s", device.name)
    if simulator.running_commit(device, vlan) != commit:
        raise ApplicationError(model.drift(device), type="Drift", non_retryable=True)


@activity.defn
async def roll_back(device: Device) -> str:
    """Restore what the device ran before and return its name."""
    activity.logger.info("roll back %s", device.name)
    return simulator.restore(device)


async def _with_heartbeats(work: Coroutine[None, None, str]) -> str:
    """Tell the server every second that this worker lives: a dead one is replaced when its heartbeats stop."""
    task = asyncio.ensure_future(work)
    try:
        while not (await asyncio.wait({task}, timeout=HEARTBEAT_SECONDS))[0]:
            activity.heartbeat()
        return task.result()
    finally:
        task.cancel()
