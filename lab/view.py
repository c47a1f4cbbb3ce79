"""A look into a running cluster of the lab: who is connected to which server, and what the databases hold.

Everything comes from the cluster itself: the sessions of the balancer that has the virtual address, the sockets of
processes, and rows of PostgreSQL and Cassandra.
"""

from __future__ import annotations

import bisect
import contextlib
import json
import os
import re
import socket
import subprocess
import time
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import yaml
from temporalio.client import Client
from temporalio.service import KeepAliveConfig, RetryConfig, TLSConfig

from lab import inventory, state
from plugins.module_utils import _patience, _ring

DEFAULTS = state.REPOSITORY / "roles" / "temporal" / "defaults" / "main.yml"
ADMIN_SOCKET = "/run/haproxy-edge/admin.sock"
PROXY = "temporal_frontend"
SSH_PORT = 22
TEMPORAL_TLS = "/etc/temporal/tls"
TDBG = (
    f"/opt/temporal-server/current/tdbg --color never --tls-ca-path {TEMPORAL_TLS}/ca.crt"
    f" --tls-cert-path {TEMPORAL_TLS}/temporal.crt --tls-key-path {TEMPORAL_TLS}/temporal.key"
    " --tls-server-name frontend"
)
# So many questions go through one connection.
TDBG_AT_ONCE = 16
TUNNEL_SECONDS = 20
TOKEN_RANGE = re.compile(r"TokenRange\(start_token:-?\d+, end_token:(-?\d+), endpoints:\[([^\]]*)\]")
SESSION = re.compile(rf"src=(?P<client>\S+) fe={PROXY} be={PROXY} srv=(?P<server>\S+)")

PATIENCE, KEEP_ALIVE = RetryConfig(**_patience.RETRIES), KeepAliveConfig(**_patience.PINGS)


# Speaks to one node alone. The request comes as standard input, because it holds a password.
CQL = """/opt/zerospof/tools/bin/python -c '
import json, ssl, sys
from cassandra import ConsistencyLevel
from cassandra.auth import PlainTextAuthProvider
from cassandra.cluster import EXEC_PROFILE_DEFAULT, Cluster, ExecutionProfile
from cassandra.policies import FallthroughRetryPolicy, WhiteListRoundRobinPolicy
request = json.load(sys.stdin)
level = getattr(ConsistencyLevel, request["level"])
profile = ExecutionProfile(
    WhiteListRoundRobinPolicy([request["address"]]), FallthroughRetryPolicy(), level, request_timeout=20
)
tls = ssl.create_default_context(cafile="/etc/cassandra/tls/ca.crt")
tls.load_cert_chain("/etc/cassandra/tls/cassandra.crt", "/etc/cassandra/tls/cassandra.key")
cluster = Cluster(
    [request["address"]], request["port"], auth_provider=PlainTextAuthProvider(request["user"], request["password"]),
    ssl_context=tls, protocol_version=5, execution_profiles={EXEC_PROFILE_DEFAULT: profile},
    schema_metadata_enabled=False, token_metadata_enabled=False,
)
session = cluster.connect("temporal")
answers = []
for statement in request["statements"]:
    try:
        answers.append([list(row) for row in session.execute(statement)])
    except Exception as error:
        answers.append(type(error).__name__)
print(json.dumps(answers, default=lambda value: list(value) if hasattr(value, "__iter__") else str(value)))
cluster.shutdown()
'"""


class ViewError(Exception):
    """The cluster does not show what was asked for; the message says where."""


@dataclass(frozen=True)
class Worker:
    """One worker process: its unit, the host it runs on and the identity with which it polls."""

    host: str
    unit: str
    identity: str


