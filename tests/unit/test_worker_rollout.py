"""Hosts that watch a build do together what is decided, whoever of them comes first."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from types import SimpleNamespace
from typing import Any

import pytest
from ansible_collections.zerospof.temporal.plugins.module_utils import _rollout, _worker_client
from ansible_collections.zerospof.temporal.plugins.module_utils._rollout import Routing
from ansible_collections.zerospof.temporal.plugins.modules import worker_rollout
from temporalio.service import RPCError, RPCStatusCode

OLD, NEW = "1.0.0", "1.1.0"
UNIT = "temporal-sdk-worker@networking-1.1.0-1.service"
RUNS = "ActiveState=active\nNRestarts=0\n"


@dataclass
class Server:
    """What all hosts ask: a routing that changes under a token, and workflows that ended."""

    routing: Routing = field(default_factory=lambda: Routing(current=OLD))
    token: int = 0
    ended: dict[str, int] = field(default_factory=dict)
    unpolled: list[str] = field(default_factory=list)
    calls: list[str] = field(default_factory=list)
    away: bool = False

    def change(self, call: str, token: int, **values: Any) -> None:  # noqa: ANN401
        if token != self.token:
            raise RPCError(f"{worker_rollout.CONFLICT}", RPCStatusCode.FAILED_PRECONDITION, b"")
        self.token += 1
        self.calls.append(call)
        self.routing = replace(self.routing, **values)


class Deployment:
    """What ``_worker_client.Deployment`` is, with a server of one's own."""

    def __init__(self, server: Server) -> None:
        self.server = server
        self.token = -1

    async def routing(self, _: str) -> Routing:
        if self.server.away:
            raise _worker_client.UnreachableError("nobody answers")
        self.token = self.server.token
        return self.server.routing

    def forget(self) -> None:
        pass

    async def unpolled(self, _: str, since: float) -> list[str]:
        assert since < time.time()
        return self.server.unpolled

    async def counts(self, _: str, since: float) -> dict[str, int]:
        assert since == self.server.routing.ramping_since
        return dict(self.server.ended)

    async def stuck(self, _: str) -> int:
        return 0

    async def note(self, _: str, notes: dict[str, Any]) -> None:
        if _worker_client.TAKEN_BACK in notes:
            self.server.routing = replace(self.server.routing, taken_back=notes[_worker_client.TAKEN_BACK])

    async def ramp(self, build: str, percentage: float) -> None:
        await asyncio.sleep(0)  # a moment in which others may be faster
        since = time.time() if build else 0.0
        self.server.change(
            f"ramp {build} {percentage:g}",
            self.token,
            ramping=build,
            percentage=percentage,
            ramping_since=since,
            step_since=since,
            alone=False,
        )

    async def promote(self, build: str) -> None:
        await asyncio.sleep(0)
        self.server.change(f"promote {build}", self.token, current=build, ramping="", percentage=0.0, alone=False)

    async def take_back(self, build: str, reason: str) -> None:
        await self.note(build, {_worker_client.TAKEN_BACK: reason})
        await self.ramp("", 0)


