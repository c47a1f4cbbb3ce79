"""The workflow that a probe runs: one activity, so that workflow and activity tasks are both seen to be dispatched.

Needs ``temporalio``; only code that has checked for it imports this module.
"""

from __future__ import annotations

from datetime import timedelta

from temporalio import activity, workflow

ACTIVITY_TIMEOUT = timedelta(seconds=5)


@activity.defn(name="zerospof_echo")
async def echo(text: str) -> str:
    """Return ``text``."""
    return text


@workflow.defn(name="zerospof_probe")
class Probe:
    """Ask an activity to say what it is told."""

    @workflow.run
    async def run(self, text: str) -> str:
        """Return ``text`` as the activity said it."""
        return await workflow.execute_activity(echo, text, start_to_close_timeout=ACTIVITY_TIMEOUT)
