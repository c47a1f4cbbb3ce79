"""The number of instances follows the load within its bounds, and nothing else may change it."""

from __future__ import annotations

import asyncio
import time
import uuid
from collections.abc import Callable

import pytest
from outside import WORKERS, connect, host_named
from testinfra.host import Host

from lab.sample import model, workflows

AGENT = "temporal-sdk-worker-scaler.service"
USER, WORKER = "temporal-worker-scaler", "temporal-worker"
UNITS = [f"temporal-sdk-worker@scaled-1.0.0-{number}.service" for number in (1, 2, 3)]
# What the agent follows, by the name of its task queue: a deployment, and a build of a versioned one.
FOLLOWED = {
    "scaled-queue": ("scaled", UNITS),
    "rolled-queue": (
        "rolled:1.0.0",
        [f"temporal-sdk-worker@rolled-1.0.0-{number}.service" for number in (1, 2)],
    ),
}
# Of each. Two hosts with three instances of four slots each have 24 at most.
CHANGES = 40
DEVICE_SECONDS = 5
# Until all instances run, and until they are gone: a minute of calm, then one after the other, on a busy machine.
UP_SECONDS = 120
DOWN_SECONDS = 300


def running(host: Host, units: list[str]) -> list[str]:
    """Return those of ``units`` that run on ``host``."""
    return [unit for unit in units if host.service(unit).is_running]


def run(hosts: list[Host], number: int | None = None) -> bool:
    """Tell whether the first ``number`` instances of each run on every host, or all of them, and no others."""
    return all(running(host, units) == units[:number] for host in hosts for _, units in FOLLOWED.values())


def wait(what: Callable[[], bool], seconds: float) -> None:
    """Wait until ``what`` is true."""
    deadline = time.monotonic() + seconds
    while not what():
        assert time.monotonic() < deadline, [
            (name, running(host_named(name), units)) for name in WORKERS for _, units in FOLLOWED.values()
        ]
        time.sleep(1)


def ask(host: Host, user: str, line: str) -> str:
    """Return what the helper of the agent answers to ``user``."""
    program = (
        "import socket; s = socket.socket(socket.AF_UNIX); s.connect('/run/temporal-sdk-worker-control.sock');"
        f" s.sendall(b'{line}\\n'); print(s.makefile().readline())"
    )
    return host.run("runuser --user %s -- python3 -c %s 2>&1", user, program).stdout


def test_the_agent_is_not_root_and_has_no_capability(host: Host) -> None:
    process = host.check_output(f"systemctl show --property=MainPID --value {AGENT}")
    assert host.check_output(f"stat --format=%U /proc/{process}") == USER
    assert "CapEff:\t0000000000000000" in host.check_output(f"cat /proc/{process}/status")


def test_only_the_first_instance_starts_with_the_host(host: Host) -> None:
    assert [host.service(unit).is_enabled for unit in UNITS] == [True, False, False]


def test_the_helper_starts_nothing_that_is_out_of_bounds(host: Host) -> None:
    assert "9 is not between 1 and 3" in ask(host, USER, '{"scaled": 9}')
    assert "does not name deployments that are scaled" in ask(host, USER, '{"networking": 1}')
    assert UNITS[0] in ask(host, USER, "{}")


@pytest.mark.parametrize("user", ["nobody", WORKER])
def test_nobody_else_may_ask_the_helper(host: Host, user: str) -> None:
    assert "PermissionError" in ask(host, user, "{}")


def test_no_worker_reads_the_tokens_of_all_deployments(host: Host) -> None:
    read = "head --bytes=1 /etc/temporal-workers/scaling.json"
    assert host.run(f"runuser --user {USER} --group {USER} --supp-group {WORKER} -- {read}").stdout == "{"
    assert "Permission denied" in host.run(f"runuser --user {WORKER} -- {read}").stderr


def test_the_agent_tells_what_it_sees(host: Host) -> None:
    program = (
        "import sys, urllib.request; address = sys.argv[1];"
        " print(urllib.request.urlopen(f'http://{address}:9399/metrics', timeout=5).read().decode())"
    )
    address = host.check_output("hostname --all-ip-addresses").split()[0]
    text = host.check_output("python3 -c %s %s", program, address)
    assert 'temporal_worker_scaler_slots{deployment="scaled",kind="activity"} 4' in text


async def load() -> None:
    """Start many changes at once, watch the instances come and go, and look at what became of the changes."""
    client = await connect()
    marked = uuid.uuid4().hex[:6]
    started = []
    for number in range(CHANGES):
        for queue in FOLLOWED:
            device = model.Device(f"device-{number}", seconds=DEVICE_SECONDS)
            change = model.Change(f"{queue}-{marked}-{number}", 10, [device])
            handle = await client.start_workflow(
                workflows.ConfigureNetwork.run, change, id=change.change_id, task_queue=queue
            )
            started.append((change, handle))
    hosts = [host_named(name) for name in WORKERS]
    wait(lambda: run(hosts), UP_SECONDS)
    for change, handle in started:
        assert await asyncio.wait_for(handle.result(), 180) == model.expected_outcome(change)
    wait(lambda: run(hosts, 1), DOWN_SECONDS)
    for host in hosts:
        journal = host.check_output(f"journalctl --output=cat --unit={AGENT}")
        for name, units in FOLLOWED.values():
            assert f"{name}: up from 1 to" in journal
            assert f"{name}: down from {len(units)} to {len(units) - 1}: " in journal
            # An instance that was taken away has ended its tasks.
            assert host.check_output(f"systemctl show --property=Result --value '{units[-1]}'") == "success"


def test_instances_come_with_the_load_and_go_after_it_and_no_change_is_lost() -> None:
    asyncio.run(load())


@pytest.mark.parametrize("name", WORKERS)
def test_an_agent_that_is_killed_leaves_the_workers_alone_and_comes_back(name: str) -> None:
    host = host_named(name)
    show = f"systemctl show --property=MainPID --value {AGENT}"
    pids = f"systemctl show --property=MainPID --value '{UNITS[0]}'"
    before, workers = host.check_output(show), host.check_output(pids)
    host.check_output(f"kill -KILL {before}")
    wait(lambda: host.check_output(show) not in {before, "0"}, 60)
    assert host.check_output(pids) == workers
