"""A build gets to its workflows step by step, never past a fault; a rollout can be left and taken up at any moment."""

from __future__ import annotations

import struct
from dataclasses import replace

import pytest
from ansible_collections.zerospof.temporal.plugins.module_utils import _rollout
from ansible_collections.zerospof.temporal.plugins.module_utils._rollout import Action, Build, Routing, Wishes
from hypothesis import given
from hypothesis import strategies as st

NEW, OLD = "1.1.0", "1.0.0"
NOW = 1_000_000.0
CURRENT = Routing(current=OLD)
UNITS = {"a": 0, "b": 3}


def ramping(percentage: float = 10, held: float = 0, build: str = NEW) -> Routing:
    """Return a routing in which ``build`` has had its share for ``held`` seconds."""
    return Routing(current=OLD, ramping=build, percentage=percentage, ramping_since=NOW - held, step_since=NOW - held)


def decide(routing: Routing, counts: dict[str, int] | None = None, *troubles: str, **wishes: object) -> Action:
    """Return what is done next with the new build."""
    return _rollout.decide(NEW, routing, counts or {}, troubles, Wishes(**wishes), NOW)


shares = st.lists(st.floats(min_value=0.1, max_value=100), max_size=6).map(lambda values: tuple(sorted(values)))
wishes_of_people = st.builds(
    Wishes,
    steps=shares,
    hold_seconds=st.floats(min_value=0, max_value=3600),
    failed_percent_limit=st.floats(min_value=0, max_value=100),
    failed_at_least=st.integers(min_value=0, max_value=10),
)
numbers = st.dictionaries(st.sampled_from(["Completed", "Failed", "TimedOut", "Terminated"]), st.integers(0, 1000))
routings = st.builds(
    Routing,
    current=st.sampled_from(["", OLD, NEW]),
    ramping=st.sampled_from(["", NEW, "0.9.0"]),
    percentage=st.floats(min_value=0, max_value=100),
    ramping_since=st.floats(min_value=NOW - 7200, max_value=NOW),
    step_since=st.floats(min_value=NOW - 7200, max_value=NOW),
    alone=st.booleans(),
    taken_back=st.sampled_from(["", "it crashed"]),
)


@given(routing=routings, wishes=wishes_of_people)
def test_without_a_fault_it_ends_with_what_was_wanted_and_skips_no_step(routing: Routing, wishes: Wishes) -> None:
    now, seen = NOW, []
    for _ in range(4 * len(wishes.steps) + 4):
        action = _rollout.decide(NEW, routing, {}, [], wishes, now)
        if action.kind in _rollout.FINAL:
            break
        if action.kind == _rollout.WAIT:
            now += action.seconds
        else:
            seen.append(action)
            routing = _rollout.after(action, NEW, routing, now)
    assert action.kind in _rollout.FINAL, "it goes on for ever"
    ramped = [action.percentage for action in seen if action.kind == _rollout.RAMP]
    assert ramped == sorted(set(ramped))
    assert set(ramped) <= set(wishes.steps)
    assert not [action for action in seen[:-1] if action.kind == _rollout.PROMOTE]


@given(routing=routings, counts=numbers, trouble=st.sampled_from(["", "u1 does not run"]), wishes=wishes_of_people)
def test_a_fault_never_gets_a_larger_share(routing: Routing, counts: dict, trouble: str, wishes: Wishes) -> None:
    action = _rollout.decide(NEW, routing, counts, [trouble] if trouble else [], wishes, NOW)
    ramps = routing.ramping == NEW
    fault = trouble or routing.taken_back or (ramps and _rollout.failure(counts, wishes))
    if fault:
        assert action.kind not in {_rollout.RAMP, _rollout.PROMOTE, _rollout.WAIT}
        assert _rollout.after(action, NEW, routing, NOW).ramping != NEW or routing.current == NEW
    if action.kind == _rollout.TAKE_BACK:
        assert fault
        # Whoever looks next finds it taken back, and leaves it like that.
        later = _rollout.decide(NEW, _rollout.after(action, NEW, routing, NOW), {}, [], wishes, NOW)
        assert later.kind == _rollout.REFUSE


