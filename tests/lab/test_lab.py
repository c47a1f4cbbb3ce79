"""The lab keeps its promises on real containers: hosts, faults that heal themselves, labs side by side, no traces."""

from __future__ import annotations

import contextlib
import json
import os
import shlex
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from lab import faults, hosts, inventory, machine, network, state

ROOT = Path(__file__).resolve().parents[2]
FIRST, SECOND = "test-first", "test-second"
INVENTORY = """\
all:
  vars: {temporal_vip: 10.90.1.10}
  children:
    az_a: {hosts: {host-a: {ansible_host: 10.90.1.11}}}
    az_b: {hosts: {host-b: {ansible_host: 10.90.1.12}}}
    az_c: {hosts: {host-c: {ansible_host: 10.90.1.13}}}
"""

# Programs that hosts run. The first pair holds a connection open and says how it ends.
ACCEPT = """
import socket, time
server = socket.create_server(("", 99))
connection, _ = server.accept()
time.sleep(60)
"""
CONNECT = """
import socket, time
for _ in range(50):
    try:
        connection = socket.create_connection(("10.90.1.11", 99), 2)
        break
    except OSError:
        time.sleep(0.1)
print("connected", flush=True)
connection.settimeout(5)
try:
    print("ended by", connection.recv(1), flush=True)
except TimeoutError:
    print("silence", flush=True)
"""
HEAR = """
import socket
receiver = socket.socket(type=socket.SOCK_DGRAM)
receiver.bind(("", 99))
receiver.settimeout({seconds})
print("ready", flush=True)
try:
    print(receiver.recv(1).decode(), flush=True)
except TimeoutError:
    print("nothing", flush=True)
"""
SEND = """
import socket, time
for _ in range(5):
    socket.socket(type=socket.SOCK_DGRAM).sendto(b"x", ("{address}", 99))
    time.sleep(0.1)
"""

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="the lab needs root")


def lab(*words: str, name: str = FIRST) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "lab", words[0], "--name", name, *words[1:]]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False, timeout=300)


def must(*words: str, name: str = FIRST) -> str:
    done = lab(*words, name=name)
    assert done.returncode == 0, done.stderr
    return done.stdout


def on(host: str, command: str, name: str = FIRST) -> subprocess.CompletedProcess[str]:
    words = [*inventory.ssh_command(state.load(name), state.load(name).host(host)), command]
    return subprocess.run(words, capture_output=True, text=True, check=False, timeout=120, stdin=subprocess.DEVNULL)


@contextlib.contextmanager
def program(host: str, code: str) -> Iterator[subprocess.Popen[str]]:
    """A Python program that runs on a host until the block ends."""
    command = [*inventory.ssh_command(state.load(FIRST), state.load(FIRST).host(host)), "python3", "-c"]
    with subprocess.Popen(
        [*command, shlex.quote(code)], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
    ) as running:
        yield running
        running.kill()


def reaches(source: str, address: str) -> bool:
    return on(source, f"ping -c 1 -W 1 {address}").returncode == 0


def wait_until(promise: str, seconds: float, holds: Callable[[], object]) -> None:
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if holds():
            return
        time.sleep(0.5)
    pytest.fail(f"not within {seconds:.0f} s: {promise}")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """Two labs made from one inventory, the second in a subnet of its own."""
    folder = tmp_path_factory.mktemp("lab")
    previous = os.environ.get("ZEROSPOF_LAB_STATE")
    os.environ["ZEROSPOF_LAB_STATE"] = str(folder / "state")
    (folder / "hosts.yml").write_text(INVENTORY)
    must("up", "--inventory", str(folder / "hosts.yml"))
    yield folder
    for name in (FIRST, SECOND):
        lab("down", "--missing-ok", name=name)
    os.environ.pop("ZEROSPOF_LAB_STATE")
    if previous:
        os.environ["ZEROSPOF_LAB_STATE"] = previous


