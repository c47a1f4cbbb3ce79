"""Packages of workers from wherever pip finds them: made once, with all they need, and never another one."""

from __future__ import annotations

import subprocess
import tarfile
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.artifacts.conftest import EVERYTHING, WHEEL, Outcome, Playbook, contents, write_wheel

PACKAGE = "own-worker==1.2.0"
MADE = "wheels/own_worker-1.2.0-py3-none-any.whl"
PROJECT = """
[build-system]
requires = ["setuptools"]
build-backend = "setuptools.build_meta"

[project]
name = "own-worker"
version = "1.2.0"
dependencies = ["temporalio==1.35.0"]

[tool.setuptools]
py-modules = ["own_worker"]
"""
# What builds is what this checkout has; the index of these tests has no setuptools. In a variable, pip takes the
# opposite of what the option says (https://github.com/pypa/pip/issues/5735).
HERE = {"PIP_NO_BUILD_ISOLATION": "0"}


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """Return the sources of a package."""
    place = tmp_path / "own-worker"
    place.mkdir()
    (place / "pyproject.toml").write_text(PROJECT)
    (place / "own_worker.py").write_text("ANSWER = 42\n")
    return place


def sdist(project: Path) -> str:
    """Return an archive of the sources."""
    archive = project.with_name("own_worker-1.2.0.tar.gz")
    with tarfile.open(archive, "w:gz") as tar:
        tar.add(project, arcname="own_worker-1.2.0")
    return str(archive)


def git_tag(project: Path) -> str:
    """Return a tag of a repository whose newest commit is another version."""
    git = ["git", "-c", "user.name=Somebody", "-c", "user.email=somebody@example.com", "-C", str(project)]
    subprocess.run([*git, "init", "--quiet"], check=True)
    for version in ("1.2.0", "1.3.0"):
        file = project / "pyproject.toml"
        file.write_text(file.read_text().replace("1.2.0", version))
        subprocess.run([*git, "add", "."], check=True)
        subprocess.run([*git, "commit", "--quiet", "--message", version], check=True)
        subprocess.run([*git, "tag", f"v{version}"], check=True)
    return f"git+file://{project}@v1.2.0"


def directory_of(project: Path) -> str:
    """Return the sources themselves."""
    return str(project)


def wheel(project: Path) -> str:
    """Return a wheel that was made elsewhere."""
    write_wheel(project, "own_worker", "1.2.0", {"own_worker.py": "ANSWER = 42\n"})
    return str(project / "own_worker-1.2.0-py3-none-any.whl")


def declared(package: str, source: str) -> dict[str, str]:
    """Return a deployment."""
    return {"name": "own", "namespace": "n", "task_queue": "q", "package": package, "source": source}


Package = Callable[..., Outcome]
# Of the same name and version, and what pip would rather take on Debian 12.
STRANGER = "own_worker-1.2.0-cp311-cp311-manylinux2014_x86_64.whl"


@pytest.fixture
def made(release: Playbook) -> Package:
    """Return a function that runs the playbook for workers whose package comes from ``source``."""

    def run(source: str, package: str = PACKAGE, *arguments: str) -> Outcome:
        return release(*arguments, environment=HERE, worker_deployments=[declared(package, source)])

    return run


@pytest.mark.parametrize("source_of", [directory_of, sdist, git_tag, wheel])
def test_a_package_is_made_once_with_what_it_needs(
    made: Package, directory: Path, project: Path, package_index: Path, source_of: Callable[[Path], str]
) -> None:
    source = source_of(project)
    write_wheel(package_index, "own_worker", "1.2.0", {"own_worker.py": "ANSWER = 41\n"})
    (package_index / MADE.removeprefix("wheels/")).rename(package_index / STRANGER)
    try:
        first = made(source)
        assert first.changed, first.output
        assert contents(directory) == EVERYTHING | {MADE}
        second = made(source)
    finally:
        (package_index / STRANGER).unlink()
    assert not second.failed, second.output
    assert not second.changed
    with zipfile.ZipFile(directory / MADE) as there:
        assert there.read("own_worker.py") == b"ANSWER = 42\n"


def test_what_is_made_is_kept_when_something_else_is_missing(made: Package, directory: Path, project: Path) -> None:
    assert made(str(project)).changed
    before = (directory / MADE).read_bytes()
    (project / "own_worker.py").write_text("ANSWER = 43\n")
    (directory / WHEEL).unlink()
    again = made(str(project))
    assert again.changed, again.output
    assert contents(directory) == EVERYTHING | {MADE}
    assert (directory / MADE).read_bytes() == before


def test_what_an_older_build_left_behind_is_in_no_wheel(made: Package, directory: Path, project: Path) -> None:
    (project / "build" / "lib").mkdir(parents=True)
    (project / "build" / "lib" / "forgotten.py").touch()
    before = contents(project)
    assert made(str(project)).changed
    assert contents(project) == before
    with zipfile.ZipFile(directory / MADE) as there:
        assert "forgotten.py" not in there.namelist()


def test_a_package_that_is_for_one_python_alone_is_made_for_that(
    made: Package, directory: Path, project: Path, package_index: Path
) -> None:
    file = project / "pyproject.toml"
    file.write_text(file.read_text().replace('version = "1.2.0"', 'version = "1.2.0"\nrequires-python = "<3.12"'))
    outcome = made(str(project))
    assert outcome.changed, outcome.output
    assert MADE in contents(directory)


@pytest.mark.parametrize(
    ("source", "message"),
    [
        ("git+https://robot:secret@git.example.com/own.git@v1", "the source of own has a password in it"),
        ("/nowhere/own-worker", "/nowhere/own-worker"),
    ],
)
def test_a_source_that_cannot_be_is_one_clear_error(made: Package, directory: Path, source: str, message: str) -> None:
    outcome = made(source)
    assert outcome.failed
    assert message in " ".join(outcome.output.split())
    assert "secret" not in outcome.output
    assert MADE not in contents(directory)


def test_a_package_of_the_index_is_fetched(made: Package, directory: Path, package_index: Path) -> None:
    write_wheel(package_index, "own_worker", "1.2.0", {})
    try:
        outcome = made("index")
    finally:
        (package_index / "own_worker-1.2.0-py3-none-any.whl").unlink()
    assert outcome.changed, outcome.output
    assert MADE in contents(directory)


def test_another_version_than_the_declared_one_is_refused(made: Package, directory: Path, project: Path) -> None:
    outcome = made(str(project), "own-worker==1.3.0")
    assert outcome.failed
    assert f"{project} makes own_worker-1.2.0-py3-none-any.whl, not own-worker==1.3.0" in " ".join(
        outcome.output.split()
    )
    assert MADE not in contents(directory)


def test_check_mode_says_that_it_would_be_made(
    made: Package, release: Playbook, directory: Path, project: Path
) -> None:
    assert release(worker_deployments=[]).changed
    outcome = made(str(project), PACKAGE, "--check")
    assert outcome.changed, outcome.output
    assert contents(directory) == EVERYTHING


def test_a_directory_that_was_filled_elsewhere_has_to_have_it(
    made: Package, playbook: Playbook, directory: Path, project: Path
) -> None:
    assert made(str(project)).changed
    outcome = playbook(artifact_source="local", worker_deployments=[declared("own-worker==2.0", "index")])
    assert outcome.failed
    assert "wheels/ has no wheel of own-worker==2.0" in outcome.output