@given(routing=routings, counts=numbers, wishes=wishes_of_people)
def test_nothing_goes_on_before_a_share_has_been_held(routing: Routing, counts: dict, wishes: Wishes) -> None:
    action = _rollout.decide(NEW, routing, counts, [], wishes, NOW)
    if action.kind == _rollout.RAMP and routing.ramping == NEW:
        assert NOW - routing.step_since >= wishes.hold_seconds
        assert action.percentage > routing.percentage


@given(routing=routings, wishes=wishes_of_people)
def test_a_plan_ends(routing: Routing, wishes: Wishes) -> None:
    assert _rollout.plan(NEW, routing, wishes, NOW)


def test_the_plan_of_a_new_build_is_every_step() -> None:
    assert _rollout.plan(NEW, CURRENT, Wishes(steps=(5.0, 100.0), hold_seconds=30), NOW) == [
        "give it 5 %",
        "watch it for 30 s",
        "give it 100 %",
        "watch it for 30 s",
        "give it everything",
    ]


def test_a_rollout_that_was_interrupted_goes_on_with_its_share() -> None:
    assert decide(ramping(10, held=20)) == Action(_rollout.WAIT, "it gets 10 %", 10, 100)
    assert decide(ramping(10, held=120)).percentage == 50
    # Another one has wanted other steps.
    assert decide(ramping(30, held=120)).percentage == 50


@pytest.mark.parametrize(
    ("routing", "kind"),
    [
        (Routing(current=NEW), _rollout.DONE),
        (Routing(current=NEW, taken_back="it crashed"), _rollout.REFUSE),
        (CURRENT, _rollout.RAMP),
        (ramping(100, held=120), _rollout.PROMOTE),
        (ramping(10, build="1.2.0"), _rollout.REFUSE),
        (Routing(), _rollout.RAMP),
        (Routing(alone=True), _rollout.PROMOTE),
        (replace(CURRENT, taken_back="it crashed"), _rollout.REFUSE),
        (replace(ramping(), taken_back="it crashed"), _rollout.TAKE_BACK),
    ],
)
def test_what_is_done_next(routing: Routing, kind: str) -> None:
    assert decide(routing).kind == kind


def test_without_steps_it_gets_everything_at_once() -> None:
    assert decide(CURRENT, steps=()).kind == _rollout.PROMOTE


def test_workers_that_cannot_work_get_no_share() -> None:
    assert decide(CURRENT, {}, "u1 does not run") == Action(_rollout.REFUSE, "u1 does not run")
    assert decide(ramping(), {}, "u1 does not run") == Action(_rollout.TAKE_BACK, "u1 does not run")


@pytest.mark.parametrize(
    ("counts", "wishes", "fails"),
    [
        ({}, {}, False),
        ({"Completed": 95, "Failed": 5}, {}, False),
        ({"Completed": 94, "Failed": 4, "TimedOut": 2}, {}, True),
        ({"Failed": 1}, {}, True),
        ({"Failed": 1}, {"failed_at_least": 2}, False),
        ({"Completed": 2, "Stuck": 1}, {}, True),
        # What was stuck before got on.
        ({"Completed": 2, "Stuck": -3}, {}, False),
        ({"Failed": 2}, {"failed_at_least": 2}, True),
        ({"Completed": 1, "Failed": 1}, {"failed_percent_limit": 50}, False),
        # What people stop says nothing about the build, and what goes on as another run has not ended.
        ({"Completed": 1, "Terminated": 9, "Canceled": 9, "ContinuedAsNew": 9}, {"failed_percent_limit": 0}, False),
        ({"Completed": 1, "Failed": 1, "ContinuedAsNew": 99}, {"failed_percent_limit": 40}, True),
    ],
)
def test_failed_workflows_speak_against_a_build(counts: dict, wishes: dict, fails: bool) -> None:
    assert bool(_rollout.failure(counts, Wishes(**wishes))) is fails
    assert decide(ramping(), counts, **wishes).kind == (_rollout.TAKE_BACK if fails else _rollout.WAIT)


def test_the_reason_has_the_numbers() -> None:
    assert decide(ramping(), {"Completed": 1, "TimedOut": 3}).reason == (
        "of 4 workflows 3 timed out, which is more than 5 %"
    )
    assert decide(ramping(), {"Failed": 2, "Stuck": 1}).reason == (
        "of 3 workflows 2 failed, 1 got stuck, which is more than 5 %"
    )


