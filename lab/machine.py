"""The machine that carries the labs: commands, locks, missing packages, and a podman of our own.

All labs of a machine share one container storage, one run directory and one mount namespace, apart from those of any
other podman user, so that ``lab down --all`` can remove everything without touching what is not ours.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import resource
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

STORAGE = Path("/var/lib/zerospof-lab")
RUN = Path("/run/zerospof-lab")
NAMESPACE = RUN / "namespace" / "mount"
CGROUP2_MAGIC_FILE = Path("/sys/fs/cgroup/cgroup.controllers")

TEST_LABS = ("molecule-", "test-")

KERNEL_LIMITS = {
    Path("/proc/sys/fs/inotify/max_user_instances"): 8192,
    Path("/proc/sys/fs/inotify/max_user_watches"): 524_288,
}

# Command that must exist -> Debian package that brings it.
REQUIRED = {
    "podman": "podman",
    "crun": "crun",
    "conmon": "conmon",
    "mmdebstrap": "mmdebstrap",
    "nft": "nftables",
    "iptables": "iptables",
    "ip": "iproute2",
    "unshare": "util-linux",
    "ssh": "openssh-client",
    "ssh-keygen": "openssh-client",
    "/usr/lib/podman/netavark": "netavark",
    "/usr/share/keyrings/debian-archive-keyring.gpg": "debian-archive-keyring",
}


def is_of_tests(lab: str) -> bool:
    """Tell whether a lab, by its name, belongs to the test suite."""
    return lab.startswith(TEST_LABS)


class LabError(Exception):
    """Something the operator can act on; shown as one line."""


def say(message: str) -> None:
    """Print a progress line at once, also through a pipe."""
    print(f"lab: {message}", file=sys.stderr, flush=True)


@contextlib.contextmanager
def step(what: str) -> Iterator[None]:
    """Announce a step that takes seconds and say how many it took."""
    say(f"{what} ...")
    started = time.monotonic()
    yield
    say(f"{what}: {time.monotonic() - started:.1f} s")


def run(
    command: Sequence[str | Path],
    *,
    stdin: bytes | None = None,
    check: bool = True,
    timeout: float = 600,
    env: dict[str, str] | None = None,
) -> subprocess.CompletedProcess[bytes]:
    """Run a command without a shell and capture its output.

    Raises:
        LabError: it failed (and ``check``), is not installed, or took too long.
    """
    words = [str(word) for word in command]
    try:
        done = subprocess.run(words, input=stdin or b"", capture_output=True, timeout=timeout, check=False, env=env)
    except FileNotFoundError as error:
        raise LabError(f"{words[0]} is not installed") from error
    except subprocess.TimeoutExpired as error:
        raise LabError(f"{short(words)} took longer than {timeout:.0f} s") from error
    if check and done.returncode:
        raise LabError(f"{short(words)} failed with {done.returncode}: {reason(done)}")
    return done


def short(words: Sequence[str]) -> str:
    """A command line as people know it: without the wrapping that makes it ours, and not too long."""
    start = words.index("podman") if "podman" in words else 0
    return " ".join(words[start:])[:160]


def reason(done: subprocess.CompletedProcess[bytes]) -> str:
    """The line of a failed command's output that says most."""
    lines = (done.stderr or done.stdout).decode(errors="replace").strip().splitlines() or ["no message"]
    return next((line.strip() for line in lines if "error" in line.lower()), lines[-1])


def text(command: Sequence[str | Path], **options: object) -> str:
    """Standard output of a command that must succeed, stripped."""
    return run(command, **options).stdout.decode().strip()  # type: ignore[arg-type]


@contextlib.contextmanager
def lock(path: Path) -> Iterator[None]:
    """Hold an exclusive lock on a file, waiting for whoever has it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            say(f"waiting for another lab command ({path.name})")
            fcntl.flock(file, fcntl.LOCK_EX)
        yield


def require_root() -> None:
    """Refuse to go on as an ordinary user."""
    if os.geteuid() != 0:
        raise LabError("needs root: it makes network namespaces, mounts and containers; run it with sudo")


def prepare() -> None:
    """Install what is missing and make the private podman ready. Cheap when nothing is to do."""
    require_root()
    os.environ["PATH"] += ":/usr/sbin:/sbin"  # absent from the PATH of a root shell made with su
    with lock(RUN / "machine.lock"):
        _install_missing()
        _write_configuration()
        _make_mount_namespace()
        _raise_limits()


def _install_missing() -> None:
    missing = sorted({package for need, package in REQUIRED.items() if not shutil.which(need) and not _is_file(need)})
    if not missing:
        return
    if not shutil.which("apt-get"):
        raise LabError(f"not installed: {' '.join(missing)}; this machine has no apt-get, so install them yourself")
    environment = os.environ | {"DEBIAN_FRONTEND": "noninteractive"}
    with step(f"install {' '.join(missing)}"):
        run(["apt-get", "update", "--quiet=2"], env=environment)
        install = ["apt-get", "install", "--quiet=2", "--yes", "--no-install-recommends"]
        run([*install, *missing], env=environment)


def _is_file(path: str) -> bool:
    return path.startswith("/") and Path(path).exists()


def container_options() -> list[str]:
    """Options without which a container does not start on a machine that is itself a container or has low limits.

    Limits are generous, but never above the hard ones of this process, which runc and crun cannot raise.
    """
    wanted = {"nofile": (resource.RLIMIT_NOFILE, 1_048_576), "nproc": (resource.RLIMIT_NPROC, 30_000)}
    options = ["--pull=never", "--privileged", "--pids-limit=0"]
    for name, (kind, want) in wanted.items():
        hard = resource.getrlimit(kind)[1]
        limit = want if hard == resource.RLIM_INFINITY else min(want, hard)
        options.append(f"--ulimit={name}={limit}:{limit}")
    return options


def _write_configuration() -> None:
    for folder in (STORAGE / "networks", STORAGE / "storage", RUN / "ssh", RUN / "containers"):
        folder.mkdir(parents=True, exist_ok=True)
    files = {
        "containers.conf": f"""[containers]
