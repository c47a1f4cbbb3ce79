"""The agent of a worker host: what it reads, what it asks for, and that nothing moves when it cannot see."""

from __future__ import annotations

import asyncio
import dataclasses
import json
import socket
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.zerospof.temporal.plugins.module_utils import _workers
from temporalio.api.workflowservice.v1 import DescribeTaskQueueResponse

import tests.workers  # noqa: F401  (lets the programs of worker hosts be imported)

# isort: split
import temporal_worker_policy as policy
import temporal_worker_scaler as scaler
from temporal_worker_runner import UnusableError

UNITS = ["worker-1", "worker-2", "worker-3"]
SETTINGS: dict[str, Any] = {
    "addresses": ["10.0.0.1:7233"],
    "tls": {"authority": "", "certificate": "", "key": "", "server_name": ""},
    "dry_run": False,
    "interval_seconds": 5,
    "calm_seconds": 60,
    "metrics_address": "",
    "deployments": [
        {
            "name": "networking",
            "namespace": "production",
            "task_queue": "networking-queue",
            "build": "1.1.0",
            "version": "",
            "kinds": ["workflow", "activity"],
            "token": "of-the-worker",
            "fewest": 1,
            "hosts": 3,
            "units": UNITS,
            "metrics": [["127.0.0.1:1", "127.0.0.1:4"], ["127.0.0.1:2", "127.0.0.1:5"], ["127.0.0.1:3", "127.0.0.1:6"]],
        }
    ],
}


def metrics(used: int = 0, available: int = 100, build: str = "1.1.0") -> str:
    """Return what an instance says of its slots, among other things."""
    own = f'worker_build="{build}",' if build else ""
    rows = ['temporal_request{operation="x"} 7', "# TYPE temporal_worker_task_slots_used gauge"]
    for worker_type in ("WorkflowWorker", "ActivityWorker", "LocalActivityWorker"):
        labels = f'{{{own}namespace="production",task_queue="networking-queue",worker_type="{worker_type}"}}'
        rows.append(f"temporal_worker_task_slots_used{labels} {used}")
        rows.append(f"temporal_worker_task_slots_available{labels} {available}")
    return "HTTP/1.1 200 OK\r\n\r\n" + "\n".join(rows) + "\n"


def test_the_settings_are_read_and_the_token_is_not_shown() -> None:
    settings = scaler.Settings.from_text(json.dumps(SETTINGS))
    assert settings.deployments[0].bounds([]) == policy.Bounds(1, 3, 3)
    assert settings.deployments[0].bounds(UNITS[2:]) == policy.Bounds(1, 2, 3)
    assert settings.deployments[0].bounds(UNITS[:1]) == policy.Bounds(1, 3, 3)
    assert "of-the-worker" not in repr(settings)


def test_the_agent_reads_what_the_role_writes() -> None:
    declared = {
        "name": "networking",
        "namespace": "production",
        "task_queue": "networking-queue",
        "package": "networking-worker==1.1.0",
        "instances_max": 3,
        "metrics_port": 9200,
    }
    rows = _workers.scaled(_workers.workers(_workers.complete([declared]), "worker-a"), "10.0.0.1", {}, {}, {})
    settings = scaler.Settings.from_text(json.dumps(SETTINGS | {"deployments": rows}))
    assert settings.deployments[0].metrics[0] == ("10.0.0.1:9200", "10.0.0.1:9203")
    assert settings.deployments[0].build == "1.1.0"


def test_a_version_is_asked_for_by_its_name_and_what_has_none_by_the_whole_task_queue() -> None:
    settings = json.dumps(SETTINGS)
    (deployment,) = scaler.Settings.from_text(settings).deployments
    assert not scaler.question(deployment).HasField("versions")
    asked = scaler.question(dataclasses.replace(deployment, version="networking:1.1.0"))
    assert asked.versions.build_ids == ["networking:1.1.0"]
    assert not asked.versions.all_active
    assert asked.report_stats
    assert asked.report_pollers