@pytest.mark.parametrize(
    ("now", "found"),
    [
        ({"a": 0, "b": 3}, []),
        ({"a": 1, "b": 4}, []),
        ({"a": 2, "b": 3}, ["a ended by itself 2 times"]),
        ({"a": None, "b": 9}, ["a does not run", "b ended by itself 6 times"]),
        # A unit that did not run at the first look: what it did before is not known.
        ({"c": 5}, []),
    ],
)
def test_a_worker_that_ends_again_and_again_is_a_fault(now: dict[str, int | None], found: list[str]) -> None:
    assert _rollout.crashes(UNITS, now) == found


@pytest.mark.parametrize(
    ("action", "until", "inside"),
    [
        (Action(_rollout.RAMP, percentage=10), 10, True),
        (Action(_rollout.RAMP, percentage=10), 1, False),
        (Action(_rollout.PROMOTE), 100, False),
        (Action(_rollout.PROMOTE), 101, True),
        (Action(_rollout.WAIT, percentage=50), 1, True),
        (Action(_rollout.WAIT, percentage=50), 0, False),
        (Action(_rollout.PROMOTE), 0, False),
    ],
)
def test_a_call_goes_as_far_as_it_is_told(action: Action, until: float, inside: bool) -> None:
    assert _rollout.within(action, until) is inside


def test_the_way_back_is_to_drop_what_ramps() -> None:
    assert _rollout.way_back(ramping(), []) == Action(_rollout.TAKE_BACK, NEW)


def test_the_way_back_is_the_build_that_was_current_last() -> None:
    builds = [Build("0.9.0", "drained", 1, True), Build(OLD, "draining", 2, True), Build(NEW, "current", 3, True)]
    assert _rollout.way_back(Routing(current=NEW), builds) == Action(_rollout.PROMOTE, OLD)


def test_nobody_goes_back_to_what_was_taken_back() -> None:
    bad = Build(NEW, "draining", 3, True, "it crashed")
    builds = [Build("0.9.0", "draining", 1, True), Build(OLD, "current", 2, True), bad]
    assert _rollout.way_back(CURRENT, builds) == Action(_rollout.PROMOTE, "0.9.0")
    assert _rollout.way_back(CURRENT, builds[1:]).kind == _rollout.REFUSE


def test_there_is_no_way_back_without_workers() -> None:
    stopped = [Build(OLD, "drained", 2), Build(NEW, "current", 3, True)]
    assert _rollout.way_back(Routing(current=NEW), stopped) == Action(_rollout.WAIT, OLD)
    assert "no worker of 1.0.0" in _rollout.no_way_back(OLD).reason
    assert _rollout.way_back(Routing(current=NEW), stopped[1:]).kind == _rollout.REFUSE


@pytest.mark.parametrize(
    ("status", "is_idle"),
    [("drained", True), ("inactive", True), ("created", True), ("draining", False), ("unspecified", False)],
)
def test_a_build_is_idle_when_no_workflow_can_need_it(status: str, is_idle: bool) -> None:
    routing = Routing(current="2.0", ramping="3.0")
    for build in ("1.0", "2.0", "3.0", "4.0"):
        idle = _rollout.idle([build], "4.0", routing, [Build(build, status)])
        assert idle == ([build] if is_idle and build == "1.0" else [])


def test_what_was_never_versioned_is_idle_once_a_build_is_current() -> None:
    assert _rollout.idle([OLD], NEW, Routing(), []) == []
    assert _rollout.idle([OLD], NEW, Routing(current=NEW), [Build(NEW, "current")]) == [OLD]


@given(st.lists(st.integers(1, 9_999), min_size=1, max_size=5, unique=True))
def test_a_share_that_the_server_rounds_is_not_given_again(hundredths: list[int]) -> None:
    steps = tuple(number / 100 for number in sorted(hundredths))
    wishes, routing = Wishes(steps=steps, hold_seconds=0), replace(CURRENT, step_since=NOW)
    given = []
    while (action := _rollout.decide(NEW, routing, {}, [], wishes, NOW)).kind == _rollout.RAMP:
        given.append(action.percentage)
        # Worker deployments have it as a float of 32 bits (temporal/api/deployment/v1/message.proto).
        [kept] = struct.unpack("f", struct.pack("f", action.percentage))
        routing = replace(_rollout.after(action, NEW, routing, NOW), percentage=kept)
    assert action.kind == _rollout.PROMOTE
    assert given == list(steps)


