#!/usr/bin/python3
"""End a service that hangs, so that systemd starts it again.

    hang_guard.py --unit pgbouncer.service --address 127.0.0.1:6432 --message 0000000804d2162f

A process that was stopped, or that is stuck, keeps its socket: the kernel goes on to accept connections, and whoever
makes one waits. So this program says something that is answered at once (a request for TLS in the protocol of
PostgreSQL, a question on the control socket of HAProxy, one to the REST interface of Patroni) and kills all processes
of the unit, or its main process alone, when there was no answer several times in a row. Only silence counts: any byte,
the end of the connection and its refusal come from somebody who is alive, or are for systemd to deal with. A unit that
starts or stops is left alone.

It ends by itself after a while, and its timer starts it again, as it is on disk then.
"""

from __future__ import annotations

import argparse
import socket
import ssl
import subprocess
import sys
import time

# Three times two seconds without an answer, and the pauses between them, are 8 s.
SILENT, TIMEOUT_SECONDS, PAUSE_SECONDS = 3, 2.0, 1.0
# A service that has just been ended needs a moment to come back.
RETURN_SECONDS = 10.0
LIFE_SECONDS = 600.0


def is_silent(address: str, message: bytes, context: ssl.SSLContext | None = None) -> bool:
    """Tell whether whoever listens at ``address`` (``host:port``, or the path of a socket) has nothing to say."""
    local = address.startswith("/")
    host, _, port = address.rpartition(":")
    with socket.socket(socket.AF_UNIX if local else socket.AF_INET) as connection:
        connection.settimeout(TIMEOUT_SECONDS)
        try:
            connection.connect(address if local else (host, int(port)))
            with context.wrap_socket(connection) if context else connection as speaker:
                speaker.sendall(message)
                speaker.recv(1)
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


def end(unit: str, whom: str) -> None:
    """Kill all processes of ``unit``, or its main process."""
    print(f"{unit} hangs: no answer {SILENT} times in a row; killing it ({whom})", flush=True)
    subprocess.run(["systemctl", "kill", "--signal=SIGKILL", f"--kill-who={whom}", unit], check=True)


def with_certificate(certificate: str, key: str) -> ssl.SSLContext:
    """Return the settings of a connection over TLS to this host itself, whose answer is not believed but heard."""
    context = ssl.create_default_context()
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    context.load_cert_chain(certificate, key)
    return context


def guard(unit: str, address: str, message: bytes, whom: str, tls: tuple[str, str] | None) -> None:
    """Look after ``unit`` for a while."""
    context = with_certificate(*tls) if tls else None
    until, silent = time.monotonic() + LIFE_SECONDS, 0
    while silent or time.monotonic() < until:
        silent = silent + 1 if is_silent(address, message, context) else 0
        if silent >= SILENT:
            silent = 0
            if is_active(unit):
                end(unit, whom)
                time.sleep(RETURN_SECONDS)
        time.sleep(PAUSE_SECONDS)


def main() -> int:
    """Run the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--unit", required=True, help="unit that is ended")
    parser.add_argument("--address", required=True, help="where it listens: host:port, or the path of a socket")
    parser.add_argument("--message", required=True, type=bytes.fromhex, help="what it answers at once, as hexadecimal")
    parser.add_argument("--kill", default="all", choices=("all", "main"), help="which of its processes (all)")
    parser.add_argument("--tls", nargs=2, metavar=("CERTIFICATE", "KEY"), help="files for those who ask over TLS")
    options = parser.parse_args()
    guard(options.unit, options.address, options.message, options.kill, options.tls)
    return 0


if __name__ == "__main__":
    sys.exit(main())
