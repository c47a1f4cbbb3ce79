"""A client that this project did not write, the `temporal` command line, as a second judge beside the ledger.

It starts a workflow during the fault, and afterwards describes, lists and terminates it, and lists what the ledger says
was acknowledged.
"""

from __future__ import annotations

import json
import subprocess
import tarfile
from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from lab import state
from lab.view import View
from tests.chaos.ledger import WORKFLOW, change_of
from tests.chaos.whole import until

STATUS = "WORKFLOW_EXECUTION_STATUS_"
LIMIT = 100_000
# What is said of a workflow that an attempt without an answer has started.
THERE = "already running"
START_SECONDS, ASK_SECONDS = 10, 120


class CliError(Exception):
    """The command line ended with an error; the message is what it said."""


@dataclass(frozen=True)
class Cli:
    """The program, and the cluster that it speaks to through the virtual address."""

    view: View
    program: Path

    def ask(self, *words: str, seconds: float = ASK_SECONDS) -> Any:  # noqa: ANN401
        """Return the answer to ``temporal workflow WORDS``.

        Raises:
            CliError: there is none.
        """
        pki = self.view.lab.directory / "pki"
        connection = {
            "address": self.view.address(),
            "namespace": self.view.deployment["namespace"],
            "tls-ca-path": pki / "ca.crt",
            "tls-cert-path": pki / "clients" / "operator.crt",
            "tls-key-path": pki / "clients" / "operator.key",
            "tls-server-name": "frontend",
            "output": "json",
            "command-timeout": f"{seconds:g}s",
        }
        options = [word for name, value in connection.items() for word in (f"--{name}", str(value))]
        command = [self.program, "workflow", *words, *options]
        try:
            done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=2 * seconds)
        except subprocess.TimeoutExpired as error:
            raise CliError(f"temporal workflow {words[0]}: not within {error.timeout:g} s") from error
        if done.returncode != 0:
            raise CliError(f"temporal workflow {words[0]}: {done.stderr.strip()}")
        return json.loads(done.stdout or "null")

    def start(self, name: str) -> bool:
        """Start a workflow that waits for approval; return whether this or an earlier attempt has."""
        words = {"type": WORKFLOW, "task-queue": self.view.deployment["task_queue"], "workflow-id": name}
        options = [word for option, value in words.items() for word in (f"--{option}", value)]
        try:
            self.ask(
                "start", *options, "--input", json.dumps(asdict(change_of(name, held=True))), seconds=START_SECONDS
            )
        except CliError as error:
            return THERE in str(error)
        return True

    def described(self, name: str) -> str:
        """Return the status of a workflow, for example ``COMPLETED``."""
        told = self.ask("describe", "--workflow-id", name)
        return str(told["workflowExecutionInfo"]["status"]).removeprefix(STATUS)

    def listed(self, prefix: str) -> list[tuple[str, str]]:
        """Return id and status of every workflow whose id begins with ``prefix``."""
        told = self.ask("list", "--query", f'WorkflowId STARTS_WITH "{prefix}"', "--limit", str(LIMIT))
        return [(row["execution"]["workflowId"], str(row["status"]).removeprefix(STATUS)) for row in told or []]

    def terminate(self, name: str) -> None:
        """End a workflow at once."""
        self.ask("terminate", "--workflow-id", name, "--reason", "the test has ended")

    def story(self, name: str) -> list[str]:
        """Describe, list and terminate a workflow that was started; return what it was, step by step."""

        def shown() -> str:
            return dict(self.listed(name)).get(name, "")

        until("the visibility store has it", lambda: shown() != "")
        running = [self.described(name), shown()]
        self.terminate(name)
        until("the visibility store has its end", lambda: shown() not in ("", running[1]))
        return [*running, self.described(name), shown()]


EXPECTED_STORY = ["RUNNING", "RUNNING", "TERMINATED", "TERMINATED"]


@contextmanager
def unpacked(view: View) -> Iterator[Cli]:
    """Unpack the program from the artifacts that the lab has, for as long as the body runs."""
    version = view.variable("temporal_versions")["cli"]
    [archive] = (state.cache_root() / "artifacts").glob(f"temporal-cli-{version}-linux-*.tar.gz")
    with TemporaryDirectory() as directory:
        with tarfile.open(archive) as files:
            files.extract("temporal", directory, filter="data")
        yield Cli(view, Path(directory) / "temporal")


def disputed(
    acknowledged: Iterable[str], begun: Collection[str], listed: Sequence[tuple[str, str]], story: Sequence[str]
) -> list[str]:
    """Return where the two judges disagree.

    ``acknowledged``: ids of the ledger. ``begun``: these and those whose start had no answer. ``listed``: ids with
    their status, as the command line lists them. ``story``: what became of the workflow that it started itself.
    """
    status, times = dict(listed), Counter(name for name, _ in listed)
    found = [
        f"{name} was acknowledged, and the command line lists {status.get(name, 'nothing')}"
        for name in acknowledged
        if status.get(name) != "COMPLETED"
    ]
    found += [f"the command line lists {name} {number} times" for name, number in times.items() if number > 1]
    found += [f"the command line lists {name}, which no client began" for name in times if name not in begun]
    if list(story) != EXPECTED_STORY:
        found.append(f"the workflow of the command line was {', '.join(story)}")
    return found
