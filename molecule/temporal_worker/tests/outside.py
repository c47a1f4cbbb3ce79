"""What a test outside of the hosts needs to reach them and the cluster."""

from __future__ import annotations

import json
import os
from pathlib import Path

import testinfra
from temporalio.client import Client
from temporalio.service import TLSConfig
from testinfra.host import Host

LAB = Path(os.environ["MOLECULE_PROJECT_DIRECTORY"]) / ".cache" / "lab" / "molecule-temporal_worker"
WORKERS = ("worker-a", "worker-b")


async def connect() -> Client:
    """Return a client outside of the hosts."""
    hosts = json.loads((LAB / "lab.json").read_text())["hosts"]
    server = next(host["address"] for host in hosts if host["name"] == "server-a")
    tls = TLSConfig(
        server_root_ca_cert=(LAB / "pki" / "ca.crt").read_bytes(),
        client_cert=(LAB / "pki" / "clients" / "operator.crt").read_bytes(),
        client_private_key=(LAB / "pki" / "clients" / "operator.key").read_bytes(),
        domain="frontend",
    )
    return await Client.connect(f"{server}:7233", namespace="production", tls=tls)


def host_named(name: str) -> Host:
    """Return a host of the scenario."""
    return testinfra.get_host(f"ansible://{name}?ansible_inventory={LAB / 'inventory.yml'}")
