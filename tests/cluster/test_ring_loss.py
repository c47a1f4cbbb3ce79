"""What the ring of Cassandra bears on a live cluster, and what it does not: both as the model says."""

from __future__ import annotations

import asyncio
import itertools
import time
import uuid
from collections.abc import Iterable, Iterator, Sequence
from datetime import timedelta

import pytest
from ansible_collections.zerospof.temporal.plugins.module_utils._cassandra import seeds
from ansible_collections.zerospof.temporal.plugins.module_utils._history_shards import history_shard
from ansible_collections.zerospof.temporal.plugins.module_utils._murmur3 import history_shard_token, partition_token
from ansible_collections.zerospof.temporal.plugins.module_utils._ring_safety import RingMember, TokenRing, quorum
from temporalio.api.workflowservice.v1 import DescribeNamespaceRequest
from temporalio.client import Client, WorkflowHandle
from temporalio.service import RPCError

from lab.load import outcome_of
from lab.sample import model, workflows
from lab.view import View
from tests.chaos.whole import ring_is_whole, until
from tests.cluster.conftest import LiveCluster, lab
from tests.cluster.losses import break_for, nothing_lost, whole_again

RING = pytest.mark.profiles("ha_cassandra")
# A zone that is lost has both of its nodes in it, so the hour of make test has that one.
WHOLE = pytest.mark.profiles(whole=["ha_cassandra"])

WITHOUT_SECONDS = 25
# Longer than a server that has lost its quorum needs to say so, shorter than a client gives up.
TIMEOUT = timedelta(seconds=10)
RESULT_SECONDS = 120
HOLD = "waiting for approval"
ACROSS = ("cassandra-a1", "cassandra-b1")


@pytest.fixture
def whole(view: View) -> Iterator[None]:
    """A whole cluster before the test and after it."""
    with whole_again(view, "the ring is whole", lambda: ring_is_whole(view)):
        yield


def live_ring(view: View, replication_factor: int) -> TokenRing:
    """The ring with the tokens that its nodes have."""
    members = []
    for host in view.members("cassandra"):
        [[[tokens, rack]]] = view.cql(host, ["SELECT tokens, rack FROM system.local"])
        members.append(RingMember(host, view.lab.host(host).zone, rack, tuple(int(token) for token in tokens)))
    return TokenRing(members, replication_factor)


def victim(view: View, *, is_seed: bool) -> str:
    """A node that is a seed or is none: a seed of the last zone, another one of the zone before."""
    nodes = [{"name": name, "zone": view.lab.host(name).zone, "address": name} for name in view.members("cassandra")]
    named = set(seeds(nodes))
    zone = sorted({node["zone"] for node in nodes})[-1 if is_seed else -2]
    return next(node["name"] for node in nodes if node["zone"] == zone and (node["name"] in named) == is_seed)


def is_lost(ring: TokenRing, token: int, lost: Sequence[str]) -> bool:
    left = set(ring.replicas(token)) - set(lost)
    return len(left) < quorum(ring.replication_factor)


def loses_nothing(view: View, *fault: str) -> None:
    """Start workflows before a fault, during it and after it: each that is acknowledged comes to the right result."""
    with nothing_lost(view, " ".join(fault)) as made:
        break_for(view, *fault)
        began = made.now
        time.sleep(WITHOUT_SECONDS)
        served = made.acknowledged_since(began + 1)
        lab("heal", "--name", view.lab.name)
    assert served, made.summary()


@RING
@pytest.mark.usefixtures("whole")
def test_every_acknowledged_workflow_completes_while_a_node_is_silent(view: View) -> None:
    """Nothing refuses a connection and nothing ends one: worse than a node that dies. This one is no seed."""
    loses_nothing(view, "cut-host", victim(view, is_seed=False))


@RING
@pytest.mark.usefixtures("whole")
def test_every_acknowledged_workflow_completes_without_a_seed(view: View) -> None:
    loses_nothing(view, "kill-host", victim(view, is_seed=True))


# What a seed and another node have not suffered above.
@WHOLE
@pytest.mark.usefixtures("whole")
@pytest.mark.parametrize(("fault", "is_seed"), [("cut-host", True), ("kill-host", False)])
def test_every_acknowledged_workflow_completes_without_any_one_node(view: View, fault: str, is_seed: bool) -> None:
    loses_nothing(view, fault, victim(view, is_seed=is_seed))


@WHOLE
@pytest.mark.usefixtures("whole")
def test_every_acknowledged_workflow_completes_without_both_nodes_of_a_zone(view: View) -> None:
    loses_nothing(view, "kill-host", "cassandra-a1", "cassandra-a2")


@pytest.mark.profiles("ha_cassandra", "three_machines")
@pytest.mark.usefixtures("whole")
def test_every_acknowledged_workflow_completes_without_a_zone_and_all_that_stands_in_it(view: View) -> None:
    loses_nothing(view, "kill-az", view.lab.host(view.vip_holder()).zone)


