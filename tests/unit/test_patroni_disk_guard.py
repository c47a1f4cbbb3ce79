"""The program that gives the leadership of PostgreSQL away: when it acts, how often, and what it tells Patroni."""

from __future__ import annotations

import base64
import json
import os
import ssl
import threading
import time
from collections import namedtuple
from collections.abc import Callable, Iterator, Mapping
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from types import ModuleType, SimpleNamespace

import pytest
import yaml

import tests.conftest  # noqa: F401  makes the checkout importable as the collection that it is
from tests.certificates import Authority
from tests.programs import load

# isort: split
from ansible_collections.zerospof.temporal.plugins.module_utils import _units

Room = namedtuple("Room", "total used free")


@pytest.fixture
def guard() -> ModuleType:
    return load("roles/patroni/files/patroni_disk_guard.py")


class Cluster:
    """Members that have so much of their disks free, in percent; one leads, and Patroni chooses the next one."""

    def __init__(self, guard: ModuleType, directory: Path, *free: float) -> None:
        self.guard, self.directory, self.free = guard, directory, list(free)
        self.leader, self.orders = 0, 0
        self.status, self.says = 200, "what Patroni says"

    def ask(self, number: int) -> tuple[int, str]:
        return (200 if number == self.leader else 503), ""

    def give_away(self, number: int) -> tuple[int, str]:
        assert number == self.leader
        self.orders += 1
        if self.status == 200:
            self.leader = (number + 1) % len(self.free)
        return self.status, self.says

    def memory(self, number: int) -> Path:
        return self.directory / f"{number}"

    def look(self, *numbers: int) -> list[float]:
        """Let all members look, or those of ``numbers``."""
        return [
            self.guard.look(
                SimpleNamespace(
                    directories=[number],
                    ask=lambda path, number=number: self.ask(number) if path == "/leader" else None,
                    give_away=lambda number=number: self.give_away(number),
                ),
                3,
                self.memory(number),
            )
            for number in numbers or range(len(self.free))
        ]


