"""What is wrong with the variables of an inventory; a sentence never holds a secret."""

from __future__ import annotations

import contextlib
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import groupby
from typing import Any

from ansible_collections.zerospof.temporal.plugins.module_utils import _workers
from ansible_collections.zerospof.temporal.plugins.module_utils._cluster import (
    SECRET_OPTIONS,
    Cluster,
    nearest,
    shown,
)
from ansible_collections.zerospof.temporal.plugins.module_utils._text import listed
from ansible_collections.zerospof.temporal.plugins.module_utils._topology import TIERS, tier_ports
from ansible_collections.zerospof.temporal.plugins.module_utils._workers import HIGHEST_PORT

PER_HOST_INPUTS = ("temporal_address", "temporal_vip_interface")
SECRETS = (
    "postgresql_superuser",
    "postgresql_replication",
    "postgresql_rewind",
    "temporal_database",
    "pgbouncer_auth",
    "patroni_rest",
)
CASSANDRA_SECRETS = ("cassandra_superuser", "cassandra_temporal", "cassandra_schema", "cassandra_maintenance")
SHORTEST_SECRET = 16
FEWEST_DISTINCT_CHARACTERS = 6
SSH_PORT = 22
HIGHEST_VIRTUAL_ROUTER_ID = 255
HALF_OF_A_DISK = 50
OLDEST_MINOR = (1, 29)
# Settings of cassandra.yaml that others than the node go by, and what to set instead. With other values the ring is not
# founded, or not the one that the report judges; the role does not see data that there are; or nobody gets in.
DECIDED_BY_CASSANDRA = {
    "cluster_name": "temporal_cluster_name",
    "num_tokens": "cassandra_tokens_per_node",
    "allocate_tokens_for_local_replication_factor": "cassandra_replication_factor",
    "initial_token": "",
    "auto_bootstrap": "",
    "partitioner": "",
    "endpoint_snitch": "cassandra_datacenter and cassandra_rack",
    "seed_provider": "",
    "listen_address": "temporal_address",
    "rpc_address": "temporal_address",
    "storage_port": "temporal_ports.cassandra_peer",
    "native_transport_port": "temporal_ports.cassandra",
    "data_file_directories": "cassandra_data_directory",
    "commitlog_directory": "cassandra_data_directory",
    "authenticator": "",
    "authorizer": "",
    "role_manager": "",
}
# Hashing spreads shards by chance: of 16 over three servers one got none, and its history service never became SERVING.
# With 8 for each, the chance of that is about e^-8 a server.
SHARDS_PER_SERVER = 8
SEARCH_ATTRIBUTE_TYPES = ("Bool", "Datetime", "Double", "Int", "Keyword", "KeywordList", "Text")
SYSTEM_NAMESPACE = "temporal-system"
LETTERS_OF_A_SLIP = 2
SIMILARITY_OF_A_SLIP = 0.9

_PLACEHOLDER = re.compile(
    r"change[ _-]?(me|it|this)|replace[ _-]?(me|this)|place[ _-]?holder|\btodo\b|fixme|example|dummy|your[ _-]"
    r"|insert[ _-]|password|passwd|secret|default|^12345|^qwert|temporal|postgres|<.*>|\{\{",
    re.IGNORECASE,
)
# What the last word of a setting says about its value, and settings of etcd and Cassandra that only sound like it.
_SECRET_NAME = re.compile(
    r"(passwords?|passwd|passphrase|secrets?|token|(^|_)(pass|pwd|psk|credentials?|(api|access|secret|private)_key))$"
)
_NO_SECRETS = ("auth_token", "initial_cluster_token", "initial_token")
# A file or an environment variable that holds the value.
_REFERENCE = r"((/[a-z][\w.@-]*){2,}|\$\{?\w+\}?|\{\{.*\}\})"
_SECRET_TEXT = re.compile(
    rf"-----BEGIN [A-Z ]*PRIVATE KEY-----|://[^/\s:@]*:(?!{_REFERENCE}@)[^/\s@]+@"
    rf"|(password|passwd|secret|token)=(?![\"']?{_REFERENCE}[\"']?(\s|$))\S"
    rf"|\buser \S+ (insecure-)?password (?!\"?{_REFERENCE}\"?(\s|$))\S|\bstats auth \S+:(?!{_REFERENCE}(\s|$))\S"
    r"|\bauthorization:?\s+(bearer|basic)\s+\S",
    re.IGNORECASE,
)
# What entry points of roles tell, in a play before.
OUTPUT = "_result"
_NAMESPACE = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,199}")
_CLUSTER_NAME = re.compile(r"[a-z][a-z0-9_-]{0,62}")
_VERSION = re.compile(r"\d+\.\d+\.\d+")