@pytest.fixture(autouse=True)
def hurry(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(worker_rollout, "LOOK_SECONDS", 0.001)


@pytest.fixture
def server() -> Iterator[Server]:
    return Server()


def ramping() -> Routing:
    """The new build has had 10 % since now."""
    return Routing(current=OLD, ramping=NEW, percentage=10, ramping_since=1.0, step_since=time.time())


def host(server: Server, units: str = RUNS, **wishes: Any) -> worker_rollout.Rollout:  # noqa: ANN401
    """One call of the module, on a host whose unit is in the state ``units``."""
    parameters = {
        "addresses": ["there:7233"],
        "namespace": "production",
        "deployment": "networking",
        "token": "",
        "build": NEW,
        "steps": [10, 100],
        "until": 101,
        "hold_seconds": 0.02,
        "failed_percent_limit": 5,
        "failed_at_least": 1,
        "first_only": False,
        "leads": True,
        "again": False,
        "units": [UNIT],
        "patience_seconds": 60,
        **wishes,
    }
    module: Any = SimpleNamespace(params=parameters, run_command=lambda _: (0, units, ""))
    made = worker_rollout.Rollout(module)
    made._deployment = Deployment(server)  # type: ignore[assignment]
    return made


def together(*hosts: worker_rollout.Rollout) -> list[str]:
    """Run the module on all hosts at the same time and return what each came to."""

    async def all_of_them() -> list[_rollout.Action]:
        return await asyncio.gather(*(one.run() for one in hosts))

    return [action.kind for action in asyncio.run(all_of_them())]


def test_the_one_that_leads_brings_it_to_everything_and_all_see_it(server: Server) -> None:
    assert together(host(server), host(server, leads=False)) == [_rollout.DONE] * 2
    assert server.calls == [f"ramp {NEW} 10", f"ramp {NEW} 100", f"promote {NEW}"]


def test_a_call_ends_with_its_share(server: Server) -> None:
    together(host(server, until=10), host(server, until=10, leads=False))
    assert (server.routing.ramping, server.routing.percentage) == (NEW, 10)


@pytest.mark.parametrize("ramps", [True, False])
def test_any_host_takes_it_back_and_the_others_see_that(server: Server, ramps: bool) -> None:
    """Also before it has a share: the one that leads must not give it one while nobody watches there any more."""
    if ramps:
        server.routing = ramping()
    kinds = together(host(server, hold_seconds=60), host(server, "ActiveState=failed\n", leads=False, hold_seconds=60))
    assert set(kinds) <= {_rollout.TAKE_BACK, _rollout.REFUSE}
    assert server.routing.ramping == ""
    assert server.routing.taken_back == f"{UNIT} does not run"


@pytest.mark.parametrize(("what", "value"), [("ended", {"Failed": 1}), ("unpolled", ["no worker asks"])])
def test_the_one_that_leads_takes_it_back(server: Server, what: str, value: object) -> None:
    server.routing = ramping()
    setattr(server, what, value)
    assert together(host(server, hold_seconds=60))[0] == _rollout.TAKE_BACK
    assert server.calls == ["ramp  0"]
    assert server.routing.taken_back
    assert together(host(server), host(server, leads=False)) == [_rollout.REFUSE] * 2


def test_who_took_it_back_says_so_although_the_cluster_is_away_for_a_moment_then(server: Server) -> None:
    server.routing = ramping()
    server.ended = {"Failed": 1}
    leading = host(server, hold_seconds=60)
    looked, away = leading.look, [True]

    async def look_once_in_vain() -> list[str]:
        if server.calls and away:
            away.pop()
            raise _worker_client.UnreachableError("nobody answers")
        return await looked()

    leading.look = look_once_in_vain  # type: ignore[method-assign]
    assert together(leading) == [_rollout.TAKE_BACK]
    assert not away
    assert (leading.changed, server.calls) == (True, ["ramp  0"])


def test_who_gave_the_reason_took_it_back_although_another_host_was_faster(server: Server) -> None:
    server.routing = ramping()
    server.ended = {"Failed": 1}
    leading = host(server, hold_seconds=60)
    carried_out = leading.carry_out

    async def carry_out_late(action: _rollout.Action) -> None:
        server.change("somebody else", server.token, ramping="", percentage=0.0, taken_back=action.reason)
        await carried_out(action)

    leading.carry_out = carry_out_late  # type: ignore[method-assign]
    assert together(leading) == [_rollout.TAKE_BACK]
    assert server.calls == ["somebody else"]


def test_what_somebody_else_changed_meanwhile_is_not_taken_for_done(server: Server) -> None:
    """A host finds a fault while another one brings the build further: it has to look again."""
    server.routing = ramping()
    watching = host(server, "ActiveState=failed\n", leads=False, hold_seconds=60)
    looked = watching.look

    async def look_and_be_late() -> list[str]:
        found = await looked()
        if not server.calls:
            server.change(f"ramp {NEW} 100", server.token, percentage=100.0)
        return found

    watching.look = look_and_be_late  # type: ignore[method-assign]
    assert together(watching) == [_rollout.TAKE_BACK]
    assert server.calls == [f"ramp {NEW} 100", "ramp  0"]
    assert server.routing.ramping == ""


def test_a_fault_that_is_found_too_late_is_told(server: Server) -> None:
    server.routing = Routing(current=NEW, taken_back="it crashed")
    assert together(host(server)) == [_rollout.REFUSE]


def test_one_that_was_taken_back_is_tried_again_when_that_is_wanted(server: Server) -> None:
    server.routing = replace(server.routing, taken_back="it crashed")
    forgiving = host(server, again=True, until=0)
    together(forgiving)
    assert server.routing == Routing(current=OLD)
    assert forgiving.changed
    assert server.calls == []


def test_the_first_build_is_used_at_once_and_nothing_else_is_touched(server: Server) -> None:
    server.routing = Routing(alone=True)
    together(host(server, first_only=True), host(server, first_only=True))
    assert server.calls == [f"promote {NEW}"]
    # Not even a build that fails: that is for those who roll it out.
    server.routing = Routing(current=OLD, ramping=NEW, percentage=10, ramping_since=1.0)
    server.ended = {"Failed": 1}
    together(host(server, first_only=True))
    assert server.calls == [f"promote {NEW}"]


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"away": True}, "the cluster does not answer: nobody answers"),
        ({"routing": Routing(known=False)}, f"no worker of build {NEW} has polled yet"),
    ],
)
def test_the_patience_ends_and_nothing_is_taken_back(server: Server, change: dict[str, Any], reason: str) -> None:
    for name, value in change.items():
        setattr(server, name, value)
    with pytest.raises(worker_rollout.RolloutError, match=reason):
        together(host(server, patience_seconds=0.05))
    assert server.calls == []


def test_who_does_not_lead_waits_no_longer_than_that(server: Server) -> None:
    with pytest.raises(worker_rollout.RolloutError, match="the host that leads does nothing"):
        together(host(server, leads=False, patience_seconds=0.05))


@pytest.mark.parametrize(
    ("routing", "first", "changes"),
    [
        (Routing(current=OLD), "give it 10 %", True),
        (Routing(current=NEW), "nothing: it is current", False),
        (Routing(current=OLD, taken_back="it crashed"), "nothing: it crashed", False),
        (Routing(current=OLD, ramping=NEW, percentage=10, taken_back="it crashed"), "take it back: it crashed", True),
        # Whether anybody else polls can be asked when its workers have.
        (
            Routing(known=False),
            "make it current at once, where nobody else serves its task queues, and otherwise",
            True,
        ),
        (Routing(current=OLD, known=False), "give it 10 %", True),
    ],
)
def test_check_mode_plans_and_does_nothing(server: Server, routing: Routing, first: str, changes: bool) -> None:
    server.routing = routing
    lines, changed = asyncio.run(host(server, "ActiveState=inactive\n").plan())
    assert (lines[0], changed) == (first, changes)
    assert server.calls == []
