"""Names, checksums, archives and the record of the artifact directory."""

from __future__ import annotations

import hashlib
import io
import os
import tarfile
from collections.abc import Callable
from pathlib import Path

import pytest
from ansible_collections.zerospof.temporal.plugins.module_utils import _artifact_sources as sources
from ansible_collections.zerospof.temporal.plugins.module_utils import _artifacts as artifacts
from hypothesis import given
from hypothesis import strategies as st

VERSIONS = {"server": "1.31.2", "ui": "2.54.1", "cli": "1.9.1"}
DIGEST = hashlib.sha256(b"").hexdigest()
NAMES = st.text(st.characters(codec="ascii", categories=("L", "N"), include_characters="._-/"), min_size=1).filter(
    lambda name: not name.startswith("./")
)


def product(program: str) -> artifacts.Product:
    return artifacts.Product("x", "x", "x", "x", "x", programs=(artifacts.Program(program, program),))


def test_every_product_has_one_flat_archive_named_by_version() -> None:
    assert [item.file_name for item in artifacts.wanted(VERSIONS)] == [
        "temporal-server-1.31.2-linux-amd64.tar.gz",
        "temporal-ui-2.54.1-linux-amd64.tar.gz",
        "temporal-cli-1.9.1-linux-amd64.tar.gz",
    ]


@pytest.mark.parametrize("version", ["v1.31.2", "1.31", "latest", "../1.31.2", "1.31.2/..", ""])
def test_what_is_no_version_is_refused(version: str) -> None:
    with pytest.raises(artifacts.ArtifactError, match="version of server"):
        artifacts.wanted(VERSIONS | {"server": version})


@given(st.dictionaries(NAMES, st.binary(min_size=32, max_size=32).map(bytes.hex)))
def test_checksum_files_read_as_they_were_written(sums: dict[str, str]) -> None:
    assert artifacts.parse_sums(artifacts.render_sums(sums), "SHA256SUMS") == sums


def test_checksum_files_of_other_tools_are_read() -> None:
    text = f"{DIGEST}  text.tar.gz\n\n{DIGEST.upper()} *binary.tar.gz\r\n{DIGEST}  ./dotted.tar.gz\n"
    assert artifacts.parse_sums(text, "x") == dict.fromkeys(["text.tar.gz", "binary.tar.gz", "dotted.tar.gz"], DIGEST)


@pytest.mark.parametrize("line", ["<html>", "0123  short", DIGEST, f"{DIGEST}name"])
def test_a_page_that_is_no_checksum_file_is_named_with_its_line(line: str) -> None:
    with pytest.raises(artifacts.ArtifactError, match=r"https://mirror/checksums\.txt, line 2"):
        artifacts.parse_sums(f"{DIGEST}  good\n{line}\n", "https://mirror/checksums.txt")


@pytest.mark.parametrize(
    ("file_name", "requirement", "satisfied"),
    [
        ("temporalio-1.35.0-cp310-abi3-manylinux2014_x86_64.whl", "temporalio==1.35.0", True),
        ("nexus_rpc-1.4.0-py3-none-any.whl", "nexus-rpc == 1.4.0", True),
        ("Nexus.RPC-1.4.0-py3-none-any.whl", "nexus_rpc==1.4.0", True),
        ("temporalio-1.35.0.post1-py3-none-any.whl", "temporalio==1.35.0", False),
        ("temporalio_extra-1.35.0-py3-none-any.whl", "temporalio==1.35.0", False),
        ("temporalio-1.35.0.tar.gz", "temporalio==1.35.0", False),
    ],
)
def test_a_wheel_is_recognised_by_package_and_version(file_name: str, requirement: str, satisfied: bool) -> None:
    assert artifacts.wheel_satisfies(file_name, requirement) is satisfied


def test_an_archive_depends_on_nothing_but_the_bytes_of_its_programs(tmp_path: Path) -> None:
    for name, mode, time in (("one", 0o700, 1_000_000_000), ("two", 0o644, 1_700_000_000)):
        (tmp_path / name).mkdir()
        for program in ("b", "a"):
            path = tmp_path / name / program
            path.write_text(program)
            path.chmod(mode)
            os.utime(path, (time, time))
        programs = {path.name: path for path in (tmp_path / name).iterdir()}
        artifacts.pack(tmp_path / f"{name}.tar.gz", programs)
    assert (tmp_path / "one.tar.gz").read_bytes() == (tmp_path / "two.tar.gz").read_bytes()
    with tarfile.open(tmp_path / "one.tar.gz") as tar:
        assert [(member.name, member.mode, member.uid, member.mtime) for member in tar] == [
            ("a", 0o755, 0, 0),
            ("b", 0o755, 0, 0),
        ]


def test_only_expected_regular_files_leave_an_archive(tmp_path: Path) -> None:
    with tarfile.open(tmp_path / "upstream.tar.gz", "w:gz") as tar:
        for name, kind in (
            ("../../escape", tarfile.REGTYPE),
            ("/etc/tdbg", tarfile.SYMTYPE),
            ("sub/temporal", tarfile.REGTYPE),
        ):
            member = tarfile.TarInfo(name)
            member.type, member.size, member.linkname = kind, 4 if kind == tarfile.REGTYPE else 0, "/etc/passwd"
            tar.addfile(member, io.BytesIO(b"elf!"))
    target = tmp_path / "deep" / "target"
    target.mkdir(parents=True)
    found = artifacts.unpack(tmp_path / "upstream.tar.gz", product("temporal"), target, "upstream.tar.gz")
    assert found == {"temporal": target / "temporal"}
    assert sorted(path.name for path in tmp_path.rglob("*")) == ["deep", "target", "temporal", "upstream.tar.gz"]
    with pytest.raises(artifacts.ArtifactError, match=r"has no tdbg; it holds: .*escape, /etc/tdbg"):
        artifacts.unpack(tmp_path / "upstream.tar.gz", product("tdbg"), target, "upstream.tar.gz")


