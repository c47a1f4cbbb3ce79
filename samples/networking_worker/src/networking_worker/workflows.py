"""ConfigureNetwork: validate, apply device by device, verify, and undo everything when one step fails for good."""

from __future__ import annotations

import asyncio
from datetime import timedelta

from temporalio import workflow
from temporalio.common import RetryPolicy
from temporalio.exceptions import ActivityError

with workflow.unsafe.imports_passed_through():
    from networking_worker import activities
    from networking_worker.model import CONFIGURED, ROLLED_BACK, Change, Device, Outcome, Progress

STEP_TIMEOUT = timedelta(seconds=60)
# A look at a device takes moments. A task that was handed to a worker which just died is given to another after this.
LOOK_TIMEOUT = timedelta(seconds=10)
HEARTBEAT_TIMEOUT = timedelta(seconds=5)
# Without a limit: an attempt whose worker dies, or is too busy, says nothing about the device. Which answer is final is
# for the activities to say.
DEVICE_RETRIES = RetryPolicy(initial_interval=timedelta(milliseconds=200), maximum_interval=timedelta(seconds=5))
# A device that cannot be restored is tried again until somebody repairs it.
RESTORE_RETRIES = RetryPolicy(maximum_interval=timedelta(seconds=30))


@workflow.defn
class ConfigureNetwork:
    """One change of the network."""

    def __init__(self) -> None:
        """Nothing has been done yet."""
        self._stage = "validating"
        self._touched: list[Device] = []
        self._commits: dict[str, str] = {}
        self._approved_by = ""

    @workflow.run
    async def run(self, change: Change) -> Outcome:
        """Carry out ``change``; a change that is wrong in itself fails the workflow before any device is touched."""
        workflow.logger.info("begin change %s", change.change_id)
        await workflow.execute_activity(
            activities.validate_change, change, start_to_close_timeout=LOOK_TIMEOUT, retry_policy=DEVICE_RETRIES
        )
        try:
            await self._apply(change)
            if change.hold:
                self._stage = "waiting for approval"
                await workflow.wait_condition(lambda: bool(self._approved_by))
            await self._verify(change)
        except ActivityError as error:
            restored = await self._roll_back()
            return Outcome(
                change.change_id, ROLLED_BACK, restored=restored, reason=getattr(error.cause, "message", str(error))
            )
        self._stage = CONFIGURED
        return Outcome(change.change_id, CONFIGURED, commits=self._commits)

    @workflow.signal
    def approve(self, who: str) -> None:
        """Let a change that is on hold go on."""
        self._approved_by = who

    @workflow.query
    def progress(self) -> Progress:
        """Tell the stage and what has been done so far."""
        return Progress(self._stage, dict(self._commits), self._approved_by)

    async def _apply(self, change: Change) -> None:
        self._stage = "applying"
        for device in change.devices:
            self._touched.append(device)
            self._commits[device.name] = await workflow.execute_activity(
                activities.apply_configuration,
                args=[device, change.vlan],
                start_to_close_timeout=STEP_TIMEOUT,
                heartbeat_timeout=HEARTBEAT_TIMEOUT,
                retry_policy=DEVICE_RETRIES,
            )

    async def _verify(self, change: Change) -> None:
        self._stage = "verifying"
        steps = [
            workflow.execute_activity(
                activities.verify_device,
                args=[device, change.vlan, self._commits[device.name]],
                start_to_close_timeout=LOOK_TIMEOUT,
                retry_policy=DEVICE_RETRIES,
            )
            for device in change.devices
        ]
        failures = [result for result in await asyncio.gather(*steps, return_exceptions=True) if result]
        if failures:
            raise failures[0]

    async def _roll_back(self) -> list[str]:
        """Undo in reverse order, including the device whose step failed: it may have done half of it."""
        self._stage = "rolling back"
        restored = [
            await workflow.execute_activity(
                activities.roll_back, device, start_to_close_timeout=LOOK_TIMEOUT, retry_policy=RESTORE_RETRIES
            )
            for device in reversed(self._touched)
        ]
        self._stage = ROLLED_BACK
        return restored