def test_instances_go_as_slowly_as_the_settings_say() -> None:
    rules = scaler.Settings.from_text(json.dumps(SETTINGS | {"calm_seconds": 12})).rules
    assert (rules.calm_seconds, rules.down_pause_seconds) == (12.0, 3.0)
    assert scaler.Settings.from_text(json.dumps(SETTINGS)).rules == policy.Rules()


@pytest.mark.parametrize("text", ["", "[]", "{}", json.dumps(SETTINGS | {"deployments": [{"name": "x"}]})])
def test_settings_that_cannot_be_used_are_refused(text: str) -> None:
    with pytest.raises(UnusableError):
        scaler.Settings.from_text(text)


def test_only_settings_that_cannot_be_used_keep_the_agent_away(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "scaling.json"
    assert scaler.main([str(path)]) == scaler.UNUSABLE
    path.write_text(json.dumps(SETTINGS), encoding="utf-8")

    async def fail(_: scaler.Scaler) -> int:
        raise OSError("something that passes")

    monkeypatch.setattr(scaler, "run", fail)
    with pytest.raises(OSError, match="something that passes"):
        scaler.main([str(path)])


def test_statistics_of_all_versions_are_added_up() -> None:
    answer = DescribeTaskQueueResponse()
    for build, backlog, age in (("", 3, 2), ("1.1.0", 4, 9)):
        of_kind = answer.versions_info[build].types_info[2]
        of_kind.stats.approximate_backlog_count = backlog
        of_kind.stats.approximate_backlog_age.FromSeconds(age)
        of_kind.stats.tasks_add_rate = 1.5
        of_kind.stats.tasks_dispatch_rate = 0.5
        of_kind.pollers.add(identity=f"networking@worker-a#{build}")
    assert scaler.queues_of(answer) == {"activity": policy.Queue(7, 9.0, 3.0, 1.0, 2)}


def test_slots_are_those_of_the_instances_that_tell_them() -> None:
    slots, told = scaler.slots_of([metrics(10, 90), "", metrics(100, 0)], ["workflow", "activity"])
    assert told == 2
    assert slots == {"workflow": policy.Slots(110, 200), "activity": policy.Slots(110, 200)}
    assert scaler.slots_of(["", "HTTP/1.1 500\r\n\r\n"], ["activity"]) == ({}, 0)


def test_an_instance_that_says_nothing_of_a_kind_it_serves_did_not_tell() -> None:
    text = metrics().replace("ActivityWorker", "OtherWorker")
    assert scaler.slots_of([text], ["workflow", "activity"]) == ({}, 0)
    assert scaler.slots_of([text], ["workflow"])[1] == 1


@pytest.mark.parametrize(
    ("at", "mine"),
    [
        pytest.param([metrics(9), metrics(1, build="1.0.0")], metrics(9), id="the first build on the host"),
        pytest.param([metrics(1, build="1.0.0"), metrics(9)], metrics(9), id="beside the former build"),
        pytest.param([metrics(1, build=""), metrics(9)], metrics(9), id="beside one that does not say it"),
        pytest.param(["", metrics(9, build="")], metrics(9, build=""), id="a program of its own"),
        pytest.param([metrics(1, build="1.0.0"), ""], "", id="no port was free for it"),
    ],
)
def test_an_instance_is_told_from_that_of_another_build(at: list[str], mine: str) -> None:
    assert scaler.own_metrics(at, "1.1.0") == mine


class World:
    """A host with its units, and a cluster with its statistics."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.settings = json.loads(json.dumps(SETTINGS))
        self.running = UNITS[:1]
        self.unusable: list[str] = []
        self.queues: dict[str, policy.Queue] | Exception = {}
        self.requests: list[dict[str, int]] = []
        self.now = 1000.0
        self.used = [90]
        self.former_build, self.tells = True, True
        self.write()

    def write(self) -> None:
        self.path.write_text(json.dumps(self.settings), encoding="utf-8")

    async def control(self, wanted: dict[str, int]) -> dict[str, dict[str, list[str]]]:
        self.requests.append(wanted)
        before = {"networking": {"running": self.running, "unusable": self.unusable}}
        if wanted:
            self.running = UNITS[: wanted["networking"]]
        return before

    async def statistics(self, *_: object) -> dict[str, policy.Queue]:
        if isinstance(self.queues, Exception):
            raise self.queues
        return self.queues

    async def metrics(self, address: str) -> str:
        """Those of the build are at the second port of each instance; the last number of ``used`` stays."""
        if int(address.rpartition(":")[2]) <= len(UNITS):
            return metrics(100, 0, "1.0.0") if self.former_build else ""
        if not self.tells:
            return ""
        used = self.used.pop(0) if len(self.used) > 1 else self.used[0]
        return metrics(used, 100 - used)


@pytest.fixture
def world(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> World:
    made = World(tmp_path / "scaling.json")
    made.queues = {kind: policy.Queue(500, 1.0, 16.0, 3.0, 3) for kind in ("workflow", "activity")}
    monkeypatch.setattr(scaler, "ask_control", made.control)
    monkeypatch.setattr(scaler, "http_get", made.metrics)
    monkeypatch.setattr(scaler.Server, "queues", made.statistics)
    monkeypatch.setattr(scaler.time, "monotonic", lambda: made.now)
    return made


@pytest.fixture
def rounds(world: World, caplog: pytest.LogCaptureFixture) -> Callable[..., list[str]]:
    """Go round ``number`` times; return what was logged."""
    caplog.set_level("INFO")
    agent = scaler.Scaler(world.path)

    def _rounds(number: int = 1) -> list[str]:
        caplog.clear()
        for _ in range(number):
            asyncio.run(agent.round())
            world.now += 5
        return [record.getMessage() for record in caplog.records]

    return _rounds


def test_a_backlog_starts_instances_and_says_why(world: World, rounds: Callable[..., list[str]]) -> None:
    said = rounds()
    assert world.requests == [{}, {"networking": 3}]
    assert said == [
        "networking: up from 1 to 3: 90 workflow tasks run, 167 wait, and an instance is to hold 75",
    ]


@pytest.mark.parametrize(
    ("used", "seconds"),
    [
        pytest.param([10, 20, 76], 2, id="slots that fill end the wait"),
        pytest.param([10, 75], 5, id="as many as are to be in use do not"),
        pytest.param([90], 5, id="slots that were taken before do not"),
    ],
)
def test_slots_that_fill_are_not_waited_for(
    world: World, monkeypatch: pytest.MonkeyPatch, used: list[int], seconds: int
) -> None:
    async def pass_by(what: Coroutine[object, object, object], seconds: float) -> None:
        what.close()
        world.now += seconds
        raise TimeoutError

    monkeypatch.setattr(scaler.asyncio, "wait_for", pass_by)
    world.queues, world.used = {"activity": policy.Queue(pollers=3)}, used
    agent = scaler.Scaler(world.path)

    async def wait() -> float:
        await agent.round()
        began = world.now
        await scaler.wait(agent, asyncio.Event(), began + 5)
        return world.now - began

    assert asyncio.run(wait()) == seconds


def test_a_dry_run_says_it_and_does_not(world: World, rounds: Callable[..., list[str]]) -> None:
    world.settings["dry_run"] = True
    world.write()
    said = rounds(3)
    assert world.requests == [{}, {}, {}]
    assert said == [
        "the settings were replaced",
        "networking: would go up from 1 to 3 (dry run): 90 workflow tasks run, 167 wait, and an instance is to hold 75",
    ]


def test_statistics_that_stop_freeze_what_runs_and_are_told_once(
    world: World, rounds: Callable[..., list[str]]
) -> None:
    world.running = UNITS[:2]
    world.queues = OSError("no answer")
    assert rounds(4) == [
        "statistics of networking-queue in production: no answer",
        "networking: stays at 2: there are no statistics",
    ]
    assert world.requests == [{}] * 4
    world.queues = {kind: policy.Queue(pollers=3) for kind in ("workflow", "activity")}
    assert rounds()[0] == "statistics of networking-queue in production: it works again"


def test_statistics_that_stopped_are_used_no_longer_than_they_are_true(
    world: World, rounds: Callable[..., list[str]]
) -> None:
    world.queues = {kind: policy.Queue(pollers=3) for kind in ("workflow", "activity")}
    world.running = UNITS
    rounds()
    world.queues = OSError("no answer")
    assert "the statistics are 20 s old" in rounds(5)[-1]
    assert world.running == UNITS


def test_an_instance_that_cannot_be_served_lowers_the_most(world: World, rounds: Callable[..., list[str]]) -> None:
    world.unusable = UNITS[2:]
    rounds()
    assert world.requests[-1] == {"networking": 2}


def test_one_of_the_fewest_that_cannot_be_served_stops_no_other(world: World, rounds: Callable[..., list[str]]) -> None:
    world.running, world.unusable = UNITS[1:], UNITS[:1]
    world.queues = OSError("no answer")
    assert rounds()[-1] == "networking: stays at 3: there are no statistics"
    assert world.requests == [{}]


def test_without_metrics_of_its_build_nothing_moves(world: World, rounds: Callable[..., list[str]]) -> None:
    """Where no port was free for them, while the former build still has its own."""
    world.running, world.tells = UNITS[:2], False
    assert rounds(2) == ["networking: stays at 2: no instance tells how many of its slots are in use"]
    assert world.requests == [{}] * 2


def test_settings_that_are_broken_leave_the_former_ones(world: World, rounds: Callable[..., list[str]]) -> None:
    world.path.write_text("{", encoding="utf-8")
    said = rounds()
    assert said[0].startswith("settings: the settings cannot be used")
    assert world.requests[-1] == {"networking": 3}


def test_a_deployment_that_is_new_is_scaled_without_a_restart(world: World, rounds: Callable[..., list[str]]) -> None:
    rounds()
    world.settings["deployments"].append(world.settings["deployments"][0] | {"name": "other", "fewest": 3})
    world.write()
    assert [line for line in rounds() if line.startswith("other: ")]


def test_the_metrics_show_what_was_seen_and_decided(world: World, tmp_path: Path) -> None:
    agent = scaler.Scaler(world.path)
    asyncio.run(agent.round())
    text = scaler.exposition(agent.states, world.now + 2)
    for line in (
        'temporal_worker_scaler_running{deployment="networking"} 1',
        'temporal_worker_scaler_wanted{deployment="networking"} 3',
        'temporal_worker_scaler_backlog{deployment="networking",kind="activity"} 500',
        'temporal_worker_scaler_slots_used{deployment="networking",kind="activity"} 90',
        'temporal_worker_scaler_statistics_age_seconds{deployment="networking"} 2',
        'temporal_worker_scaler_decisions_total{deployment="networking",action="up"} 1',
    ):
        assert line in text.splitlines()


def test_the_metrics_are_served_and_read_over_http(tmp_path: Path) -> None:
    async def both() -> tuple[str, str]:
        path = tmp_path / "scaling.json"
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            address = f"127.0.0.1:{free.getsockname()[1]}"
        path.write_text(json.dumps(SETTINGS | {"metrics_address": address}), encoding="utf-8")
        serving = asyncio.ensure_future(scaler.serve_metrics(scaler.Scaler(path)))
        found = ""
        while not found and not serving.done():
            found = await scaler.http_get(address)
        serving.cancel()
        await asyncio.wait({serving})
        return found, await scaler.http_get(address)

    served, gone = asyncio.run(both())
    assert served.startswith("HTTP/1.0 200 OK")
    assert "# TYPE temporal_worker_scaler_wanted gauge" in served
    assert gone == ""


def test_what_the_helper_refuses_is_told(tmp_path: Path) -> None:
    async def refused() -> None:
        async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            assert json.loads(await reader.readline()) == {"networking": 9}
            writer.write(b'{"error": "9 is not between 1 and 3"}\n')
            await writer.drain()
            writer.close()

        path = tmp_path / "control.sock"
        async with await asyncio.start_unix_server(answer, path):
            await scaler.ask_control({"networking": 9}, path)

    with pytest.raises(OSError, match="9 is not between 1 and 3"):
        asyncio.run(refused())