@pytest.mark.parametrize("damage", [lambda _body: b"not an archive", lambda body: body[: len(body) // 2]])
def test_what_is_no_whole_archive_is_named(tmp_path: Path, damage: Callable[[bytes], bytes]) -> None:
    (tmp_path / "temporal").write_bytes(os.urandom(1000))
    archive = tmp_path / "upstream.tar.gz"
    artifacts.pack(archive, {"temporal": tmp_path / "temporal"})
    archive.write_bytes(damage(archive.read_bytes()))
    with pytest.raises(artifacts.ArtifactError, match=r"https://mirror/x\.tar\.gz is not a readable tar\.gz"):
        artifacts.unpack(archive, product("temporal"), tmp_path, "https://mirror/x.tar.gz")


@pytest.fixture
def filled(tmp_path: Path) -> artifacts.ArtifactDirectory:
    """Return a directory with one archive, made by source registry, and one wheel."""
    directory = artifacts.ArtifactDirectory(tmp_path / "artifacts")
    with directory.lock(print), directory.workspace() as work:
        for name in ("a.tar.gz", "b-1.0-py3-none-any.whl"):
            (work / name).write_text(name)
        directory.add("a.tar.gz", "registry", {"a.tar.gz": work / "a.tar.gz"})
        directory.add("wheels of b", "pip", {"wheels/b-1.0-py3-none-any.whl": work / "b-1.0-py3-none-any.whl"})
    return artifacts.ArtifactDirectory(directory.path)


def test_what_is_recorded_and_whole_has_no_fault(filled: artifacts.ArtifactDirectory) -> None:
    assert filled.faults("a.tar.gz", "registry") == []
    assert filled.faults("wheels of b", "pip") == []
    assert filled.given_wheels() == []


def test_a_fault_says_what_is_wrong(filled: artifacts.ArtifactDirectory) -> None:
    assert filled.faults("a.tar.gz", "release") == ["it came from source registry"]
    assert filled.faults("c.tar.gz", "release") == ["ORIGINS.json does not know it"]
    good, bad = filled.sums["a.tar.gz"], hashlib.sha256(b"bad").hexdigest()
    (filled.path / "a.tar.gz").write_text("bad")
    assert filled.faults("a.tar.gz", "registry") == [
        f"a.tar.gz is corrupted: its SHA-256 is {bad}, SHA256SUMS says {good}"
    ]
    (filled.path / "a.tar.gz").unlink()
    assert filled.faults("a.tar.gz", "registry") == ["a.tar.gz is missing"]
    filled.sums.clear()
    assert filled.faults("wheels of b", "pip") == ["wheels/b-1.0-py3-none-any.whl has no entry in SHA256SUMS"]


def test_wheels_of_the_operator_are_recorded_changed_and_forgotten(filled: artifacts.ArtifactDirectory) -> None:
    own = "wheels/own-1.0-py3-none-any.whl"
    for step in (
        lambda: (filled.path / own).write_text("first"),
        lambda: (filled.path / own).write_text("second"),
        (filled.path / own).unlink,
    ):
        step()
        assert filled.given_wheels() == [own]
        filled.record(filled.given_wheels())
        assert filled.given_wheels() == []
    assert own not in filled.sums


def test_a_broken_record_says_how_to_go_on(filled: artifacts.ArtifactDirectory) -> None:
    (filled.path / "ORIGINS.json").write_text("{")
    with pytest.raises(artifacts.ArtifactError, match="delete it to make every artifact again"):
        artifacts.ArtifactDirectory(filled.path)


@pytest.mark.parametrize(
    ("go_mod", "required", "name"),
    [
        ("module x\n\ngo 1.26.4\n", (1, 26, 4), "go1.26.4"),
        ("module x\n\ngo 1.24\n\ntoolchain go1.24.3\n", (1, 24, 3), "go1.24.3"),
        ("module x\n\ngo 1.23\n", (1, 23), "go1.23.0"),
        ("module x\n\ngo 1.19\n", (1, 19), "go1.19"),
        ("module x\nrequire go.uber.org/atomic v1.9.0\n", (), "go"),
    ],
)
def test_the_go_that_a_module_needs(go_mod: str, required: tuple[int, ...], name: str) -> None:
    assert sources.required_go(go_mod) == required
    assert sources.toolchain_name(required) == name


def test_the_go_that_is_there() -> None:
    assert sources.go_version("go version go1.19.8 linux/amd64") == (1, 19, 8)
    assert sources.go_version("go version go1.26rc1 linux/amd64") == (1, 26)
    assert sources.go_version("nonsense") == ()


def test_credentials_of_a_mirror_are_never_shown() -> None:
    assert sources.without_credentials("https://me:secret@mirror.example:8443/x") == "https://***@mirror.example:8443/x"
    assert sources.without_credentials("https://mirror.example/a@b") == "https://mirror.example/a@b"


def test_a_failed_command_shows_the_end_of_what_it_printed(tmp_path: Path) -> None:
    command = ["sh", "-c", "seq 100; echo no space left >&2; exit 3"]
    with pytest.raises(artifacts.ArtifactError, match=r"ended with 3:\n87\n(\d+\n)*100\nno space left$"):
        sources.run(command, tmp_path, print)


def test_a_long_command_says_how_long_and_where(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sources, "REPORT_INTERVAL_SECONDS", 0.2)
    said: list[str] = []
    sources.run(["sh", "-c", "echo go.temporal.io/server/service/history; sleep 0.5"], tmp_path, said.append)
    assert said
    assert said[0] == "0 s, at go.temporal.io/server/service/history"
