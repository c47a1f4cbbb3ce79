"""The runner of workers: its settings, what it can serve, and what it refuses."""

from __future__ import annotations

import asyncio
import contextlib
import os
import re
import signal
import socket
import sys
import textwrap
import threading
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from ansible_collections.zerospof.temporal.plugins.module_utils import _worker_client
from temporalio.api.deployment.v1 import VersionDrainageInfo, WorkerDeploymentVersionInfo
from temporalio.api.deployment.v1 import WorkerDeploymentVersion as Version
from temporalio.api.enums.v1 import VersionDrainageStatus
from temporalio.api.workflowservice.v1 import (
    CountWorkflowExecutionsResponse,
    DescribeWorkerDeploymentVersionResponse,
)
from temporalio.bridge.proto.workflow_activation import (
    FireTimer,
    RemoveFromCache,
    WorkflowActivation,
    WorkflowActivationJob,
)
from temporalio.service import RPCError, RPCStatusCode
from temporalio.worker import ActivityInboundInterceptor

import tests.workers  # noqa: F401  (lets the programs of worker hosts be imported)

# isort: split
import temporal_worker_runner as runner

ROOT = Path(__file__).resolve().parents[2]
ENVIRONMENT = {
    "TEMPORAL_ADDRESS": "one:7233",
    "TEMPORAL_NAMESPACE": "production",
    "TEMPORAL_WORKER_IDENTITY": "networking@worker-a#1",
    "TEMPORAL_WORKER_TASK_QUEUE": "queue",
}
PACKAGE = """
    from temporalio import activity, workflow

    @activity.defn
    async def first() -> None: ...

    @activity.defn
    async def second() -> None: ...

    class Methods:
        @activity.defn
        async def third(self) -> None: ...

    class Needy:
        def __init__(self, database) -> None: ...
        @activity.defn
        async def fourth(self) -> None: ...

    @workflow.defn
    class Flow:
        @workflow.run
        async def run(self) -> None: ...
"""


@pytest.fixture
def load(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., object]:
    """Write the package and load what ``workflows`` and ``activities`` refer to."""
    (tmp_path / "team_package.py").write_text(textwrap.dedent(PACKAGE), encoding="utf-8")
    (tmp_path / "team_broken.py").write_text("raise RuntimeError('no licence')", encoding="utf-8")
    (tmp_path / "team_empty.py").write_text("", encoding="utf-8")
    monkeypatch.syspath_prepend(str(tmp_path))
    for name in [name for name in sys.modules if name.startswith("team_")]:
        monkeypatch.delitem(sys.modules, name)

    def _load(workflows: str = "", activities: str = "") -> object:
        values = {"TEMPORAL_WORKER_WORKFLOWS": workflows, "TEMPORAL_WORKER_ACTIVITIES": activities}
        return runner.Program.load(runner.Settings.from_environment(ENVIRONMENT | values))

    return _load


def names(definitions: list[Callable[..., object]]) -> set[str]:
    """Return the names of functions and classes."""
    return {definition.__name__ for definition in definitions}


def test_a_module_stands_for_all_that_is_in_it(load: Callable[..., object]) -> None:
    program = load("team_package", "team_package")
    assert names(program.workflows) == {"Flow"}
    assert names(program.activities) == {"first", "second"}


def test_single_definitions_can_be_chosen(load: Callable[..., object]) -> None:
    program = load("team_package:Flow", "team_package:second team_package:Methods")
    assert names(program.activities) == {"second", "third"}


@pytest.mark.parametrize(
    ("reference", "reason"),
    [
        ("team_absent", "cannot import team_absent: ModuleNotFoundError"),
        ("team_broken", "cannot import team_broken: RuntimeError: no licence"),
        ("team_package:absent", "module team_package has no absent"),
        ("team_empty", "there is no @activity.defn function"),
        ("team_package:Needy", "cannot make one: TypeError"),
    ],
)
def test_a_reference_that_leads_nowhere_is_refused(load: Callable[..., object], reference: str, reason: str) -> None:
    with pytest.raises(runner.UnusableError) as refused:
        load(activities=reference)
    assert str(refused.value).startswith(f"{reference}: ")
    assert reason in str(refused.value)


