"""What became of the jobs of the system of before is judged by what they said themselves, and by what Airflow shows."""

from __future__ import annotations

import ast
import urllib.error
import urllib.request

import pytest
import yaml

from tests.baseline import run
from tests.baseline.judge import (
    FINAL,
    QUIET_SECONDS,
    Gap,
    Job,
    Verdict,
    gap,
    has_resumed,
    is_quiet,
    judge,
    pinned,
    table,
    under_way,
    unfinished,
)
from tests.baseline.ledger import Ledger, listening
from tests.baseline.result import EXPERIMENTS

FAULT = 100.0


def job(queue: str = "a", ended: tuple[float, ...] = (), started: tuple[float, ...] | None = None) -> Job:
    """Return an accepted job that started two seconds before each of its ends, or when it is said."""
    return Job(queue, True, [moment - 2 for moment in ended] if started is None else [*started], [*ended])


def steadily(queue: str, *moments: float) -> dict[str, Job]:
    """Return one job for each of the moments at which they ended."""
    return {f"{queue}-{moment:g}": job(queue, (moment,)) for moment in moments}


@pytest.mark.parametrize(
    ("one", "quiet", "final", "verdict"),
    [
        (job(ended=(105,)), None, "success", Verdict(1, 0, 0, 0)),
        (job(started=(99,)), None, "failed", Verdict(1, 1, 0, 0)),
        (job(), None, None, Verdict(1, 1, 0, 0)),
        (job(started=(99,)), "running", "running", Verdict(1, 0, 0, 1)),
        (job(), "queued", "queued", Verdict(1, 0, 0, 1)),
        (job(started=(99, 400), ended=(402,)), "running", "success", Verdict(1, 0, 0, 1)),
        (job(ended=(99, 402)), "running", "success", Verdict(1, 0, 1, 1)),
        (job(ended=(99,)), "running", "failed", Verdict(1, 0, 0, 1)),
        (Job("a", False), None, None, Verdict(0, 0, 0, 0)),
        (Job("a", None, [99.0]), "running", "running", Verdict(0, 0, 0, 0)),
    ],
    ids=[
        "done", "given up", "forgotten", "shown as running", "shown as waiting", "found out later", "done twice",
        "done and shown as failed", "refused", "no answer",
    ],
)  # fmt: skip
def test_every_accepted_job_is_judged_by_what_it_said_and_by_what_is_shown(
    one: Job, quiet: str | None, final: str | None, verdict: Verdict
) -> None:
    before, after = ({} if state is None else {"x": state} for state in (quiet, final))
    assert judge({"x": one}, before, after) == verdict


def test_only_accepted_jobs_in_a_state_that_is_not_the_last_are_unfinished() -> None:
    jobs = {"done": job(), "failed": job(), "runs": job(), "unknown": job(), "refused": Job("a", False)}
    states = {"done": FINAL[0], "failed": FINAL[1], "runs": "running", "refused": "queued", "of another run": "queued"}
    assert unfinished(jobs, states) == {"runs"}


def test_the_gap_is_that_of_the_queue_that_suffered_most() -> None:
    jobs = steadily("a", 90, 95, 101, 104, 164, 167) | steadily("b", 91, 94, 97, 100.5, 103, 170)
    assert gap(jobs, ("a", "b"), FAULT, until=172) == Gap("b", 67.0, 3.0)


def test_what_was_before_the_fault_is_no_gap_of_it_and_what_reaches_into_it_is() -> None:
    slow_before = steadily("a", 10, 90, 98, 103, 106)
    assert gap(slow_before, ("a",), FAULT, until=107) == Gap("a", 5.0, -2.0)


def test_a_queue_that_never_went_on_has_a_gap_up_to_the_end_of_the_load_and_no_longer() -> None:
    assert gap(steadily("a", 98, 500), ("a",), FAULT, until=340) == Gap("a", 242.0, -2.0)


def test_it_goes_on_when_enough_jobs_of_every_queue_have_ended_since_the_repair() -> None:
    jobs = steadily("a", 150, 161, 162) | steadily("b", 158, 159, 163)
    assert has_resumed(jobs, ("a", "b"), 160, ends=1)
    assert not has_resumed(jobs, ("a", "b"), 160, ends=2)


def test_a_job_is_under_way_from_a_start_to_its_end() -> None:
    jobs = {
        "done": job("b", (5,)),
        "runs": job("b", started=(4,)),
        "again": job("b", started=(4, 9), ended=(6,)),
        "waits": job("b"),
        "elsewhere": job("a", started=(4,)),
    }
    assert under_way(jobs, "b") == {"runs", "again"}


