"""A deployment goes back to what served before, once, however often somebody asks."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import pytest
from ansible_collections.zerospof.temporal.plugins.module_utils import _rollout, _worker_client
from ansible_collections.zerospof.temporal.plugins.module_utils._rollout import Build, Routing
from ansible_collections.zerospof.temporal.plugins.modules import worker_rollback

OLD, NEW = "1.0.0", "1.1.0"
CURRENT = Routing(current=NEW)


class Server:
    """A routing, the builds that were current, and what was noted of them."""

    def __init__(self, routing: Routing) -> None:
        self.state = routing
        self.builds = {OLD: Build(OLD, "draining", 1, polled=True), NEW: Build(NEW, "current", 2, polled=True)}
        self.dies = False

    async def routing(self) -> Routing:
        return self.state

    async def ways_back(self, _: float) -> list[Build]:
        return list(self.builds.values())

    async def note(self, build: str, notes: dict[str, Any]) -> None:
        self.builds[build] = replace(self.builds[build], taken_back=notes[_worker_client.TAKEN_BACK])
        if self.dies:
            raise ConnectionError("the control node is gone")

    async def promote(self, build: str) -> None:
        self.state = Routing(current=build)

    async def take_back(self, build: str, reason: str) -> None:
        await self.note(build, {_worker_client.TAKEN_BACK: reason})
        self.state = Routing(current=self.state.current)


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Server:
    made = Server(CURRENT)
    monkeypatch.setattr(_worker_client, "Deployment", lambda _: made)
    return made


def back(*, check_mode: bool = False) -> tuple[str, Routing]:
    """Run the module; return what it did and where workflows go then, as it says."""
    module: Any = SimpleNamespace(params={"reason": "somebody took it back"}, check_mode=check_mode)
    _, now, action = asyncio.run(worker_rollback.roll_back(module))
    return action.kind, now


def test_the_build_before_serves_again(server: Server) -> None:
    assert back() == (_rollout.PROMOTE, Routing(current=OLD))
    assert server.builds[NEW].taken_back == "somebody took it back"


def test_a_second_run_does_not_go_forth_again(server: Server) -> None:
    back()
    assert back() == (_rollout.REFUSE, Routing(current=OLD))
    assert server.state == Routing(current=OLD)


def test_one_that_was_interrupted_goes_on(server: Server) -> None:
    server.dies = True
    with pytest.raises(ConnectionError):
        back()
    server.dies = False
    assert server.state == CURRENT
    assert back() == (_rollout.PROMOTE, Routing(current=OLD))


def test_what_ramps_is_dropped(server: Server) -> None:
    server.state = Routing(current=OLD, ramping=NEW, percentage=10)
    assert back() == (_rollout.TAKE_BACK, Routing(current=OLD))


@pytest.mark.parametrize(
    ("routing", "planned"),
    [(CURRENT, Routing(current=OLD)), (Routing(current=OLD, ramping=NEW, percentage=10), Routing(current=OLD))],
)
def test_check_mode_says_where_workflows_would_go(server: Server, routing: Routing, planned: Routing) -> None:
    server.state = routing
    _, now = back(check_mode=True)
    assert (now.current, now.ramping) == (planned.current, planned.ramping)
    assert server.state == routing
    assert not any(build.taken_back for build in server.builds.values())
