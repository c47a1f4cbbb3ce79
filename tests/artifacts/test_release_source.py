"""Source release against a real HTTP server with the layout of upstream's release pages, and source local."""

from __future__ import annotations

import hashlib
import io
import subprocess
import tarfile
import threading
import time
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from tests.artifacts.conftest import CASSANDRA, CLI, DRIVER, EVERYTHING, SERVER, UI, WHEEL, Playbook, contents, finish

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


def test_good_archives_are_repacked_flat_and_a_second_run_does_nothing(
    release: Playbook, upstream: Upstream, directory: Path
) -> None:
    (directory / ".work-of-a-killed-run").mkdir(parents=True)
    (directory / ".work-of-a-killed-run" / "rest").touch()
    first = release()
    assert first.changed, first.output
    assert "artifacts 1/4: temporal-server-1.31.2-linux-amd64.tar.gz: done in" in first.output
    assert contents(directory) == EVERYTHING
    with tarfile.open(directory / SERVER) as tar:
        assert [(member.name, member.mode) for member in tar] == [(name, 0o755) for name in sorted(SERVER_PROGRAMS)]
    with tarfile.open(directory / UI) as tar:
        assert tar.extractfile("temporal-ui-server").read() == b"ui-server"
    subprocess.run(["sha256sum", "--check", "--strict", "SHA256SUMS"], cwd=directory, check=True)

    asked = len(upstream.requests)
    second = release()
    assert not second.failed, second.output
    assert not second.changed
    assert len(upstream.requests) == asked


def test_check_mode_says_what_it_would_do_and_does_nothing(
    release: Playbook, upstream: Upstream, directory: Path
) -> None:
    outcome = release("--check")
    assert outcome.changed, outcome.output
    assert not directory.exists()
    assert not upstream.requests


def test_a_wrong_checksum_stops_with_both_sums(release: Playbook, upstream: Upstream, directory: Path) -> None:
    upstream.files[SERVER_ARCHIVE], published = upstream_archive("evil"), upstream.files[SERVER_ARCHIVE]
    outcome = release()
    assert outcome.failed
    assert hashlib.sha256(published).hexdigest() in outcome.output
    assert hashlib.sha256(upstream.files[SERVER_ARCHIVE]).hexdigest() in outcome.output
    assert contents(directory) == {".lock"}


def test_of_cassandra_the_libraries_are_kept(release: Playbook, directory: Path) -> None:
    outcome = release(profile="ha_cassandra")
    assert outcome.changed, outcome.output
    assert contents(directory) == {*EVERYTHING, CASSANDRA, DRIVER}
    with tarfile.open(directory / CASSANDRA) as tar:
        assert [(member.name, member.mode) for member in tar] == [
            (f"lib/{Path(name).name}", 0o644) for name in LIBRARIES
        ]


def test_a_wrong_checksum_of_cassandra_stops_with_both_sums(release: Playbook, upstream: Upstream) -> None:
    upstream.files[CASSANDRA_ARCHIVE], published = upstream_archive("evil"), upstream.files[CASSANDRA_ARCHIVE]
    outcome = release(profile="ha_cassandra")
    assert outcome.failed
    assert hashlib.sha512(published).hexdigest() in outcome.output
    assert hashlib.sha512(upstream.files[CASSANDRA_ARCHIVE]).hexdigest() in outcome.output


def cut_short(upstream: Upstream) -> None:
    """Let the connection end in the middle of the archive."""
    upstream.cut.add(SERVER_ARCHIVE)


def unpublish(upstream: Upstream) -> None:
    """Take the archive away."""
    del upstream.files[SERVER_ARCHIVE]


def unpublish_release(upstream: Upstream) -> None:
    """Take the whole release away."""
    del upstream.files[f"{SERVER_PATH}/checksums.txt"]


def forget_entry(upstream: Upstream) -> None:
    """Publish checksums of other archives only."""
    upstream.files[f"{SERVER_PATH}/checksums.txt"] = f"{DIFFERENT}  temporal_1.31.2_linux_arm64.tar.gz\n".encode()


