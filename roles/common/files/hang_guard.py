#!/usr/bin/python3
"""End a service that hangs, so that systemd starts it again.

    hang_guard.py --unit pgbouncer.service --address 127.0.0.1:6432 --message 0000000804d2162f

A process that was stopped, or that is stuck, keeps its socket: the kernel goes on to accept connections, and whoever
makes one waits. So this program says something that is answered at once (a request for TLS in the protocol of
PostgreSQL, a question on the control socket of HAProxy) and kills all processes of the unit when there was no answer
several times in a row. Only silence counts: any byte, the end of the connection and its refusal come from somebody who
is alive, or are for systemd to deal with. A unit that starts or stops is left alone.

It ends by itself after a while, and its timer starts it again, as it is on disk then.
"""

from __future__ import annotations

import argparse
import socket
import subprocess
import sys
import time

# Three times two seconds without an answer, and the pauses between them, are 8 s.
SILENT, TIMEOUT_SECONDS, PAUSE_SECONDS = 3, 2.0, 1.0
# A service that has just been ended needs a moment to come back.
RETURN_SECONDS = 10.0
LIFE_SECONDS = 600.0


def is_silent(address: str, message: bytes) -> bool:
    """Tell whether whoever listens at ``address`` (``host:port``, or the path of a socket) has nothing to say."""
    local = address.startswith("/")
    host, _, port = address.rpartition(":")
    with socket.socket(socket.AF_UNIX if local else socket.AF_INET) as connection:
        connection.settimeout(TIMEOUT_SECONDS)
        try:
            connection.connect(address if local else (host, int(port)))
            connection.sendall(message)
            connection.recv(1)
        except (TimeoutError, BlockingIOError):
            # Nobody takes the connections of a local socket any more, and no more of them can wait.
            return True
        except OSError:
            return False
    return False


def is_active(unit: str) -> bool:
    """Tell whether ``unit`` runs and neither starts nor stops."""
    said = subprocess.run(["systemctl", "is-active", unit], capture_output=True, text=True, check=False)
    return said.stdout.strip() == "active"


def end(unit: str) -> None:
    """Kill all processes of ``unit``."""
    print(f"{unit} hangs: no answer {SILENT} times in a row; killing it", flush=True)
    subprocess.run(["systemctl", "kill", "--signal=SIGKILL", unit], check=True)


def guard(unit: str, address: str, message: bytes) -> None:
    """Look after ``unit`` for a while."""
    until, silent = time.monotonic() + LIFE_SECONDS, 0
    while silent or time.monotonic() < until:
        silent = silent + 1 if is_silent(address, message) else 0
        if silent >= SILENT:
            silent = 0
            if is_active(unit):
                end(unit)
                time.sleep(RETURN_SECONDS)
        time.sleep(PAUSE_SECONDS)


def main() -> int:
    """Run the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--unit", required=True, help="unit that is ended")
    parser.add_argument("--address", required=True, help="where it listens: host:port, or the path of a socket")
    parser.add_argument("--message", required=True, type=bytes.fromhex, help="what it answers at once, as hexadecimal")
    options = parser.parse_args()
    guard(options.unit, options.address, options.message)
    return 0


if __name__ == "__main__":
    sys.exit(main())
