"""Whether the cluster kept what it acknowledged: pure functions over a client's record and what is there afterwards."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields, replace

import tests.conftest  # noqa: F401  makes the checkout importable as the collection that it is

# isort: split
from ansible_collections.zerospof.temporal.plugins.module_utils._calls import COMPLETE, Call, errors, longest_gap


@dataclass(frozen=True)
class Seen:
    """A workflow as the cluster tells of it afterwards.

    ``runs``: executions with its id. ``ended``: the terminal events of its history, by their names. ``right``: its
    result is the one of its input. ``signals``: how often its history has each token. ``whole``: the events of its
    history are numbered without a gap, and the first is its start. ``closed``: when it ended, in seconds of the wall
    clock. ``timeouts``: how many of its tasks nobody ended before their time was over.
    """

    runs: int
    ended: tuple[str, ...]
    right: bool
    signals: Mapping[str, int]
    whole: bool
    closed: float | None = None
    timeouts: int = 0


@dataclass(frozen=True)
class Verdict:
    """What must not have happened, each with the workflow that it happened to; empty lists are what is wanted.

    ``broken`` is what the cluster itself lacks after the load.
    """

    lost: list[str] = field(default_factory=list)
    duplicated: list[str] = field(default_factory=list)
    stuck: list[str] = field(default_factory=list)
    wrong: list[str] = field(default_factory=list)
    unseen: list[str] = field(default_factory=list)
    broken: list[str] = field(default_factory=list)

    @property
    def problems(self) -> list[str]:
        """Everything that was found, one line each."""
        return [f"{kind.name}: {problem}" for kind in fields(self) for problem in getattr(self, kind.name)]


def judge(calls: Sequence[Call], seen: Mapping[str, Seen], visible: int) -> Verdict:
    """Judge what became of ``calls``.

    ``seen``: the workflows that exist, by id. ``visible``: how many completed ones the visibility store counts.
    """
    verdict = Verdict()
    for call in calls:
        there = seen.get(call.workflow_id)
        if call.kind == "start" and call.acked and there is None:
            verdict.lost.append(f"{call.workflow_id} was acknowledged and is not there")
        elif call.kind == "signal" and there is not None:
            times = there.signals.get(call.token, 0)
            if times > 1:
                verdict.duplicated.append(f"{call.workflow_id} has the signal {call.token} {times} times")
            elif call.acked and times == 0:
                verdict.lost.append(f"{call.workflow_id} does not have the acknowledged signal {call.token}")
    for name, workflow in seen.items():
        if workflow.runs > 1 or len(workflow.ended) > 1:
            verdict.duplicated.append(f"{name} has {workflow.runs} runs, which ended {len(workflow.ended)} times")
        if not workflow.ended:
            verdict.stuck.append(f"{name} has not ended")
        elif workflow.ended != ("COMPLETED",) or not workflow.right:
            verdict.wrong.append(
                f"{name} ended as {', '.join(workflow.ended)} with {'the' if workflow.right else 'a wrong'} result"
            )
        if not workflow.whole:
            verdict.wrong.append(f"{name} has a history with gaps")
    completed = sum("COMPLETED" in workflow.ended for workflow in seen.values())
    if completed != visible:
        verdict.unseen.append(f"{completed} workflows completed, and the visibility store counts {visible}")
    return verdict


def completions(calls: Sequence[Call], seen: Mapping[str, Seen]) -> list[Call]:
    """Return the ends of the acknowledged workflows that are over, each as a call of the client that started it."""
    return [
        replace(call, kind=COMPLETE, ended=closed)
        for call in calls
        if call.kind == "start" and call.acked and call.workflow_id in seen
        if (closed := seen[call.workflow_id].closed) is not None
    ]


def table(calls: Sequence[Call], verdict: Verdict) -> str:
    """Return the figures for people."""
    flavours = list(dict.fromkeys(call.flavour for call in calls))
    lines = [f"{'client':<16}  {'calls':>6}  {'errors':>6}  {'longest gap':>11}  errors by kind"]
    for flavour in flavours:
        own = [call for call in calls if call.flavour == flavour]
        kinds = errors(own)
        shown = ", ".join(f"{count} x {kind}" for kind, count in kinds.most_common()) or "-"
        lines.append(f"{flavour:<16}  {len(own):>6}  {kinds.total():>6}  {longest_gap(own):>9.1f} s  {shown}")
    counts = ", ".join(f"{kind.name} {len(getattr(verdict, kind.name))}" for kind in fields(verdict))
    started = sum(call.kind == "start" and call.acked for call in calls)
    signalled = sum(call.kind == "signal" and call.acked for call in calls)
    lines.append(f"of {started} acknowledged starts and {signalled} acknowledged signals: {counts}")
    return "\n".join([*lines, *(f"  {problem}" for problem in verdict.problems)])
