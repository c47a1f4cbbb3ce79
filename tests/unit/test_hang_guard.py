"""The program that ends a service which hangs: what counts as silence, and when it acts."""

from __future__ import annotations

import importlib.util
import os
import socket
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType

import pytest

import tests.conftest  # noqa: F401  makes the checkout importable as the collection that it is

# isort: split
from ansible_collections.zerospof.temporal.plugins.module_utils import _units

PROGRAM = Path(__file__).resolve().parents[2] / "roles/common/files/hang_guard.py"


@pytest.fixture
def guard(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    specification = importlib.util.spec_from_file_location("hang_guard", PROGRAM)
    module = importlib.util.module_from_spec(specification)
    specification.loader.exec_module(module)
    monkeypatch.setattr(module, "TIMEOUT_SECONDS", 0.2)
    return module


@pytest.fixture(params=["tcp", "local"])
def listener(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[tuple[socket.socket, str]]:
    """A socket on which nobody accepts, and its address."""
    if request.param == "tcp":
        with socket.create_server(("127.0.0.1", 0)) as server:
            yield server, f"127.0.0.1:{server.getsockname()[1]}"
    else:
        path = os.path.relpath(tmp_path / "s", "/")
        with socket.socket(socket.AF_UNIX) as server:
            server.bind(f"/{path}")
            server.listen(1)
            yield server, f"/{path}"


def answering(server: socket.socket, answer: bytes) -> Callable[[], None]:
    """Accept one connection, read what it says, and answer."""

    def body() -> None:
        connection, _ = server.accept()
        with connection:
            connection.recv(64)
            connection.sendall(answer)

    thread = threading.Thread(target=body)
    thread.start()
    return thread.join


def test_who_accepts_nobody_is_silent(guard: ModuleType, listener: tuple[socket.socket, str]) -> None:
    server, address = listener
    assert guard.is_silent(address, b"anybody?")
    # And when no more of them can wait.
    assert all(guard.is_silent(address, b"anybody?") for _ in range(4))
    assert server.fileno() >= 0


@pytest.mark.parametrize("answer", [b"N", b"Unknown command", b""])
def test_whoever_answers_or_hangs_up_is_alive(
    guard: ModuleType, listener: tuple[socket.socket, str], answer: bytes
) -> None:
    server, address = listener
    joined = answering(server, answer)
    assert not guard.is_silent(address, b"anybody?")
    joined()


def test_where_nobody_listens_there_is_nobody_to_end(guard: ModuleType, tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
    assert not guard.is_silent(f"127.0.0.1:{port}", b"anybody?")
    assert not guard.is_silent(str(tmp_path / "absent"), b"anybody?")


@pytest.mark.parametrize(
    ("silences", "active", "ended"),
    [
        ([True, True, True], True, 1),
        ([True, True, False, True, True, False], True, 0),
        ([True, True, True], False, 0),  # it starts, or stops
        ([True, True, True, True, True, True], True, 2),
    ],
)
def test_a_service_is_ended_when_it_was_silent_several_times_in_a_row(
    guard: ModuleType, monkeypatch: pytest.MonkeyPatch, silences: list[bool], active: bool, ended: int
) -> None:
    said, killed = iter(silences), []
    monkeypatch.setattr(guard, "is_silent", lambda *_: next(said, False))
    monkeypatch.setattr(guard, "is_active", lambda _: active)
    monkeypatch.setattr(guard, "end", lambda unit, whom: killed.append((unit, whom)))
    clock = iter(range(1000))
    monkeypatch.setattr(guard.time, "monotonic", lambda: next(clock))
    monkeypatch.setattr(guard.time, "sleep", lambda _: None)
    monkeypatch.setattr(guard, "LIFE_SECONDS", len(silences))
    guard.guard("pgbouncer.service", "127.0.0.1:6432", b"anybody?", "all", None)
    assert killed == [("pgbouncer.service", "all")] * ended


def test_the_units_ask_in_the_protocol_of_the_service() -> None:
    service, timer = _units.guard_units("pgbouncer.service", "/sbin/guard", "127.0.0.1:6432", "postgresql")
    assert service["name"] == "pgbouncer-guard.service"
    assert service["on_demand"]
    expected = (
        "/usr/bin/python3 /sbin/guard --unit pgbouncer.service --address 127.0.0.1:6432 --message 0000000804d2162f"
    )
    assert f"ExecStart={expected}\n" in service["content"]
    assert timer["name"] == "pgbouncer-guard.timer"
    service, _ = _units.guard_units("haproxy-edge.service", "/sbin/guard", "/run/edge.sock", "haproxy")
    assert bytes.fromhex(service["content"].split("--message ")[1].split()[0]) == b"show version\n"
    service, _ = _units.guard_units(
        "patroni.service", "/sbin/guard", "10.0.0.1:8008", "patroni", tls=["/tls/c", "/tls/k"]
    )
    assert service["content"].count(" --kill main --tls /tls/c /tls/k\n") == 1
    service, _ = _units.guard_units("patroni.service", "/sbin/guard", "127.0.0.1:5432", "postgresql", "postgresql")
    assert service["name"] == "postgresql-guard.service"
    assert "--kill" not in service["content"]
