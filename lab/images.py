"""Operating system images, built from this machine's own apt sources and cached by content."""

from __future__ import annotations

import hashlib
import json
import os
import platform
import re
import shutil
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from lab import machine
from lab.machine import LabError

HERE = Path(__file__).parent
CUSTOMIZE = HERE / "customize_image.sh"
COMPILE_CACHE = HERE / "compile_cache.py"
REPOSITORY = "localhost/zerospof-lab"
MAXIMUM_AGE_DAYS = 7  # package lists older than this name versions that a live mirror has dropped
SECONDS_PER_DAY = 86_400
# Settings of the machine's apt that its hosts need as well; all others (caches, hooks) are the machine's business.
APT_SETTINGS = re.compile(r"^Acquire::(Check-|Retries|ForceIPv|https?::|Max-FutureTime)")
PIP_SETTINGS = ("index-url", "extra-index-url", "trusted-host", "cert", "proxy", "timeout", "default-timeout")
PROXY_VARIABLES = ("http_proxy", "https_proxy", "no_proxy", "HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY")


@dataclass(frozen=True)
class Recipe:
    """One operating system: its Debian suite, what is installed and what waits in the apt archive cache."""

    name: str
    suite: str
    installed: tuple[str, ...]
    cached: tuple[str, ...]


@dataclass(frozen=True)
class Settings:
    """What this machine contributes to an image; read at run time."""

    mirror: str
    security_mirror: str
    apt_options: tuple[str, ...]
    pip_conf: str
    environment: str
    authorities: tuple[tuple[str, bytes], ...]


def recipes() -> dict[str, Recipe]:
    """All recipes of images.yml by image name."""
    table = yaml.safe_load((HERE / "images.yml").read_text())["images"]
    return {
        name: Recipe(name, row["suite"], tuple(row["installed"]), tuple(row["cached"] + row["cached_also"]))
        for name, row in table.items()
    }


def parse_sources(content: str, *, deb822: bool) -> list[tuple[str, tuple[str, ...]]]:
    """Binary sources of one apt sources file as (URI, suites)."""
    if deb822:
        found = []
        for stanza in re.split(r"\n\s*\n", content):
            lines = [line for line in stanza.splitlines() if not line.startswith("#")]
            fields = dict(re.findall(r"^([\w-]+):\s*(.*)$", "\n".join(lines), re.MULTILINE))
            if "deb" in fields.get("Types", "").split() and fields.get("Enabled", "yes") != "no":
                found += [(uri, tuple(fields.get("Suites", "").split())) for uri in fields.get("URIs", "").split()]
        return found
    lines = re.findall(r"^deb\s+(?:\[[^]]*\]\s+)?(\S+)\s+(\S+)", content, re.MULTILINE)
    return [(uri, (suite,)) for uri, suite in lines]


def choose_mirrors(sources: list[tuple[str, tuple[str, ...]]], codename: str) -> tuple[str, str]:
    """The mirrors of the machine's own release and of its security updates.

    Raises:
        LabError: no source carries the release.
    """
    main = next((uri for uri, suites in sources if codename in suites), None)
    if main is None:
        raise LabError(f"no apt source of this machine carries {codename}: add one to /etc/apt/sources.list.d")
    security = next((uri for uri, suites in sources if f"{codename}-security" in suites), "")
    return main.rstrip("/"), security.rstrip("/")


def source_lines(recipe: Recipe, settings: Settings) -> list[str]:
    """The apt sources of an image."""
    lines = [f"deb {settings.mirror} {suite} main" for suite in (recipe.suite, f"{recipe.suite}-updates")]
    if settings.security_mirror:
        lines.append(f"deb {settings.security_mirror} {recipe.suite}-security main")
    return lines


def apt_options(dump: str) -> tuple[str, ...]:
    """Those lines of ``apt-config dump`` that a host needs to reach the same mirrors as its machine."""
    return tuple(line for line in dump.splitlines() if APT_SETTINGS.match(line) and not line.endswith('"";'))


def pip_conf(listing: str) -> str:
    """A pip.conf with those lines of ``pip config list`` that matter on another host."""
    found = dict(re.findall(r"^[^.\n]*\.\.?([\w-]+)='(.*)'$", listing, re.MULTILINE))
    rows = [f"{name.removeprefix('default-')} = {found[name]}" for name in PIP_SETTINGS if name in found]
    return "\n".join(["[global]", *rows]) + "\n"


def tag(recipe: Recipe, settings: Settings) -> str:
    """Name of the image with a digest over everything that goes into it."""
    digest = hashlib.sha256()
    for part in (repr(recipe), repr(settings), *(path.read_text() for path in (CUSTOMIZE, COMPILE_CACHE))):
        digest.update(part.encode())
    return f"{REPOSITORY}/{recipe.name}:{digest.hexdigest()[:16]}"


