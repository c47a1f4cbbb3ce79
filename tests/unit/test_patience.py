"""A request whose end nobody knows is made again, and no other one."""

from __future__ import annotations

import asyncio

import pytest
from ansible_collections.zerospof.temporal.plugins.module_utils import _patience
from temporalio.service import RPCError, RPCStatusCode


@pytest.fixture(autouse=True)
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody waits in these tests."""
    monkeypatch.setattr(_patience, "PAUSE_SECONDS", 0)


class Server:
    """Refuses with one status after the other, and then answers."""

    def __init__(self, *statuses: RPCStatusCode) -> None:
        """Take the statuses."""
        self.left = list(statuses)
        self.asked = 0

    async def __call__(self) -> str:
        """Answer."""
        self.asked += 1
        if self.left:
            raise RPCError("gone", self.left.pop(0), b"")
        return "done"


def test_what_nobody_knows_the_end_of_is_asked_again() -> None:
    server = Server(RPCStatusCode.DEADLINE_EXCEEDED, RPCStatusCode.CANCELLED)
    assert asyncio.run(_patience.insist(server)) == "done"
    assert server.asked == 3


@pytest.mark.parametrize("status", [RPCStatusCode.NOT_FOUND, RPCStatusCode.UNAVAILABLE, RPCStatusCode.ALREADY_EXISTS])
def test_a_refusal_that_means_something_or_that_the_sdk_has_retried_stands(status: RPCStatusCode) -> None:
    server = Server(status)
    with pytest.raises(RPCError):
        asyncio.run(_patience.insist(server))
    assert server.asked == 1


def test_nobody_insists_for_ever(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_patience, "SECONDS", -1.0)
    server = Server(RPCStatusCode.DEADLINE_EXCEEDED, RPCStatusCode.DEADLINE_EXCEEDED)
    with pytest.raises(RPCError):
        asyncio.run(_patience.insist(server))
    assert server.asked == 1


def test_the_sdk_has_names_for_what_it_never_retries() -> None:
    assert {RPCStatusCode[name] for name in _patience.AMBIGUOUS} == {
        RPCStatusCode.DEADLINE_EXCEEDED,
        RPCStatusCode.CANCELLED,
    }
