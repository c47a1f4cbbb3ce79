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
        self.polls_at_look = 0
        self.looks = 0

    async def routing(self) -> Routing:
        return self.state

    async def ways_back(self, _: float) -> list[Build]:
        self.looks += 1
        polled = self.looks > self.polls_at_look
        return [replace(build, polled=polled) for build in self.builds.values()]

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
    monkeypatch.setattr(worker_rollback, "LOOK_SECONDS", 0.01)
    return made


def back(*, check_mode: bool = False, patience: float = 60) -> tuple[str, Routing]:
    """Run the module; return what it did and where workflows go then, as it says."""
    params = {"reason": "somebody took it back", "patience_seconds": patience}
    module: Any = SimpleNamespace(params=params, check_mode=check_mode)
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


def test_workers_that_were_just_started_get_the_time_to_poll(server: Server) -> None:
    server.polls_at_look = 3
    assert back() == (_rollout.PROMOTE, Routing(current=OLD))
    assert server.looks == 4


@pytest.mark.parametrize("patience", [0, 0.05])
def test_without_workers_of_the_build_before_all_stays_as_it_is(server: Server, patience: float) -> None:
    server.polls_at_look = 1000
    assert back(patience=patience) == (_rollout.REFUSE, CURRENT)
    assert server.state == CURRENT
    assert not server.builds[NEW].taken_back


@pytest.mark.parametrize(("patience", "kind"), [(60, _rollout.PROMOTE), (0, _rollout.REFUSE)])
def test_check_mode_waits_for_nobody(server: Server, patience: float, kind: str) -> None:
    server.polls_at_look = 1000
    assert back(check_mode=True, patience=patience)[0] == kind
    assert server.looks == 1
