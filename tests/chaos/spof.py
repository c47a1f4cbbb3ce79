"""What stops when one part fails: the system of before, the smallest cluster and the one for production side by side.

Pure functions over result files: those of the chaos suite, and those of :mod:`tests.baseline.result`. What has no file
is not measured, and nothing here is known from elsewhere.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from tests.baseline.result import Outcome
from tests.chaos.cases import of_profile
from tests.chaos.result import Result, Run

NOT_MEASURED = "not measured"
# A part that a system does not have.
NOT_THERE = ""
BASIC, PRODUCTION = "basic", "ha_cassandra"
COLUMNS = ("what fails", "Airflow, Celery, Redis", f"`{BASIC}`", f"`{PRODUCTION}`")


@dataclass(frozen=True)
class Part:
    """What fails: of the system of before an experiment, empty where it has no such part, and of this one a case."""

    title: str
    experiment: str
    case: str


PARTS = (
    Part("what decides what runs next: scheduler; host of a Temporal server", "scheduler", "server-host"),
    Part(
        "what hands tasks to workers: Redis, away for a minute; matching service, killed and started again by systemd",
        "broker",
        "matching-killed",
    ),
    Part(
        "the database: of Airflow; host of the PostgreSQL primary, which serves searches alone on `ha_cassandra`",
        "database",
        "primary-host",
    ),
    Part("both Cassandra nodes of a zone", "", "two-node-hosts"),
    Part("workers: the only one of a queue; all hosts but one", "worker", "workers-but-one"),
    Part("host of the address that clients use", "", "vip-holder-host"),
    Part("a whole place: host of scheduler and Redis; zone of the PostgreSQL primary", "host", "zone-of-primary-dead"),
)


@dataclass(frozen=True)
class Fate:
    """What became of one run: whether everything stopped until the repair, for how long, and what came to harm."""

    stopped: bool
    gap: float
    held_seconds: float
    harm: Mapping[str, int]


def fate(result: Result | Outcome) -> Fate:
    """Return the fate of one run of either system."""
    return Fate(result.stopped, result.gap, result.held_seconds, result.harm)


def cell(fates: Sequence[Fate]) -> str:
    """Return what all runs together say: that of the worst one, and the harm of all."""
    if not fates:
        return NOT_MEASURED
    worst = max(fates, key=lambda one: (one.stopped, one.gap))
    harm = sum((Counter(one.harm) for one in fates), Counter())
    told = f"goes on after {worst.gap:.1f} s"
    if worst.stopped:
        # Of a fault that lasted a minute, more than another one.
        how = "stops, and for long after it is back" if worst.gap > 2 * worst.held_seconds else "stops until it is back"
        told = f"**{how}** ({worst.gap:.0f} s of a fault of {worst.held_seconds:.0f} s)"
    harmed = ", ".join(f"**{count} {kind}**" for kind, count in harm.items()) or "nothing lost"
    return f"{told}; {harmed}; {len(fates)} run{'s' * (len(fates) > 1)}"


def of_case(name: str, profile: str, runs: Sequence[Run]) -> str:
    """Return the cell of a case on a profile."""
    if name not in {case.name for case in of_profile(profile)}:
        return NOT_THERE
    return cell([fate(run.result) for run in runs if (run.result.case, run.result.profile) == (name, profile)])


def of_experiment(name: str, outcomes: Sequence[Outcome]) -> str:
    """Return the cell of an experiment."""
    return cell([fate(one) for one in outcomes if one.experiment == name]) if name else NOT_THERE


def lines(runs: Sequence[Run], outcomes: Sequence[Outcome]) -> list[list[str]]:
    """Return the lines of the table, in the order of ``COLUMNS``."""
    return [
        [
            part.title,
            of_experiment(part.experiment, outcomes),
            *(of_case(part.case, profile, runs) for profile in (BASIC, PRODUCTION)),
        ]
        for part in PARTS
    ]
