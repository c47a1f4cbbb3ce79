#!/usr/bin/python3
"""End a service that hangs, so that systemd starts it again.

    hang_guard.py --unit pgbouncer.service --address 127.0.0.1:6432 --message 0000000804d2162f

A process that was stopped, or that is stuck, keeps its socket: the kernel goes on to accept connections, and whoever
makes one waits. So this program says something that is answered at once (a request for TLS in the protocol of
PostgreSQL, a question on the control socket of HAProxy, one to the REST interface of Patroni) and kills all processes
of the unit, or its main process alone, when there was no answer several times in a row.

Who is slow does not hang. A process that has had the processor meanwhile, or that waits for it or for a disk, gets as
long as a minute. Only silence counts: any byte, the end of the connection and its refusal come from somebody who is
alive, or are for systemd to deal with. A unit that starts or stops is left alone.

It ends by itself after a while, and its timer starts it again, as it is on disk then.
"""

from __future__ import annotations

import argparse
import socket
import ssl
import subprocess
import sys
import time
from pathlib import Path

# Three times two seconds without an answer, and the pauses between them, are 8 s; twenty times are a minute.
SILENT, SILENT_AND_BUSY, TIMEOUT_SECONDS, PAUSE_SECONDS = 3, 20, 2.0, 1.0
# A service that has just been ended needs a moment to come back.
RETURN_SECONDS = 10.0
LIFE_SECONDS = 600.0
# States of a process as the kernel calls them: stopped; and on a processor or waiting for one, or for a disk.
STOPPED, WAITS_FOR_MACHINE = ("T", "t"), ("R", "D")


def is_silent(address: str, message: bytes, context: ssl.SSLContext | None = None) -> bool:
    """Tell whether whoever listens at ``address`` (``host:port``, or the path of a socket) has nothing to say."""
    local = address.startswith("/")
    host, _, port = address.rpartition(":")
    family = socket.AF_UNIX if local else socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family) as connection:
        connection.settimeout(TIMEOUT_SECONDS)
        try:
            connection.connect(address if local else (host.strip("[]"), int(port)))
            with context.wrap_socket(connection) if context else connection as speaker:
                speaker.sendall(message)
                speaker.recv(1)
        except TimeoutError:
            return True
        except BlockingIOError:
            # Nobody takes the connections of a local socket any more, and no more can wait. That is said at once.
            time.sleep(TIMEOUT_SECONDS)
            return True
        except OSError:
            return False
    return False


def asked(unit: str, *words: str) -> str:
    """Return what systemctl says of ``unit``."""
    return subprocess.run(["systemctl", *words, unit], capture_output=True, text=True, check=False).stdout.strip()


def process_of(unit: str, pid_file: str) -> str:
    """Return the number of the process that has to answer, empty when there is none."""
    if not pid_file:
        return asked(unit, "show", "--property=MainPID", "--value")
    found = sorted(Path("/").glob(pid_file.lstrip("/")))
    return found[-1].read_text(encoding="utf-8").split("\n", 1)[0].strip() if found else ""


def life_of(number: str) -> tuple[str, int]:
    """Return the state of a process, and for how many nanoseconds its main thread has had a processor."""
    try:
        place = Path("/proc", number)
        state = (place / "stat").read_text(encoding="utf-8").rpartition(")")[2].split()[0]
        return state, int((place / "schedstat").read_text(encoding="utf-8").split()[0])
    except (OSError, ValueError, IndexError):
        return "", 0


def hangs(before: tuple[str, int], now: tuple[str, int]) -> bool:
    """Tell whether a process that is silent hangs, from its life ``before`` and ``now``; otherwise it is slow."""
    state, worked = now
    return state in STOPPED or (state not in WAITS_FOR_MACHINE and worked == before[1])


def end(unit: str, whom: str) -> None:
    """Kill all processes of ``unit``, or its main process."""
    print(f"{unit} hangs: no answer several times in a row; killing it ({whom})", flush=True)
    subprocess.run(["systemctl", "kill", "--signal=SIGKILL", f"--kill-whom={whom}", unit], check=True)


def guard(options: argparse.Namespace) -> None:
    """Look after a unit for a while."""
    context = with_certificate(*options.tls) if options.tls else None
    until, silent, before = time.monotonic() + LIFE_SECONDS, 0, ("", 0)
    while silent or time.monotonic() < until:
        if not is_silent(options.address, options.message, context):
            silent = 0
        else:
            silent += 1
            number = process_of(options.unit, options.pid_file)
            if silent == 1:
                before = life_of(number)
            elif silent >= SILENT_AND_BUSY or (silent >= SILENT and hangs(before, life_of(number))):
                silent = 0
                if asked(options.unit, "is-active") == "active":
                    end(options.unit, options.kill)
                    time.sleep(RETURN_SECONDS)
        time.sleep(PAUSE_SECONDS)


def with_certificate(certificate: str, key: str) -> ssl.SSLContext:
    """Return the settings of a connection over TLS to this host itself, whose answer is not believed but heard."""
    context = ssl.create_default_context()
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    context.load_cert_chain(certificate, key)
    return context


def main() -> int:
    """Run the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--unit", required=True, help="unit that is ended")
    parser.add_argument("--address", required=True, help="where it listens: host:port, or the path of a socket")
    parser.add_argument("--message", required=True, type=bytes.fromhex, help="what it answers at once, as hexadecimal")
    parser.add_argument("--kill", default="all", choices=("all", "main"), help="which of its processes (all)")
    parser.add_argument("--pid-file", default="", help="who has to answer, when that is not the main process")
    parser.add_argument("--tls", nargs=2, metavar=("CERTIFICATE", "KEY"), help="files for those who ask over TLS")
    guard(parser.parse_args())
    return 0


if __name__ == "__main__":
    sys.exit(main())
