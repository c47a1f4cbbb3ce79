"""Source release against a real HTTP server with the layout of upstream's release pages, and source local."""

from __future__ import annotations

import hashlib
import subprocess
import tarfile
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.artifacts.conftest import (
    CASSANDRA,
    CASSANDRA_ARCHIVE,
    CLI,
    CLI_PATH,
    DIFFERENT,
    DRIVER,
    EVERYTHING,
    LIBRARIES,
    SERVER,
    SERVER_ARCHIVE,
    SERVER_PATH,
    SERVER_PROGRAMS,
    UI,
    UI_ARCHIVE,
    WHEEL,
    Playbook,
    Upstream,
    contents,
    finish,
    upstream_archive,
)


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
