"""The module against a real HTTP/2 server with mutual TLS on the loopback."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.certificates import Authority
from tests.conftest import COLLECTIONS
from tests.grpc_health_server import Server, mutual_tls

MODULE = "ansible_collections.zerospof.temporal.plugins.modules.grpc_health_info"
SERVICE = "temporal.api.workflowservice.v1.WorkflowService"


class Frontend:
    """A health server with its certificates and a status that the test sets."""

    def __init__(self, directory: Path) -> None:
        self.authority = Authority(directory)
        self.status = {SERVICE: "SERVING"}
        context = mutual_tls(*self.authority.issue("frontend", "frontend"), self.authority.certificate)
        self.asked = threading.Event()
        self.server = Server(("127.0.0.1", 0), context, self.answer)
        self.port = self.server.server_address[1]
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def answer(self, service: str) -> str | None:
        """Return the status, and note that somebody asked."""
        status = self.status.get(service)
        self.asked.set()
        return status

    def serve_once_asked(self) -> None:
        """Serve from the second question on."""
        self.asked.wait(30)
        self.status[SERVICE] = "SERVING"

    def arguments(self) -> dict[str, Any]:
        """Return the arguments of a well behaved client."""
        cert, key = self.authority.issue("client", "client")
        return {
            "address": "127.0.0.1",
            "port": self.port,
            "server_name": "frontend",
            "ca_file": str(self.authority.certificate),
            "cert_file": str(cert),
            "key_file": str(key),
        }


@pytest.fixture(scope="module")
def frontend(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Frontend]:
    running = Frontend(tmp_path_factory.mktemp("certificates"))
    yield running
    running.server.shutdown()
    running.server.server_close()


def run(arguments: dict[str, Any]) -> dict[str, Any]:
    """Run the module as a host would and return its result."""
    finished = subprocess.run(
        [sys.executable, "-m", MODULE],
        input=json.dumps({"ANSIBLE_MODULE_ARGS": arguments}),
        env={**os.environ, "PYTHONPATH": str(COLLECTIONS)},
        capture_output=True,
        text=True,
        check=False,
        timeout=30,
    )
    return json.loads(finished.stdout)


@pytest.mark.parametrize("status", ["SERVING", "NOT_SERVING", "UNKNOWN"])
def test_the_status_is_reported_and_nothing_changes(frontend: Frontend, status: str) -> None:
    frontend.status[SERVICE] = status
    result = run(frontend.arguments())
    assert (result["status"], result["changed"], result["attempts"]) == (status, False, 1)
    assert f"127.0.0.1:{frontend.port}" in result["reason"]
    assert 0 < result["seconds"] < 2


def test_a_service_that_the_server_does_not_know_is_named_as_such(frontend: Frontend) -> None:
    assert run({**frontend.arguments(), "service": "other"})["status"] == "SERVICE_UNKNOWN"


def test_waiting_ends_when_the_service_serves(frontend: Frontend) -> None:
    frontend.status[SERVICE] = "NOT_SERVING"
    frontend.asked.clear()
    threading.Thread(target=frontend.serve_once_asked).start()
    result = run({**frontend.arguments(), "expect": "SERVING", "wait": 20, "interval": 0.1})
    assert result["status"] == "SERVING"
    assert result["attempts"] > 1


def test_an_unmet_expectation_fails_with_what_was_seen(frontend: Frontend) -> None:
    frontend.status[SERVICE] = "NOT_SERVING"
    result = run({**frontend.arguments(), "expect": "SERVING", "wait": 0.3, "interval": 0.1})
    assert result["failed"]
    assert f"expected SERVING from {SERVICE}, got NOT_SERVING" in result["msg"]


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"server_name": "backend"}, "backend"),
        ({"cert_file": None, "key_file": None}, "alert"),
        ({"ca_file": None}, "certificate verify failed"),
        ({"port": 1}, "refused"),
    ],
)
def test_a_broken_path_is_an_error_with_its_cause(frontend: Frontend, change: dict, reason: str) -> None:
    arguments = {name: value for name, value in {**frontend.arguments(), **change}.items() if value is not None}
    result = run(arguments)
    assert result["status"] == "ERROR"
    assert reason in result["reason"].lower()
    assert not result.get("failed")


def test_a_missing_certificate_file_is_the_callers_mistake(frontend: Frontend) -> None:
    result = run({**frontend.arguments(), "ca_file": "/nonexistent/ca.crt"})
    assert result["failed"]
    assert "ca_file" in result["msg"]


def test_a_silent_server_costs_no_more_than_the_timeout() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        started = time.monotonic()
        result = run({"address": "127.0.0.1", "port": listener.getsockname()[1], "tls": False, "timeout": 0.3})
        assert "no answer within 0.3 s" in result["reason"]
        assert time.monotonic() - started < 5