class OneOfEachShard:
    """Workflows that wait for approval, one on each history shard."""

    def __init__(self, view: View) -> None:
        self.view = view
        self.shards = view.variable("temporal_history_shards")
        self.changes: dict[int, model.Change] = {}
        self.handles: dict[int, WorkflowHandle[workflows.ConfigureNetwork, model.Outcome]] = {}

    async def start(self, client: Client) -> None:
        """Start them and wait until each has done what it does before it is approved."""
        answer = await client.workflow_service.describe_namespace(DescribeNamespaceRequest(namespace=client.namespace))
        while len(self.changes) < self.shards:
            name = f"shard-{uuid.uuid4().hex[:12]}"
            shard = history_shard(answer.namespace_info.id, name, self.shards)
            self.changes.setdefault(shard, model.Change(name, vlan=7, devices=[model.Device("switch-1")], hold=True))
        queue = self.view.deployment["task_queue"]
        for shard, change in self.changes.items():
            self.handles[shard] = await client.start_workflow(
                workflows.ConfigureNetwork.run, change, id=change.change_id, task_queue=queue
            )
        for handle in self.handles.values():
            while (await handle.query(workflows.ConfigureNetwork.progress)).stage != HOLD:
                await asyncio.sleep(0.2)

    async def approve(self, shards: Iterable[int]) -> dict[int, str]:
        """Approve those of ``shards``; return the shards whose workflow did not take it, each with the reason."""

        async def refusal(shard: int) -> str:
            try:
                await self.handles[shard].signal(workflows.ConfigureNetwork.approve, "test", rpc_timeout=TIMEOUT)
            except RPCError as error:
                return f"{error.status.name}: {error}"
            return ""

        asked = sorted(shards)
        reasons = await asyncio.gather(*(refusal(shard) for shard in asked))
        return {shard: reason for shard, reason in zip(asked, reasons, strict=True) if reason}

    async def outcomes(self) -> dict[int, bool]:
        """Whether each comes to the right result, by shard."""

        async def is_right(shard: int) -> bool:
            outcome = await asyncio.wait_for(outcome_of(self.handles[shard]), RESULT_SECONDS)
            return outcome == model.expected_outcome(self.changes[shard])

        shards = sorted(self.handles)
        return dict(zip(shards, await asyncio.gather(*(is_right(shard) for shard in shards)), strict=True))

    def without_quorum(self, ring: TokenRing, lost: Sequence[str]) -> set[int]:
        """Shards whose workflow cannot be written: its state or, by its run, its history has no quorum left."""
        return {
            shard
            for shard, handle in self.handles.items()
            if is_lost(ring, history_shard_token(shard), lost)
            or is_lost(ring, partition_token(uuid.UUID(handle.first_execution_run_id).bytes), lost)
        }


def without_quorum(view: View, asked: str) -> set[int]:
    """History shards whose rows a node that lives cannot read, because their quorum is gone."""
    shards = range(1, view.variable("temporal_history_shards") + 1)
    statements = [f"SELECT shard_id FROM executions WHERE shard_id = {shard} LIMIT 1" for shard in shards]
    answers = view.cql(asked, statements, "LOCAL_QUORUM")
    errors = {answer for answer in answers if isinstance(answer, str)}
    assert errors <= {"Unavailable"}, errors
    return {shard for shard, answer in zip(shards, answers, strict=True) if isinstance(answer, str)}


@RING
@pytest.mark.usefixtures("whole")
def test_nodes_of_two_zones_take_the_shards_that_the_model_names_until_one_is_back(view: View) -> None:
    """The control: with three copies on three racks, a pair across zones is one node too many."""
    ring = live_ring(view, 3)
    named = {
        shard
        for shard in range(1, view.variable("temporal_history_shards") + 1)
        if is_lost(ring, history_shard_token(shard), ACROSS)
    }
    assert named

    async def run() -> None:
        client = await view.client("test@outside", namespace=view.deployment["namespace"])
        waiting = OneOfEachShard(view)
        await waiting.start(client)
        break_for(view, "kill-host", *ACROSS)
        asked = "cassandra-c1"
        until("the ring has noticed", lambda: view.on(asked, "nodetool status").count("\nDN ") == len(ACROSS))
        assert without_quorum(view, asked) == named
        expected = waiting.without_quorum(ring, ACROSS)
        assert expected >= named
        # A server that has just lost a part of its shards lets requests for the others wait as well, but not for good.
        deadline = time.monotonic() + RESULT_SECONDS
        refused = await waiting.approve(waiting.handles)
        while refused.keys() > expected and time.monotonic() < deadline:
            refused = await waiting.approve(refused)
        assert refused.keys() == expected, {shard: refused[shard] for shard in refused.keys() - expected}
        lab("start-host", ACROSS[0], "--name", view.lab.name)
        until("one of them is back", lambda: view.on(asked, "nodetool status").count("\nDN ") == 1)
        until("every shard has a quorum", lambda: without_quorum(view, asked) == set())
        for shard in expected:
            await waiting.handles[shard].signal(workflows.ConfigureNetwork.approve, "test")
        assert set((await waiting.outcomes()).values()) == {True}

    asyncio.run(run())


@pytest.fixture(scope="module")
def five_copies(cluster: LiveCluster) -> None:
    """The ring with five copies of every row; for good, which is why this comes last."""
    run = cluster.run("site", "-e", "cassandra_replication_factor=5", "--limit", "cassandra")
    assert run.code == 0, run.reasons


@WHOLE
@pytest.mark.usefixtures("five_copies", "whole")
@pytest.mark.parametrize("lost", [ACROSS, ("cassandra-b2", "cassandra-b1")])
def test_any_two_nodes_can_be_lost_with_five_copies(view: View, lost: Sequence[str]) -> None:
    ring = live_ring(view, 5)
    pairs = itertools.combinations(view.members("cassandra"), 2)
    assert not [pair for pair in pairs for token in ring.tokens if is_lost(ring, token, pair)]
    loses_nothing(view, "kill-host", *lost)