def login_page(upstream: Upstream) -> None:
    """Answer like a proxy that wants a login."""
    upstream.files[f"{SERVER_PATH}/checksums.txt"] = b"<html>please log in</html>"


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (cut_short, "temporal_1.31.2_linux_amd64.tar.gz was truncated"),
        (unpublish, "temporal_1.31.2_linux_amd64.tar.gz answered 404 Not Found"),
        (unpublish_release, "checksums.txt answered 404 Not Found"),
        (forget_entry, "has no entry for temporal_1.31.2_linux_amd64.tar.gz; it lists temporal_1.31.2_linux_arm64"),
        (login_page, "checksums.txt, line 1: expected '<sha256>  <file>' and found '<html>please"),
    ],
)
def test_a_bad_release_is_one_clear_error_and_leaves_nothing(
    release: Playbook,
    upstream: Upstream,
    directory: Path,
    damage: Callable[[Upstream], None],
    message: str,
) -> None:
    damage(upstream)
    outcome = release()
    assert outcome.failed
    assert message in outcome.output
    assert contents(directory) == {".lock"}


def test_a_mirror_that_is_not_there_is_named_without_its_password(playbook: Playbook, upstream: Upstream) -> None:
    upstream.server.server_close()
    mirror = f"http://me:hunter2@{upstream.address}"
    outcome = playbook(artifact_source="release", release_mirror=mirror)
    assert outcome.failed
    assert f"http://***@{upstream.address}{SERVER_PATH}/checksums.txt cannot be read" in outcome.output
    assert "temporal_release_mirror" in outcome.output
    assert "hunter2" not in outcome.output


def test_a_run_goes_on_where_the_last_one_failed(release: Playbook, upstream: Upstream, directory: Path) -> None:
    good = upstream.files.pop(UI_ARCHIVE)
    assert release().failed
    assert contents(directory) == {SERVER, "SHA256SUMS", "ORIGINS.json", ".lock"}
    upstream.files[UI_ARCHIVE] = good
    upstream.requests.clear()
    assert release().changed
    assert SERVER_ARCHIVE not in upstream.requests
    assert contents(directory) == EVERYTHING


def test_only_what_is_damaged_or_new_is_made_again(release: Playbook, upstream: Upstream, directory: Path) -> None:
    release()
    (directory / CLI).write_bytes(b"damaged")
    (directory / "wheels" / "own_worker-1.0.0-py3-none-any.whl").write_bytes(b"built by the operator")
    upstream.requests.clear()
    assert release().changed
    assert [path.rpartition("/")[0] for path in upstream.requests] == [CLI_PATH] * 2
    assert "own_worker-1.0.0" in (directory / "SHA256SUMS").read_text()

    path = SERVER_PATH.replace("1.31.2", "1.30.6")
    upstream.publish(path, "temporal_1.30.6_linux_amd64.tar.gz", "checksums.txt", *SERVER_PROGRAMS)
    assert release(version="1.30.6").changed
    assert {SERVER, SERVER.replace("1.31.2", "1.30.6")} < contents(directory)


def test_two_runs_at_once_make_everything_once(
    start: Callable[..., subprocess.Popen[str]], upstream: Upstream, directory: Path
) -> None:
    upstream.delay_seconds = 0.5
    inputs = {"artifact_source": "release", "release_mirror": f"http://{upstream.address}"}
    outcomes = [finish(process) for process in [start(**inputs), start(**inputs)]]
    assert not any(outcome.failed for outcome in outcomes), outcomes
    assert any("another run fills" in outcome.output for outcome in outcomes)
    assert len(upstream.requests) == len(set(upstream.requests))
    assert contents(directory) == EVERYTHING


def test_local_accepts_what_matches_and_lists_all_that_does_not(playbook: Playbook, directory: Path) -> None:
    (directory / "wheels").mkdir(parents=True)
    for name in (SERVER, UI, CLI, WHEEL):
        (directory / name).write_text(name)
    sums = subprocess.run(
        ["sha256sum", SERVER, UI, CLI, WHEEL], cwd=directory, check=True, capture_output=True, text=True
    ).stdout
    (directory / "SHA256SUMS").write_text(sums)
    accepted = playbook(artifact_source="local")
    assert not accepted.failed, accepted.output
    assert not accepted.changed

    (directory / SERVER).write_text("damaged")
    (directory / UI).unlink()
    (directory / WHEEL).unlink()
    refused = playbook(artifact_source="local")
    assert refused.failed
    assert f"{SERVER} is corrupted" in refused.output
    assert hashlib.sha256(b"damaged").hexdigest() in refused.output
    assert hashlib.sha256(SERVER.encode()).hexdigest() in refused.output
    assert f"{UI} is missing" in refused.output
    assert f"{WHEEL} is missing" in refused.output
    assert "wheels/ has no wheel of temporalio==1.35.0" in refused.output


def test_local_without_anything_says_so(playbook: Playbook, directory: Path) -> None:
    outcome = playbook(artifact_source="local")
    assert outcome.failed
    assert f"{directory} is not complete" in outcome.output
    assert "SHA256SUMS is missing" in outcome.output
