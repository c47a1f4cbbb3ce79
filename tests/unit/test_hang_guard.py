"""The program that ends a service which hangs: what counts as silence, and when it acts."""

from __future__ import annotations

import itertools
import os
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType, SimpleNamespace

import pytest

import tests.conftest  # noqa: F401  makes the checkout importable as the collection that it is
from tests.programs import load

# isort: split
from ansible_collections.zerospof.temporal.plugins.module_utils import _units


@pytest.fixture
def guard(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    module = load("roles/common/files/hang_guard.py")
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


STILL, AT_WORK = [("S", 7)], [("S", number) for number in range(100)]


@pytest.mark.parametrize(
    ("silences", "lives", "active", "ended"),
    [
        ([True] * 3, STILL, "active", 1),
        ([True, True, False] * 2, STILL, "active", 0),
        ([True] * 3, STILL, "deactivating", 0),
        ([True] * 6, STILL, "active", 2),
        ([True] * 19, AT_WORK, "active", 0),
        ([True] * 20, AT_WORK, "active", 1),
        ([True] * 19, [("D", 7)], "active", 0),
        ([True] * 19, [("R", 7)], "active", 0),
        ([True] * 3, [("S", 7), ("T", 8)], "active", 1),
    ],
    ids=[
        "hangs",
        "answers",
        "stops",
        "hangs again",
        "is slow",
        "is slow for a minute",
        "waits for a disk",
        "waits for a processor",
        "is stopped",
    ],
)
def test_who_hangs_is_ended_and_who_is_slow_gets_a_minute(
    guard: ModuleType,
    monkeypatch: pytest.MonkeyPatch,
    silences: list[bool],
    lives: list[tuple[str, int]],
    active: str,
    ended: int,
) -> None:
    said, seen, killed = iter(silences), itertools.chain(lives, itertools.repeat(lives[-1])), []
    monkeypatch.setattr(guard, "is_silent", lambda *_: next(said, False))
    monkeypatch.setattr(guard, "asked", lambda *_: active)
    monkeypatch.setattr(guard, "process_of", lambda *_: "17")
    monkeypatch.setattr(guard, "life_of", lambda _: next(seen))
    monkeypatch.setattr(guard, "end", lambda unit, whom: killed.append((unit, whom)))
    clock = iter(range(1000))
    monkeypatch.setattr(guard.time, "monotonic", lambda: next(clock))
    monkeypatch.setattr(guard.time, "sleep", lambda _: None)
    monkeypatch.setattr(guard, "LIFE_SECONDS", len(silences))
    options = {"unit": "pgbouncer.service", "address": "", "message": b"", "kill": "all", "tls": None, "pid_file": ""}
    guard.guard(SimpleNamespace(**options))
    assert killed == [("pgbouncer.service", "all")] * ended


def test_a_stopped_process_hangs_and_one_that_works_does_not(guard: ModuleType) -> None:
    busy = subprocess.Popen([sys.executable, "-c", "while True: pass"])
    try:
        first = guard.life_of(str(busy.pid))
        while (now := guard.life_of(str(busy.pid)))[1] == first[1]:
            pass
        assert not guard.hangs(first, now)
        busy.send_signal(signal.SIGSTOP)
        while (stopped := guard.life_of(str(busy.pid)))[0] != "T":
            pass
        assert guard.hangs(now, stopped)
    finally:
        busy.kill()
        busy.wait()
    assert guard.life_of(str(busy.pid)) == ("", 0)


def test_a_file_tells_who_has_to_answer(guard: ModuleType, tmp_path: Path) -> None:
    (tmp_path / "postmaster.pid").write_text("4711\n/var/lib/postgresql\n", encoding="utf-8")
    assert guard.process_of("patroni.service", str(tmp_path / "*.pid")) == "4711"
    assert guard.process_of("patroni.service", str(tmp_path / "absent")) == ""


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
