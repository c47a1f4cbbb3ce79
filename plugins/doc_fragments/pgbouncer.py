"""Options that the PgBouncer modules share."""

from __future__ import annotations


class ModuleDocFragment:
    """Documentation of how a module reaches the administration console."""

    DOCUMENTATION = r"""
options:
  port:
    description: Port of PgBouncer.
    type: int
    default: 6432
  socket_directory:
    description: Directory of the socket of PgBouncer.
    type: path
    default: /run/pgbouncer
  owner:
    description: User under whom PgBouncer runs; the console admits no other without a password.
    type: str
    default: postgres
requirements:
  - psql
"""