def input_problems(cluster: Cluster) -> Iterator[str]:
    """Yield the problems of names, types and values of variables."""
    yield from _name_problems(cluster)
    yield from cluster.type_problems
    for check in (
        _agreement_problems,
        _value_problems,
        _authorization_problems,
        _secret_problems,
        _override_problems,
        _decided_problems,
        _port_problems,
        _namespace_problems,
        _worker_problems,
        _worker_port_problems,
    ):
        yield from check(cluster)


def _name_problems(cluster: Cluster) -> Iterator[str]:
    known = {*cluster.options, *(f"{tier}_group" for tier in TIERS)}
    prefixes = tuple(f"{role}_" for role in cluster.roles)
    unknown: dict[str, list[str]] = {}
    for host in cluster.hosts:
        for name in cluster.hostvars[host]:
            if name not in known and not name.endswith(OUTPUT):
                unknown.setdefault(name, []).append(host)
    for name, hosts in unknown.items():
        where = cluster.where(hosts)
        if name.startswith(prefixes):
            yield (
                f"{name}{where}: is no variable of this collection{nearest(name, cluster.options)}; "
                "correct the name or, if it is yours, choose another prefix"
            )
        elif hint := _misspelling(name, cluster.options):
            yield (
                f"{name}{where}: is no variable of this collection{hint}; "
                "correct the name or, if it is yours, choose one that does not look like a slip"
            )


def _misspelling(name: str, names: Iterable[str]) -> str:
    """Return a hint when ``name`` looks like one of ``names`` with a letter or two wrong, else an empty text.

    One that holds another in whole words, such as ``my_temporal_vip``, was chosen and not mistyped.
    """
    if name.startswith(("ansible_", "_")):
        return ""
    alike = (
        other for other in names if abs(len(name) - len(other)) <= LETTERS_OF_A_SLIP and f"_{other}_" not in f"_{name}_"
    )
    return nearest(name, alike, SIMILARITY_OF_A_SLIP)


def _agreement_problems(cluster: Cluster) -> Iterator[str]:
    for name in cluster.inputs:
        values = cluster.values(name)
        if len(values) > 1 and name not in PER_HOST_INPUTS:
            seen = [
                f"{'one' if name in SECRET_OPTIONS else shown(value)} on {listed(hosts)}" for value, hosts in values
            ]
            yield f"{name}: hosts differ ({'; '.join(seen)}); set it once for the whole cluster"


def _value_problems(cluster: Cluster) -> Iterator[str]:
    name = cluster.value("temporal_cluster_name")
    if name is not None and not _CLUSTER_NAME.fullmatch(name):
        yield f"temporal_cluster_name: {name!r} must be lower case letters, digits, - and _, and begin with a letter"
    version = cluster.value("temporal_version")
    if version is not None:
        yield from (f"temporal_version: {problem}" for problem in _version_problems(version))
    yield from _release_problems(cluster)
    shards = cluster.value("temporal_history_shards")
    servers = len(cluster.members("temporal_servers"))
    if shards is not None and shards < 1:
        yield f"temporal_history_shards: {shards} must be at least 1; 512 suits most clusters"
    elif shards is not None and shards < SHARDS_PER_SERVER * servers:
        yield (
            f"temporal_history_shards: {shards} are too few for {servers} servers, because one that gets none never "
            f"serves; take at least {SHARDS_PER_SERVER * servers}, 512 suits most clusters"
        )
    for identifier, hosts in cluster.values("keepalived_virtual_router_id"):
        if not 1 <= identifier <= HIGHEST_VIRTUAL_ROUTER_ID:
            yield (
                f"keepalived_virtual_router_id{cluster.where(hosts)}: {identifier} must be between 1 and "
                f"{HIGHEST_VIRTUAL_ROUTER_ID}, and unlike those of other clusters on that network"
            )
    for percent, hosts in cluster.values("patroni_leader_disk_free_least_percent"):
        if not 0 <= percent < HALF_OF_A_DISK:
            yield (
                f"patroni_leader_disk_free_least_percent{cluster.where(hosts)}: {percent:g} must be from 0 to below "
                f"{HALF_OF_A_DISK}, as a member with twice as much is one with room"
            )