@pytest.fixture
def cluster(guard: ModuleType, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Callable[..., Cluster]:
    def of(*free: float) -> Cluster:
        made = Cluster(guard, tmp_path, *free)
        monkeypatch.setattr(guard, "free_percent", lambda directories: made.free[directories[0]])
        return made

    return of


def test_the_fullest_disk_counts_without_what_root_alone_may_use(
    guard: ModuleType, monkeypatch: pytest.MonkeyPatch
) -> None:
    rooms = {Path("/data"): Room(100, 60, 20), Path("/log"): Room(100, 90, 10)}
    monkeypatch.setattr(guard.shutil, "disk_usage", rooms.__getitem__)
    assert guard.free_percent([Path("/data")]) == 25
    assert guard.free_percent([Path("/data"), Path("/log")]) == 10


def test_a_member_without_data_is_left_alone(guard: ModuleType, tmp_path: Path) -> None:
    """As while it is cloned: nobody is asked, and nothing is remembered or forgotten."""
    (tmp_path / "memory").touch()
    member = SimpleNamespace(directories=[tmp_path / "absent"])
    assert guard.look(member, 3, tmp_path / "memory") == guard.PAUSE_SECONDS
    assert (tmp_path / "memory").exists()


@pytest.mark.parametrize(("free", "orders"), [(3.0, 0), (2.9, 1), (0.0, 1)])
def test_a_leader_without_room_lets_another_one_lead(
    cluster: Callable[..., Cluster], capsys: pytest.CaptureFixture[str], free: float, orders: int
) -> None:
    made = cluster(50.0, 50.0)
    made.look()
    made.free[0] = free
    made.look()
    assert (made.orders, made.leader) == (orders, orders)
    said = capsys.readouterr().out.splitlines()
    assert said == [
        f"{free:.1f} % of the disk of PostgreSQL is free, less than 3 %",
        "another member is to lead",
        "Patroni: 200: what Patroni says",
    ] * bool(orders)


def test_where_all_disks_fill_the_leadership_moves_once_at_most(cluster: Callable[..., Cluster]) -> None:
    made = cluster(50.0, 50.0, 50.0, 50.0)
    for percent in (50.0, 10.0, 5.0, *[2.9] * 20):
        made.free = [percent] * 4
        made.look()
    assert made.orders == 1


def test_who_had_little_room_before_it_led_keeps_the_leadership(cluster: Callable[..., Cluster]) -> None:
    made = cluster(50.0, 50.0)
    made.free[0] = 1.0
    made.look()
    assert made.leader == 1
    made.look()
    made.leader = 0
    made.look()
    assert (made.leader, made.orders) == (0, 1), "somebody gave it back, or the other one died"


@pytest.mark.parametrize(("hours", "orders"), [(0.9, 1), (1.1, 2)])
def test_an_hour_with_room_makes_it_forget(cluster: Callable[..., Cluster], hours: float, orders: int) -> None:
    made = cluster(1.0, 50.0)
    made.look()
    made.look()
    before = time.time() - hours * 3600
    os.utime(made.memory(0), (before, before))
    made.free[0], made.leader = 50.0, 0
    made.look()
    made.free[0] = 1.0
    made.look()
    assert made.orders == orders


def test_what_patroni_refuses_is_asked_again_later(
    cluster: Callable[..., Cluster], guard: ModuleType, capsys: pytest.CaptureFixture[str]
) -> None:
    made = cluster(1.0, 50.0)
    made.status, made.says = 412, "no good candidates have been found"
    assert made.look(0) == [guard.REFUSED_SECONDS]
    assert "Patroni: 412: no good candidates have been found" in capsys.readouterr().out
    made.look(0)
    assert made.orders == 2


def test_who_gets_no_answer_says_so_and_orders_nothing(
    cluster: Callable[..., Cluster],
    guard: ModuleType,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    made = cluster(1.0, 50.0)
    monkeypatch.setattr(made, "ask", lambda _number: (0, "certificate has expired"))
    assert made.look(0) == [guard.REFUSED_SECONDS]
    assert "Patroni: no answer: certificate has expired" in capsys.readouterr().out
    assert made.orders == 0
    assert not made.memory(0).exists()


def test_zero_percent_never_acts(cluster: Callable[..., Cluster], guard: ModuleType, tmp_path: Path) -> None:
    cluster(0.0)
    assert guard.look(SimpleNamespace(directories=[0]), 0, tmp_path / "memory") == guard.PAUSE_SECONDS


@pytest.fixture
def patroni(tmp_path: Path) -> Iterator[tuple[Path, list[tuple[str, Mapping[str, str] | None, str]]]]:
    """The configuration of a Patroni that leads and refuses to hand over, and what it was asked."""
    authority = Authority(tmp_path)
    certificate, key = authority.issue("db-a")
    asked: list[tuple[str, Mapping[str, str] | None, str]] = []

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            asked.append((self.path, None, self.headers.get("Authorization", "")))
            self.send_response(200)
            self.end_headers()

        def do_POST(self) -> None:
            body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            asked.append((self.path, body, self.headers.get("Authorization", "")))
            self.send_response(412)
            self.end_headers()
            self.wfile.write(b"no good candidates have been found\n")

        def log_message(self, *_words: object) -> None:
            """Print nothing."""

    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH, cafile=str(authority.certificate))
    context.verify_mode = ssl.CERT_REQUIRED
    context.load_cert_chain(certificate, key)
    with HTTPServer(("127.0.0.1", 0), Handler) as server:
        server.socket = context.wrap_socket(server.socket, server_side=True)
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        files = {"cafile": str(authority.certificate), "certfile": str(certificate), "keyfile": str(key)}
        member = {
            "name": "db-a",
            "postgresql": {"data_dir": "/var/lib/postgresql/17/temporal"},
            "restapi": {"connect_address": f"127.0.0.1:{server.server_port}", **files},
        }
        login = {"restapi": {"authentication": {"username": "patroni", "password": "geheim: ü"}}}
        directory = tmp_path / "conf.d"
        directory.mkdir()
        # JSON is YAML.
        for name, content in (("bootstrap", None), ("member", member), ("secrets", login)):
            (directory / f"{name}.yml").write_text(json.dumps(content), encoding="utf-8")
        yield directory, asked
        server.shutdown()
        thread.join()


def test_it_asks_the_patroni_of_its_host_as_that_is_configured(
    guard: ModuleType, patroni: tuple[Path, list[tuple[str, Mapping[str, str] | None, str]]]
) -> None:
    directory, asked = patroni
    member = guard.Member(directory)
    data = Path("/var/lib/postgresql/17/temporal")
    assert member.directories == (data, data / "pg_wal")
    assert member.ask("/leader") == (200, "")
    assert member.give_away() == (412, "no good candidates have been found")
    login = f"Basic {base64.b64encode('patroni:geheim: ü'.encode()).decode()}"
    assert asked == [("/leader", None, ""), ("/switchover", {"leader": "db-a"}, login)]


def test_no_answer_is_no_status(
    guard: ModuleType, patroni: tuple[Path, list[tuple[str, Mapping[str, str] | None, str]]]
) -> None:
    directory, _ = patroni
    settings = json.loads((directory / "member.yml").read_text(encoding="utf-8"))
    settings["restapi"]["connect_address"] = "127.0.0.1:1"
    (directory / "member.yml").write_text(json.dumps(settings), encoding="utf-8")
    assert guard.Member(directory).ask("/leader")[0] == 0


def test_passwords_of_a_broken_file_are_not_shown(
    guard: ModuleType, patroni: tuple[Path, list[tuple[str, Mapping[str, str] | None, str]]]
) -> None:
    directory, _ = patroni
    (directory / "secrets.yml").write_text("restapi:\n  password: geheim: oh\n", encoding="utf-8")
    with pytest.raises(yaml.YAMLError) as caught:
        guard.Member(directory)
    assert "geheim" not in str(caught.value)


def test_the_units_run_it_as_the_one_who_may_read_its_files() -> None:
    service, timer = _units.watcher_units("disk-guard", ["/sbin/guard", "--least-percent", "3"], "Look", "me", "memory")
    lines = service["content"].splitlines()
    assert "ExecStart=/usr/bin/python3 /sbin/guard --least-percent 3" in lines
    assert {"User=me", "RuntimeDirectory=memory", "RuntimeDirectoryPreserve=yes"} <= set(lines)
    assert timer["name"] == "disk-guard.timer"
    service, _ = _units.watcher_units("disk-guard", ["/sbin/guard"], "Look")
    assert "User=" not in service["content"]
    assert "RuntimeDirectory" not in service["content"]