@pytest.mark.parametrize(
    ("value", "steps"), [([1, "10"], [1, 10]), ("[50,5]", [5, 50]), ("", []), ([], []), ("100", [100])]
)
def test_steps_are_read_as_people_write_them(value: object, steps: list[float]) -> None:
    assert _rollout.steps(value) == steps


@pytest.mark.parametrize("value", ["[0]", "[101]", "[ten]", [-1]])
def test_what_is_no_share_is_refused(value: object) -> None:
    with pytest.raises(ValueError, match="is no share in percent"):
        _rollout.steps(value)


ASKED = {"steps": "[1,100]", "hold_seconds": "120", "failed_percent_limit": 5, "failed_at_least": "1", "again": "true"}


@pytest.mark.parametrize(
    ("wish", "problem"),
    [
        ({}, ""),
        ({"steps": [], "hold_seconds": 0.5, "again": False, "failed_at_least": 0}, ""),
        ({"steps": "[0]"}, "steps: 0 is no share in percent"),
        ({"steps": 5}, "steps: 5 is no list of names"),
        ({"hold_seconds": "abc"}, "hold_seconds: abc is not a number of seconds"),
        ({"hold_seconds": "-1"}, "hold_seconds: -1 is not a number of seconds"),
        ({"hold_seconds": "inf"}, "hold_seconds: inf is not a number of seconds"),
        ({"failed_percent_limit": "101"}, "failed_percent_limit: 101 is not a share in percent"),
        ({"failed_percent_limit": "nan"}, "failed_percent_limit: nan is not a share in percent"),
        ({"failed_at_least": "1.5"}, "failed_at_least: 1.5 is not a number of workflows"),
        ({"again": "perhaps"}, "again: perhaps is neither true nor false"),
    ],
)
def test_wishes_that_mean_nothing_are_told_before_anything_is_done(wish: dict[str, object], problem: str) -> None:
    found = _rollout.wish_problems(ASKED | wish)
    assert len(found) == bool(problem)
    assert "".join(found).startswith(problem)


def declared(name: str = "networking", version: str = OLD, **more: object) -> dict:
    whole = {"name": name, "namespace": "production", "task_queue": "q", "package": f"p=={version}", "versioned": True}
    return whole | more


def test_rollouts_are_the_versioned_deployments_of_the_hosts() -> None:
    hostvars = {
        "a": {"temporal_worker_deployments": [declared(), declared("other", versioned=False)]},
        "b": {"temporal_worker_deployments": [declared(), declared("more")]},
        "c": {},
    }
    assert _rollout.rollouts("abc", hostvars) == {
        "rollouts": [
            {"name": "networking", "build": OLD, "hosts": ["a", "b"]},
            {"name": "more", "build": OLD, "hosts": ["b"]},
        ],
        "unknown": [],
        "problems": [],
    }
    assert [row["name"] for row in _rollout.rollouts("abc", hostvars, "[more]")["rollouts"]] == ["more"]


def test_hosts_that_do_not_agree_are_a_problem() -> None:
    hostvars = {name: {"temporal_worker_deployments": [declared(version=version)]} for name, version in ("a1", "b2")}
    assert _rollout.rollouts("ab", hostvars)["problems"] == [
        "networking: 1 on a and 2 on b are declared; every host has to have the same build"
    ]
    assert _rollout.rollouts("ab", hostvars)["unknown"] == []


def test_a_name_that_nobody_declares_is_unknown() -> None:
    found = _rollout.rollouts("a", {"a": {"temporal_worker_deployments": [declared()]}}, ["absent"])
    assert found["problems"] == found["unknown"] == ["absent: no host has a versioned deployment of this name"]


@pytest.mark.parametrize("versioned", [True, False])
def test_no_host_is_left_out(versioned: bool) -> None:
    """Neither one whose builds are not versioned: the batches would have hosts of two zones."""
    hostvars = {name: {"temporal_worker_deployments": [declared(versioned=versioned)]} for name in "abc"}
    [problem] = _rollout.rollouts("abc", hostvars, (), "ab")["problems"]
    assert problem.startswith("--limit leaves out c: batches would not be zones any more")
    assert _rollout.rollouts("abc", hostvars, (), "cba")["problems"] == []
