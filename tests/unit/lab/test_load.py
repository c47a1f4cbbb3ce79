"""A load counts what became of workflows, and not what became of one of the polls for their results."""

from __future__ import annotations

import asyncio

import pytest
from temporalio.client import WorkflowFailureError
from temporalio.exceptions import ApplicationError
from temporalio.service import RPCError, RPCStatusCode

from lab import load


class Handle:
    """Ends each poll with the next of these."""

    def __init__(self, *ends: Exception | str) -> None:
        self.ends = list(ends)

    async def result(self) -> str:
        end = self.ends.pop(0)
        if isinstance(end, Exception):
            raise end
        return end


@pytest.fixture(autouse=True)
def no_pause(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(load, "ASK_AGAIN_SECONDS", 0)


def test_a_poll_that_ended_is_repeated() -> None:
    late = RPCError("no answer in time", RPCStatusCode.DEADLINE_EXCEEDED, b"")
    assert asyncio.run(load.outcome_of(Handle(late, late, "configured"))) == "configured"


def test_a_workflow_that_failed_is_not_asked_again() -> None:
    failed = WorkflowFailureError(cause=ApplicationError("undone"))
    with pytest.raises(WorkflowFailureError):
        asyncio.run(load.outcome_of(Handle(failed, "configured")))
