"""One real cluster per profile, brought up once and shared by all tests of this folder."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from lab.cluster import Cluster, bring_up

ROOT = Path(__file__).resolve().parents[2]
NAME = "cluster-test"
SUBNET = "10.91.0.0/24"
REASON_LINES = 25
RECAP = re.compile(r"^(?P<host>\S+)\s+: ok=\d+\s+changed=(?P<changed>\d+)\s+unreachable=0\s+failed=0", re.MULTILINE)


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--profile", default="ha_postgresql", help="inventory of inventories/ to bring up")


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
    def reasons(self) -> str:
        """Return the errors of the run, without what went well."""
        lines = self.output.splitlines()
        starts = [number for number, line in enumerate(lines) if line.startswith(("fatal:", "failed:", "[ERROR]"))]
        return "\n".join(line for start in starts for line in lines[start : start + REASON_LINES])


@dataclass(frozen=True)
class LiveCluster(Cluster):
    """A cluster of the lab on which tests run playbooks."""

    def run(self, playbook: str, *options: str) -> Run:
        """Run ``playbook`` on the cluster and return what became of it."""
        done = subprocess.run(
            self.playbook(playbook, *options),
            cwd=ROOT,
            env=os.environ | {"ANSIBLE_NOCOLOR": "1"},
            capture_output=True,
            text=True,
            check=False,
        )
        return Run(done.returncode, done.stdout + done.stderr)


def lab(*arguments: str) -> None:
    """Run a command of the lab."""
    subprocess.run([sys.executable, "-m", "lab", *arguments], cwd=ROOT, check=True)


@pytest.fixture(scope="session")
def profile(request: pytest.FixtureRequest) -> str:
    return request.config.getoption("--profile")


@pytest.fixture(scope="session")
def cluster(profile: str) -> Iterator[LiveCluster]:
    """Bring the cluster up from nothing and remove it afterwards."""
    live = LiveCluster(profile, NAME, SUBNET)
    lab("down", "--name", NAME, "--missing-ok")
    bring_up(live)
    yield live
    lab("down", "--name", NAME)
