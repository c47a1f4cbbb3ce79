"""What is declared for workers becomes units, or one clear sentence for each mistake."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml
from ansible_collections.zerospof.temporal.plugins.module_utils import _workers
from temporalio.api.workflowservice.v1 import DescribeTaskQueueResponse

WHEELS = ["networking_worker-1.0.0-py3-none-any.whl", "Other.Thing-2.1-py3-none-any.whl"]
GOOD = {
    "name": "networking",
    "namespace": "production",
    "task_queue": "networking-queue",
    "package": "networking-worker==1.0.0",
    "workflows": ["networking_worker.workflows"],
}
QUEUE = ("production", "networking-queue")
WANTED = {
    "unit": "u1",
    "identity": "networking:1.0.0@worker-a#1",
    "namespace": QUEUE[0],
    "task_queue": QUEUE[1],
    "version": "",
    "polls": ["workflow", "activity"],
}


def problems(*changes: dict[str, Any]) -> list[str]:
    """Return the problems of deployments that differ from the good one."""
    return _workers.problems(_workers.complete([GOOD | change for change in changes]), WHEELS)


def test_a_good_deployment_has_no_problem() -> None:
    assert problems({}) == []


def test_a_program_of_its_own_polls_for_what_it_says_and_its_limits_are_those_of_systemd() -> None:
    limits = {"memory_max": "20%", "cpu_quota": "150%", "tasks_max": 64}
    own = GOOD | {"workflows": [], "main": "networking_worker.service", "polls": ["activity"], "limits": limits}
    assert _workers.problems(_workers.complete([own]), WHEELS) == []
    [worker] = _workers.workers(_workers.complete([own]), "worker-a")
    assert worker["polls"] == ["activity"]
    assert worker["limits"] == {"MemoryMax": "20%", "CPUQuota": "150%", "TasksMax": "64"}
    [served] = _workers.workers(_workers.complete([GOOD]), "worker-a")
    assert (served["polls"], served["limits"]) == (["workflow"], {})


def test_what_is_left_empty_is_as_if_it_were_left_out() -> None:
    assert _workers.complete([GOOD | {"python": None, "main": None}]) == _workers.complete([GOOD])


def test_values_are_of_their_types_whatever_they_are_written_as() -> None:
    """Ansible checks what a role is given, and leaves it as it is."""
    written = {
        "instances": "2",
        "graceful_shutdown_seconds": "45",
        "metrics_port": "9200",
        "versioned": "false",
        "workflows": "networking_worker.workflows",
        "build": 1.5,
    }
    [made] = _workers.complete([GOOD | written])
    assert {name: made[name] for name in written} == {
        "instances": 2,
        "graceful_shutdown_seconds": 45,
        "metrics_port": 9200,
        "versioned": False,
        "workflows": ["networking_worker.workflows"],
        "build": "1.5",
    }
    assert (made["instances_min"], made["instances_max"]) == (2, 2)
    assert list(_workers.all_metrics_ports([GOOD | written], {}).values()) == [9200, 9201, 9202, 9203]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"package": None}, "networking: missing required arguments: package"),
        ({"instances": "two"}, "networking: argument 'instances' is of type .*str"),
        ({"instance": 2}, "networking: instance. Supported parameters"),
        ({"environment": "secret"}, "networking: argument 'environment' is of type .*str"),
    ],
)
def test_what_is_no_deployment_is_refused_in_one_sentence(change: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message) as refused:
        _workers.complete([GOOD | change])
    assert "secret" not in str(refused.value)
    # The firewall asks before the inventory was looked at as a whole.
    assert _workers.all_metrics_ports([GOOD | {"metrics_port": 9200}, GOOD | change | {"metrics_port": 9300}], {}) == {
        "worker_metrics_9200": 9200,
        "worker_metrics_9201": 9201,
    }


def test_the_options_are_those_of_the_role() -> None:
    role = Path(__file__).resolve().parents[2] / "roles/temporal_worker/meta/argument_specs.yml"
    options = yaml.safe_load(role.read_text())["argument_specs"]["main"]["options"]["temporal_worker_deployments"]
    types = {name: (option["type"], bool(option.get("required"))) for name, option in options["options"].items()}
    # Of a path nothing is expanded here.
    types["python"] = ("str", False)
    own = {name: (option["type"], bool(option.get("required"))) for name, option in _workers.OPTIONS.items()}
    assert own == types


def test_packages_are_those_that_have_a_source_each_once() -> None:
    index = {"package": "a==1", "source": "index", "name": "a"}
    assert _workers.packages([index, index, GOOD, GOOD | {"source": ""}]) == [{"package": "a==1", "source": "index"}]


@pytest.mark.parametrize(
    ("deployments", "message"),
    [
        ([{"name": "a", "source": "index"}], "a has a source and no package"),
        ([{"name": "a", "package": "a==1", "source": place} for place in ("x", "y")], "a==1 comes from x and from y"),
        (
            [{"name": "a", "package": "a==1", "source": "git+https://x:y@z/a.git"}],
            "the source of a has a password in it",
        ),
    ],
)
def test_packages_that_cannot_be_had_are_told(deployments: list[dict[str, Any]], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        _workers.packages(deployments)


def test_the_build_is_the_version_of_the_package() -> None:
    assert _workers.complete([GOOD])[0]["build"] == "1.0.0"
    assert _workers.complete([GOOD | {"build": "blue"}])[0]["build"] == "blue"


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"name": "Net working"}, "a name is lower case letters"),
        ({"build": "1/0"}, "build '1/0'"),
        ({"build": "1.0.0+local"}, "build '1.0.0+local' is not letters, digits, '.' and '_', as names of units are"),
        ({"task_queue": " "}, "task_queue is empty; name the queue"),
        ({"instances": 0}, "instances is 0; at least 1 is needed"),
        ({"instances_min": 0, "instances_max": 3}, "instances_min is 0; at least 1 is needed"),
        ({"gate": {"workflow": "Check"}}, "a gate is for a versioned deployment"),
        ({"instances_min": 3}, "instances_min is 3 and instances_max 1; the most cannot be less"),
        ({"instances": 3, "instances_max": 2}, "instances_min is 3 and instances_max 2; the most cannot be less"),
        ({"instances_max": 3}, "instances_min is 1 and instances_max 3, and there is no metrics_port"),
        ({"graceful_shutdown_seconds": -1}, "graceful_shutdown_seconds is -1"),
        ({"workflows": []}, "neither workflows nor activities"),
        ({"main": "networking_worker.service"}, "it has a main, which serves what it likes"),
        ({"workflows": [], "main": "networking worker"}, "main 'networking worker' is not a module"),
        ({"workflows": [], "main": "networking_worker", "polls": []}, "polls is empty"),
        ({"polls": ["activity"]}, "polls is for a main"),
        ({"python": "/home/somebody/python3"}, "is where a service does not see it"),
        ({"limits": {"memory_max": "150%"}}, "memory_max '150%' is not bytes"),
        ({"limits": {"memory_max": "1G\n"}}, "is not bytes"),
        ({"source": "https://me:secret@index.example.com/own.whl"}, "source has a password in it"),
        ({"python": "python3.12"}, "python 'python3.12' is not the path of an interpreter"),
        ({"limits": {"memory_max": "1 GB"}}, "memory_max '1 GB' is not bytes with K, M, G or T"),
        ({"limits": {"cpu_quota": "2"}}, "cpu_quota '2' is not a share of one processor"),
        ({"limits": {"tasks_max": 0}}, "tasks_max 0 is not a number of threads"),
        ({"environment": {"TEMPORAL_WORKER_GRACEFUL_SHUTDOWN_SECONDS": 5}}, "set graceful_shutdown_seconds instead"),
        ({"metrics_port": 65535, "instances": 1}, "metrics_port is 65535, and its instances have ports up to 65536"),
        ({"metrics_port": -1, "instances": 1}, "metrics_port is -1"),
        ({"package": "networking-worker==9.9", "source": "index"}, "playbooks/artifacts.yml makes it"),
        ({"package": "networking-worker"}, "does not name one version"),
        ({"package": "networking-worker>=1.0"}, "does not name one version"),
        (
            {"package": "networking-worker==1.0.1"},
            "(of this package there is networking_worker-1.0.0-py3-none-any.whl)",
        ),
        ({"package": "absent==1"}, "(of this package there is none)"),
        (
            {
                "instances_max": 3,
                "metrics_port": 9200,
                "environment": {
                    "TEMPORAL_WORKER_TARGET_CPU_PERCENT": "80",
                    "TEMPORAL_WORKER_TARGET_MEMORY_PERCENT": "80",
                },
            },
            "the agent needs a fixed number of them",
        ),
    ],
)
def test_a_mistake_is_one_sentence_with_the_value(change: dict[str, Any], sentence: str) -> None:
    found = problems(change)
    assert len(found) == 1
    assert sentence in found[0]
    assert found[0].startswith(f"{(GOOD | change)['name']}: ")


def test_variables_of_all_deployments_are_looked_at_as_those_of_one() -> None:
    targets = {"TEMPORAL_WORKER_TARGET_CPU_PERCENT": "80", "TEMPORAL_WORKER_TARGET_MEMORY_PERCENT": "80"}
    bounds = GOOD | {"instances_max": 3, "metrics_port": 9200}
    own = bounds | {"name": "own", "metrics_port": 9300, "environment": dict.fromkeys(targets, "")}
    [problem] = _workers.problems(_workers.complete([bounds, own]), WHEELS, targets)
    assert problem.startswith("networking: instances_min is 1 and instances_max 3, and TEMPORAL_WORKER_TARGET_CPU")
    [problem] = _workers.problems(_workers.complete([GOOD]), WHEELS, {"TEMPORAL_WORKER_GRACEFUL_SHUTDOWN_SECONDS": "5"})
    assert "of which systemd is not told" in problem


@pytest.mark.parametrize(
    ("scaling", "sentence"),
    [
        ({}, ""),
        ({"interval_seconds": "5", "calm_seconds": 0, "metrics_port": 9199}, ""),
        ({"interval_seconds": 0}, "interval_seconds is 0; at least 1 is needed"),
        ({"calm_seconds": -1}, "calm_seconds is -1; it cannot be negative"),
        ({"metrics_port": 65536}, "metrics_port is 65536; a port is at most 65535"),
        ({"metrics_port": 9201}, "metrics_port 9201 is one of an instance of networking; the agent needs its own"),
    ],
)
def test_settings_of_the_agent_that_cannot_work_are_refused(scaling: dict[str, Any], sentence: str) -> None:
    found = _workers.scaling_problems(scaling, _workers.complete([GOOD | {"metrics_port": 9200}]))
    assert len(found) == bool(sentence)
    assert "".join(found).startswith(sentence)


def test_all_mistakes_are_told_at_once() -> None:
    assert len(problems({"instances": 0, "package": "absent==1"}, {"workflows": []})) == 4


def test_two_deployments_cannot_have_one_name() -> None:
    assert problems({}, {"task_queue": "other"}) == [
        "networking: two deployments have this name; give each a name of its own"
    ]


def test_the_firewall_knows_all_ports_of_metrics() -> None:
    scaled = GOOD | {"instances_min": 1, "instances_max": 3, "metrics_port": 9200}
    versioned = GOOD | {"name": "other", "instances": 2, "metrics_port": 9300, "versioned": True}
    ports = _workers.all_metrics_ports([scaled, versioned, GOOD | {"name": "silent"}], {"metrics_port": "9199"})
    assert list(ports.values()) == [9199, *range(9200, 9206), *range(9300, 9308)]
    assert ports["worker_metrics_9199"] == 9199
    assert _workers.all_metrics_ports([GOOD], {}) == {}


def test_metrics_ports_of_instances_cannot_overlap() -> None:
    first, second = {"metrics_port": 9200, "instances": 3}, {"name": "b", "metrics_port": 9205}
    assert problems(first, second) == ["b: metrics port 9205 of an instance is taken by networking"]
    assert problems(first, second | {"metrics_port": 9206}) == []
    assert problems(first | {"instances": 1, "instances_max": 3}, second) != []


@pytest.mark.parametrize("package", ["Other.Thing==2.1", "other-thing==2.1", "other__thing==2.1"])
def test_a_wheel_is_found_however_its_name_is_spelled(package: str) -> None:
    assert any(
        wheel.lower().startswith(_workers.wheel_prefix(package)) for wheel in ["other_thing-2.1-py3-none-any.whl"]
    )


def test_each_instance_has_a_unit_an_identity_and_a_port() -> None:
    deployment = _workers.complete([GOOD | {"instances": 2, "metrics_port": 9200}])
    found = _workers.workers(deployment, "worker-a")
    assert [worker["unit"] for worker in found] == [
        "temporal-sdk-worker@networking-1.0.0-1.service",
        "temporal-sdk-worker@networking-1.0.0-2.service",
    ]
    assert [worker["identity"] for worker in found] == ["networking:1.0.0@worker-a#1", "networking:1.0.0@worker-a#2"]
    # The second ones are for the build that takes the place of this one, while both run.
    assert [worker["metrics_ports"] for worker in found] == [[9200, 9202], [9201, 9203]]


def test_builds_of_a_versioned_deployment_have_ports_side_by_side() -> None:
    many = {"instances": 2, "metrics_port": 9200, "versioned": True}
    found = _workers.workers(_workers.complete([GOOD | many]), "worker-a")
    assert [worker["metrics_ports"] for worker in found] == [[9200, 9202, 9204, 9206], [9201, 9203, 9205, 9207]]
    assert problems(many, {"name": "b", "metrics_port": 9208}) == []
    assert problems(many, {"name": "b", "metrics_port": 9207}) == [
        "b: metrics port 9207 of an instance is taken by networking"
    ]


def test_the_number_of_instances_is_fixed_unless_bounds_are_given() -> None:
    found = _workers.workers(_workers.complete([GOOD | {"instances": 2}]), "worker-a")
    assert [worker["optional"] for worker in found] == [False, False]
    assert _workers.scaled(found, "10.0.0.1", {}, {}, {}) == []


def test_instances_above_the_fewest_run_when_the_load_asks_for_them() -> None:
    bounds = {"instances_min": 1, "instances_max": 3, "metrics_port": 9200, "environment": {"TEMPORAL_API_KEY": "own"}}
    deployments = _workers.complete([GOOD | bounds, GOOD | {"name": "fixed"}])
    found = _workers.workers(deployments, "worker-a")
    assert [worker["optional"] for worker in found] == [False, True, True, False]
    assert _workers.scaled(found, "10.0.0.1", {"networking": 3}, {"TEMPORAL_API_KEY": "of all"}, {}) == [
        {
            "name": "networking",
            "namespace": "production",
            "task_queue": "networking-queue",
            "build": "1.0.0",
            "version": "",
            "kinds": ["workflow"],
            "token": "own",
            "fewest": 1,
            "hosts": 3,
            "units": [f"temporal-sdk-worker@networking-1.0.0-{number}.service" for number in (1, 2, 3)],
            "metrics": [[f"10.0.0.1:{port}", f"10.0.0.1:{port + 3}"] for port in (9200, 9201, 9202)],
        }
    ]


def units_of(build: str, *numbers: int) -> list[str]:
    return [f"temporal-sdk-worker@networking-{build}-{number}.service" for number in numbers]


def test_each_build_of_a_versioned_deployment_follows_its_own_load() -> None:
    bounds = {"instances_min": 2, "instances_max": 3, "metrics_port": 9200, "versioned": True}
    found = _workers.workers(_workers.complete([GOOD | bounds, GOOD | {"name": "fixed", "versioned": True}]), "a")
    present = [*units_of("0.9.0", 1, 10, 2, 3), *units_of("0.8.0", 1), "temporal-sdk-worker@fixed-0.9.0-1.service"]
    others = _workers.others([worker["unit"] for worker in found] + present, [worker["deployment"] for worker in found])
    rows = {row["name"]: row for row in _workers.scaled(found, "10.0.0.1", {}, {}, others)}
    assert list(rows) == ["networking:1.0.0", "networking:0.8.0", "networking:0.9.0"]
    assert all(row["version"] == name for name, row in rows.items())
    assert [row["build"] for row in rows.values()] == ["1.0.0", "0.8.0", "0.9.0"]
    assert [row["units"] for row in rows.values()] == [
        units_of("1.0.0", 1, 2, 3),
        units_of("0.8.0", 1),
        units_of("0.9.0", 1, 2, 3, 10),
    ]
    # It began with one instance, and systemd has no other to keep.
    assert [row["fewest"] for row in rows.values()] == [2, 1, 2]
    # Whoever has its ports tells by its metrics; one that had more instances has some that are not known.
    of_first = [f"10.0.0.1:{port}" for port in (9200, 9203, 9206, 9209)]
    assert [row["metrics"][0] for row in rows.values()] == [of_first] * 3
    assert rows["networking:0.9.0"]["metrics"][3] == []


def test_the_hosts_of_a_deployment_are_those_that_declare_it() -> None:
    hostvars = {
        "worker-a": {"temporal_worker_deployments": [GOOD, GOOD | {"name": "other"}]},
        "worker-b": {"temporal_worker_deployments": [GOOD]},
        "worker-c": {},
    }
    assert _workers.hosts_by_deployment(list(hostvars), hostvars) == {"networking": 2, "other": 1}


def test_only_activities_of_declared_queues_have_one_partition() -> None:
    queue, other = (GOOD["namespace"], GOOD["task_queue"]), (GOOD["namespace"], "other-queue")
    hostvars = {
        "worker-a": {"temporal_worker_deployments": [GOOD, GOOD | {"name": "other", "task_queue": other[1]}]},
        "worker-b": {"temporal_worker_deployments": [GOOD]},
        "worker-c": {},
    }
    queues = _workers.task_queues(list(hostvars), hostvars)
    assert [(row["namespace"], row["name"]) for row in queues] == sorted([queue, other])
    everything, *declared = _workers.partitions(queues)
    assert everything == {"value": _workers.TEMPORALS_PARTITIONS}
    assert {row["value"] for row in declared} == {1}
    assert [row["constraints"] for row in declared] == [
        {"namespace": namespace, "taskQueueName": name, "taskType": "Activity"}
        for namespace, name in sorted([queue, other])
    ]


@pytest.mark.parametrize("wrong", [None, "networking", {"namespace": None, "task_queue": "q"}, {"task_queue": "q"}])
def test_what_is_no_deployment_has_no_task_queue(wrong: object) -> None:
    assert _workers.task_queues(["worker-a"], {"worker-a": {"temporal_worker_deployments": [wrong]}}) == []


def test_a_worker_that_runs_and_polls_is_healthy() -> None:
    polled = {(*QUEUE, kind, ""): {"networking:1.0.0@worker-a#1": 101.0} for kind in ("workflow", "activity")}
    assert _workers.unhealthy([WANTED], {"u1": 100.0}, polled) == []


def test_a_worker_that_does_not_run_is_named() -> None:
    assert _workers.unhealthy([WANTED], {"u1": None}, {}) == ["u1 does not run"]


def test_polls_from_before_the_start_do_not_count() -> None:
    polled = {(*QUEUE, kind, ""): {"networking:1.0.0@worker-a#1": 99.0} for kind in ("workflow", "activity")}
    assert len(_workers.unhealthy([WANTED], {"u1": 100.0}, polled)) == 2


def test_pollers_of_all_partitions_and_kinds_count_with_their_last_poll() -> None:
    answer = DescribeTaskQueueResponse()
    for version, kind, identity, seconds in [("", 1, "a", 100.5), ("", 2, "a", 101.0), ("v2", 1, "b", 99.0)]:
        poller = answer.versions_info[version].types_info[kind].pollers.add(identity=identity)
        poller.last_access_time.FromNanoseconds(int(seconds * 1e9))
    assert _workers.last_polls(answer) == {"a": 101.0, "b": 99.0}


def test_a_poller_of_another_name_does_not_count() -> None:
    polled = {(*QUEUE, kind, ""): {"networking:1.0.0@worker-b#1": 101.0} for kind in ("workflow", "activity")}
    assert "has not asked networking-queue in production for workflow tasks" in " ".join(
        _workers.unhealthy([WANTED], {"u1": 100.0}, polled)
    )


def test_workers_of_another_build_are_no_healthy_ones() -> None:
    seen = {WANTED["identity"]: 101.0}
    polled = {(*QUEUE, kind, "networking:1.0.0"): seen for kind in ("workflow", "activity")}
    assert _workers.unhealthy([WANTED | {"version": "networking:1.0.0"}], {"u1": 100.0}, polled) == []
    assert _workers.unhealthy([WANTED | {"version": "networking:1.1.0"}], {"u1": 100.0}, polled)


def test_a_versioned_worker_has_the_version_that_the_server_knows() -> None:
    versions = [
        _workers.workers(_workers.complete([GOOD | {"versioned": versioned}]), "h")[0]["version"]
        for versioned in (True, False)
    ]
    assert versions == ["networking:1.0.0", ""]


def test_other_builds_are_those_of_versioned_deployments_alone() -> None:
    units = [
        "temporal-sdk-worker@networking-1.0.0-1.service",
        "temporal-sdk-worker@networking-0.9.0-2.service",
        "temporal-sdk-worker@networking-0.9.0-1.service",
        # The name of another deployment begins like this one.
        "temporal-sdk-worker@networking-edge-0.9.0-1.service",
        "temporal-sdk-worker@gone-0.9.0-1.service",
        "temporal-sdk-worker-scaler.service",
    ]
    for versioned in (True, False):
        deployments = _workers.complete([GOOD | {"versioned": versioned}])
        expected = {"networking": {"0.9.0": [units[2], units[1]]}} if versioned else {}
        assert _workers.others(units, deployments) == expected


@pytest.mark.parametrize(
    ("versioned", "settings", "problem", "left"),
    [
        pytest.param(True, ["networking-0.9.0.env", "networking-1.0.0.env"], "", {}, id="it stays versioned"),
        pytest.param(True, ["networking-1.0.0.env"], "", {}, id="versioned with a new build"),
        pytest.param(
            True,
            [],
            "build 1.0.0 runs unversioned on this host and is declared versioned",
            {},
            id="versioned, same build",
        ),
        pytest.param(False, [], "", {}, id="it was never versioned"),
        pytest.param(
            False, ["networking-0.9.0.env"], "", {"networking": ["0.9.0"]}, id="not any more, with a new build"
        ),
        pytest.param(
            False,
            ["networking-0.9.0.env", "networking-1.0.0.env"],
            "build 1.0.0 runs versioned on this host and is declared unversioned",
            {"networking": ["0.9.0"]},
            id="not any more, same build",
        ),
    ],
)
def test_a_change_of_versioned_is_seen_before_it_stops_anything(
    versioned: bool, settings: list[str], problem: str, left: dict[str, list[str]]
) -> None:
    units = [f"temporal-sdk-worker@networking-{build}-1.service" for build in ("0.9.0", "1.0.0")]
    units += ["temporal-sdk-worker@gone-1.0.0-1.service", "temporal-sdk-worker-scaler.service"]
    found = _workers.versioning(
        units, [*settings, "gone-1.0.0.env"], _workers.complete([GOOD | {"versioned": versioned}])
    )
    assert [sentence.partition(";")[0] for sentence in found["problems"]] == (
        [f"networking: {problem}"] if problem else []
    )
    assert {name: list(builds) for name, builds in found["left"].items()} == left
    # What is not declared any more was somebody's, too.
    assert found["dropped"] == {"gone": {"1.0.0": ["temporal-sdk-worker@gone-1.0.0-1.service"]}}
    assert _workers.versioning(units, settings, _workers.complete([GOOD]))["dropped"] == {}
    for builds in found["left"].values():
        assert builds == {"0.9.0": units[:1]}


def test_the_environment_of_a_build_is_read_as_it_was_written() -> None:
    text = '# Managed\nTEMPORAL_NAMESPACE="production"\nAWKWARD="a \\"b\\" \\$c \\`d\\` \\\\e \'f\' # g"\nEMPTY=""\n'
    assert _workers.settings_of(text) == {
        "TEMPORAL_NAMESPACE": "production",
        "AWKWARD": "a \"b\" $c `d` \\e 'f' # g",
        "EMPTY": "",
    }


def test_a_build_that_takes_the_place_of_another_is_named_and_one_beside_it_is_not() -> None:
    declared = _workers.complete([GOOD, GOOD | {"name": "side", "package": "side==2.0", "versioned": True}])
    units = [
        f"temporal-sdk-worker@{name}.service" for name in ("networking-0.9.0-1", "networking-0.9.0-2", "side-1.0-1")
    ]
    same = ["temporal-sdk-worker@networking-1.0.0-1.service", "temporal-sdk-worker@gone-1.0.0-1.service"]
    hosts = {name: {"units": units, "deployments": declared} for name in ("worker-a", "worker-b")}
    hosts["worker-c"] = {"units": [*same, "temporal-sdk-worker-scaler.service"], "deployments": declared}
    [problem] = _workers.replacements(hosts)
    assert problem.startswith("networking: build 1.0.0 would take the place of 0.9.0 on worker-a, worker-b at once")


def test_a_poll_of_the_build_before_is_none_of_the_new_one() -> None:
    [old], [new] = (
        _workers.workers(_workers.complete([GOOD | {"package": f"networking-worker=={build}"}]), "worker-a")
        for build in ("1.0.0", "1.1.0")
    )
    assert old["identity"] != new["identity"]


def test_a_build_is_abandoned_when_its_units_go_and_nobody_declares_it() -> None:
    """Neither one that is to have fewer instances, nor a build with the number of another deployment."""
    deployments = _workers.complete([GOOD, GOOD | {"name": "reports", "package": "reports==2.0"}])
    gone = ["networking-0.9.0-1", "networking-0.9.0-2", "networking-1.0.0-2", "reports-1.0.0-1", "old-queue-3-1"]
    units = [f"temporal-sdk-worker@{name}.service" for name in gone]
    assert _workers.abandoned([*units, "temporal-sdk-worker-scaler.service"], deployments) == [
        {"name": "networking", "build": "0.9.0"},
        {"name": "old-queue", "build": "3"},
        {"name": "reports", "build": "1.0.0"},
    ]