@pytest.fixture(autouse=True)
def healthy(folder: Path) -> Iterator[None]:
    yield
    if FIRST in state.names() and faults.active(state.load(FIRST)):
        lab("heal")


def test_hosts_have_booted_know_each_other_and_answer_ansible(folder: Path) -> None:
    inventories = ["-i", str(folder / "hosts.yml"), "-i", str(folder / "state" / FIRST / "inventory")]
    ansible = [str(Path(sys.executable).with_name("ansible")), "all", *inventories]
    done = subprocess.run(
        [*ansible, "-m", "ansible.builtin.command", "-a", "getent hosts host-a host-b host-c"],
        cwd=ROOT, capture_output=True, text=True, check=False, timeout=60,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout
    assert done.stdout.count("10.90.1.13") == 3
    assert on("host-b", "systemctl is-system-running").stdout.strip() == "running"


def test_up_again_keeps_the_hosts_and_the_secrets(folder: Path) -> None:
    secrets = folder / "state" / FIRST / "inventory" / "group_vars" / "all" / "secrets.yml"
    before = on("host-a", "cat /proc/sys/kernel/random/boot_id; systemctl show --value -p UserspaceTimestamp").stdout
    content = secrets.read_text()
    must("up", "--inventory", str(folder / "hosts.yml"))
    after = on("host-a", "cat /proc/sys/kernel/random/boot_id; systemctl show --value -p UserspaceTimestamp").stdout
    assert (before, content) == (after, secrets.read_text())


def test_packages_of_roles_install_from_the_archive_cache() -> None:
    done = on("host-a", "apt-get install --yes --no-download --no-install-recommends haproxy")
    assert done.returncode == 0, done.stderr


def test_killed_host_falls_silent_and_comes_back_with_its_disk_and_address() -> None:
    on("host-a", "echo kept >/root/file; sync")
    with program("host-a", ACCEPT), program("host-b", CONNECT) as connected:
        assert connected.stdout.readline() == "connected\n"
        must("kill-host", "host-a")
        assert connected.stdout.readline() == "silence\n"
    assert not reaches("host-b", "10.90.1.11")
    assert "kill-host-a on host-a" in must("status")
    must("heal")
    assert on("host-a", "cat /root/file").stdout.strip() == "kept"
    assert reaches("host-b", "10.90.1.11")


def test_a_fault_on_a_dead_host_is_refused_with_the_reason() -> None:
    must("kill-host", "host-c", "--for", "60")
    refused = lab("kill-host", "host-c")
    assert refused.returncode == 1
    assert refused.stderr.startswith("lab: error: host-c is exited, not running")
    must("start-host", "host-c")
    assert "fault" not in must("status")


def test_paused_host_keeps_its_address_but_does_nothing() -> None:
    must("pause-host", "host-c")
    assert reaches("host-b", "10.90.1.13")
    assert "paused" in must("status")
    must("heal")
    assert on("host-c", "true").returncode == 0


def test_cut_zone_is_silent_to_the_others_stays_visible_to_ansible_and_heals_at_its_deadline() -> None:
    assert reaches("host-b", "10.90.1.11")
    must("cut-az", "a")
    assert not reaches("host-b", "10.90.1.11")
    assert not reaches("host-a", "10.90.1.12")
    assert not reaches("host-a", "10.90.1.1")
    assert reaches("host-b", "10.90.1.13")
    must("cut-az", "a", "--for", "2")
    wait_until("the cut heals itself", 20, lambda: reaches("host-b", "10.90.1.11"))
    wait_until("its record is gone", 5, lambda: not faults.active(state.load(FIRST)))


def test_paused_process_hangs_until_it_is_healed_and_a_killed_one_is_started_again() -> None:
    def process() -> str:
        return on("host-a", "pgrep --exact sleep").stdout.strip()

    def state_of(pid: str) -> str:
        return on("host-a", f"ps -o state= -p {pid}").stdout.strip()

    on("host-a", "systemd-run --unit=sleeper --property=Restart=always --property=RestartSec=0 sleep 1000")
    wait_until("it runs", 10, process)
    for name in ("sleeper.service", "sleep"):
        first = process()
        must("pause-process", "host-a", "--process", name)
        assert state_of(first) == "T"
        must("heal")
        assert state_of(first) == "S"
        must("kill-process", "host-a", "--process", name)
        wait_until("systemd has started it again", 10, lambda first=first: process() not in ("", first))
    on("host-a", "systemctl stop sleeper.service")
    assert lab("kill-process", "host-a", "--process", "sleep").returncode == 1


def test_cut_holds_for_a_host_that_restarts_behind_it() -> None:
    must("cut-az", "b")
    must("kill-host", "host-b")
    must("start-host", "host-b")
    assert not reaches("host-b", "10.90.1.11")
    must("heal")
    assert reaches("host-b", "10.90.1.11")


@pytest.mark.parametrize(
    ("source", "target", "seconds", "heard"), [("host-b", "host-a", 20, "x"), ("host-a", "host-b", 4, "nothing")]
)
def test_one_way_cut_lets_packets_pass_in_the_other_direction(
    source: str, target: str, seconds: int, heard: str
) -> None:
    must("cut-one-way", "host-a", "host-b")
    address = state.load(FIRST).host(target).address
    with program(target, HEAR.format(seconds=seconds)) as hearing:
        assert hearing.stdout.readline() == "ready\n"
        with program(source, SEND.format(address=address)):
            assert hearing.stdout.readline() == f"{heard}\n"


def test_latency_is_added_and_taken_away() -> None:
    def milliseconds() -> float:
        summary = on("host-b", "ping -c 4 -i 0.2 10.90.1.13").stdout.splitlines()[-1]
        return float(summary.split("=")[1].split("/")[0])

    must("latency", "host-c", "--milliseconds", "40")
    assert 40 <= milliseconds() < 60
    must("heal")
    assert milliseconds() < 10


def test_names_are_forgotten_and_recalled() -> None:
    must("forget-names", "host-b")
    assert on("host-b", "getent hosts host-a").returncode != 0
    must("heal")
    assert on("host-b", "getent hosts host-a").returncode == 0


def test_a_disk_is_full_and_free_again_and_one_of_the_machine_is_not_filled() -> None:
    def writes() -> bool:
        return on("host-c", "head --bytes=64K /dev/zero >/mnt/file").returncode == 0

    refused = lab("fill-disk", "host-c", "--directory", "/mnt")
    assert refused.returncode == 1
    assert "/mnt is on the disk of the machine" in refused.stderr
    assert faults.active(state.load(FIRST)) == []
    on("host-c", "mount -t tmpfs -o size=4M lab /mnt")
    assert writes()
    on("host-c", "rm /mnt/file")
    must("fill-disk", "host-c", "--directory", "/mnt")
    assert not writes()
    must("heal")
    assert writes()
    on("host-c", "umount /mnt")


def test_faults_heal_although_the_command_that_made_them_is_killed() -> None:
    command = [sys.executable, "-m", "lab", "kill-az", "--name", FIRST, "c", "--for", "5"]
    with subprocess.Popen(command, cwd=ROOT, stderr=subprocess.DEVNULL) as injecting:
        folder = state.load(FIRST).directory / "faults"
        wait_until("the fault is on record", 10, (folder / "kill-az_c.json").exists)
        injecting.kill()
    wait_until("the zone is back", 40, lambda: not faults.active(state.load(FIRST)) and reaches("host-b", "10.90.1.13"))


def test_a_second_lab_runs_beside_the_first_and_leaves_it_alone(folder: Path) -> None:
    source = str(folder / "hosts.yml")
    taken = lab("up", "--inventory", source, name=SECOND)
    assert taken.returncode == 1
    assert "subnet 10.90.1.0/24 is in use" in taken.stderr
    must("up", "--inventory", source, "--subnet", "10.90.2.0/24", name=SECOND)
    complete = (folder / "state" / SECOND / "inventory.yml").read_text()
    assert "temporal_vip: 10.90.2.10" in complete
    must("cut-az", "a", name=SECOND)
    assert reaches("host-b", "10.90.1.11")
    must("down", name=SECOND)
    assert hosts.states(state.load(FIRST)).keys() == {f"{FIRST}.host-{letter}" for letter in "abc"}
    assert reaches("host-b", "10.90.1.11")


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("ssh", "nobody"), "no host nobody in lab test-first; it has host-a, host-b, host-c"),
        (("kill-az", "z"), "no host in zone az_z of lab test-first; its zones are az_a, az_b, az_c"),
        (("heal", "cut-x"), "no active fault cut-x in lab test-first"),
        (("cut-one-way", "host-a", "az_a"), "host-a is on both sides of the cut"),
        (("up", "--inventory", "/nonexistent"), "no inventory at /nonexistent"),
        (("up", "--inventory", "HOSTS", "--subnet", "10.0.0.0/8"), "subnet 10.0.0.0/8 is not a private /24 network"),
    ],
)
def test_errors_are_one_line(folder: Path, words: tuple[str, ...], message: str) -> None:
    done = lab(*[str(folder / "hosts.yml") if word == "HOSTS" else word for word in words])
    assert done.returncode == 1
    assert done.stderr == f"lab: error: {message}\n"


