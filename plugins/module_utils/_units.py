"""Restart decisions from the live state of systemd units.

A handler forgets when a run dies. Here every unit records, each time it starts, the digests of the
files that decide its behaviour (configuration, secrets, unit file, release manifest). Comparing that
record with the files as they are now says whether the running process is up to date, whoever changed
the files and however often a run was interrupted.

The functions of this file do no I/O; modules pass in what they read.
"""

from __future__ import annotations

import hashlib
import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ansible_collections.zerospof.temporal.plugins.module_utils._text import counted, table

RECORD_DIRECTORY = "/var/lib/zerospof/started"
LOADED_DIRECTORY = "/var/lib/zerospof/loaded"
UNIT_DIRECTORY = "/etc/systemd/system"

NEW = "new"
PENDING = "pending"
CURRENT = "current"


@dataclass(frozen=True)
class Verdict:
    """State of one unit: ``new`` (never started), ``pending`` (a restart is due) or ``current``."""

    name: str
    state: str
    reasons: tuple[str, ...] = ()

    def as_dict(self) -> dict[str, object]:
        """Return the verdict as the modules publish it."""
        return {"name": self.name, "state": self.state, "reasons": list(self.reasons)}


def record_path(unit: str) -> str:
    """Return the file in which ``unit`` records what it started with."""
    return f"{RECORD_DIRECTORY}/{unit}"


def unit_path(unit: str) -> str:
    """Return the path of the unit file that an administrator writes for ``unit``."""
    return f"{UNIT_DIRECTORY}/{unit}"


def drop_in_path(unit: str, name: str) -> str:
    """Return the path of the drop-in ``name`` of ``unit``."""
    return f"{UNIT_DIRECTORY}/{unit}.d/{name}.conf"


def loaded_path(unit: str) -> str:
    """Return the file in which ``unit`` records what it has read, when it started or when it was last reloaded."""
    return f"{LOADED_DIRECTORY}/{unit}"


def recorder(unit: str, tracked_files: Sequence[str], reloaded_files: Sequence[str] = ()) -> str:
    """Return the drop-in that makes ``unit`` record digests at each start, and of ``reloaded_files`` at each reload.

    ``+`` runs the command as root and outside of the unit's sandbox, so that a hardened unit needs no
    writable path for it. A missing file makes the start fail with its name.
    """
    lines = ["# Managed by zerospof.temporal", "[Service]", f"ExecStartPre={_record(tracked_files, record_path(unit))}"]
    if reloaded_files:
        # Later settings of a unit are carried out after the earlier ones: it records what it was told to read.
        loaded = _record(reloaded_files, loaded_path(unit))
        lines += [f"ExecStartPre={loaded}", f"ExecReload={loaded}"]
    return "\n".join(lines) + "\n"


def _record(files: Sequence[str], path: str) -> str:
    names = " ".join(shlex.quote(file) for file in files)
    command = f"mkdir -p {path.rpartition('/')[0]} && sha256sum -- {names} > {path}"
    escaped = command.replace("\\", "\\\\").replace('"', '\\"').replace("%", "%%").replace("$", "$$")
    return f'+/bin/sh -c "{escaped}"'


def unread(loaded: Mapping[str, str], present: Mapping[str, str | None]) -> list[str]:
    """Return the files that a running service has not read as they are; arguments as those of :func:`judge`."""
    return [path for path, now in present.items() if loaded.get(path) != now]


def parse_record(text: str) -> dict[str, str]:
    """Return ``{path: sha256}`` from the output of sha256sum."""
    pairs = (line.split(maxsplit=1) for line in text.splitlines() if line.strip())
    return {path.lstrip("*"): digest for digest, path in pairs}


def digest(content: bytes) -> str:
    """Return the SHA-256 of ``content`` in hexadecimal."""
    return hashlib.sha256(content).hexdigest()


def judge(
    unit: str,
    recorded: Mapping[str, str] | None,
    present: Mapping[str, str | None],
    active: bool,
) -> Verdict:
    """Decide the state of ``unit``.

    ``recorded``: digests of its last start, ``None`` when it never started.
    ``present``: digest of every tracked file now, ``None`` for a file that is missing.
    ``active``: whether systemd reports the unit as running.
    """
    if recorded is None:
        return Verdict(unit, NEW, ("it has never been started",))
    reasons = [] if active else ["it is not running"]
    for path in sorted(set(recorded) | set(present)):
        now = present.get(path)
        if path not in recorded:
            reasons.append(f"{path} is new since its start")
        elif path not in present:
            reasons.append(f"{path} is no longer part of it")
        elif now is None:
            reasons.append(f"{path} is missing")
        elif now != recorded[path]:
            reasons.append(f"{path} has changed since its start")
    return Verdict(unit, PENDING if reasons else CURRENT, tuple(reasons))


