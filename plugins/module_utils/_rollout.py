"""How a build of versioned workers gets to its workflows, step by step, and back when it fails.

The state of a rollout is in the server: which build is current, which one ramps, to how many percent and since when,
and, as metadata of a build, why it was taken back. So a rollout that was interrupted goes on where it was, and several
hosts can watch it without knowing of each other.

The functions of this file do no I/O and know no time but the one that they are told.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from ansible.module_utils.parsing.convert_bool import boolean
from ansible_collections.zerospof.temporal.plugins.module_utils import _rolling, _workers

# What is to be done next.
WAIT, RAMP, PROMOTE, TAKE_BACK, REFUSE, DONE = "wait", "ramp", "promote", "take back", "refuse", "done"
FINAL = frozenset({TAKE_BACK, REFUSE, DONE})

# The whole of the traffic, as a step.
ALL = 100.0
# From one to the next, in percent: the server keeps a share in 32 bits, so that 33.3 comes back as a little less.
LEAST_STEP = 0.001
# A worker that crashes once may have had bad luck. One that crashes again in the same step has a fault.
TOLERATED_RESTARTS = 1

# Running ones whose tasks fail again and again, as with code that is not deterministic: they neither fail nor end.
STUCK = "Stuck"
FAILURES = {"Failed": "failed", "TimedOut": "timed out", STUCK: "got stuck"}
# Terminated and cancelled is what somebody wanted; what continues as new has neither failed nor ended.
JUDGED = ("Completed", *FAILURES)


@dataclass(frozen=True)
class Routing:
    """Where the server sends workflows of a deployment; times are Unix times, 0 for never.

    ``known``: the server has seen the build that is rolled out. ``alone``: nobody takes what that build does not get,
    so that a share of the traffic is of no use.
    ``stuck_before``: how many workflows were stuck before it began. ``taken_back``: why the build was taken back, empty
    when it was not.
    """

    current: str = ""
    ramping: str = ""
    percentage: float = 0.0
    ramping_since: float = 0.0
    step_since: float = 0.0
    known: bool = True
    stuck_before: int = 0
    alone: bool = False
    taken_back: str = ""


@dataclass(frozen=True)
class Wishes:
    """The steps in percent, how long each is held, and how many workflows may fail."""

    steps: tuple[float, ...] = (1.0, 10.0, 50.0, ALL)
    hold_seconds: float = 120.0
    failed_percent_limit: float = 5.0
    failed_at_least: int = 1


@dataclass(frozen=True)
class Action:
    """What is to be done next: wait ``seconds``, ramp to ``percentage``, or something else, with the ``reason``."""

    kind: str
    reason: str = ""
    percentage: float = 0.0
    seconds: float = 0.0


def share(percentage: float) -> str:
    """Return a percentage as people write it."""
    return f"{percentage:g} %"


def failure(counts: Mapping[str, int], wishes: Wishes) -> str:
    """Return why the workflows that ended on a build speak against it, an empty text when they do not.

    ``counts``: number of workflows by status, as the visibility store names it, and of those that got stuck.
    """
    failed = sum(max(0, counts.get(status, 0)) for status in FAILURES)
    ended = sum(max(0, counts.get(status, 0)) for status in JUDGED)
    if not failed or failed < wishes.failed_at_least or failed * 100 <= wishes.failed_percent_limit * ended:
        return ""
    bad = ", ".join(f"{counts[status]} {words}" for status, words in FAILURES.items() if counts.get(status, 0) > 0)
    return f"of {ended} workflows {bad}, which is more than {share(wishes.failed_percent_limit)}"


def crashes(before: Mapping[str, int], now: Mapping[str, int | None]) -> list[str]:
    """Return what is wrong with the units of a build, whose restarts ``now`` counts; ``None``: it does not run."""
    found = []
    for unit, restarts in sorted(now.items()):
        if restarts is None:
            found.append(f"{unit} does not run")
        elif restarts - before.get(unit, restarts) > TOLERATED_RESTARTS:
            found.append(f"{unit} ended by itself {restarts - before[unit]} times")
    return found


def decide(
    build: str, routing: Routing, counts: Mapping[str, int], troubles: Sequence[str], wishes: Wishes, now: float
) -> Action:
    """Return what is to be done next with ``build``.

    ``counts``: what ended on it since it began to ramp, see ``failure``. ``troubles``: what is wrong with its workers.
    """
    if routing.current == build:
        # Somebody found a fault while somebody else made it current.
        back = f"it is current, although it was taken back: {routing.taken_back}; rollback_workers.yml goes back"
        return Action(REFUSE, back) if routing.taken_back else Action(DONE, "it is current")
    if routing.ramping not in {"", build}:
        return Action(REFUSE, f"{routing.ramping} gets {share(routing.percentage)}; finish that, or take it back")
    ramps = routing.ramping == build
    fault = routing.taken_back or "; ".join(troubles) or (failure(counts, wishes) if ramps else "")
    if fault:
        return Action(TAKE_BACK if ramps else REFUSE, fault)
    if not ramps:
        if routing.alone:
            return Action(PROMOTE, "nobody else serves the task queue")
        return _step(wishes.steps[0]) if wishes.steps else Action(PROMOTE, "no steps are wanted")
    left = routing.step_since + wishes.hold_seconds - now
    if left > 0:
        return Action(WAIT, f"it gets {share(routing.percentage)}", routing.percentage, left)
    following = [step for step in wishes.steps if step > routing.percentage + LEAST_STEP]
    return _step(min(following)) if following else Action(PROMOTE, "it has held every step")


def _step(percentage: float) -> Action:
    return Action(RAMP, "it has held what it had", percentage)


def within(action: Action, until: float) -> bool:
    """Tell whether an action that goes on belongs to the part of a rollout that ends with ``until`` percent."""
    if action.kind == PROMOTE:
        return until > ALL
    return until > 0 and (action.kind == WAIT or action.percentage <= until)


def after(action: Action, build: str, routing: Routing, now: float) -> Routing:
    """Return the routing once ``action`` is carried out."""
    if action.kind == RAMP:
        since = routing.ramping_since if routing.ramping == build else now
        return replace(
            routing, ramping=build, percentage=action.percentage, ramping_since=since, step_since=now, alone=False
        )
    if action.kind == PROMOTE:
        kept = {} if routing.ramping == build else {"ramping": routing.ramping, "percentage": routing.percentage}
        return Routing(current=build, **kept)
    if action.kind == TAKE_BACK:
        return Routing(current=routing.current, alone=routing.alone, taken_back=action.reason)
    return routing


def plan(build: str, routing: Routing, wishes: Wishes, now: float) -> list[str]:
    """Return in words what a rollout does when nothing fails."""
    lines = []
    while True:
        action = decide(build, routing, {}, [], wishes, now)
        if action.kind == REFUSE:
            return [*lines, f"nothing: {action.reason}"]
        if action.kind == DONE:
            return lines or [f"nothing: {action.reason}"]
        if action.kind == TAKE_BACK:
            return [*lines, f"take it back: {action.reason}"]
        if action.kind == WAIT:
            lines.append(f"watch it for {action.seconds:.0f} s")
            now += action.seconds
        else:
            lines.append(f"give it {share(action.percentage)}" if action.kind == RAMP else "give it everything")
        routing = after(action, build, routing, now)


# ---------------------------------------------------------------------------------------------------------- ways back


@dataclass(frozen=True)
class Build:
    """A build that the server knows; times are Unix times, 0 for never.

    ``polled``: its workers ask for tasks. ``taken_back``: why it was taken back, empty when it was not.
    """

    build: str
    status: str
    last_current: float = 0.0
    polled: bool = False
    taken_back: str = ""


def way_back(routing: Routing, builds: Sequence[Build]) -> Action:
    """Return how a deployment gets back what it had: without the build that ramps, or to the one before the current.

    Of a promotion, ``reason`` is the build, and so it is of one that has to wait until a worker of that build polls.
    """
    if routing.ramping:
        return Action(TAKE_BACK, routing.ramping)
    # Nor to what was taken back: who goes back twice, after an interruption perhaps, would be where the trouble began.
    former = [row for row in builds if row.last_current and row.build != routing.current and not row.taken_back]
    if not former:
        return Action(REFUSE, "no other build was ever current, but for what was taken back")
    build = max(former, key=lambda row: row.last_current)
    return Action(PROMOTE if build.polled else WAIT, build.build)


def no_way_back(build: str) -> Action:
    """Return what becomes of a way back to a ``build`` of which no worker polls."""
    return Action(
        REFUSE,
        f"no worker of {build}, the build before, runs any more; declare it again and run deploy_workers.yml, with"
        " -e steps=[] at once",
    )


def idle(present: Sequence[str], declared: str, routing: Routing, builds: Sequence[Build]) -> list[str]:
    """Return which of the builds that are ``present`` on a host nobody needs any more, as far as the server remembers.

    One that the server does not know has never been versioned: its workflows go to the current build.
    """
    status = {row.build: row.status for row in builds}
    kept = {declared, routing.current, routing.ramping}
    return [
        build
        for build in present
        if build not in kept
        and (status[build] in {"drained", "inactive", "created"} if build in status else routing.current == declared)
    ]


# ------------------------------------------------------------------------------------------------------- declarations


@dataclass(frozen=True)
class _Declared:
    deployment: dict[str, Any]
    hosts: list[str] = field(default_factory=list)
    builds: dict[str, list[str]] = field(default_factory=dict)


def _places(builds: Mapping[str, Sequence[str]]) -> list[str]:
    return [f"{build} on {', '.join(hosts)}" for build, hosts in builds.items()]


def steps(value: object) -> list[float]:
    """Return the shares that somebody asked for, as a list or as text, in ascending order.

    Raises:
        ValueError: one of them is no share.
    """
    found = []
    for text in _rolling.names(value, "steps", "1,10,50,100"):
        try:
            found.append(float(text))
        except ValueError:
            found.append(0.0)
        if not 0 < found[-1] <= ALL:
            raise ValueError(f"steps: {text} is no share in percent; give numbers, as in steps=[1,10,50,100]")
    return sorted(found)


def _whole(value: object) -> int:
    """Return a number without a fraction, as somebody wrote it.

    Raises:
        ValueError: it is none.
    """
    return int(str(value))


def wish_problems(asked: Mapping[str, Any]) -> list[str]:
    """Return what is wrong with what somebody ``asked`` of a rollout with ``-e``, one sentence each.

    ``asked``: ``{steps, hold_seconds, failed_percent_limit, failed_at_least, again}`` as they are written.
    """
    found = []
    try:
        steps(asked["steps"])
    except ValueError as error:
        found.append(str(error))
    for name, read, most, what in (
        ("hold_seconds", float, math.inf, "a number of seconds"),
        ("failed_percent_limit", float, ALL, "a share in percent, from 0 to 100"),
        ("failed_at_least", _whole, math.inf, "a number of workflows"),
    ):
        try:
            number: float = read(asked[name])
        except (TypeError, ValueError):
            number = -1.0
        if not (math.isfinite(number) and 0 <= number <= most):
            found.append(f"{name}: {asked[name]} is not {what}")
    try:
        boolean(asked["again"])
    except TypeError:
        found.append(f"again: {asked['again']} is neither true nor false")
    return found


def rollouts(
    hosts: Sequence[str], hostvars: Mapping[str, Mapping[str, Any]], names: object = (), reached: Sequence[str] = ()
) -> dict[str, Any]:
    """Return what ``hosts`` declare of versioned workers: ``{rollouts: [{name, build, hosts}], unknown, problems}``.

    ``names``: of these deployments alone, as a list or as text; of all when there are none. ``reached``: hosts of the
    run, all when there are none. ``unknown``: one sentence for each name that nobody declares; ``problems``: all that
    speaks against a rollout, these and what is wrong with a declaration among them. The way back does not mind those.

    Of all ``hosts``, also those whose builds are not versioned: a batch is as many hosts as a zone has, and when some
    are left out it takes from the next zone.
    """
    wanted = _rolling.names(names, "deployments", "networking,reports")
    found: dict[str, _Declared] = {}
    wrong: dict[str, None] = {}
    for host, given in _workers.deployments_of(hosts, hostvars):
        try:
            [deployment] = _workers.complete([given])
        except ValueError as error:
            wrong[str(error)] = None
            continue
        if not deployment["versioned"] or (wanted and deployment["name"] not in wanted):
            continue
        row = found.setdefault(deployment["name"], _Declared(deployment))
        row.hosts.append(host)
        row.builds.setdefault(deployment["build"], []).append(host)
    unknown = [f"{name}: no host has a versioned deployment of this name" for name in wanted if name not in found]
    problems = [*unknown, *wrong]
    if left_out := [host for host in hosts if reached and host not in reached]:
        problems.append(
            f"--limit leaves out {', '.join(left_out)}: batches would not be zones any more, and all hosts of a"
            " versioned build have to watch it; run this without --limit"
        )
    for name, row in found.items():
        if len(row.builds) > 1:
            problems.append(
                f"{name}: {' and '.join(_places(row.builds))} are declared; every host has to have the same build"
            )
    return {
        "rollouts": [
            {"name": name, "build": row.deployment["build"], "hosts": row.hosts} for name, row in found.items()
        ],
        "unknown": unknown,
        "problems": problems,
    }
