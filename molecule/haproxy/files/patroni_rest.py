"""Answers OPTIONS /primary as Patroni's REST interface does: 200 where the file ROLE says primary, else 503.

python patroni_rest.py PORT ROLE TLS_DIRECTORY
"""

from __future__ import annotations

import http.server
import ssl
import sys
from pathlib import Path

PORT, ROLE, TLS = int(sys.argv[1]), Path(sys.argv[2]), Path(sys.argv[3])


class Handler(http.server.BaseHTTPRequestHandler):
    """Knows one question."""

    def do_OPTIONS(self) -> None:
        """Tell whether this is the primary."""
        primary = self.path == "/primary" and ROLE.read_text(encoding="utf-8").strip() == "primary"
        self.send_response(200 if primary else 503)
        self.end_headers()


context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH, cafile=str(TLS / "ca.crt"))
context.verify_mode = ssl.CERT_REQUIRED
context.load_cert_chain(TLS / "backend.crt", TLS / "backend.key")
server = http.server.ThreadingHTTPServer(("", PORT), Handler)
server.socket = context.wrap_socket(server.socket, server_side=True, do_handshake_on_connect=False)
server.serve_forever()