def test_nothing_to_serve_is_refused(load: Callable[..., object]) -> None:
    with pytest.raises(runner.UnusableError, match="nothing to serve"):
        load()


@pytest.mark.parametrize("name", ENVIRONMENT)
def test_a_missing_setting_is_named(name: str) -> None:
    with pytest.raises(runner.UnusableError, match=name):
        runner.Settings.from_environment({key: value for key, value in ENVIRONMENT.items() if key != name})


def test_workers_spread_over_the_addresses_and_know_all() -> None:
    addresses = ("one:7233", "two:7233", "three:7233")
    orders = [runner.rotated(addresses, f"networking@worker-{letter}#1") for letter in "abcdefghij"]
    assert {order[0] for order in orders} == set(addresses)
    assert all(set(order) == set(addresses) for order in orders)


def test_a_token_is_used_and_not_shown() -> None:
    settings = runner.Settings.from_environment(ENVIRONMENT | {"TEMPORAL_API_KEY": "of-the-worker"})
    assert settings.token == "of-the-worker"
    assert "of-the-worker" not in repr(settings)


def test_a_worker_without_an_authority_speaks_plain_text() -> None:
    assert runner.Settings.from_environment(ENVIRONMENT).tls.read() is False


def test_a_versioned_worker_says_of_which_build_it_is() -> None:
    settings = runner.Settings.from_environment(
        ENVIRONMENT | {"TEMPORAL_WORKER_DEPLOYMENT": "networking", "TEMPORAL_WORKER_BUILD": "1.1.0"}
    )
    assert settings.deployment.version.to_canonical_string() == "networking.1.1.0"
    assert settings.deployment.use_worker_versioning
    assert settings.deployment.default_versioning_behavior.name == "PINNED"
    assert runner.Settings.from_environment(ENVIRONMENT).deployment is None


def test_workflows_of_a_versioned_worker_may_move_to_newer_builds() -> None:
    environment = ENVIRONMENT | {"TEMPORAL_WORKER_DEPLOYMENT": "networking", "TEMPORAL_WORKER_BUILD": "1.1.0"}
    settings = runner.Settings.from_environment(environment | {"TEMPORAL_WORKER_VERSIONING_BEHAVIOR": "auto_upgrade"})
    assert settings.deployment.default_versioning_behavior.name == "AUTO_UPGRADE"
    with pytest.raises(runner.UnusableError, match="not pinned or auto_upgrade"):
        runner.Settings.from_environment(environment | {"TEMPORAL_WORKER_VERSIONING_BEHAVIOR": "never"})


