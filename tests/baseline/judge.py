"""What became of the jobs of one run of an experiment: pure functions over what the ledger and Airflow say."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

# States of a run in which Airflow is done with it; in any other it is shown as waiting or running.
FINAL = ("success", "failed")
# Airflow takes some seconds from one job to the next.
QUIET_SECONDS = 30


@dataclass
class Job:
    """One job; times are seconds since the epoch.

    ``accepted`` is ``None`` until the client was told, ``started`` and ``ended`` are the times at which the job itself
    told the ledger.
    """

    queue: str
    accepted: bool | None = None
    started: list[float] = field(default_factory=list)
    ended: list[float] = field(default_factory=list)


Jobs = Mapping[str, Job]


@dataclass(frozen=True)
class Verdict:
    """How many jobs were accepted, and of how many of them what is true that must not be."""

    jobs: int
    lost: int
    duplicated: int
    stuck: int


@dataclass(frozen=True)
class Gap:
    """The longest time in seconds in which no job of a queue ended; ``since`` counts from the fault."""

    queue: str
    seconds: float
    since: float


def accepted(jobs: Jobs) -> dict[str, Job]:
    """Return the jobs that the client was told of that they are accepted."""
    return {name: job for name, job in jobs.items() if job.accepted}


def unfinished(jobs: Jobs, states: Mapping[str, str]) -> set[str]:
    """Return the accepted jobs with which Airflow is not done by its own account."""
    return {name for name in accepted(jobs) if name in states and states[name] not in FINAL}


def under_way(jobs: Jobs, queue: str) -> set[str]:
    """Return the jobs of a queue that have started more often than they have ended."""
    return {name for name, job in jobs.items() if job.queue == queue and len(job.started) > len(job.ended)}


def is_quiet(jobs: Jobs, healed: float, now: float) -> bool:
    """Tell whether no job has started or ended for a while, since the repair at the earliest."""
    heard = (moment for job in jobs.values() for moment in (*job.started, *job.ended))
    return now - max([healed, *heard]) > QUIET_SECONDS


def judge(jobs: Jobs, quiet: Mapping[str, str], final: Mapping[str, str]) -> Verdict:
    """Return what became of the accepted jobs.

    ``quiet`` are the states when nothing had happened for a while though some jobs were not done: those are stuck, also
    when Airflow finds that out later. ``final`` are those at the end. A job that has not ended then, and that Airflow
    is done with or does not know, is lost; one that ran to its end more than once is duplicated.
    """
    ours, open_ones = accepted(jobs), unfinished(jobs, final)
    return Verdict(
        jobs=len(ours),
        lost=sum(not job.ended for name, job in ours.items() if name not in open_ones),
        duplicated=sum(len(job.ended) > 1 for job in ours.values()),
        stuck=len(unfinished(jobs, quiet) | open_ones),
    )


def longest_after(moments: Iterable[float], fault: float) -> tuple[float, float]:
    """Return the beginning and the length of the longest time between two moments that ended after the fault."""
    pairs = [(begin, end - begin) for begin, end in itertools.pairwise(sorted(moments)) if end > fault]
    return max(pairs, key=lambda pair: pair[1])


def gap(jobs: Jobs, queues: Sequence[str], fault: float, until: float) -> Gap:
    """Return the longest gap of the queue that suffered most, of which jobs ended before the fault.

    ``until``, later than the fault, is when the client stopped: a queue of which nothing has ended since has a gap that
    reaches up to it, and what ended later says nothing about how steadily.
    """
    found = []
    for queue in queues:
        ends = [moment for job in jobs.values() if job.queue == queue for moment in job.ended if moment < until]
        begin, seconds = longest_after([*ends, until], fault)
        found.append(Gap(queue, round(seconds, 1), round(begin - fault, 1)))
    return max(found, key=lambda one: one.seconds)


def has_resumed(jobs: Jobs, queues: Sequence[str], healed: float, ends: int) -> bool:
    """Tell whether so many jobs of every queue have ended since the repair."""
    return all(
        sum(moment > healed for job in jobs.values() if job.queue == queue for moment in job.ended) >= ends
        for queue in queues
    )


def table(jobs: Jobs) -> str:
    """Return the sums for people, one line for each queue."""
    lines = []
    for queue in sorted({job.queue for job in jobs.values()}):
        mine = [job for job in jobs.values() if job.queue == queue]
        sums = {
            "submitted": len(mine),
            "accepted": sum(job.accepted is True for job in mine),
            "started": sum(bool(job.started) for job in mine),
            "started again": sum(len(job.started) > 1 for job in mine),
            "ended": sum(bool(job.ended) for job in mine),
        }
        lines.append(f"   queue {queue}: " + ", ".join(f"{count} {what}" for what, count in sums.items()))
    return "\n".join(lines)


def pinned(requirements: str) -> dict[str, str]:
    """Return the versions that a file of requirements names, by package."""
    lines = (line.partition("#")[0].strip() for line in requirements.splitlines())
    return dict(line.split("==") for line in lines if "==" in line)
