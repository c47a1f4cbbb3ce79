"""What an experiment on Airflow with Celery and Redis showed, as a file.

The report reads these files from tests/baseline/results; without one, it says "not measured". A file is made by whoever
starts such a system with an equivalent job, breaks what the experiment says for ``held_seconds``, and counts.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from tests.chaos.result import ResultError, lasted

SCHEMA_VERSION = 1
DIRECTORY = Path(__file__).parent / "results"
# What is broken, by the name of the experiment.
EXPERIMENTS = {
    "scheduler": "the scheduler is killed and stays away",
    "broker": "Redis is killed and stays away",
    "database": "the metadata database is killed and stays away",
    "worker": "the only worker of one of two queues is killed in the middle of a task and stays away",
    "host": "the host of scheduler and broker dies",
}


@dataclass(frozen=True)
class Outcome:
    """One run of an experiment.

    ``started`` is UTC in ISO 8601. ``gap`` is the longest time in seconds between two jobs that ended one after the
    other, of the queue that suffered most, and ``gap_from`` when it began, counted from the fault. Of ``jobs`` accepted
    ones, ``lost`` never ran to their end without somebody's help, ``duplicated`` ran to it more than once, and
    ``stuck`` were shown as waiting or running although nothing ran them, for a while or for good.
    """

    experiment: str
    started: str
    command: str
    held_seconds: float
    gap: float
    gap_from: float
    jobs: int
    lost: int
    duplicated: int
    stuck: int
    machine: str
    versions: Mapping[str, str]
    schema_version: int = SCHEMA_VERSION

    @property
    def stopped(self) -> bool:
        """Whether nothing went on before what was broken came back."""
        return lasted(self.gap, self.gap_from, self.held_seconds)

    @property
    def harm(self) -> dict[str, int]:
        """What happened that must not, and how often."""
        return {kind: getattr(self, kind) for kind in ("lost", "duplicated", "stuck") if getattr(self, kind)}


def outcome_of(row: Any) -> Outcome:  # noqa: ANN401
    """Return the outcome of the content of a file.

    Raises:
        ResultError: it is none, or of another version of this module.
    """
    try:
        if row["schema_version"] != SCHEMA_VERSION:
            raise ResultError(f"schema_version {row['schema_version']}, not {SCHEMA_VERSION}: measure again")
        outcome = Outcome(**row)
    except (TypeError, KeyError) as error:
        raise ResultError(f"no outcome: {type(error).__name__}: {error}") from error
    if outcome.experiment not in EXPERIMENTS:
        raise ResultError(f"no experiment {outcome.experiment}; there are: {', '.join(EXPERIMENTS)}")
    if not outcome.jobs or not 0 <= outcome.gap < math.inf:
        raise ResultError(f"{outcome.jobs} jobs with a longest gap of {outcome.gap} s")
    return outcome


def write(outcome: Outcome, directory: Path = DIRECTORY) -> Path:
    """Write an outcome; return the file."""
    moment = outcome.started.replace("-", "").replace(":", "")
    path = directory / outcome.experiment / f"{moment}.json"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(asdict(outcome), indent=2) + "\n", encoding="utf-8")
    return path


def read_all(directory: Path = DIRECTORY) -> Sequence[Outcome]:
    """Return all outcomes that there are, the oldest first.

    Raises:
        ResultError: a file is none; the message names it.
    """
    found = []
    for path in sorted(directory.rglob("*.json")):
        try:
            found.append(outcome_of(json.loads(path.read_text(encoding="utf-8"))))
        except (ResultError, ValueError) as error:
            raise ResultError(f"{path}: {error}") from error
    return sorted(found, key=lambda outcome: (outcome.started, outcome.experiment))
