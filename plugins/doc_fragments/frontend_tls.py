"""Documentation of the options with which modules trust a Temporal frontend, and are trusted by it."""

from __future__ import annotations


class ModuleDocFragment:
    """Options shared by all modules that speak to a frontend, whatever its address."""

    DOCUMENTATION = r"""
options:
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