def _release_problems(cluster: Cluster) -> Iterator[str]:
    """What guards a change of release compares with what the cluster is to have, and not with what a role is given."""
    versions = cluster.value("temporal_versions") or {}
    wanted = {
        "temporal_server_version": ("temporal_version", cluster.value("temporal_version")),
        "cassandra_version": ("temporal_versions.cassandra", versions.get("cassandra")),
    }
    for name, (source, release) in wanted.items():
        for value, hosts in cluster.values(name):
            own = [host for host in hosts if name in cluster.hostvars[host]]
            if own and release is not None and str(value) != str(release):
                yield (
                    f"{name}{cluster.where(own)}: {value} is not what {source} says, {release}; leave it out, and set"
                    f" {source} for the whole cluster"
                )


def _version_problems(version: str) -> Iterator[str]:
    if not _VERSION.fullmatch(version):
        yield f"{version!r} is no release such as 1.31.2; give three numbers"
        return
    # Whether it can work behind the PgBouncer of a host is for the check of the hosts to say.
    if tuple(map(int, version.split(".")))[:2] < OLDEST_MINOR:
        yield f"{version} is older than {'.'.join(map(str, OLDEST_MINOR))}, the oldest supported; use a newer one"


def _authorization_problems(cluster: Cluster) -> Iterator[str]:
    if not cluster.value("temporal_authorization_enabled"):
        return
    name = "temporal_server_authorization.key_source_uris"
    given = cluster.by_host("temporal_server_authorization")
    overrides = cluster.by_host("temporal_server_config_overrides")
    without = []
    unreadable: dict[str, list[str]] = {}
    for host in cluster.members("temporal_servers"):
        sources = given.get(host, {}).get("key_source_uris") or []
        own = overrides.get(host, {}).get("global")
        if not sources and not (isinstance(own, Mapping) and "authorization" in own):
            without.append(host)
        for source in sources:
            if not source.startswith(("http://", "https://")):
                unreadable.setdefault(source, []).append(host)
    if without:
        yield (
            f"{name}{cluster.where(without)}: is empty, so the frontend would accept no token and no client; name the "
            "places with the public keys of tokens, or leave temporal_authorization_enabled off"
        )
    for source, hosts in unreadable.items():
        yield (
            f"{name}{cluster.where(hosts)}: {source!r} is no place from which Temporal reads keys; give a URL that "
            "begins with http:// or https://"
        )


def _secret_problems(cluster: Cluster) -> Iterator[str]:
    values = cluster.values("temporal_secrets")
    needed = SECRETS + CASSANDRA_SECRETS * (cluster.value("temporal_profile") == "ha_cassandra")
    if not values and cluster.hosts and not any("temporal_secrets" in problem for problem in cluster.type_problems):
        yield f"temporal_secrets: is not set; put the keys {', '.join(needed)} into your vault"
    given_on = {host for _, hosts in values for host in hosts}
    if given_on and len(given_on) < len(cluster.hosts):
        without = [host for host in cluster.hosts if host not in given_on]
        yield f"temporal_secrets: is not set on {listed(without)}; set it once for the whole cluster"
    for secrets, hosts in values:
        where = cluster.where(hosts)
        for key in needed:
            fault = _secret_fault(secrets.get(key))
            if fault:
                yield f"temporal_secrets.{key}{where}: {fault}; generate one, for example with: openssl rand -hex 24"
        for key in secrets:
            if key not in SECRETS + CASSANDRA_SECRETS:
                yield f"temporal_secrets.{key}{where}: is not used{nearest(key, needed)}; correct or remove it"
        given = sorted((str(secrets[key]), key) for key in needed if secrets.get(key))
        for _, same in groupby(given, key=lambda item: item[0]):
            keys = [key for _, key in same]
            if len(keys) > 1:
                yield f"temporal_secrets{where}: {', '.join(keys)} are the same; give each its own"


