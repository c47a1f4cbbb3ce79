"""One real cluster per profile, brought up once and shared by all tests of this folder."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import pytest
import yaml

from lab import state
from lab.cluster import Cluster, prepare, stream
from lab.view import View
from tests.installed import Installed, install

ROOT = Path(__file__).resolve().parents[2]
NAME = "test-cluster"
SUBNET = "10.91.0.0/24"
# Inventories say Debian 13, but for hosts of Cassandra. This one shows that PostgreSQL alone does on Debian 12 too.
IMAGES = {"basic": "debian-12"}
MARKER = "/run/before-check-mode"
REASON_LINES = 25
TASK = re.compile(r"^TASK \[", re.MULTILINE)
RECAP = re.compile(
    r"^(?P<host>\S+)\s+: ok=(?P<ok>\d+)\s+changed=(?P<changed>\d+)\s+unreachable=0\s+failed=0", re.MULTILINE
)


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--profile", default="ha_postgresql", help="inventory of inventories/ to bring up")
    parser.addoption("--running", metavar="LAB", help="use this lab of make lab instead; not for tests of virgin hosts")
    parser.addoption("--whole", action="store_true", help="also what the hour of make test has no room for")


# Gates are the same in every inventory: the smallest ones show them.
GATE = pytest.mark.profiles("basic", "three_machines")

# What changes the cluster for good comes last.
ORDER = (
    "test_site.py",
    "test_software.py",
    "test_task_queues.py",
    "test_firewall.py",
    "test_execution_flow.py",
    "test_placement.py",
    "test_backup.py",
    "test_database_loss.py",
    "test_chaos.py",
    "test_rolling_restart.py",
    "test_interruption.py",
    "test_gates.py",
    "test_apply.py",
    "test_worker_restarts.py",
    "test_rollout.py",
    "test_autoscaling.py",
    "test_drill.py",
    "test_scale.py",
    "test_certificates.py",
    "test_verification.py",
    "test_ring_growth.py",
    "test_ring_loss.py",
    "test_package_upgrade.py",
    "test_rolling_upgrade.py",
)


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line(
        "markers", "profiles(*names, whole=()): tested on these inventories; on those of whole with --whole only"
    )


def is_wanted(item: pytest.Item, profile: str, whole: bool) -> bool:
    """Tell whether ``item`` is to be run on the inventory ``profile``."""
    mark = item.get_closest_marker("profiles")
    return mark is None or profile in mark.args or (whole and profile in mark.kwargs.get("whole", ()))


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Put files in order; leave out, and count, what is tested on another inventory."""
    profile, whole = config.getoption("--profile"), config.getoption("--whole")
    left_out = [item for item in items if not is_wanted(item, profile, whole)]
    items[:] = sorted((item for item in items if item not in left_out), key=lambda item: ORDER.index(item.path.name))
    config.hook.pytest_deselected(items=left_out)


@dataclass(frozen=True)
class Run:
    """What a playbook printed and how it ended."""

    code: int
    output: str

    @property
    def changed(self) -> dict[str, int]:
        """Return the number of changes per host of a run in which no host failed."""
        return {match["host"]: int(match["changed"]) for match in RECAP.finditer(self.output)}

    @property
    def done(self) -> int:
        """Return how often a task ran on a host, in a run in which no host failed."""
        return sum(int(match["ok"]) for match in RECAP.finditer(self.output))

    @property
    def tasks(self) -> int:
        """Return the number of tasks that were begun; those that every host skips count where Ansible shows them."""
        return len(TASK.findall(self.output))

    @property
    def reasons(self) -> str:
        """Return the errors of the run, without what went well."""
        lines = self.output.splitlines()
        starts = [number for number, line in enumerate(lines) if line.startswith(("fatal:", "failed:", "[ERROR]"))]
        return "\n".join(line for start in starts for line in lines[start : start + REASON_LINES])