@dataclass(frozen=True)
class View:
    """The lab and its inventory."""

    lab: state.Lab

    @cached_property
    def groups(self) -> dict[str, Any]:
        """All that ansible-inventory says about the inventory and its overlay."""
        return inventory.listing(self.lab.directory / "inventory.yml")

    @cached_property
    def names(self) -> dict[str, str]:
        """Names of all hosts by their addresses."""
        return {host.address: host.name for host in self.lab.hosts}

    def members(self, group: str) -> list[str]:
        """Names of the hosts of a group."""
        return sorted(inventory.group_members(self.groups, group))

    def variable(self, name: str, host: str | None = None) -> Any:  # noqa: ANN401
        """Value of a variable for a host, for any one host when it is the same for all."""
        variables = self.groups["_meta"]["hostvars"]
        known = variables[host or next(iter(variables))]
        return known[name] if name in known else yaml.safe_load(DEFAULTS.read_text())[name]

    @property
    def vip(self) -> str:
        """The virtual address."""
        return self.variable("temporal_vip")

    def address(self, host: str | None = None) -> str:
        """``host:port`` of the frontend of a host, or of the virtual address."""
        return f"{self.lab.host(host).address if host else self.vip}:{self.variable('temporal_ports')['frontend']}"

    def on(self, host: str, command: str, stdin: str | None = None) -> str:
        """Run a shell command on a host, with ``stdin`` as its input, and return what it prints.

        Raises:
            ViewError: it ends with an error, or the host does not answer.
        """
        settings = inventory.connection(self.lab)
        options = settings["ansible_ssh_common_args"].split()
        target = f"root@{self.lab.host(host).address}"
        done = subprocess.run(
            ["ssh", "-i", settings["ansible_ssh_private_key_file"], *options, target, command],
            input=stdin,
            capture_output=True,
            text=True,
            check=False,
            timeout=60,
        )
        if done.returncode != 0:
            raise ViewError(f"{host}: {command!r} ended with {done.returncode}: {done.stderr.strip()}")
        return done.stdout

    def answering(self, hosts: list[str]) -> list[str]:
        """Those of ``hosts`` that are up."""
        return [host for host in hosts if _answers(self.lab.host(host).address)]

    async def client(
        self, identity: str, address: str | None = None, namespace: str = "default", patient: bool = True
    ) -> Client:
        """A client with the operator's certificate, through the virtual address or another ``host:port``.

        One that is not ``patient`` retries and pings as the SDK does without any setting.
        """
        directory = self.lab.directory / "pki"
        tls = TLSConfig(
            server_root_ca_cert=(directory / "ca.crt").read_bytes(),
            client_cert=(directory / "clients" / "operator.crt").read_bytes(),
            client_private_key=(directory / "clients" / "operator.key").read_bytes(),
            domain="frontend",
        )
        return await Client.connect(
            address or self.address(),
            namespace=namespace,
            tls=tls,
            identity=identity,
            retry_config=PATIENCE if patient else None,
            keep_alive_config=KEEP_ALIVE if patient else KeepAliveConfig.default,
        )

    @contextlib.contextmanager
    def doors(self, servers: list[str], through: str) -> Iterator[dict[str, str]]:
        """An address on this machine for the frontend of each server, reached from the host ``through``.

        The firewall of a server lets in balancers, servers and workers, and no other client.
        """
        ports = {server: _free_port() for server in servers}
        program, *options = inventory.ssh_command(self.lab, self.lab.host(through))
        forwards = [word for server, port in ports.items() for word in ("-L", f"{port}:{self.address(server)}")]
        # A connection of its own: forwards of a shared one would outlive it.
        own = ["-o", "ControlMaster=no", "-o", "ControlPath=none", "-o", "ExitOnForwardFailure=yes", "-N", *forwards]
        with subprocess.Popen([program, *own, *options]) as tunnel:
            try:
                deadline = time.monotonic() + TUNNEL_SECONDS
                while not all(_listens(port) for port in ports.values()):
                    if tunnel.poll() is not None or time.monotonic() > deadline:
                        raise ViewError(f"no way through {through} to {', '.join(servers)}")
                    time.sleep(0.1)
                yield {server: f"127.0.0.1:{port}" for server, port in ports.items()}
            finally:
                tunnel.terminate()

    def vip_holder(self) -> str:
        """The balancer that has the virtual address now."""
        holders = []
        for host in self.answering(self.members("load_balancers")):
            if re.search(rf"\b{re.escape(self.vip)}/", self.on(host, "ip -brief -4 address")):
                holders.append(host)
        if len(holders) != 1:
            raise ViewError(f"the virtual address {self.vip} is on {', '.join(holders) or 'no balancer'}, not on one")
        return holders[0]

    def balancer(self, command: str) -> str:
        """Answer of the balancer that has the virtual address to a command on its admin socket."""
        return self.on(self.vip_holder(), f"echo '{command}' | socat -t 5 stdio unix-connect:{ADMIN_SOCKET}")

    def sessions(self) -> dict[str, str]:
        """The server behind each connection to the virtual address, by the client's ``address:port``."""
        return {match["client"]: match["server"] for match in SESSION.finditer(self.balancer("show sess"))}

    def server_states(self) -> dict[str, str]:
        """State of every server as the balancer sees it, for example ``UP``."""
        rows = [line.split(",") for line in self.balancer("show stat").splitlines() if line.startswith(f"{PROXY},")]
        return {row[1]: row[17] for row in rows if row[1] not in ("FRONTEND", "BACKEND")}

    def every_server_is_up(self) -> bool:
        """Whether the balancer finds every server healthy."""
        return set(self.server_states().values()) == {"UP"}

    def own_connections(self) -> list[str]:
        """Local ``address:port`` of the connections of this process to the virtual address."""
        text = subprocess.run(["ss", "-tnHp", "dst", self.address()], capture_output=True, text=True, check=True).stdout
        return _connections(text, os.getpid())

    def workers(self) -> list[Worker]:
        """All worker processes of the deployment that serves the sample."""
        name = self.deployment["name"]
        found = []
        for host in self.members("temporal_workers"):
            pattern = f"temporal-sdk-worker@{name}-*.service"
            for unit in self.on(host, f"systemctl list-unit-files --no-legend '{pattern}' | cut -d' ' -f1").split():
                instance = unit.removeprefix(f"temporal-sdk-worker@{name}-").removesuffix(".service")
                build, _, number = instance.rpartition("-")
                found.append(Worker(host, unit, f"{name}:{build}@{host}#{number}"))
        return found

    def instances(self, host: str, deployment: str, build: str = "*") -> int:
        """Return how many workers of a build of a deployment, or of all its builds, run on a host."""
        pattern = f"temporal-sdk-worker@{deployment}-{build}-*.service"
        command = f"systemctl list-units --plain --no-legend --state=active '{pattern}'"
        return len(self.on(host, command).splitlines())

    @cached_property
    def deployment(self) -> dict[str, Any]:
        """The worker deployment of the sample package."""
        deployments = self.variable("temporal_worker_deployments", self.members("temporal_workers")[0])
        return next(row for row in deployments if row["package"].startswith("networking-worker=="))

    def connection_of(self, worker: Worker) -> str | None:
        """Local ``address:port`` of the worker's connection to the virtual address, ``None`` when it has none."""
        command = f"ss -tnHp dst {self.address()} | cat; systemctl show --property=MainPID --value '{worker.unit}'"
        *sockets, pid = self.on(worker.host, command).splitlines()
        found = _connections("\n".join(sockets), int(pid))
        return found[-1] if found else None

    def servers_of(self, workers: list[Worker]) -> dict[Worker, str | None]:
        """The server that each worker is connected to through the virtual address, ``None`` for one that is not."""
        sessions = self.sessions()
        return {worker: sessions.get(self.connection_of(worker) or "") for worker in workers}

    def journal(self, worker: Worker, text: str) -> str:
        """The lines with ``text`` in what the worker has logged, since before its last start too."""
        command = f"journalctl --no-pager --output=cat --unit='{worker.unit}' | grep --fixed-strings '{text}' || true"
        return self.on(worker.host, command)

    def query(self, host: str, database: str, statement: str) -> list[list[str]]:
        """Rows of a statement on the PostgreSQL of a host."""
        command = f"runuser -u postgres -- psql -qtAX -F '\t' -d {database} -c \"{statement}\""
        return [line.split("\t") for line in self.on(host, command).splitlines() if line]

    def cql(
        self,
        host: str,
        statements: list[str],
        level: str = "LOCAL_ONE",
        user: str = "temporal",
        secret: str = "cassandra_temporal",
    ) -> list[list[list[Any]] | str]:
        """Rows of each statement, or the name of the error that it ends with, asked of the Cassandra node of a host."""
        request = {
            "address": self.lab.host(host).address,
            "port": self.variable("temporal_ports")["cassandra"],
            "password": self.variable("temporal_secrets")[secret],
            "user": user,
            "level": level,
            "statements": statements,
        }
        return json.loads(self.on(host, CQL, json.dumps(request)))

    def tdbg(self, *commands: str, server: str | None = None) -> list[str]:
        """What tdbg prints for each of ``commands``, asked of one server, without the ends of lines."""
        server = server or self.answering(self.members("temporal_servers"))[0]
        asked = [f"{TDBG} --address {self.address(server)} {command} | tr -d '\\n'; echo" for command in commands]
        some = [asked[first : first + TDBG_AT_ONCE] for first in range(0, len(asked), TDBG_AT_ONCE)]
        return [line for at_once in some for line in self.on(server, "; ".join(at_once)).splitlines()]

    def history_ring(self, server: str) -> set[str]:
        """The servers that one server sees in the ring of the history service.

        Raises:
            ViewError: it does not tell.
        """
        try:
            rings = _ring.parse_gossip("".join(self.tdbg("membership list-gossip", server=server)))
        except _ring.GossipError as error:
            raise ViewError(str(error)) from error
        return {self.names[member.rpartition(":")[0]] for member in rings.get("history", ())}

    def history_members(self) -> set[str]:
        """The servers that every server sees in the ring of the history service: all, when the cluster is whole.

        Raises:
            ViewError: a server does not tell.
        """
        return set.intersection(*(self.history_ring(server) for server in self.members("temporal_servers")))

    def history_shard(self, namespace_id: str, workflow_id: str) -> int:
        """The history shard of a workflow, as the tool of Temporal computes it."""
        options = f"--namespace-id {namespace_id} --workflow-id {workflow_id}"
        shards = f"--number-of-shards {self.variable('temporal_history_shards')}"
        [said] = self.tdbg(f"history-host get-shardid {options} {shards}")
        return int(said.split()[-1])

    def cassandra_ranges(self) -> list[tuple[int, list[str]]]:
        """The ranges of the ring by their last token, and the nodes that hold each for Temporal, as one says."""
        node = self.answering(self.members("cassandra"))[0]
        found = token_ranges(self.on(node, "nodetool describering temporal"))
        return [(end, [self.names[address] for address in addresses]) for end, addresses in found]

    def cassandra_holders(self, table: str, key: str) -> list[str]:
        """The Cassandra nodes that hold the partition ``key`` of a table of Temporal, as one of them says."""
        node = self.answering(self.members("cassandra"))[0]
        addresses = self.on(node, f"nodetool getendpoints temporal {table} {key}").split()
        return [self.names[address] for address in addresses]

    def database_hosts(self) -> list[tuple[str, bool]]:
        """The PostgreSQL hosts and whether each is the primary."""
        return [
            (host, self.query(host, "postgres", "select pg_is_in_recovery()") == [["f"]])
            for host in self.answering(self.members("postgresql"))
        ]

    def database_primary(self) -> str:
        """The one PostgreSQL host that takes writes.

        Raises:
            ViewError: none does, or more than one.
        """
        primaries = [host for host, is_primary in self.database_hosts() if is_primary]
        if len(primaries) != 1:
            raise ViewError(f"{', '.join(primaries) or 'no host'} takes writes in PostgreSQL, not one")
        return primaries[0]


def token_ranges(text: str) -> list[tuple[int, list[str]]]:
    """The last token and the addresses of each range in the output of ``nodetool describering``, by token."""
    return sorted((int(end), addresses.split(", ")) for end, addresses in TOKEN_RANGE.findall(text))


def holders(ranges: list[tuple[int, list[str]]], token: int) -> list[str]:
    """Who holds ``token``: behind the last range, the first goes on."""
    return ranges[bisect.bisect_left(ranges, (token,)) % len(ranges)][1]


def _free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return int(listener.getsockname()[1])


def _listens(port: int) -> bool:
    try:
        with socket.create_connection(("127.0.0.1", port), timeout=1):
            return True
    except OSError:
        return False


def _answers(address: str) -> bool:
    try:
        with socket.create_connection((address, SSH_PORT), timeout=1):
            return True
    except OSError:
        return False


def _connections(text: str, pid: int) -> list[str]:
    """Local ``address:port`` of the connections in the output of ``ss -tnHp`` that belong to a process."""
    rows = [line for line in text.splitlines() if line.startswith("ESTAB") and f"pid={pid}," in line]
    return [row.split()[3] for row in rows]
