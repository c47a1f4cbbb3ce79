#!/usr/bin/python
# Copyright: (c) 2026, The zerospof.temporal maintainers
# Apache License 2.0 (see LICENSE or https://www.apache.org/licenses/LICENSE-2.0)
"""Ansible module: where workflows are in a live cluster."""

from __future__ import annotations

DOCUMENTATION = r"""
module: placement_info
short_description: Tell in which history shard workflows are, which host owns it and which nodes hold it
version_added: 0.1.0
author: The zerospof.temporal maintainers (@zerospof)
description:
  - Reads the id of the namespace and the number of history shards from the cluster, and computes the rest as the
    servers and Cassandra do. The cluster is asked as much for thousands of workflows as for one.
  - A workflow need not exist. The answer is where it would be.
extends_documentation_fragment:
  - zerospof.temporal.reads_only
  - zerospof.temporal.frontend
  - zerospof.temporal.frontend_tls
options:
  namespace:
    description: Name of the namespace.
    type: str
    required: true
  workflow_ids:
    description: The workflows.
    type: list
    elements: str
    required: true
  servers:
    description: The Temporal hosts of the inventory, after which owners are named.
    type: list
    elements: dict
    required: true
    suboptions:
      name:
        description: Name of the host.
        type: str
        required: true
      address:
        description: Address under which the host is a member of the history ring.
        type: str
        required: true
      zone:
        description: Zone of the host.
        type: str
  history_ring:
    description: C(address:port) of the members of the history service, as M(zerospof.temporal.ring_info) returns them.
    type: list
    elements: str
    required: true
  replica_points:
    description: Temporal's dynamic setting C(system.ringpopReplicaPoints).
    type: int
    default: 100
  nodes:
    description:
      - The nodes of the Cassandra ring.
      - Without them, and where the workflows are not in Cassandra, no copies are shown.
    type: list
    elements: dict
    default: []
    suboptions:
      name:
        description: Name of the node.
        type: str
        required: true
      address:
        description: Address of the node.
        type: str
        required: true
      zone:
        description: Zone of the node.
        type: str
        required: true
      rack:
        description: Rack of the node, as the ring has it.
        type: str
        required: true
      tokens:
        description: All tokens of the node.
        type: list
        elements: int
        required: true
      is_up:
        description: Whether the node serves.
        type: bool
        default: true
  replication_factor:
    description: Copies of each row of Temporal's keyspace. Required with O(nodes).
    type: int
    default: 0
  wait:
    description: Seconds for which a frontend may be unable to answer.
    type: float
    default: 10
requirements:
  - temporalio
seealso:
  - module: zerospof.temporal.ring_info
"""

EXAMPLES = r"""
- name: It is known where two workflows are
  zerospof.temporal.placement_info:
    address: 192.0.2.21
    ca_file: /etc/temporal/tls/ca.crt
    cert_file: /etc/temporal/tls/temporal.crt
    key_file: /etc/temporal/tls/temporal.key
    namespace: production
    workflow_ids: ["1000", "1001"]
    servers: "{{ temporal_server_members }}"
    history_ring: "{{ temporal.rings.history }}"
    nodes: "{{ cassandra.members }}"
    replication_factor: "{{ cassandra.replication_factor }}"
  vars:
    ansible_python_interpreter: /opt/zerospof/tools/bin/python
  register: found
"""

RETURN = r"""
placement:
  description: Where the workflows are; docs/placement.md has every key.
  returned: success
  type: dict
  sample:
    schema_version: 1
    namespace: production
    namespace_id: 32049b68-7872-4094-8e63-d0dd59896a83
    persistence_store: cassandra
    history_shards: 512
    replication_factor: 3
    quorum: 2
    workflows:
      - workflow_id: "1000"
        shard: 144
        owner: temporal-c
        copies: [cassandra-a2, cassandra-b2, cassandra-c2]
        copies_up: 3
    servers:
      - {name: temporal-c, zone: az_c, address: 192.0.2.23, is_member: true, workflows: 1}
    nodes:
      - {name: cassandra-a2, zone: az_a, rack: az_a, address: 192.0.2.52, is_up: true, workflows: 1}
    summary: {workflows: 1, with_all_copies: 1, with_a_quorum: 1, without_a_quorum: 0}
"""

import asyncio
import contextlib
from typing import Any

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.zerospof.temporal.plugins.module_utils import _frontend, _namespace_client, _placement
from ansible_collections.zerospof.temporal.plugins.module_utils._history_shards import REPLICA_POINTS
from ansible_collections.zerospof.temporal.plugins.module_utils._ring_safety import RingMember

with contextlib.suppress(ImportError):  # main ends with _frontend.require_library before.
    from temporalio.api.workflowservice.v1 import DescribeNamespaceRequest, GetClusterInfoRequest


async def live_facts(frontend: _frontend.Frontend, namespace: str) -> dict[str, Any]:
    """Return what the cluster alone knows: the id of the namespace, the number of history shards and the store.

    Raises:
        FrontendError: the namespace does not exist, or there is no answer.
    """
    timeout = _namespace_client.CALL_TIMEOUT
    described = await frontend.call(
        f"read the namespace {namespace}",
        lambda client: client.workflow_service.describe_namespace(
            DescribeNamespaceRequest(namespace=namespace), timeout=timeout
        ),
        absent="NOT_FOUND",
    )
    if described is None:
        known = await _namespace_client.names(frontend)
        raise _frontend.FrontendError(f"there is no namespace {namespace}; there are: {', '.join(known) or 'none'}")
    cluster = await frontend.call(
        "read the number of history shards",
        lambda client: client.workflow_service.get_cluster_info(GetClusterInfoRequest(), timeout=timeout),
    )
    return {
        "namespace": {"name": namespace, "id": described.namespace_info.id},
        "shards": cluster.history_shard_count,
        "store": cluster.persistence_store,
    }


def main() -> None:
    """Run the module."""
    server = {name: {"type": "str", "required": name != "zone"} for name in ("name", "address", "zone")}
    node = {name: {"type": "str", "required": True} for name in ("name", "address", "zone", "rack")}
    node |= {
        "tokens": {"type": "list", "elements": "int", "required": True},
        "is_up": {"type": "bool", "default": True},
    }
    module = AnsibleModule(
        argument_spec={
            **_frontend.ARGUMENTS,
            "namespace": {"type": "str", "required": True},
            "workflow_ids": {"type": "list", "elements": "str", "required": True},
            "servers": {"type": "list", "elements": "dict", "required": True, "options": server},
            "history_ring": {"type": "list", "elements": "str", "required": True},
            "replica_points": {"type": "int", "default": REPLICA_POINTS},
            "nodes": {"type": "list", "elements": "dict", "default": [], "options": node},
            "replication_factor": {"type": "int", "default": 0},
            "wait": {"type": "float", "default": 10},
        },
        required_together=_frontend.REQUIRED_TOGETHER,
        supports_check_mode=True,
    )
    _frontend.require_library(module)
    options = module.params
    try:
        facts = asyncio.run(live_facts(_frontend.Frontend(options, options["wait"]), options["namespace"]))
        found = _placement.placement(
            workflow_ids=options["workflow_ids"],
            servers=options["servers"],
            history_ring=options["history_ring"],
            replica_points=options["replica_points"],
            nodes=[RingMember(**{**node, "tokens": tuple(node["tokens"])}) for node in options["nodes"]],
            replication_factor=options["replication_factor"],
            **facts,
        )
    except (_frontend.FrontendError, ValueError, OSError) as error:
        module.fail_json(msg=str(error))
    module.exit_json(changed=False, placement=found)


if __name__ == "__main__":
    main()