@pytest.mark.parametrize(
    ("heard", "healed", "now", "quiet"),
    [
        (100.0, 160.0, 160.0 + QUIET_SECONDS, False),
        (100.0, 160.0, 161.0 + QUIET_SECONDS, True),
        (190.0, 160.0, 161.0 + QUIET_SECONDS, False),
    ],
)
def test_nothing_goes_on_when_no_job_was_heard_of_for_a_while_after_the_repair(
    heard: float, healed: float, now: float, quiet: bool
) -> None:
    assert is_quiet({"x": job(started=(heard,))}, healed, now) is quiet


def test_the_sums_tell_jobs_from_attempts() -> None:
    jobs = {"x": job(started=(1, 2), ended=(3,)), "y": Job("a", False), "z": job("b")}
    assert table(jobs).splitlines() == [
        "   queue a: 2 submitted, 1 accepted, 1 started, 1 started again, 1 ended",
        "   queue b: 1 submitted, 1 accepted, 0 started, 0 started again, 0 ended",
    ]


def test_versions_are_those_of_the_requirements() -> None:
    assert pinned("# why\nairflow==2.1 # so\n\ncelery==5.0\n") == {"airflow": "2.1", "celery": "5.0"}
    assert {"apache-airflow", "celery"} <= {*pinned((run.HERE / "requirements.txt").read_text())}


def test_every_experiment_has_something_to_break_that_is_there() -> None:
    inventory = yaml.safe_load((run.HERE / "hosts.yml").read_text())["all"]["children"]
    hosts = {name for group in inventory.values() for name in group["hosts"]}
    assert {*run.TARGETS} == {*EXPERIMENTS}
    assert {target.host for target in run.TARGETS.values()} <= hosts
    services = {group["vars"]["airflow_service"]["name"] for group in inventory.values() if "vars" in group}
    airflow = {target.unit for target in run.TARGETS.values() if target.unit.startswith("airflow")}
    assert airflow == {f"{name}.service" for name in services}


def test_worker_of_each_queue_is_there_and_jobs_for_it() -> None:
    inventory = yaml.safe_load((run.HERE / "hosts.yml").read_text())["all"]["children"]
    workers = inventory["airflow_workers"]["hosts"]
    assert sorted(worker["airflow_queue"] for worker in workers.values()) == sorted(run.QUEUES)
    assert workers[run.TARGETS["worker"].host]["airflow_queue"] == run.MIDDLE["worker"]
    # Airflow alone can import it.
    assigned = {
        node.targets[0].id: ast.literal_eval(node.value)
        for node in ast.parse((run.HERE / "jobs.py").read_text()).body
        if isinstance(node, ast.Assign) and node.targets[0].id in ("QUEUES", "JOB_SECONDS")  # type: ignore[attr-defined]
    }
    assert assigned["QUEUES"] == run.QUEUES
    assert assigned["JOB_SECONDS"] < run.PERIOD_SECONDS


def test_ids_are_those_of_one_run_and_one_queue() -> None:
    ledger = Ledger("broker-1", ("a", "b"))
    assert ledger.intend() == [("a", "broker-1-a-0"), ("b", "broker-1-b-0")]
    assert ledger.intend() == [("a", "broker-1-a-1"), ("b", "broker-1-b-1")]
    ledger.hear("accepted", "broker-1-a-0")
    ledger.hear("refused", "broker-1-b-0")
    assert [one.accepted for one in ledger.books().values()] == [True, False, None, None]


def test_the_ledger_hears_jobs_and_refuses_what_it_does_not_know() -> None:
    ledger = Ledger("x", ("a",))
    ledger.intend()

    def post(path: str) -> int:
        with urllib.request.urlopen(urllib.request.Request(path, method="POST"), timeout=10) as answer:
            return answer.status

    with listening(ledger, "127.0.0.1") as url:
        assert post(f"{url}/started/x-a-0") == 204
        with pytest.raises(urllib.error.HTTPError, match="404"):
            post(f"{url}/ended/nobody")
        books = ledger.books()
        assert post(f"{url}/ended/x-a-0") == 204
    assert (len(books["x-a-0"].started), len(books["x-a-0"].ended)) == (1, 0)
    assert len(ledger.books()["x-a-0"].ended) == 1


def test_a_unit_that_is_kept_away_leaves_no_trace_when_it_is_back() -> None:
    unit = run.TARGETS["broker"].unit
    folder = f"/run/systemd/system/{unit}.d"
    assert folder in run.keep_away(unit)
    assert run.bring_back(unit).startswith(f"rm -rf {folder} ")