@dataclass(frozen=True)
class LiveCluster(Cluster):
    """A cluster of the lab on which tests run playbooks."""

    @cached_property
    def view(self) -> View:
        """A look into the running cluster."""
        return View(state.load(self.name))

    @property
    def hosts(self) -> set[str]:
        """Names of all hosts."""
        return {host.name for host in self.view.lab.hosts}

    @property
    def secrets(self) -> dict[str, str]:
        """The generated passwords of the lab by their names."""
        path = self.directory / "inventory" / "group_vars" / "all" / "secrets.yml"
        return yaml.safe_load(path.read_text(encoding="utf-8"))["temporal_secrets"]

    def installed_playbook(self, name: str, *options: str) -> list[str]:
        """Return the command that runs the playbook ``name`` of an installed collection on the cluster."""
        return ["ansible-playbook", *self.inventories, f"zerospof.temporal.{name}", *options]

    def run_installed(self, installed: Installed, playbook: str, *options: str) -> Run:
        """Run ``playbook`` of an installed collection on the cluster."""
        done = installed.attempt(self.installed_playbook(playbook, *options))
        return Run(done.returncode, done.stdout + done.stderr)

    def run(self, playbook: str, *options: str) -> Run:
        """Run ``playbook`` of the checkout on the cluster and return what became of it."""
        done = subprocess.run(
            self.playbook(playbook, *options),
            cwd=ROOT,
            env=os.environ | {"ANSIBLE_NOCOLOR": "1", "ANSIBLE_CALLBACK_PLUGINS": str(ROOT / "lab" / "callback")},
            capture_output=True,
            text=True,
            check=False,
        )
        return Run(done.returncode, done.stdout + done.stderr)


@dataclass(frozen=True)
class Edited(LiveCluster):
    """The cluster with an inventory that somebody edited, in ``place``."""

    place: Path = Path()

    @property
    def inventories(self) -> list[str]:
        """See the base class."""
        return ["-i", str(self.place / "example"), "-i", str(self.place / "overlay")]


def edited(cluster: LiveCluster, place: Path) -> Edited:
    """Return the cluster with a copy of its inventory in an empty directory."""
    for name, source in (("example", cluster.inventory), ("overlay", cluster.directory / "inventory")):
        shutil.copytree(source, place / name)
    return Edited(cluster.profile, cluster.name, place=place)


def lab(*arguments: str) -> None:
    """Run a command of the lab."""
    subprocess.run([sys.executable, "-m", "lab", *arguments], cwd=ROOT, check=True)


@pytest.fixture(scope="session")
def profile(request: pytest.FixtureRequest) -> str:
    return request.config.getoption("--profile")


@pytest.fixture(scope="session")
def running(request: pytest.FixtureRequest) -> str | None:
    return request.config.getoption("--running")


@pytest.fixture(scope="session")
def virgin(profile: str, running: str | None) -> Iterator[LiveCluster]:
    """Hosts on which nothing has been installed, with the software ready on the control node."""
    assert running is None
    live = LiveCluster(profile, NAME, SUBNET, IMAGES.get(profile))
    lab("down", "--name", NAME, "--missing-ok")
    prepare(live)
    yield live
    lab("down", "--name", NAME)


@dataclass(frozen=True)
class Plan:
    """What check mode said about virgin hosts, and which files of theirs it made or changed nevertheless."""

    run: Run
    touched: dict[str, list[str]]


@pytest.fixture(scope="session")
def plan(virgin: LiveCluster) -> Plan:
    """Run site.yml in check mode before anything else."""
    assert not virgin.site_log.exists(), "the hosts are not virgin any more"
    view, hosts = virgin.view, sorted(virgin.hosts)
    for host in hosts:
        # The first Python compiles the start-up hook of the lab's image.
        view.on(host, f"python3 -c ''; touch {MARKER}; sleep 0.01")
    run = virgin.run("site", "--check", "--diff")
    touched = {host: view.on(host, f"find /etc /opt /usr -newer {MARKER} -type f").split() for host in hosts}
    return Plan(run, {host: files for host, files in touched.items() if files})


@pytest.fixture(scope="session")
def cluster(request: pytest.FixtureRequest, profile: str, running: str | None) -> LiveCluster:
    """The cluster, brought up from nothing as users do it: by the collection that they install."""
    if running is not None:
        return LiveCluster(profile, running)
    virgin: LiveCluster = request.getfixturevalue("virgin")
    there: Installed = request.getfixturevalue("installed")
    site = virgin.installed_playbook("site")
    stream("Cluster: zerospof.temporal.site", site, virgin.site_log, there.place, there.variables)
    return virgin


@pytest.fixture(scope="session")
def view(cluster: LiveCluster) -> View:
    """A look into the cluster."""
    return cluster.view


@pytest.fixture(scope="session")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Installed:
    """The built collection in an empty directory."""
    return install(tmp_path_factory.mktemp("installed"))
