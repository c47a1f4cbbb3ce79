"""What the declared workers of a host are: units, environments, and whether they do their work.

* deployment: one element of the input ``temporal_worker_deployments``, completed by ``complete``.
* worker: one instance of a deployment on one host, see ``workers``.

The functions of this file do no I/O.
"""

from __future__ import annotations

import contextlib
import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from ansible.module_utils.common.arg_spec import ArgumentSpecValidator
from ansible.module_utils.parsing.convert_bool import boolean

NAME = re.compile(r"^[a-z][a-z0-9_-]*$")
# As part of the name of a unit, which systemd does not let have a plus.
BUILD = re.compile(r"^[A-Za-z0-9][A-Za-z0-9._]*$")
UNIT = re.compile(r"^temporal-sdk-worker@(?P<name>.+)-(?P<build>[^-]+)-(?P<number>[0-9]+)\.service$")
MODULE = re.compile(r"^[A-Za-z_][A-Za-z0-9_]*(\.[A-Za-z_][A-Za-z0-9_]*)*$")
# What systemd takes for each limit, and the setting of a unit that it becomes.
LIMITS = {
    "memory_max": (
        re.compile(r"[1-9][0-9]*[KMGT]?|([1-9][0-9]?|100)%"),
        "MemoryMax",
        "bytes with K, M, G or T, or a share as 20%",
    ),
    "cpu_quota": (re.compile(r"[1-9][0-9]*%"), "CPUQuota", "a share of one processor as 150%"),
    "tasks_max": (re.compile(r"[1-9][0-9]*"), "TasksMax", "a number of threads, at least 1"),
}
# The units do not see these.
HIDDEN = ("/home/", "/root/", "/run/user/")
SETTING = re.compile(r'^([A-Za-z_][A-Za-z0-9_]*)="(.*)"$', re.MULTILINE)
# In an address that pip takes; a name alone, as in git+ssh://git@host, is no secret.
PASSWORD = re.compile(r"://[^/@]*:[^/@]*@")
REQUIREMENT = re.compile(r"^(?P<name>[A-Za-z0-9][A-Za-z0-9._-]*)==(?P<version>[A-Za-z0-9][A-Za-z0-9._+!]*)$")

# So many builds of a deployment have ports for metrics on a host. Of a versioned one, by True: what ramps, what is
# current, and older ones that still have pinned workflows. Of another one: the new build polls before the old one goes.
BUILDS_SIDE_BY_SIDE = {True: 4, False: 2}

# What a worker polls for, and the option that has what it serves of it.
KINDS = {"workflow": "workflows", "activity": "activities"}

# With these the runner gives out slots by what the host has left.
TARGETS = {"TEMPORAL_WORKER_TARGET_MEMORY_PERCENT", "TEMPORAL_WORKER_TARGET_CPU_PERCENT"}
# What the unit of an instance gives it to end, and some more, comes from the declaration alone.
GRACE = "TEMPORAL_WORKER_GRACEFUL_SHUTDOWN_SECONDS"
HIGHEST_PORT = 65535

DEFAULTS: dict[str, Any] = {
    "workflows": [],
    "activities": [],
    "main": "",
    "polls": list(KINDS),
    "python": "/usr/bin/python3",
    "source": "",
    "limits": {},
    "instances": 1,
    "environment": {},
    "graceful_shutdown_seconds": 30,
    "metrics_port": 0,
    "versioned": False,
    "versioning_behavior": "pinned",
    "gate": {},
}
# What a deployment may have; the types are those of the defaults, as meta/argument_specs.yml has them.
OPTIONS: dict[str, dict[str, Any]] = {
    **{name: {"type": "str", "required": True} for name in ("name", "namespace", "task_queue", "package")},
    **{name: {"type": type(value).__name__} for name, value in DEFAULTS.items()},
    "build": {"type": "str"},
    "instances_min": {"type": "int"},
    "instances_max": {"type": "int"},
}
OPTIONS |= {name: {**option, "elements": "str"} for name, option in OPTIONS.items() if option["type"] == "list"}
# One for all: every use of the deployments in a template asks it.
VALIDATOR = ArgumentSpecValidator(OPTIONS)
TEMPORALS_PARTITIONS = 4
"""How many partitions a task queue has when nobody says otherwise (``common/dynamicconfig/shared_constants.go``)."""