def _secret_fault(secret: Any) -> str:  # noqa: ANN401
    """Return what is wrong with a secret in words that do not tell it, empty when nothing is."""
    if secret is None or secret == "":
        return "is missing"
    if not isinstance(secret, str):
        return "must be a string; quote it"
    if _PLACEHOLDER.search(secret):
        return "looks like a placeholder or a well-known word"
    if len(secret) < SHORTEST_SECRET:
        return f"has {len(secret)} characters, at least {SHORTEST_SECRET} are needed"
    if len(set(secret)) < FEWEST_DISTINCT_CHARACTERS:
        return "repeats a few characters"
    if not secret.isprintable() or " " in secret:
        return "has blanks or control characters"
    return ""


def _override_problems(cluster: Cluster) -> Iterator[str]:
    for name in cluster.options:
        if name.endswith("_config_overrides") and name not in SECRET_OPTIONS:
            for overrides, hosts in cluster.values(name):
                for setting in dict.fromkeys(secret_settings(overrides)):
                    yield (
                        f"{name}{cluster.where(hosts)}: {setting} looks like a secret, which diffs would show; put it "
                        "into a file on the host or the environment of the service, and name that here"
                    )


def _decided_problems(cluster: Cluster) -> Iterator[str]:
    for overrides, hosts in cluster.values("cassandra_config_overrides"):
        for setting in filter(overrides.__contains__, DECIDED_BY_CASSANDRA):
            instead = DECIDED_BY_CASSANDRA[setting]
            yield (
                f"cassandra_config_overrides{cluster.where(hosts)}: {setting} is decided by the role; "
                + (f"set {instead} instead" if instead else "take it out")
            )