log_driver = "none"
[engine]
runtime = "crun"
cgroup_manager = "cgroupfs"
events_logger = "none"
tmp_dir = "{RUN}/libpod"
[network]
network_backend = "netavark"
network_config_dir = "{STORAGE}/networks"
""",
        "storage.conf": f"""[storage]
driver = "overlay"
graphroot = "{STORAGE}/storage"
runroot = "{RUN}/containers"
""",
    }
    for name, content in files.items():
        path = STORAGE / name
        if not path.exists() or path.read_text() != content:
            path.write_text(content)


def _raise_limits() -> None:
    """Make room for the systemd of every host: they all count as root, and 128 inotify instances end at 20 hosts."""
    for limit, least in KERNEL_LIMITS.items():
        if int(limit.read_text()) < least:
            limit.write_text(str(least))


def _make_mount_namespace() -> None:
    """Pin a mount namespace whose cgroup tree is pure version 2, which crun insists on for systemd 257."""
    if CGROUP2_MAGIC_FILE.exists() or _is_namespace(NAMESPACE):
        return
    folder = NAMESPACE.parent
    folder.mkdir(parents=True, exist_ok=True)
    # A namespace file can only be pinned on a private mount.
    if not os.path.ismount(folder):
        run(["mount", "--bind", folder, folder])
    run(["mount", "--make-private", folder])
    NAMESPACE.touch()
    script = "mount --make-rprivate /sys && umount -R /sys/fs/cgroup && mount -t cgroup2 none /sys/fs/cgroup"
    run(["unshare", f"--mount={NAMESPACE}", "--propagation", "unchanged", "sh", "-c", script])


def _is_namespace(path: Path) -> bool:
    return path.exists() and run(["stat", "--file-system", "--format=%T", path]).stdout.strip() == b"nsfs"


def remove_hosts(*, tests_only: bool = False) -> None:
    """Remove containers, networks and faults, whichever checkout made them; of all labs or only of those of tests."""

    def ours(lab: str) -> bool:
        return not tests_only or is_of_tests(lab)

    with lock(RUN / "machine.lock"):
        names = podman("ps", "--all", "--format={{.Names}}").stdout.decode().split()
        if containers := [name for name in names if ours(name.partition(".")[0])]:
            podman("rm", "--force", "--time=0", "--volumes", *containers)
        for network in podman("network", "ls", "--format={{.Name}}").stdout.decode().split():
            if ours(network.removeprefix("zerospof-")):
                podman("network", "rm", "--force", network, check=False)
        for row in json.loads(text(["nft", "--json", "list", "tables", "bridge"]))["nftables"]:
            name = row.get("table", {}).get("name", "")
            if name.startswith("zerospof.") and ours(name.split(".")[1]):
                run(["nft", "delete", "table", "bridge", name], check=False)


def remove_everything() -> None:
    """Remove all hosts, images and the mount namespace, whichever checkout made them."""
    remove_hosts()
    with lock(RUN / "machine.lock"):
        podman("rmi", "--force", "--all", check=False)
        mounts = [line.split()[1] for line in Path("/proc/mounts").read_text().splitlines()]
        for mount in reversed(mounts):  # inner ones first
            if Path(mount).is_relative_to(STORAGE) or Path(mount).is_relative_to(RUN):
                run(["umount", "--lazy", mount], check=False)
        shutil.rmtree(STORAGE, ignore_errors=True)
        shutil.rmtree(RUN, ignore_errors=True)


def podman_command(*arguments: str | Path) -> list[str]:
    """The full command line of one podman call, in the pinned namespace where there is one."""
    wrapper = [] if CGROUP2_MAGIC_FILE.exists() else ["nsenter", f"--mount={NAMESPACE}", "--"]
    settings = [f"CONTAINERS_CONF={STORAGE}/containers.conf", f"CONTAINERS_STORAGE_CONF={STORAGE}/storage.conf"]
    return [*wrapper, "env", *settings, "podman", *[str(argument) for argument in arguments]]


def podman(
    *arguments: str | Path, stdin: bytes | None = None, check: bool = True, timeout: float = 300
) -> subprocess.CompletedProcess[bytes]:
    """Run podman against the storage of the labs."""
    return run(podman_command(*arguments), stdin=stdin, check=check, timeout=timeout)