def complete(deployments: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Return the deployments with every option, each of its type whatever somebody wrote it as, ``"2"`` for 2.

    The build is the version of the package unless it is given, and the fewest and the most instances are ``instances``.

    Raises:
        ValueError: one lacks what it needs, has what is unknown, or has a value that cannot be of its type.
    """
    return [_completed(deployment) for deployment in deployments]


def _completed(deployment: Mapping[str, Any]) -> dict[str, Any]:
    # Ansible checks the types of a role's options and does not convert them.
    seen = VALIDATOR.validate({k: _plain(v) for k, v in deployment.items() if v is not None})
    if seen.error_messages:
        name = deployment.get("name") or "a deployment"
        raise ValueError(f"temporal_worker_deployments: {name}: {'; '.join(seen.error_messages)}")
    given = {name: value for name, value in seen.validated_parameters.items() if value is not None}
    made = {"build": given["package"].partition("==")[2], **DEFAULTS, **given}
    number = made["instances"]
    return {"instances_min": number, "instances_max": number, **made}


def _plain(value: object) -> object:
    """Return ``value`` in lists and dictionaries of Python: a copy of Ansible's copies all variables of the host."""
    if isinstance(value, Mapping):
        return {name: _plain(item) for name, item in value.items()}
    if isinstance(value, list):
        return [_plain(item) for item in value]
    return value


def wheel_prefix(package: str) -> str:
    """Return how the file names of the wheels of ``name==version`` begin, in lower case."""
    name, _, version = package.partition("==")
    return f"{re.sub(r'[-_.]+', '_', name)}-{version}-".lower()


def problems(
    deployments: Sequence[Mapping[str, Any]], wheels: Sequence[str], overrides: Mapping[str, Any] | None = None
) -> list[str]:
    """Return what is wrong with completed ``deployments``, one sentence each.

    ``wheels``: file names. ``overrides``: environment variables of all deployments.
    """
    found = []
    names = [deployment["name"] for deployment in deployments]
    for name in sorted({name for name in names if names.count(name) > 1}):
        found.append(f"{name}: two deployments have this name; give each a name of its own")
    for deployment in deployments:
        variables = {**(overrides or {}), **deployment["environment"]}
        found += [f"{deployment['name']}: {problem}" for problem in _problems_of(deployment, wheels, variables)]
    return found + _port_problems(deployments)


def scaling_problems(scaling: Mapping[str, Any], deployments: Sequence[Mapping[str, Any]]) -> list[str]:
    """Return what is wrong with ``temporal_worker_scaling`` on a host with completed ``deployments``."""
    found = []
    interval, calm, port = (
        int(scaling.get(name) or 0) for name in ("interval_seconds", "calm_seconds", "metrics_port")
    )
    if "interval_seconds" in scaling and interval < 1:
        found.append(f"interval_seconds is {interval}; at least 1 is needed")
    if calm < 0:
        found.append(f"calm_seconds is {calm}; it cannot be negative")
    if not 0 <= port <= HIGHEST_PORT:
        found.append(f"metrics_port is {port}; a port is at most {HIGHEST_PORT}, and 0 is none")
    found += [
        f"metrics_port {port} is one of an instance of {deployment['name']}; the agent needs its own"
        for deployment in deployments
        if port and port in _all_metrics_ports_of(deployment)
    ]
    return found


def _problems_of(deployment: Mapping[str, Any], wheels: Sequence[str], variables: Mapping[str, Any]) -> list[str]:
    found = []
    if not NAME.match(deployment["name"]):
        found.append("a name is lower case letters, digits, - and _, and begins with a letter")
    if deployment["build"] and not BUILD.match(deployment["build"]):
        found.append(
            f"build {deployment['build']!r} is not letters, digits, '.' and '_', as names of units are; give it a build"
            " of its own where the version of the package has others"
        )
    if not deployment["task_queue"].strip():
        found.append("task_queue is empty; name the queue that its workflows are started on")
    fewest, most = deployment["instances_min"], deployment["instances_max"]
    if fewest < 1:
        name = "instances" if fewest == deployment["instances"] else "instances_min"
        found.append(f"{name} is {fewest}; at least 1 is needed, and to have none leave the deployment out")
    elif fewest > most:
        found.append(f"instances_min is {fewest} and instances_max {most}; the most cannot be less than the fewest")
    elif fewest < most and any(variables.get(name) for name in TARGETS):
        found.append(
            f"instances_min is {fewest} and instances_max {most}, and {' and '.join(sorted(TARGETS))} give out slots as"
            " the host has room; the agent needs a fixed number of them, so give instances instead, or no targets"
        )
    elif fewest < most and not deployment["metrics_port"]:
        found.append(
            f"instances_min is {fewest} and instances_max {most}, and there is no metrics_port; the agent reads in the"
            " metrics of the instances how busy they are"
        )
    if deployment["graceful_shutdown_seconds"] < 0:
        found.append(f"graceful_shutdown_seconds is {deployment['graceful_shutdown_seconds']}; it cannot be negative")
    if GRACE in variables:
        found.append(
            f"its environment has {GRACE}, of which systemd is not told; set graceful_shutdown_seconds instead"
        )
    ports = _all_metrics_ports_of(deployment)
    if deployment["metrics_port"] < 0 or max(ports, default=0) > HIGHEST_PORT:
        found.append(
            f"metrics_port is {deployment['metrics_port']}, and its instances have ports up to {max(ports)}; a port is"
            f" at most {HIGHEST_PORT}, and 0 is none"
        )
    if deployment["gate"] and not deployment["versioned"]:
        found.append("a gate is for a versioned deployment; say versioned: true")
    found += [*_program_problems(deployment), *_limit_problems(deployment["limits"])]
    if not REQUIREMENT.match(deployment["package"]):
        return [*found, f"package {deployment['package']!r} does not name one version, as in networking-worker==1.0.0"]
    if not any(wheel.lower().startswith(wheel_prefix(deployment["package"])) for wheel in wheels):
        name = wheel_prefix(deployment["package"]).partition("-")[0]
        others = [wheel for wheel in wheels if wheel.lower().startswith(f"{name}-")]
        found.append(
            f"there is no wheel of {deployment['package']} in the wheels of temporal_artifact_directory"
            f" (of this package there is {', '.join(sorted(others)) or 'none'}); "
            + ("playbooks/artifacts.yml makes it" if deployment["source"] else "put it there, or name its source")
        )
    return found


def _program_problems(deployment: Mapping[str, Any]) -> list[str]:
    served, main = [*deployment["workflows"], *deployment["activities"]], deployment["main"]
    found = []
    if main and served:
        found.append("it has a main, which serves what it likes; name neither workflows nor activities beside it")
    if main and not MODULE.match(str(main)):
        found.append(f"main {main!r} is not a module, as in networking_worker.service")
    if main and not deployment["polls"]:
        found.append("polls is empty; say whether its main asks for workflow or activity tasks, or both")
    if not main and not served:
        found.append("neither workflows nor activities are named; name at least one module, or a main")
    if not main and deployment["polls"] != DEFAULTS["polls"]:
        found.append("polls is for a main; the runner polls for what it serves")
    python = str(deployment["python"])
    if not python.startswith("/"):
        found.append(f"python {python!r} is not the path of an interpreter")
    if python.startswith(HIDDEN):
        found.append(f"python {python!r} is where a service does not see it; install it elsewhere, as below /opt")
    if PASSWORD.search(deployment["source"]):
        found.append("source has a password in it; git and pip have places of their own for credentials")
    return found


def _limit_problems(limits: Mapping[str, Any]) -> list[str]:
    return [
        f"{name} {limits[name]!r} is not {what}"
        for name, (pattern, _, what) in LIMITS.items()
        if limits.get(name) is not None and not pattern.fullmatch(str(limits[name]))
    ]


def limits(deployment: Mapping[str, Any]) -> dict[str, str]:
    """Return the limits of each instance as settings of its unit."""
    return {
        setting: str(deployment["limits"][name])
        for name, (_, setting, _) in LIMITS.items()
        if deployment["limits"].get(name) is not None
    }


def _port_problems(deployments: Sequence[Mapping[str, Any]]) -> list[str]:
    owner: dict[int, str] = {}
    found = []
    for deployment in deployments:
        for port in sorted(_all_metrics_ports_of(deployment)):
            other = owner.setdefault(port, deployment["name"])
            if other != deployment["name"]:
                found.append(f"{deployment['name']}: metrics port {port} of an instance is taken by {other}")
    return found


def metrics_ports(deployment: Mapping[str, Any], number: int) -> list[int]:
    """Return the ports that instance ``number`` may have for its metrics, none where it is to have none.

    It takes the first that no other build of the deployment has.
    """
    first, most = deployment["metrics_port"], deployment["instances_max"]
    if not first or number > most:
        return []
    return [first + build * most + number - 1 for build in range(BUILDS_SIDE_BY_SIDE[deployment["versioned"]])]


def _all_metrics_ports_of(deployment: Mapping[str, Any]) -> list[int]:
    return [port for number in range(1, deployment["instances_max"] + 1) for port in metrics_ports(deployment, number)]


def all_metrics_ports(deployments: Sequence[Mapping[str, Any]], scaling: Mapping[str, Any]) -> dict[str, int]:
    """Return every port that a host of workers may have for metrics, by a name of its own.

    ``deployments``: as they are in the inventory. ``scaling``: ``temporal_worker_scaling``, with the port of the agent.
    What is no deployment is left out: somebody else refuses it.
    """
    ports: set[int] = set()
    for deployment in deployments:
        with contextlib.suppress(ValueError):
            ports.update(_all_metrics_ports_of(_completed(deployment)))
    agent = int(scaling.get("metrics_port") or 0)
    return {f"worker_metrics_{port}": port for port in sorted(ports | ({agent} if agent else set()))}


def workers(deployments: Sequence[Mapping[str, Any]], host: str) -> list[dict[str, Any]]:
    """Return the instances of ``host``.

    Each is ``{unit, identity, number, optional, metrics_ports, polls, version, limits, deployment}``.

    ``optional``: it runs only when the load asks for it. ``polls``, ``version``, ``metrics_ports``, ``limits``: what
    the functions of these names return.
    """
    return [
        {
            "unit": f"temporal-sdk-worker@{deployment['name']}-{deployment['build']}-{number}.service",
            # With the build: while one takes the place of another, both poll under the same name and number.
            "identity": f"{deployment['name']}:{deployment['build']}@{host}#{number}",
            "number": number,
            "optional": number > deployment["instances_min"],
            "polls": polls(deployment),
            "version": version(deployment),
            "limits": limits(deployment),
            "metrics_ports": metrics_ports(deployment, number),
            "deployment": deployment,
        }
        for deployment in deployments
        for number in range(1, deployment["instances_max"] + 1)
    ]


def hosts_by_queue(declared: Iterable[tuple[str, Mapping[str, Any]]]) -> dict[str, list[str]]:
    """Return the hosts that take the tasks of each task queue, by its name and, where they differ, by their kind.

    ``declared``: hosts with one deployment each, as somebody wrote it. Deployments of different names that ask for the
    same tasks stand in for each other; versioned ones do not, as a workflow stays in the deployment that began it.
    """
    found: dict[str, dict[str, dict[str, None]]] = {}
    for host, deployment in declared:
        queue = f"{deployment.get('task_queue')} in {deployment.get('namespace')}"
        if boolean(deployment.get("versioned") or False, strict=False):
            queue = f"{deployment.get('name')} on {queue}"
        for kind in kinds_of(deployment):
            found.setdefault(queue, {}).setdefault(kind, {})[host] = None
    named = {}
    for queue, kinds in found.items():
        is_one = len({frozenset(hosts) for hosts in kinds.values()}) == 1
        named |= {queue if is_one else f"{queue} ({kind} tasks)": [*hosts] for kind, hosts in kinds.items()}
    return named


def kinds_of(given: Mapping[str, Any]) -> list[str]:
    """Return the kinds of tasks that a deployment seems to ask for as somebody wrote it, right or wrong."""
    asked = given.get("polls")
    made = {**DEFAULTS, **given, "polls": asked if isinstance(asked, list | tuple) else DEFAULTS["polls"]}
    return polls(made) or list(KINDS)


def polls(deployment: Mapping[str, Any]) -> list[str]:
    """Return the kinds of tasks that the instances of a deployment ask for."""
    if deployment["main"]:
        return [kind for kind in KINDS if kind in deployment["polls"]]
    return [kind for kind, what in KINDS.items() if deployment[what]]


def version(deployment: Mapping[str, Any]) -> str:
    """Return the version of a versioned deployment as the server writes it, an empty text for another one."""
    return f"{deployment['name']}:{deployment['build']}" if deployment["versioned"] else ""


def others(units: Sequence[str], deployments: Sequence[Mapping[str, Any]]) -> dict[str, dict[str, list[str]]]:
    """Return those of ``units`` that are of another build of a versioned deployment, by deployment and build."""
    declared = {deployment["name"]: deployment["build"] for deployment in deployments if deployment["versioned"]}
    found: dict[str, dict[str, list[str]]] = {}
    for (name, build), own in _builds(units).items():
        if name in declared and build != declared[name]:
            found.setdefault(name, {})[build] = own
    return found


def _number(unit: str) -> int:
    """Return which instance of its build a unit is."""
    match = UNIT.match(unit)
    assert match is not None, unit
    return int(match["number"])


def versioning(
    units: Sequence[str], versioned: Sequence[str], deployments: Sequence[Mapping[str, Any]]
) -> dict[str, Any]:
    """Return what speaks against it that a deployment changes whether it is versioned, or is declared no more.

    ``units``: all of the host. ``versioned``: names of the files with the settings of its versioned builds. Returned
    are ``{problems, left, dropped}``: one sentence for each build that would have to change while it runs, and the
    units of versioned builds, by name and by build, of deployments that are not versioned any more and of those that
    the host does not declare any more. Who needs those the server knows.
    """
    problems: list[str] = []
    left: dict[str, dict[str, list[str]]] = {}
    dropped: dict[str, dict[str, list[str]]] = {}
    declared = {deployment["name"]: deployment for deployment in deployments}
    for (name, build), own in _builds(units).items():
        now, before = declared.get(name), f"{name}-{build}.env" in versioned
        if now is None:
            if before:
                dropped.setdefault(name, {})[build] = own
        elif now["versioned"] == before:
            continue
        elif build == now["build"]:
            problems.append(
                f"{name}: build {build} runs {'' if before else 'un'}versioned on this host and is declared"
                f" {'un' if before else ''}versioned; a build does not change that, so give it a new version"
                " (docs/rollouts.md, Limits)"
            )
        elif before:
            left.setdefault(name, {})[build] = own
    return {"problems": problems, "left": left, "dropped": dropped}


def settings_of(text: str) -> dict[str, str]:
    """Return the variables of a file with the environment of a build, as the role writes it."""
    return {name: re.sub(r'\\(["\\$`])', r"\1", value) for name, value in SETTING.findall(text)}


def _builds(units: Iterable[str]) -> dict[tuple[str, str], list[str]]:
    """Return those of ``units`` that are workers, by name and build."""
    found: dict[tuple[str, str], list[str]] = {}
    for unit in sorted(units):
        if match := UNIT.match(unit):
            found.setdefault((match["name"], match["build"]), []).append(unit)
    return found


def abandoned(units: Sequence[str], deployments: Sequence[Mapping[str, Any]]) -> list[dict[str, str]]:
    """Return ``{name, build}`` of the builds whose ``units`` go and that none of the ``deployments`` declares."""
    declared = {(deployment["name"], deployment["build"]) for deployment in deployments}
    return [{"name": name, "build": build} for name, build in _builds(units) if (name, build) not in declared]


def replacements(hosts: Mapping[str, Mapping[str, Any]]) -> list[str]:
    """Return which builds another one is to take the place of, on hosts that have workers of it.

    ``hosts``: ``{host: {units, deployments}}``, the names of all units of its workers and what is declared for it.
    Builds of versioned deployments run side by side, and the new one gets nothing before somebody says so.
    """
    found: dict[tuple[str, str, str], list[str]] = {}
    for host, state in hosts.items():
        declared = {row["name"]: row["build"] for row in state["deployments"] if not row["versioned"]}
        for name, build in _builds(state["units"]):
            if declared.get(name, build) != build:
                found.setdefault((name, build, declared[name]), []).append(host)
    return [
        f"{name}: build {new} would take the place of {old} on {', '.join(where)} at once; deploy_workers.yml does that"
        " zone by zone"
        for (name, old, new), where in found.items()
    ]


def packages(deployments: Sequence[Mapping[str, Any]]) -> list[dict[str, str]]:
    """Return ``{package, source}`` of those ``deployments`` that have a source, each once.

    Raises:
        ValueError: one has no package, or a package two sources, or a source a password.
    """
    sources: dict[str, str] = {}
    for deployment in deployments:
        source, package = deployment.get("source"), deployment.get("package")
        if not source:
            continue
        name = deployment.get("name", "a deployment")
        if not package:
            raise ValueError(f"temporal_worker_deployments: {name} has a source and no package")
        if PASSWORD.search(source):
            raise ValueError(f"temporal_worker_deployments: the source of {name} has a password in it")
        if sources.setdefault(package, source) != source:
            raise ValueError(
                f"temporal_worker_deployments: {package} comes from {sources[package]} and from {source}; keep one"
            )
    return [{"package": package, "source": source} for package, source in sources.items()]


def deployments_of(
    hosts: Iterable[str], hostvars: Mapping[str, Mapping[str, Any]]
) -> list[tuple[str, Mapping[str, Any]]]:
    """Return ``hosts`` with one deployment each, as somebody wrote it for them."""
    return [(host, row) for host in hosts for row in hostvars[host].get("temporal_worker_deployments") or []]


def hosts_by_deployment(hosts: Sequence[str], hostvars: Mapping[str, Mapping[str, Any]]) -> dict[str, int]:
    """Return how many of ``hosts`` run each deployment."""
    found: dict[str, int] = {}
    for _, deployment in deployments_of(hosts, hostvars):
        found[deployment["name"]] = found.get(deployment["name"], 0) + 1
    return found


def task_queues(hosts: Sequence[str], hostvars: Mapping[str, Mapping[str, Any]]) -> list[dict[str, str]]:
    """Return the task queues that workers on ``hosts`` serve, each once, as ``{namespace, name}``.

    What is no deployment is left out: somebody else refuses it.
    """
    found = {
        (deployment["namespace"], deployment["task_queue"])
        for _, deployment in deployments_of(hosts, hostvars)
        if isinstance(deployment, Mapping)
        and all(isinstance(deployment.get(key), str) for key in ("namespace", "task_queue"))
    }
    return [{"namespace": namespace, "name": name} for namespace, name in sorted(found)]


def partitions(queues: Sequence[Mapping[str, str]]) -> list[dict[str, Any]]:
    """Return how many partitions task queues have, as dynamic configuration of the server wants it.

    One for the activities of ``queues``, and Temporal's own number for everything else. A poll waits at one partition,
    which passes it on to the first. When a worker stops, the server ends the poll where it waits, and a task that the
    first has just given out is lost on the way back (measured in docs/operations.md). Workflow tasks keep theirs: the
    server ends the polls of a worker at those hosts alone that have a partition of its task queue, and the worker's
    own queue of workflow tasks can be at any.
    """
    return [
        {"value": TEMPORALS_PARTITIONS},
        *(
            {
                "value": 1,
                "constraints": {"namespace": row["namespace"], "taskQueueName": row["name"], "taskType": "Activity"},
            }
            for row in queues
        ),
    ]


def scaled(
    instances: Sequence[Mapping[str, Any]],
    address: str,
    hosts: Mapping[str, int],
    overrides: Mapping[str, Any],
    others: Mapping[str, Mapping[str, Sequence[str]]],
) -> list[dict[str, Any]]:
    """Return what has a number of instances of its own that follows the load, as the agent of the host reads it.

    That is each deployment among ``instances`` with fewer as its fewest than as its most, and of a versioned one each
    build that this host has: the server tells what waits for which, and a build that goes may have more to end than one
    that comes.

    ``address``: where the instances have their metrics. ``hosts``: how many hosts run each deployment; one that is not
    in it runs here alone. ``overrides``: environment variables of all deployments. ``others``: what :func:`others`
    returns. Where the bounds or the ports have changed since those began, ports of theirs may be missing.
    """
    found: list[dict[str, Any]] = []
    declared = _builds(instance["unit"] for instance in instances)
    for name, deployment in {each["deployment"]["name"]: each["deployment"] for each in instances}.items():
        if deployment["instances_min"] >= deployment["instances_max"]:
            continue
        builds = {deployment["build"]: declared[name, deployment["build"]], **others.get(name, {})}
        for build, units in builds.items():
            in_order = sorted(units, key=_number)
            of_server = version({**deployment, "build": build})
            found.append(
                {
                    "name": of_server or name,
                    "namespace": deployment["namespace"],
                    "task_queue": deployment["task_queue"],
                    "build": build,
                    "version": of_server,
                    "kinds": polls(deployment),
                    "token": str({**overrides, **deployment["environment"]}.get("TEMPORAL_API_KEY", "")),
                    "fewest": min(deployment["instances_min"], len(units)),
                    "hosts": hosts.get(name, 1),
                    "units": in_order,
                    "metrics": [
                        [f"{address}:{port}" for port in metrics_ports(deployment, _number(unit))] for unit in in_order
                    ],
                }
            )
    return found


def last_polls(answer: Any) -> dict[str, float]:  # noqa: ANN401
    """Return when each identity asked for work last, as Unix time, at any partition of a task queue.

    ``answer``: a ``DescribeTaskQueueResponse`` of the enhanced mode. The plain one asks the root partition alone, which
    hears of a poll at another one when that is repeated, after a minute.
    """
    last: dict[str, float] = {}
    for version in answer.versions_info.values():
        for of_kind in version.types_info.values():
            for poller in of_kind.pollers:
                at = poller.last_access_time.ToNanoseconds() / 1e9
                last[poller.identity] = max(at, last.get(poller.identity, at))
    return last


def unhealthy(
    wanted: Sequence[Mapping[str, Any]],
    started_at: Mapping[str, float | None],
    polled_at: Mapping[tuple[str, str, str, str], Mapping[str, float]],
) -> list[str]:
    """Return what is wrong with the workers of a host, one sentence per finding.

    ``wanted``: ``{unit, identity, namespace, task_queue, version, polls}``, where ``polls`` holds ``workflow`` and
    ``activity``, and ``version`` is empty for a worker that is not versioned.
    ``started_at``: Unix time of the start of each unit, ``None`` for one that does not run.
    ``polled_at``: by (namespace, task queue, kind, version) the Unix time at which each identity asked for work last.
    The server remembers for minutes who asked, so what was asked before the unit started does not count.
    """
    found = []
    for worker in wanted:
        start = started_at.get(worker["unit"])
        if start is None:
            found.append(f"{worker['unit']} does not run")
            continue
        for kind in worker["polls"]:
            queue = (worker["namespace"], worker["task_queue"], kind, worker["version"])
            if polled_at.get(queue, {}).get(worker["identity"], 0) < start:
                found.append(
                    f"{worker['unit']} runs, but {worker['identity']} has not asked {worker['task_queue']}"
                    f" in {worker['namespace']} for {kind} tasks since it started"
                )
    return found