def test_up_takes_up_what_a_killed_up_left(folder: Path) -> None:
    must("down")
    up = [sys.executable, "-m", "lab", "up", "--name", FIRST, "--inventory", str(folder / "hosts.yml")]
    with subprocess.Popen(up, cwd=ROOT, stderr=subprocess.DEVNULL) as starting:
        wait_until("the first host is there", 60, lambda: FIRST in state.names() and hosts.states(state.load(FIRST)))
        starting.kill()
    must(*up[3:4], *up[6:])
    assert on("host-c", "systemctl is-system-running").stdout.strip() == "running"


def test_down_leaves_nothing(folder: Path) -> None:
    first = state.load(FIRST)
    must("cut-az", "a")
    must("down")
    assert hosts.states(first) == {}
    assert network.tables(first) == []
    assert machine.podman("network", "exists", first.network, check=False).returncode == 1
    assert not first.directory.exists()
    assert not list((machine.RUN / "ssh").glob("10.90.1.*"))
    routes = json.loads(machine.text(["ip", "-json", "route"]))
    assert not [route for route in routes if route["dst"].startswith("10.90.1.")]
    watchdogs = [path for path in Path("/proc").glob("[0-9]*/cmdline") if FIRST in _words(path)]
    assert not watchdogs


def test_the_labs_of_tests_go_and_those_of_people_stay() -> None:
    networks = {"zerospof-test-left": "10.90.3.0/24", "zerospof-people": "10.90.4.0/24"}
    tables = ["zerospof.test-left.cut", "zerospof.people.cut"]
    try:
        for name, subnet in networks.items():
            machine.podman("network", "create", "--disable-dns", f"--subnet={subnet}", name)
        for name in tables:
            machine.run(["nft", "add", "table", "bridge", name])
        must("down", "--tests")
        left = machine.podman("network", "ls", "--format={{.Name}}").stdout.decode().split()
        assert [name for name in networks if name in left] == ["zerospof-people"]
        rules = machine.text(["nft", "list", "tables", "bridge"])
        assert [name for name in tables if name in rules] == ["zerospof.people.cut"]
    finally:
        machine.podman("network", "rm", "--force", "zerospof-people", check=False)
        machine.run(["nft", "delete", "table", "bridge", "zerospof.people.cut"], check=False)


def _words(path: Path) -> list[str]:
    try:
        return path.read_bytes().decode(errors="replace").split("\0")
    except OSError:
        return []