@contextlib.contextmanager
def taken_port() -> Iterator[int]:
    """A port that somebody has."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield server.getsockname()[1]


@pytest.mark.parametrize("deployment", [{"TEMPORAL_WORKER_DEPLOYMENT": "networking"}, {}])
def test_builds_side_by_side_have_metrics_of_their_own(deployment: dict[str, str]) -> None:
    with taken_port() as taken, taken_port() as free:
        pass
    with socket.create_server(("127.0.0.1", taken)):
        settings = runner.Settings.from_environment(
            ENVIRONMENT
            | deployment
            | {
                "TEMPORAL_WORKER_BUILD": "1.1.0",
                "TEMPORAL_WORKER_METRICS_ADDRESS": f"127.0.0.1:{taken} 127.0.0.1:{free}",
            }
        )
        runtime = runner.runtime_of(settings)
        runtime.metric_meter.create_counter("served").add(1)
        text = urllib.request.urlopen(f"http://127.0.0.1:{free}/metrics", timeout=10).read().decode()
    assert 'worker_build="1.1.0"' in text


def test_a_worker_whose_metrics_have_no_port_serves_all_the_same(caplog: pytest.LogCaptureFixture) -> None:
    """It once ended, and again and again: a new build never got to serve beside the one that had the port."""
    with taken_port() as one, taken_port() as other:
        addresses = f"127.0.0.1:{one} 127.0.0.1:{other}"
        settings = runner.Settings.from_environment(ENVIRONMENT | {"TEMPORAL_WORKER_METRICS_ADDRESS": addresses})
        assert runner.runtime_of(settings)
    assert [record.getMessage() for record in caplog.records if record.levelname == "WARNING"] == [
        f"no address for metrics is free: serving without any ({addresses})"
    ]


def test_a_deployment_without_a_build_is_unusable() -> None:
    with pytest.raises(runner.UnusableError, match="TEMPORAL_WORKER_BUILD"):
        runner.Settings.from_environment(ENVIRONMENT | {"TEMPORAL_WORKER_DEPLOYMENT": "networking"})


def settings(**own: str) -> runner.Settings:
    return runner.Settings.from_environment(ENVIRONMENT | {f"TEMPORAL_WORKER_{name}": own[name] for name in own})


def test_slots_are_fixed_or_follow_what_the_host_has_left() -> None:
    assert runner.slots(settings(MAX_CONCURRENT_ACTIVITIES="7")) == {
        "max_concurrent_activities": 7,
        "max_concurrent_workflow_tasks": 100,
    }
    following = settings(TARGET_MEMORY_PERCENT="80", TARGET_CPU_PERCENT="90.5")
    assert following.targets == (0.8, 0.905)
    assert [type(option) for option in runner.slots(following).values()] == [type(runner.slots(following)["tuner"])]


@pytest.mark.parametrize(
    ("own", "reason"),
    [
        ({"TARGET_CPU_PERCENT": "80"}, "there is only one; give both"),
        ({"TARGET_CPU_PERCENT": "80", "TARGET_MEMORY_PERCENT": "0"}, "are from 1 to 100"),
        ({"TARGET_CPU_PERCENT": "180", "TARGET_MEMORY_PERCENT": "80"}, "are from 1 to 100"),
        ({"TARGET_CPU_PERCENT": "80", "TARGET_MEMORY_PERCENT": "a lot"}, "is not a number"),
    ],
)
def test_targets_that_make_no_sense_are_refused(own: dict[str, str], reason: str) -> None:
    with pytest.raises(runner.UnusableError, match=reason):
        settings(**own)


def test_a_worker_that_stops_keeps_one_workflow_task(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(runner, "KEEP_WITHIN_SECONDS", 60.0)
    events: list[str] = []
    over = threading.Event()
    monkeypatch.setattr(runner.time, "sleep", lambda _: over.wait(60))

    async def stop_when_one_is_kept(tasks: runner.WorkflowTasks) -> None:
        await runner.one_is_kept(tasks)
        events.append("the worker stops")

    async def stop() -> None:
        tasks = runner.WorkflowTasks(4)
        assert tasks.submit(str, 1).result() == "1"
        kept = asyncio.ensure_future(stop_when_one_is_kept(tasks))
        await asyncio.sleep(0)
        first = asyncio.wrap_future(tasks.submit(events.append, "the kept task"))
        await asyncio.wrap_future(tasks.submit(events.append, "another task"))
        await kept
        over.set()
        await first

    asyncio.run(stop())
    assert sorted(events[:2]) == ["another task", "the worker stops"]
    assert events[2:] == ["the kept task"]


def test_what_the_sdk_does_not_wait_for_is_not_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    """A workflow that leaves the cache would be over before the polls are."""
    monkeypatch.setattr(runner, "KEPT_SECONDS", 0.0)
    tasks, kept = runner.WorkflowTasks(1), []
    tasks.keep_next(lambda: kept.append(True))
    job = WorkflowActivationJob(remove_from_cache=RemoveFromCache())
    tasks.submit(str, WorkflowActivation(jobs=[job])).result()
    assert kept == []
    tasks.submit(str, WorkflowActivation(jobs=[WorkflowActivationJob(fire_timer=FireTimer())])).result()
    assert kept == [True]


def test_a_worker_without_workflow_tasks_stops_all_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(runner, "KEEP_WITHIN_SECONDS", 0.01)
    asyncio.run(runner.one_is_kept(runner.WorkflowTasks(1)))


def test_activities_have_a_worker_of_their_own_that_loses_none_and_stops_first(
    load: Callable[..., object], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(runner, "Worker", lambda _, **options: options)
    tasks = runner.WorkflowTasks(1)

    def workers(*references: str) -> list[dict[str, object]]:
        counted = runner.RunningActivities()
        return load(*references).workers(None, settings(GRACEFUL_SHUTDOWN_SECONDS="60"), tasks, counted)

    activities, workflows = workers("team_package", "team_package")
    polls = activities["activity_task_poller_behavior"]
    assert (polls.minimum, polls.initial) == (1, 1)
    assert "workflows" not in activities
    assert activities["graceful_shutdown_timeout"].total_seconds() == 60
    assert workflows["workflow_task_executor"] is tasks
    # It serves local activities, which are part of a workflow task, and no others.
    assert workflows["no_remote_activities"]
    assert names(workflows["activities"]) == {"first", "second"}
    assert ["workflows" in worker for worker in workers("", "team_package")] == [False]
    assert ["workflows" in worker for worker in workers("team_package", "")] == [True]


def test_the_unit_gives_a_stop_all_the_time_that_it_may_take() -> None:
    units_template = (ROOT / "roles/temporal_worker/templates/units.yml.j2").read_text(encoding="utf-8")
    allowed = re.search(r"graceful_shutdown_seconds \+ (\d+)", units_template)
    beyond = runner.CANCELLATION_SECONDS + runner.KEEP_WITHIN_SECONDS + runner.WORKFLOWS_SECONDS
    assert int(allowed[1]) > beyond


def test_the_unit_of_the_runner_knows_that_a_build_may_end() -> None:
    units_template = (ROOT / "roles/temporal_worker/templates/units.yml.j2").read_text(encoding="utf-8")
    [own] = re.findall(r"{% if deployment.versioned and not deployment.main %}\n(.*?){% endif %}", units_template, re.S)
    assert f"RestartPreventExitStatus={runner.RETIRED}\n" in own
    assert f"SuccessExitStatus={runner.RETIRED}\n" in own
    assert f'test "$$EXIT_STATUS" != {runner.RETIRED} || rm' in own
    assert "Environment=TEMPORAL_WORKER_DECLARED_BUILDS=" in own


class Stopping:
    """A worker that runs until it is told to stop, at once where it is ``asked``, or fails."""

    asked = True

    def __init__(self, name: str, events: list[str], error: Exception | None = None) -> None:
        self.name = name
        self.events = events
        self.error = error
        self.client = None
        self.over = asyncio.Event()

    async def run(self) -> None:
        if self.error:
            raise self.error
        if self.asked:
            os.kill(os.getpid(), signal.SIGTERM)
        await self.over.wait()

    async def shutdown(self) -> None:
        self.events.append(f"{self.name} stop")
        self.over.set()


class Served:
    """A program with the workers of these names, of which one may fail."""

    def __init__(self, kinds: list[str], events: list[str], failing: str = "") -> None:
        self.workflows = [kind for kind in kinds if kind == "workflows"]
        self.made = [Stopping(kind, events, RuntimeError("no slot") if kind == failing else None) for kind in kinds]

    def workers(self, *_: object) -> list[Stopping]:
        return self.made


@pytest.fixture
def serve(monkeypatch: pytest.MonkeyPatch) -> Callable[..., tuple[int, list[str]]]:
    """Serve with workers of these kinds until they end; the exit code, and what happened."""

    def _serve(kinds: list[str], failing: str = "") -> tuple[int, list[str]]:
        events: list[str] = []

        async def connected(_: object) -> None:
            return None

        async def kept(_: object) -> None:
            events.append("a task is kept")

        async def served() -> int:
            return await runner.serve(settings(DRAINED_CHECK_SECONDS="0"), Served(kinds, events, failing))

        monkeypatch.setattr(runner.Link, "open", connected)
        monkeypatch.setattr(runner, "one_is_kept", kept)
        return asyncio.run(served()), events

    return _serve


@pytest.mark.parametrize(
    ("kinds", "expected"),
    [
        (["activities", "workflows"], ["activities stop", "a task is kept", "workflows stop"]),
        (["workflows"], ["a task is kept", "workflows stop"]),
        (["activities"], ["activities stop"]),
    ],
)
def test_workflows_are_served_until_the_last_activity_has_ended_and_a_task_is_kept(
    serve: Callable[..., tuple[int, list[str]]], kinds: list[str], expected: list[str]
) -> None:
    assert serve(kinds) == (runner.STOPPED, expected)


def test_when_one_worker_fails_what_the_other_does_may_end(serve: Callable[..., tuple[int, list[str]]]) -> None:
    code, events = serve(["activities", "workflows"], "workflows")
    assert code == runner.FAILED
    assert events[0] == "activities stop"


def test_an_error_while_stopping_is_a_failure_and_the_other_worker_stops_all_the_same(
    serve: Callable[..., tuple[int, list[str]]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(runner, "CANCELLATION_SECONDS", -29.9)

    async def deaf(worker: Stopping) -> None:
        worker.events.append(f"{worker.name} stop")
        if worker.name == "activities":
            await asyncio.sleep(60)
        worker.over.set()

    monkeypatch.setattr(Stopping, "shutdown", deaf)
    assert serve(["activities", "workflows"]) == (
        runner.FAILED,
        ["activities stop", "a task is kept", "workflows stop"],
    )


BOTH_STOP = ["activities stop", "a task is kept", "workflows stop"]


@pytest.mark.parametrize(
    ("unneeded", "code"),
    [
        pytest.param([False, True, True], runner.RETIRED, id="drained"),
        pytest.param([True, False], runner.FAILED, id="somebody made it current while it stopped"),
    ],
)
def test_a_build_that_nobody_needs_stops_as_if_it_was_asked_to_and_is_started_again_only_when_it_is_needed(
    serve: Callable[..., tuple[int, list[str]]], monkeypatch: pytest.MonkeyPatch, unneeded: list[bool], code: int
) -> None:
    async def answer(*_: object) -> bool:
        return unneeded.pop(0)

    monkeypatch.setattr(runner, "is_unneeded", answer)
    monkeypatch.setattr(Stopping, "asked", False)
    assert serve(["activities", "workflows"]) == (code, BOTH_STOP)
    assert unneeded == []


def test_who_is_asked_to_stop_meanwhile_has_stopped_as_asked(
    serve: Callable[..., tuple[int, list[str]]], monkeypatch: pytest.MonkeyPatch
) -> None:
    unneeded, shutdown = [True], Stopping.shutdown

    async def answer(*_: object) -> bool:
        return unneeded.pop()

    async def asked(worker: Stopping) -> None:
        os.kill(os.getpid(), signal.SIGTERM)
        await asyncio.sleep(0.01)
        await shutdown(worker)

    monkeypatch.setattr(runner, "is_unneeded", answer)
    monkeypatch.setattr(Stopping, "asked", False)
    monkeypatch.setattr(Stopping, "shutdown", asked)
    assert serve(["activities", "workflows"]) == (runner.STOPPED, BOTH_STOP)


class Server:
    """What a cluster says of a build: how far it has drained, and how many workflows are pinned to it."""

    def __init__(self, drainage: str, pinned: int | Exception) -> None:
        self.workflow_service = self
        self.drainage = drainage
        self.pinned = pinned
        self.asked: list[object] = []

    async def describe_worker_deployment_version(self, request: object, **_: object) -> object:
        self.asked.append(request)
        status = VersionDrainageStatus.Value(f"VERSION_DRAINAGE_STATUS_{self.drainage}")
        info = WorkerDeploymentVersionInfo(drainage_info=VersionDrainageInfo(status=status))
        return DescribeWorkerDeploymentVersionResponse(worker_deployment_version_info=info)

    async def count_workflow_executions(self, request: object, **_: object) -> object:
        self.asked.append(request)
        if isinstance(self.pinned, Exception):
            raise self.pinned
        return CountWorkflowExecutionsResponse(count=self.pinned)


@pytest.fixture
def unneeded(tmp_path: Path) -> Callable[..., bool]:
    """Whether nobody needs build 1.0.0, by what is written in the file of declared builds and what the server says."""

    def _unneeded(
        server: Server, declared: str | None = '{"networking": "1.1.0"}', deployment: str = "networking"
    ) -> bool:
        file = tmp_path / "declared.json"
        if declared is not None:
            file.write_text(declared, encoding="utf-8")
        asked = settings(DEPLOYMENT=deployment, BUILD="1.0.0", DECLARED_BUILDS=str(file))
        return asyncio.run(runner.is_unneeded(server, asked))

    return _unneeded


def test_nobody_needs_a_build_that_has_drained_and_that_no_workflow_is_pinned_to(
    unneeded: Callable[..., bool],
) -> None:
    server = Server("DRAINED", 0)
    assert unneeded(server)
    described, counted = server.asked
    assert (described.namespace, counted.namespace) == ("production", "production")
    assert described.deployment_version == Version(deployment_name="networking", build_id="1.0.0")
    assert unneeded(server, "{}")


def test_the_question_is_that_by_which_the_role_deletes_builds(unneeded: Callable[..., bool]) -> None:
    server = Server("DRAINED", 0)
    assert unneeded(server)
    client = _worker_client.Deployment({"namespace": "production", "deployment": "networking", "token": ""})
    client._client = server
    asyncio.run(client.pinned("1.0.0"))
    assert server.asked[1] == server.asked[2]


@pytest.mark.parametrize(
    "server",
    [
        pytest.param(Server("UNSPECIFIED", 0), id="it is current, ramps, or has never had a share"),
        pytest.param(Server("DRAINING", 0), id="the server still looks"),
        pytest.param(Server("DRAINED", 1), id="somebody pinned a workflow to it since"),
        pytest.param(Server("DRAINED", RPCError("no answer", RPCStatusCode.UNAVAILABLE, b"")), id="not known"),
    ],
)
def test_somebody_may_need_it_otherwise(unneeded: Callable[..., bool], server: Server) -> None:
    assert not unneeded(server)


@pytest.mark.parametrize("declared", ['{"networking": "1.0.0"}', None, "", "[]"])
def test_a_build_goes_on_while_it_is_declared_or_while_that_is_not_known(
    unneeded: Callable[..., bool], declared: str | None
) -> None:
    server = Server("DRAINED", 0)
    assert not unneeded(server, declared)
    assert server.asked == []


def test_a_worker_that_is_not_versioned_or_was_not_told_what_is_declared_goes_on(unneeded: Callable[..., bool]) -> None:
    server = Server("DRAINED", 0)
    assert not unneeded(server, deployment="")
    told_nothing = settings(DEPLOYMENT="networking", BUILD="1.0.0")
    assert not asyncio.run(runner.is_unneeded(server, told_nothing))
    assert server.asked == []


def test_nobody_asks_while_an_activity_runs(monkeypatch: pytest.MonkeyPatch) -> None:
    """One of a workflow that has moved to another build, which counts for that one."""
    running, ends, asked = runner.RunningActivities(), asyncio.Event(), []

    class Activity(ActivityInboundInterceptor):
        async def execute_activity(self, _: object) -> str:
            await ends.wait()
            return "done"

    async def answer(*_: object) -> bool:
        asked.append(running.number)
        return True

    async def serve_one() -> None:
        activity = asyncio.ensure_future(running.intercept_activity(Activity(None)).execute_activity(None))
        worker = Stopping("activities", [])
        retiring = asyncio.ensure_future(runner.until_unneeded(settings(DRAINED_CHECK_SECONDS="0"), [worker], running))
        await asyncio.sleep(0.01)
        assert asked == []
        ends.set()
        assert await activity == "done"
        await retiring

    monkeypatch.setattr(runner, "is_unneeded", answer)
    asyncio.run(serve_one())
    assert asked == [0]
