"""Documentation of the options with which modules reach a Temporal frontend."""

from __future__ import annotations


class ModuleDocFragment:
    """Options shared by the modules that speak to a frontend."""

    DOCUMENTATION = r"""
options:
  address:
    description: Host name or IP address of a Temporal frontend.
    type: str
    required: true
  port:
    description: TCP port of the frontend.
    type: int
    default: 7233
  ca_file:
    description:
      - File on the managed host with the certificate authority of the frontend.
      - TLS is used when this option is given.
    type: path
  cert_file:
    description: File on the managed host with the client certificate.
    type: path
  key_file:
    description: File on the managed host with the key of the client certificate.
    type: path
  server_name:
    description: Name that the certificate of the frontend must carry.
    type: str
    default: frontend
"""
