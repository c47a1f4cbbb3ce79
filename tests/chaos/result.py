"""What one run of a case showed, as a file: made of the books of the ledger, read by the report."""

from __future__ import annotations

import json
import math
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

import tests.conftest  # noqa: F401  makes the checkout importable as the collection that it is

# isort: split
from ansible_collections.zerospof.temporal.plugins.module_utils._calls import CLIENTS, OF_SDK, PATIENT, Call, summary

from tests.chaos.cases import Case
from tests.chaos.verdict import Verdict

SCHEMA_VERSION = 1
DIRECTORY = Path(__file__).parent / "results"
SOME = 20
# What a patient client may wait until it asks again.
RETRY_SECONDS = 2.0


def lasted(gap: float, gap_from: float, held: float) -> bool:
    """Tell whether a gap, which began ``gap_from`` seconds after the fault, is most of a fault and outlived it."""
    return gap_from + gap >= held and gap > held / 2


@dataclass(frozen=True)
class Client:
    """What one client saw; seconds.

    ``gap_from`` counts from the fault, ``gap_before`` is the longest one before it, ``slowest`` the longest call
    (``None`` in files of before anybody looked).
    """

    calls: int
    errors: Mapping[str, int]
    longest_gap: float
    gap_from: float
    gap_before: float
    slowest: float | None = None

    @property
    def failed(self) -> int:
        """How many calls were not acknowledged."""
        return sum(self.errors.values())


@dataclass(frozen=True)
class Result:
    """One run.

    ``started`` is UTC in ISO 8601, ``victims`` the hosts or zones that were hit, ``held_seconds`` the time from the
    fault until it was healed, ``found`` how often each thing happened that must not, ``problems`` some of them in
    words, ``busy_percent`` the share of the processors that was in use (``None``: nobody looked), ``versions`` those of
    the software by its name, ``second_judge`` whether the command line could start its workflow ``during`` the fault or
    only ``after`` it (empty: nobody noted it).
    """

    case: str
    profile: str
    started: str
    command: str
    victims: Sequence[str]
    held_seconds: float
    per_second: float
    clients: Mapping[str, Client]
    starts: int
    signals: int
    found: Mapping[str, int]
    problems: Sequence[str]
    hosts: int
    machine: str
    busy_percent: int | None
    versions: Mapping[str, str]
    commit: str
    second_judge: str = ""
    schema_version: int = SCHEMA_VERSION

    @property
    def gap(self) -> float:
        """The longest gap that a client of the SDK saw."""
        return max(self.clients[name].longest_gap for name in OF_SDK)

    @property
    def slowest(self) -> float | None:
        """How long the slowest call of a client of the SDK took; ``None`` when nobody looked."""
        known = [slowest for name in OF_SDK if (slowest := self.clients[name].slowest) is not None]
        return max(known, default=None)

    @property
    def harm(self) -> dict[str, int]:
        """What happened that must not, and how often."""
        return {kind: count for kind, count in self.found.items() if count}

    @property
    def kept(self) -> bool:
        """Whether everything that was acknowledged was kept, once, and in every store."""
        return not self.harm

    @property
    def stopped(self) -> bool:
        """Whether a client of the SDK had no success before what was broken came back."""
        own = [self.clients[name] for name in OF_SDK]
        return any(lasted(client.longest_gap, client.gap_from, self.held_seconds) for client in own)


def books_of(
    case: Case, calls: Sequence[Call], verdict: Verdict, disputed: Sequence[str], fault_at: float
) -> dict[str, Any]:
    """Return those fields of a result that the books of the ledger decide, and what the second judge says of them."""
    acked = [call.kind for call in calls if call.acked and call.flavour in CLIENTS]
    return {
        "clients": {
            name: Client(**summary([call for call in calls if call.flavour == name], fault_at, case.counted))
            for name in CLIENTS
        },
        "starts": acked.count("start"),
        "signals": acked.count("signal"),
        "found": {kind.name: len(getattr(verdict, kind.name)) for kind in fields(verdict)}
        | {"disputed": len(disputed)},
        "problems": [*verdict.problems, *(f"disputed: {problem}" for problem in disputed)][:SOME],
    }


def to_text(result: Result) -> str:
    """Return the content of the file of a result."""
    return json.dumps(asdict(result), indent=2) + "\n"


GAP, SLOWEST, FAILED = "longest gap", "slowest call", "failed calls"


def beyond(case: Case, result: Result) -> dict[str, str]:
    """Return what of the waiting and of the errors is more than the case allows: a sentence by its name."""
    target, failed = case.targets[result.profile], result.clients[PATIENT].failed
    found = {}
    if target is not None and result.gap > target:
        found[GAP] = f"longest gap {result.gap:.1f} s, target {target:g} s"
    if target is not None and result.slowest is not None and result.slowest > target + RETRY_SECONDS:
        found[SLOWEST] = (
            f"slowest call {result.slowest:.1f} s, target {target:g} s and {RETRY_SECONDS:g} s to ask again"
        )
    # No budget for retries is meant to last until somebody comes.
    if failed and result.profile not in case.stops:
        found[FAILED] = f"{failed} calls failed with the collection's settings"
    return found