def secret_settings(value: Any, path: tuple[str, ...] = ()) -> Iterator[str]:  # noqa: ANN401
    """Yield the dotted path of each setting in nested ``value`` that holds a secret, by its name or by its text.

    What names a file or an environment variable holds none.
    """
    if isinstance(value, Mapping):
        for name, inner in value.items():
            yield from secret_settings(inner, (*path, str(name)))
    elif isinstance(value, list | tuple):
        for inner in value:
            yield from secret_settings(inner, path)
    elif value not in (None, "") and not isinstance(value, bool):
        name = re.sub(r"[^a-z0-9]+", "_", re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", path[-1] if path else "").lower())
        named = _SECRET_NAME.search(name) and name not in _NO_SECRETS and not re.fullmatch(_REFERENCE, str(value))
        if named or _SECRET_TEXT.search(" ".join((*path, str(value)))):
            yield ".".join(path)


def _port_problems(cluster: Cluster) -> Iterator[str]:
    known = cluster.inputs.get("temporal_ports", {}).get("default", {})
    for ports, hosts in cluster.values("temporal_ports"):
        where = cluster.where(hosts)
        missing = [name for name in known if name not in ports]
        if missing:
            yield f"temporal_ports{where}: {', '.join(missing)} missing; give all ports when you change one"
        for name, port in ports.items():
            if name not in known:
                yield f"temporal_ports.{name}{where}: is no port of this collection{nearest(name, known)}; remove it"
            elif not isinstance(port, int) or isinstance(port, bool) or not 1 <= port <= HIGHEST_PORT:
                yield f"temporal_ports.{name}{where}: {port!r} must be a number between 1 and {HIGHEST_PORT}"
            elif port == SSH_PORT:
                yield f"temporal_ports.{name}{where}: {SSH_PORT} belongs to SSH; choose another"
        if not missing:
            yield from _port_clashes(cluster, ports, hosts)


def _port_clashes(cluster: Cluster, ports: Mapping[str, int], hosts: Sequence[str]) -> Iterator[str]:
    hosts_by_tiers: dict[tuple[str, ...], list[str]] = {}
    for host in hosts:
        hosts_by_tiers.setdefault(tuple(cluster.tiers_of[host]), []).append(host)
    clashes: dict[tuple[int, tuple[str, ...]], list[str]] = {}
    for on_host, same in hosts_by_tiers.items():
        try:
            needed = tier_ports(on_host, cluster.matrix, ports)
        except (TypeError, ValueError):
            # A port that is no number is a problem of its own.
            return
        names_by_socket: dict[tuple[str, int], list[str]] = {}
        for need in needed:
            names_by_socket.setdefault((need["at"], need["port"]), []).append(need["name"])
        for (_, port), names in names_by_socket.items():
            if len(names) > 1:
                clashes.setdefault((port, tuple(names)), []).extend(same)
    for (port, names), on in clashes.items():
        yield f"temporal_ports: {', '.join(names)} are all {port} on {listed(on)}; give each its own port"


def _namespace_problems(cluster: Cluster) -> Iterator[str]:
    for namespaces, hosts in cluster.values("temporal_namespaces"):
        where = cluster.where(hosts)
        names = [namespace["name"] for namespace in namespaces]
        for name in dict.fromkeys(name for name in names if names.count(name) > 1):
            yield f"temporal_namespaces{where}: {name} stands there {names.count(name)} times; keep one"
        for namespace in namespaces:
            name = namespace["name"]
            if not _NAMESPACE.fullmatch(name):
                yield (
                    f"temporal_namespaces{where}: {name!r} must be letters, digits, '.', '_' and '-', and begin with a "
                    "letter or digit; rename it"
                )
            if name == SYSTEM_NAMESPACE:
                yield f"temporal_namespaces{where}: {name} belongs to Temporal itself; remove it"
            days = namespace.get("retention_days")
            if days is not None and days < 1:
                yield f"temporal_namespaces{where}: retention_days of {name} is {days}; keep at least 1 day"
            for attribute, kind in (namespace.get("search_attributes") or {}).items():
                if kind not in SEARCH_ATTRIBUTE_TYPES:
                    yield (
                        f"temporal_namespaces{where}: search attribute {attribute} of {name} has type {kind}"
                        f"{nearest(str(kind), SEARCH_ATTRIBUTE_TYPES)}; types are {', '.join(SEARCH_ATTRIBUTE_TYPES)}"
                    )


def _worker_problems(cluster: Cluster) -> Iterator[str]:
    namespaces = [namespace["name"] for namespace in cluster.value("temporal_namespaces") or []]
    overrides, scaling = (cluster.by_host(f"temporal_worker_{name}") for name in ("config_overrides", "scaling"))
    for values, hosts in cluster.values("temporal_worker_deployments"):
        where = f"temporal_worker_deployments{cluster.where(hosts)}"
        given = [{key: value for key, value in deployment.items() if value is not None} for deployment in values]
        # Whether the wheels are there is for the check of the artifact directory.
        wheels = [f"{_workers.wheel_prefix(deployment['package'])}py3-none-any.whl" for deployment in given]
        completed = _workers.complete(given)
        # Hosts that have the same say the same.
        found: dict[str, list[str]] = {}
        for host in hosts:
            found.setdefault(repr((overrides.get(host), scaling.get(host))), []).append(host)
        told: dict[str, None] = {}
        for same in found.values():
            told |= dict.fromkeys(
                f"{where}: {problem}" for problem in _workers.problems(completed, wheels, overrides.get(same[0]))
            )
            told |= dict.fromkeys(
                f"temporal_worker_scaling{cluster.where(same)}: {problem}"
                for problem in _workers.scaling_problems(scaling.get(same[0]) or {}, completed)
            )
        yield from told
        for name, namespace in ((deployment["name"], deployment["namespace"]) for deployment in given):
            if namespaces and namespace not in namespaces:
                yield (
                    f"{where}: {name} works in namespace {namespace}, which temporal_namespaces does not have"
                    f"{nearest(namespace, namespaces)}; add it or correct the name"
                )


def _worker_port_problems(cluster: Cluster) -> Iterator[str]:
    """Yield the ports for metrics of workers that something else of the collection has on the same host."""
    scaling, ports = cluster.by_host("temporal_worker_scaling"), cluster.by_host("temporal_ports")
    clashes: dict[tuple[int, str], list[str]] = {}
    for values, hosts in cluster.values("temporal_worker_deployments"):
        for host in hosts if values else ():
            own = set(_workers.all_metrics_ports(values, scaling.get(host) or {}).values())
            # A port that is missing or no number is a problem of its own.
            with contextlib.suppress(TypeError, ValueError):
                needed = tier_ports(cluster.tiers_of[host], cluster.matrix, ports.get(host, {}))
                # One that is served at the virtual address, too, stands there twice.
                for clash in dict.fromkeys((need["port"], need["name"]) for need in needed if need["port"] in own):
                    clashes.setdefault(clash, []).append(host)
    for (port, name), hosts in clashes.items():
        yield (
            f"temporal_worker_deployments{cluster.where(hosts)}: port {port} for metrics of workers is"
            f" temporal_ports.{name}; choose another metrics_port"
        )
