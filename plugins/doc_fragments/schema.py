"""Documentation of the options with which modules reach the schemas of Temporal."""

from __future__ import annotations


class ModuleDocFragment:
    """Options shared by the schema modules."""

    DOCUMENTATION = r"""
options:
  stores:
    description: The databases or keyspaces and the schema that each of them holds.
    type: list
    elements: dict
    required: true
    suboptions:
      database:
        description: Name of the database or keyspace.
        type: str
        required: true
      schema:
        description: Name under which the tool carries the schema, for example V(postgresql/v12/temporal).
        type: str
        required: true
  tool:
    description: Path of the schema tool of the release whose schema is wanted.
    type: path
    required: true
"""

    POSTGRESQL = r"""
options:
  address:
    description: Host name or IP address of the PostgreSQL primary, or of a proxy that leads to it.
    type: str
    required: true
  port:
    description: TCP port of the server or proxy.
    type: int
    default: 5432
  user:
    description: Role that owns the databases.
    type: str
    required: true
  password:
    description: Password of the role. It reaches the tool by its environment, never by its arguments.
    type: str
    required: true
  ca_file:
    description:
      - File on the managed host with the certificate authority of the server.
      - When given, the connection uses TLS and O(address) must be a name of the server's certificate.
    type: path
  cert_file:
    description: File on the managed host with the client certificate.
    type: path
  key_file:
    description: File on the managed host with the key of O(cert_file), readable by its owner alone.
    type: path
requirements:
  - psycopg2
"""
