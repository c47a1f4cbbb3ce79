"""The program that gives the leadership of PostgreSQL away: when it acts, how often, and what it tells Patroni."""

from __future__ import annotations

import base64
import json
import ssl
import threading
from collections import namedtuple
from collections.abc import Iterator, Mapping
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from types import ModuleType

import pytest

from tests.certificates import Authority
from tests.programs import load

Room = namedtuple("Room", "total used free")


@pytest.fixture
def guard() -> ModuleType:
    return load("roles/patroni/files/patroni_disk_guard.py")


class Member:
    """One that knows whether it leads, and what became of its orders."""

    directories = (Path("/data"),)

    def __init__(self, *, leads: bool = True, moves: bool = True) -> None:
        self._leads, self._moves = leads, moves
        self.orders = 0

    def leads(self) -> bool:
        return self._leads

    def give_away(self) -> tuple[bool, str]:
        self.orders += 1
        return self._moves, "what Patroni says"


@pytest.fixture
def fill(guard: ModuleType, monkeypatch: pytest.MonkeyPatch):  # noqa: ANN201
    def to(free: float) -> None:
        monkeypatch.setattr(guard, "free_percent", lambda _directories: free)

    return to


def test_the_fullest_disk_counts_without_what_root_alone_may_use(
    guard: ModuleType, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "pg_wal").mkdir()
    rooms = {tmp_path: Room(100, 60, 20), tmp_path / "pg_wal": Room(100, 90, 10)}
    monkeypatch.setattr(guard.shutil, "disk_usage", rooms.__getitem__)
    assert guard.free_percent([tmp_path]) == 25
    assert guard.free_percent([tmp_path, tmp_path / "pg_wal"]) == 10
    assert guard.free_percent([tmp_path / "absent"]) == 100


def test_a_leader_with_room_leads_on(guard: ModuleType, fill, tmp_path: Path) -> None:  # noqa: ANN001
    fill(3.0)
    member = Member()
    guard.look(member, 3, tmp_path / "moved")
    assert member.orders == 0


def test_nobody_but_the_leader_acts(guard: ModuleType, fill, tmp_path: Path) -> None:  # noqa: ANN001
    fill(0.0)
    member = Member(leads=False)
    guard.look(member, 3, tmp_path / "moved")
    assert member.orders == 0


def test_a_full_leader_gives_the_leadership_away_once(
    guard: ModuleType,
    fill,  # noqa: ANN001
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    member, memory = Member(), tmp_path / "moved"
    fill(2.9)
    guard.look(member, 3, memory)
    assert capsys.readouterr().out.splitlines() == [
        "2.9 % of the disk of PostgreSQL is free, less than 3 %: another one is to lead",
        "Patroni: what Patroni says",
    ]
    guard.look(member, 3, memory)
    assert member.orders == 1, "the leadership that came back to a full disk would wander"


@pytest.mark.parametrize(("free", "orders"), [(5.9, 1), (6.0, 2)])
def test_it_does_so_again_when_there_was_room_meanwhile(
    guard: ModuleType,
    fill,  # noqa: ANN001
    tmp_path: Path,
    free: float,
    orders: int,
) -> None:
    member, memory = Member(), tmp_path / "moved"
    for percent in (1.0, free, 1.0):
        fill(percent)
        guard.look(member, 3, memory)
    assert member.orders == orders


def test_what_patroni_refuses_is_asked_again_later(guard: ModuleType, fill, tmp_path: Path) -> None:  # noqa: ANN001
    fill(0.0)
    member = Member(moves=False)
    assert guard.look(member, 3, tmp_path / "moved") == guard.REFUSED_SECONDS
    guard.look(member, 3, tmp_path / "moved")
    assert member.orders == 2


def test_zero_percent_never_acts(guard: ModuleType, fill, tmp_path: Path) -> None:  # noqa: ANN001
    fill(0.0)
    member = Member()
    guard.look(member, 0, tmp_path / "moved")
    assert member.orders == 0


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
    assert member.leads()
    assert member.give_away() == (False, "no good candidates have been found")
    login = f"Basic {base64.b64encode('patroni:geheim: ü'.encode()).decode()}"
    assert asked == [("/leader", None, ""), ("/switchover", {"leader": "db-a"}, login)]


def test_who_gets_no_answer_does_not_lead(
    guard: ModuleType, patroni: tuple[Path, list[tuple[str, Mapping[str, str] | None, str]]], tmp_path: Path
) -> None:
    directory, _ = patroni
    settings = json.loads((directory / "member.yml").read_text(encoding="utf-8"))
    settings["restapi"]["connect_address"] = "127.0.0.1:1"
    (directory / "member.yml").write_text(json.dumps(settings), encoding="utf-8")
    member = guard.Member(directory)
    assert not member.leads()
    assert not member.give_away()[0]