def shortcomings(case: Case, result: Result) -> list[str]:
    """Return what is not as the case demands, one sentence each."""
    found = [f"{kind} {count}" for kind, count in result.found.items() if count] + [*beyond(case, result).values()]
    if result.profile in case.stops and not result.stopped:
        found.append("it went on, although there is no second one of it")
    return found


class ResultError(Exception):
    """A file is no whole result; the message says what is wrong with it."""


def from_text(text: str) -> Result:
    """Return the result of the content of a file.

    Raises:
        ResultError: it was written by another version of this module, or is not whole.
    """
    try:
        row = json.loads(text)
        if row["schema_version"] != SCHEMA_VERSION:
            raise ResultError(f"schema_version {row['schema_version']}, not {SCHEMA_VERSION}: measure again")
        clients = {name: Client(**client) for name, client in row.pop("clients").items()}
        result = Result(**row, clients=clients)
    except (ValueError, TypeError, AttributeError, KeyError) as error:
        raise ResultError(f"no result: {type(error).__name__}: {error}") from error
    if absent := set(CLIENTS) - set(clients):
        raise ResultError(f"nothing of {', '.join(sorted(absent))}")
    for name, client in clients.items():
        if not client.calls or not 0 <= client.longest_gap < math.inf:
            raise ResultError(f"{name}: {client.calls} calls with a longest gap of {client.longest_gap} s")
    if not all(isinstance(count, int) and count >= 0 for count in result.found.values()):
        raise ResultError(f"found {result.found}")
    return result


def write(result: Result, chart: str, directory: Path = DIRECTORY) -> Path:
    """Write a result and beside it the picture of its run; return the file."""
    moment = result.started.replace("-", "").replace(":", "")
    path = directory / result.profile / result.case / f"{moment}.json"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.with_suffix(".svg").write_text(chart, encoding="utf-8")
    # A result is there when it is whole, its picture included.
    draft = path.with_suffix(".new")
    draft.write_text(to_text(result), encoding="utf-8")
    return draft.rename(path)


@dataclass(frozen=True)
class Run:
    """A result with the picture of its run."""

    result: Result
    chart: str


def read(path: Path) -> Run:
    """Return what a file and its picture have.

    Raises:
        ResultError: it is no result, or not where its content belongs.
    """
    try:
        run = Run(from_text(path.read_text(encoding="utf-8")), path.with_suffix(".svg").read_text(encoding="utf-8"))
        if (run.result.profile, run.result.case) != path.parts[-3:-1]:
            raise ResultError(f"is of {run.result.profile}, {run.result.case}")
    except (ResultError, OSError) as error:
        raise ResultError(f"{path}: {error}") from error
    return run


def read_all(directory: Path = DIRECTORY) -> list[Run]:
    """Return all results that there are, the oldest first.

    Raises:
        ResultError: a file is none, or is not where its content belongs; the message names it.
    """
    runs = [read(path) for path in sorted(directory.rglob("*.json"))]
    return sorted(runs, key=lambda run: (run.result.started, run.result.profile, run.result.case))


@dataclass(frozen=True)
class Row:
    """All runs of a case on a profile."""

    case: Case
    profile: str
    runs: Sequence[Run]

    @property
    def target(self) -> float | None:
        """The longest gap that is allowed; ``None`` when the case has none."""
        return self.case.targets[self.profile]

    @property
    def gaps(self) -> list[float]:
        """The longest gap of each run."""
        return [run.result.gap for run in self.runs]

    @property
    def median(self) -> float:
        """The median of the longest gaps."""
        return statistics.median(self.gaps)

    @property
    def worst(self) -> Run:
        """The run with the longest gap."""
        return max(self.runs, key=lambda run: run.result.gap)

    @property
    def missed(self) -> list[str]:
        """What was more than the case allows in any run, by its names."""
        return list(dict.fromkeys(name for run in self.runs for name in beyond(self.case, run.result)))

    @property
    def met(self) -> bool | None:
        """Whether no run was worse than the case allows; ``None`` when there is no run or no target."""
        return None if not self.runs or self.target is None else not self.missed

    @property
    def kept(self) -> bool:
        """Whether nothing that was acknowledged was lost, duplicated or stuck in any run."""
        return all(run.result.kept for run in self.runs)

    def failed(self, client: str) -> int:
        """How many calls of one client failed in all runs."""
        return sum(run.result.clients[client].failed for run in self.runs)

    def found(self, kind: str) -> int:
        """How often something happened in all runs that must not."""
        return sum(run.result.found.get(kind, 0) for run in self.runs)


def rows(profile: str, cases: Sequence[Case], runs: Sequence[Run]) -> list[Row]:
    """Return one row for each case, also for those that nobody has run yet.

    Raises:
        ResultError: a result is of a case that the profile does not have (any more).
    """
    of_profile = [run for run in runs if run.result.profile == profile]
    unknown = {run.result.case for run in of_profile} - {case.name for case in cases}
    if unknown:
        raise ResultError(f"results of {profile} without a case: {', '.join(sorted(unknown))}")
    return [Row(case, profile, [run for run in of_profile if run.result.case == case.name]) for case in cases]
