"""A gRPC server that knows nothing but its health, on the protocol library ``h2``.

The unit tests of the health check and the hosts of the haproxy scenario use it: ``h2`` decodes the request
independently of the code under test and refuses what is not HTTP/2.

python -m tests.grpc_health_server --help
"""

from __future__ import annotations

import argparse
import contextlib
import socket
import socketserver
import ssl
from collections.abc import Callable
from pathlib import Path

import h2.config
import h2.connection
import h2.events

STATUS = {"UNKNOWN": 0, "SERVING": 1, "NOT_SERVING": 2}
NOT_FOUND = "5"


LINGER_SECONDS = 5


def linger(wire: socket.socket) -> None:
    """Take what the client still sends: closing with unread data resets the connection, and the alert would be lost."""
    wire.settimeout(LINGER_SECONDS)
    with contextlib.suppress(OSError):
        wire.shutdown(socket.SHUT_WR)
        while wire.recv(16384):
            pass


class Handler(socketserver.BaseRequestHandler):
    """One connection; any number of requests."""

    server: Server

    def handle(self) -> None:
        """Serve until the client closes the connection."""
        with self.request.dup() as wire:
            try:
                connection = self.server.context.wrap_socket(self.request, server_side=True)
            except OSError:
                linger(wire)
                return
        engine = h2.connection.H2Connection(h2.config.H2Configuration(client_side=False, header_encoding="utf-8"))
        engine.initiate_connection()
        paths: dict[int, str] = {}
        bodies: dict[int, bytes] = {}
        try:
            connection.sendall(engine.data_to_send())
            while received := connection.recv(16384):
                for event in engine.receive_data(received):
                    if isinstance(event, h2.events.RequestReceived):
                        paths[event.stream_id] = dict(event.headers)[":path"]
                    elif isinstance(event, h2.events.DataReceived):
                        bodies[event.stream_id] = bodies.get(event.stream_id, b"") + event.data
                    elif isinstance(event, h2.events.StreamEnded):
                        self.answer(engine, event.stream_id, paths[event.stream_id], bodies[event.stream_id])
                connection.sendall(engine.data_to_send())
        except OSError:
            return
        finally:
            connection.close()

    def answer(self, engine: h2.connection.H2Connection, stream: int, path: str, body: bytes) -> None:
        """Answer one health check as grpc-go does: a message and trailers, or trailers alone."""
        service = body[7:].decode() if len(body) > 5 else ""
        status = self.server.status_of(service) if path == "/grpc.health.v1.Health/Check" else None
        headers = [(":status", "200"), ("content-type", "application/grpc")]
        if status is None:
            engine.send_headers(stream, [*headers, ("grpc-status", NOT_FOUND)], end_stream=True)
            return
        message = b"\x08" + bytes([STATUS[status]]) if STATUS[status] else b""
        engine.send_headers(stream, headers)
        engine.send_data(stream, b"\x00" + len(message).to_bytes(4, "big") + message)
        engine.send_headers(stream, [("grpc-status", "0")], end_stream=True)


class Server(socketserver.ThreadingTCPServer):
    """Listens with mutual TLS; ``status_of`` turns a service name into a status, or ``None`` when it is unknown."""

    allow_reuse_address = True
    daemon_threads = True

    def __init__(
        self, address: tuple[str, int], context: ssl.SSLContext, status_of: Callable[[str], str | None]
    ) -> None:
        """Listen on ``address``."""
        self.context = context
        self.status_of = status_of
        super().__init__(address, Handler)


def mutual_tls(cert: Path, key: Path, ca: Path) -> ssl.SSLContext:
    """Return the server side of mutual TLS with HTTP/2."""
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH, cafile=str(ca))
    context.verify_mode = ssl.CERT_REQUIRED
    context.load_cert_chain(cert, key)
    context.set_alpn_protocols(["h2"])
    return context


def main() -> None:
    """Run the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--address", default="127.0.0.1")
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--service", required=True, help="the only service known")
    parser.add_argument("--status-file", type=Path, required=True, help="holds SERVING or NOT_SERVING; read each time")
    for name in ("cert", "key", "ca"):
        parser.add_argument(f"--{name}", type=Path, required=True)
    options = parser.parse_args()

    def status_of(service: str) -> str | None:
        return options.status_file.read_text(encoding="utf-8").strip() if service == options.service else None

    context = mutual_tls(options.cert, options.key, options.ca)
    Server((options.address, options.port), context, status_of).serve_forever()


if __name__ == "__main__":
    main()
