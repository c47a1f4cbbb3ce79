"""The client and the judge's ears, both outside of what is broken: who was accepted, what started and what ended.

Jobs are submitted at a steady rate through a program beside the database (``submit.py``), which is told what to start
line by line; jobs themselves say by HTTP that they started and ended.
"""

from __future__ import annotations

import contextlib
import shlex
import subprocess
import threading
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from lab import inventory
from lab.state import Host, Lab
from tests.baseline.judge import Job

SUBMIT = "set -a && . /etc/airflow.env && exec runuser -u airflow -- /opt/airflow/bin/python -W ignore /opt/submit.py"

# What the client may take to say what became of what it was told last.
ANSWER_SECONDS = 30


class LedgerError(Exception):
    """The client is gone, so that nothing which was seen since then means anything."""


@dataclass
class Ledger:
    """The books of one run; ``name`` is what its jobs have in their ids."""

    name: str
    queues: Sequence[str]
    jobs: dict[str, Job] = field(default_factory=dict)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def intend(self) -> list[tuple[str, str]]:
        """Write down that one more job of every queue is to be submitted; return their queues and ids."""
        with self._lock:
            number = len(self.jobs) // len(self.queues)
            made = [(queue, f"{self.name}-{queue}-{number}") for queue in self.queues]
            self.jobs |= {run_id: Job(queue) for queue, run_id in made}
        return made

    def hear(self, what: str, run_id: str) -> None:
        """Write down what a job or the client says."""
        with self._lock:
            job = self.jobs[run_id]
            if what in ("started", "ended"):
                getattr(job, what).append(time.time())
            else:
                job.accepted = what == "accepted"

    def books(self) -> dict[str, Job]:
        """Return a copy that nothing changes any more."""
        with self._lock:
            return {
                run_id: Job(job.queue, job.accepted, [*job.started], [*job.ended]) for run_id, job in self.jobs.items()
            }


@contextlib.contextmanager
def listening(ledger: Ledger, address: str) -> Iterator[str]:
    """Hear what jobs say during the body; yields where."""

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            _, what, run_id = self.path.split("/")
            try:
                ledger.hear(what, run_id)
                self.send_response(204)
            except KeyError:
                self.send_response(404)
            self.end_headers()

        def log_message(self, *_: object) -> None:
            """Say nothing."""

    with ThreadingHTTPServer((address, 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        try:
            yield f"http://{address}:{server.server_port}"
        finally:
            server.shutdown()
            thread.join()


@contextlib.contextmanager
def submitting(ledger: Ledger, lab: Lab, host: Host, url: str, period: float) -> Iterator[None]:
    """Submit a job of each queue every ``period`` seconds during the body, and hear what the client says of them.

    Raises:
        LedgerError: the client did not live as long.
    """
    command = [*inventory.ssh_command(lab, host), f"sh -c {shlex.quote(SUBMIT)}"]
    stop = threading.Event()
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True, bufsize=1
    ) as client:
        assert client.stdin is not None and client.stdout is not None

        def ask() -> None:
            # Told below when the client is gone.
            with contextlib.suppress(OSError):
                while not stop.wait(period):
                    for queue, run_id in ledger.intend():
                        client.stdin.write(f"{queue} {run_id} {url}\n")
                client.stdin.close()

        def hear() -> None:
            for line in client.stdout:
                what, _, rest = line.strip().partition(" ")
                if what in ("accepted", "refused"):
                    ledger.hear(what, rest.split()[0])

        threads = [threading.Thread(target=body, daemon=True) for body in (ask, hear)]
        for thread in threads:
            thread.start()
        try:
            yield
            if client.poll() is not None:
                raise LedgerError(f"the client on {host.name} ended with {client.returncode}")
        finally:
            stop.set()
            for thread in threads:
                thread.join(ANSWER_SECONDS)
            client.terminate()