def pending_text(services: Mapping[str, Mapping[str, Any]]) -> str:
    """Return for people which units wait for a restart and why, and which hosts are half-way through one.

    ``services``: ``{units, interrupted}`` of ``systemd_units_info`` by host.
    """
    waiting = [
        (host, unit["name"], "; ".join(unit["reasons"]))
        for host, told in services.items()
        for unit in told["units"]
        if unit["state"] == PENDING
    ]
    half_way = [(host, ", ".join(told["interrupted"])) for host, told in services.items() if told["interrupted"]]
    lines = []
    if waiting:
        lines = [f"Waiting for a restart: {counted(len(waiting), 'service')} (rolling_restart.yml)", *table(waiting)]
    if half_way:
        count = counted(len(half_way), "host")
        lines += [f"Half-way through a restart: {count} (rolling_restart.yml completes it)", *table(half_way)]
    return "\n".join(lines) or "No service waits for a restart."


# What is answered at once by whoever is alive: the SSLRequest of the protocol of PostgreSQL, which PgBouncer speaks,
# too, a question on the control socket of HAProxy, and one to the REST interface of Patroni.
GREETINGS = {
    "postgresql": (8).to_bytes(4, "big") + (80877103).to_bytes(4, "big"),
    "haproxy": b"show version\n",
    "patroni": b"GET /liveness HTTP/1.0\r\n\r\n",
}


def guard_units(
    unit: str, program: str, address: str, protocol: str, name: str = "", tls: Sequence[str] = (), pid_file: str = ""
) -> list[dict[str, Any]]:
    """Return the units that end ``unit`` when it hangs, as the module ``systemd_units`` takes them.

    ``program``: path of ``hang_guard.py``. ``address``: where ``unit`` listens, ``host:port`` or the path of a socket.
    ``protocol``: what it speaks there, a key of ``GREETINGS``; of Patroni the main process alone is ended, as
    PostgreSQL goes on without it. ``name``: what it is, for the names of the units; that of ``unit`` when empty.
    ``tls``: a certificate and its key, where it is asked over TLS. ``pid_file``: who has to answer, when that is
    not the main process of ``unit``.
    """
    words = ["--unit", unit, "--address", address, "--message", GREETINGS[protocol].hex()]
    words += ["--kill", "main"] if protocol == "patroni" else []
    words += ["--tls", *tls] if tls else []
    words += ["--pid-file", pid_file] if pid_file else []
    name = f"{name or unit.removesuffix('.service')}-guard"
    return watcher_units(name, [program, *words], f"End {unit} when it hangs, so that it is started again")


def watcher_units(
    name: str, command: Sequence[str], purpose: str, user: str = "", directory: str = ""
) -> list[dict[str, Any]]:
    """Return the units of a Python program that looks after something for ever, as ``systemd_units`` takes them.

    The program ends now and then, and the timer starts it again, as it is on disk then: nobody has to restart it.
    ``command``: its path and its words. ``purpose``: what it is for. ``user``: as whom it runs; root when
    empty. ``directory``: one below ``/run`` for what it has to remember until the next start of the host.
    """
    settings = f"User={user}\n" if user else ""
    settings += f"RuntimeDirectory={directory}\nRuntimeDirectoryPreserve=yes\n" if directory else ""
    service = f"""\
# Managed by zerospof.temporal
[Unit]
Description={purpose}
StartLimitIntervalSec=0

[Service]
ExecStart=/usr/bin/python3 {shlex.join(command)}
{settings}OOMScoreAdjust=-600
UMask=0077
NoNewPrivileges=true
ProtectSystem=strict
ProtectHome=true
ProtectKernelTunables=true
ProtectKernelModules=true
ProtectKernelLogs=true
ProtectControlGroups=true
ProtectClock=true
ProtectHostname=true
PrivateTmp=true
PrivateDevices=true
RestrictAddressFamilies=AF_INET AF_INET6 AF_UNIX
RestrictNamespaces=true
RestrictRealtime=true
RestrictSUIDSGID=true
LockPersonality=true
MemoryDenyWriteExecute=true
SystemCallArchitectures=native
SystemCallFilter=@system-service
SystemCallErrorNumber=EPERM
"""
    timer = f"""\
# Managed by zerospof.temporal
[Unit]
Description={purpose}

[Timer]
# It ends now and then, to begin anew as it is on disk then.
OnActiveSec=0
OnUnitInactiveSec=1
AccuracySec=1

[Install]
WantedBy=timers.target
"""
    return [
        {"name": f"{name}.service", "content": service, "on_demand": True},
        {"name": f"{name}.timer", "content": timer},
    ]