def read_settings() -> Settings:
    """Ask this machine's apt, pip and certificate store."""
    sources = []
    for path in [Path("/etc/apt/sources.list"), *sorted(Path("/etc/apt/sources.list.d").glob("*"))]:
        if path.is_file() and path.suffix in (".list", ".sources"):
            sources += parse_sources(path.read_text(), deb822=path.suffix == ".sources")
    mirror, security = choose_mirrors(sources, platform.freedesktop_os_release().get("VERSION_CODENAME", ""))
    authorities = sorted(Path("/usr/local/share/ca-certificates").rglob("*.crt"))
    return Settings(
        mirror=mirror,
        security_mirror=security,
        apt_options=apt_options(machine.text(["apt-config", "dump"])),
        pip_conf=pip_conf(machine.run([sys.executable, "-m", "pip", "config", "list"], check=False).stdout.decode()),
        environment="".join(f"{name}={os.environ[name]}\n" for name in PROXY_VARIABLES if name in os.environ),
        authorities=tuple((path.name, path.read_bytes()) for path in authorities),
    )


def ensure(names: set[str]) -> dict[str, str]:
    """Make the named images exist; answer name -> image reference. Builds take about a minute each."""
    table = recipes()
    unknown = sorted(names - table.keys())
    if unknown:
        raise LabError(f"unknown lab_image {', '.join(unknown)}; known are {', '.join(sorted(table))}")
    settings = read_settings()
    return {name: _ensure_one(table[name], settings) for name in sorted(names)}


def _ensure_one(recipe: Recipe, settings: Settings) -> str:
    reference = tag(recipe, settings)
    age = _age_days(reference)
    if age is not None and age <= MAXIMUM_AGE_DAYS:
        return reference
    with machine.lock(machine.RUN / f"image-{recipe.name}.lock"):
        return _build_unless_fresh(recipe, settings, reference)


def _build_unless_fresh(recipe: Recipe, settings: Settings, reference: str) -> str:
    age = _age_days(reference)  # another command may have built it while this one waited
    if age is not None and age <= MAXIMUM_AGE_DAYS:
        return reference
    try:
        with machine.step(f"build image {recipe.name}"):
            _build(recipe, settings, reference)
            _forget_older(recipe, reference)
    except LabError as error:
        if age is None:
            raise
        machine.say(f"image {recipe.name} is {age:.0f} days old and could not be built again: {error}")
    return reference


def _age_days(reference: str) -> float | None:
    found = machine.podman("image", "inspect", reference, check=False)
    if found.returncode:
        return None
    labels: dict[str, Any] = json.loads(found.stdout)[0].get("Labels") or {}
    return (time.time() - float(labels.get("zerospof.built", 0))) / SECONDS_PER_DAY


def _forget_older(recipe: Recipe, reference: str) -> None:
    """Remove earlier images of a recipe, except those that hosts still run on."""
    listed = podman_images(recipe.name)
    for old in listed - {reference}:
        machine.podman("rmi", old, check=False)


def podman_images(name: str) -> set[str]:
    """References of all images of that name."""
    query = ("images", "--format={{.Repository}}:{{.Tag}}", f"--filter=reference={REPOSITORY}/{name}")
    return set(machine.podman(*query).stdout.decode().split())


def _build(recipe: Recipe, settings: Settings, reference: str) -> None:
    work = Path(tempfile.mkdtemp(prefix="zerospof-image-", dir=machine.STORAGE))
    try:
        archive = work / "root.tar"
        inputs = work / "input"
        (inputs / "ca").mkdir(parents=True)
        for name, content in settings.authorities:
            (inputs / "ca" / name).write_bytes(content)
        (inputs / "cached_packages").write_text("\n".join(recipe.cached) + "\n")
        (inputs / "apt.conf").write_text("\n".join(settings.apt_options) + "\n")
        (inputs / "pip.conf").write_text(settings.pip_conf)
        (inputs / "environment").write_text(settings.environment)
        shutil.copy(COMPILE_CACHE, inputs / "compile_cache.py")
        options = [f"--aptopt={line}" for line in settings.apt_options]
        machine.run(
            [
                "mmdebstrap",
                "--mode=root",
                "--variant=minbase",
                "--skip=cleanup/apt,cleanup/reproducible",
                f"--include={','.join(recipe.installed)}",
                *options,
                f'--customize-hook=sh {CUSTOMIZE} "$1" {inputs}',
                recipe.suite,
                archive,
                *source_lines(recipe, settings),
            ],
            timeout=1200,
        )
        labels = ("LABEL zerospof.lab.image=" + recipe.name, f"LABEL zerospof.built={time.time():.0f}")
        changes = ['CMD ["/sbin/init"]', "STOPSIGNAL SIGRTMIN+3", *labels]
        machine.podman("import", "--quiet", *[f"--change={change}" for change in changes], archive, reference)
    finally:
        shutil.rmtree(work, ignore_errors=True)
