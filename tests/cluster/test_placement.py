"""Where the playbook says workflows are is where Temporal and Cassandra say they are; a lost node is seen."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest

from lab.view import View, holders
from tests.chaos.whole import ring_is_whole, until
from tests.cluster.conftest import LiveCluster
from tests.cluster.losses import break_for, whole_again

# The arithmetic of shards is the same on every database.
pytestmark = pytest.mark.profiles("basic", "three_machines", "ha_cassandra")

ON_CASSANDRA = pytest.mark.profiles("three_machines", "ha_cassandra")

RANGES = {"production": "1000-4000", "staging": "1-1000"}
COUNTS = {"production": 3001, "staging": 1000}
ASKED_OF_NODETOOL = 2


def place(cluster: LiveCluster, directory: Path, *options: str) -> tuple[dict[str, Any], str]:
    """Run the playbook and return its file and what it printed."""
    file, chart = directory / "placement.json", directory / "placement.svg"
    run = cluster.run("placement", "-e", f"placement_file={file}", "-e", f"placement_chart={chart}", *options)
    assert run.code == 0, run.reasons
    assert ElementTree.parse(chart).getroot().tag.endswith("svg")
    return json.loads(file.read_text(encoding="utf-8")), run.output


@pytest.fixture(scope="module", params=RANGES)
def placed(
    request: pytest.FixtureRequest, cluster: LiveCluster, tmp_path_factory: pytest.TempPathFactory
) -> tuple[dict[str, Any], str]:
    """The answer of a time at which the ring saw all its nodes: on a busy machine one looks dead for some seconds."""
    options = ("-e", f"namespace={request.param}", "-e", f"workflow_id_range={RANGES[request.param]}")
    answers: list[tuple[dict[str, Any], str]] = []

    def shows_the_whole_ring() -> bool:
        answers.append(place(cluster, tmp_path_factory.mktemp(request.param), *options))
        return all(node["is_up"] for node in answers[-1][0]["nodes"])

    until("every node is up in the answer", shows_the_whole_ring)
    return answers[-1]


def copies_are_those_of_nodetool(view: View, found: dict[str, Any]) -> None:
    """All shards by the tokens and the ranges that the ring tells, some by its own whole answer, a JVM for each."""
    copies = {row["shard"]: row["copies"] for row in found["workflows"]}
    shards = sorted(copies)
    select = "SELECT token(shard_id) FROM executions WHERE shard_id = {} LIMIT 1"
    answers = view.cql(view.members("cassandra")[0], [select.format(shard) for shard in shards])
    ranges = view.cassandra_ranges()
    told = {shard: holders(ranges, rows[0][0]) for shard, rows in zip(shards, answers, strict=True)}
    assert {shard: sorted(nodes) for shard, nodes in told.items()} == {
        shard: sorted(nodes) for shard, nodes in copies.items()
    }
    asked = shards[:: max(1, len(shards) // ASKED_OF_NODETOOL)]
    assert {shard: view.cassandra_holders("executions", str(shard)) for shard in asked} == {
        shard: copies[shard] for shard in asked
    }


def test_every_workflow_has_a_row_and_people_see_the_first(placed: tuple[dict[str, Any], str]) -> None:
    found, output = placed
    assert len(found["workflows"]) == COUNTS[found["namespace"]]
    assert f"and {COUNTS[found['namespace']] - 20} more" in output
    assert {server["is_member"] for server in found["servers"]} == {True}


def test_shards_are_those_of_temporal(cluster: LiveCluster, placed: tuple[dict[str, Any], str]) -> None:
    found, _ = placed
    sample = found["workflows"][:: len(found["workflows"]) // 20]
    options = f"--namespace-id {found['namespace_id']} --number-of-shards {found['history_shards']}"
    answers = cluster.view.tdbg(
        *(f"history-host get-shardid {options} --workflow-id {row['workflow_id']}" for row in sample)
    )
    assert [int(answer.split()[-1]) for answer in answers] == [row["shard"] for row in sample]
    assert found["history_shards"] == cluster.view.variable("temporal_history_shards")


def test_owners_are_those_of_temporal(cluster: LiveCluster, placed: tuple[dict[str, Any], str]) -> None:
    found, _ = placed
    address_of = {server["name"]: server["address"] for server in found["servers"]}
    owners = {row["shard"]: address_of[row["owner"]] for row in found["workflows"]}
    answers = cluster.view.tdbg(*(f"history-host describe --shard-id {shard}" for shard in owners))
    told = [json.loads(answer)["address"].rpartition(":")[0] for answer in answers]
    assert dict(zip(owners, told, strict=True)) == owners


def test_a_namespace_that_is_not_there_is_named(cluster: LiveCluster) -> None:
    run = cluster.run("placement", "-e", "namespace=prodution", "-e", "workflow_ids=a")
    assert run.code != 0
    assert "there is no namespace prodution; there are: production, staging" in run.reasons


@pytest.mark.profiles("three_machines", whole=["basic", "ha_postgresql", "ha_cassandra"])
def test_every_server_can_be_asked(cluster: LiveCluster, tmp_path: Path) -> None:
    """Who answers first is asked."""
    for server in cluster.view.members("temporal_servers"):
        options = ("-e", "namespace=staging", "-e", "workflow_ids=a", "--limit", f"{server},cassandra")
        found, _ = place(cluster, tmp_path, *options)
        assert [row["workflow_id"] for row in found["workflows"]] == ["a"]


@pytest.mark.profiles("basic", "ha_postgresql")
def test_without_cassandra_there_are_owners_and_no_copies(placed: tuple[dict[str, Any], str]) -> None:
    found, output = placed
    assert {tuple(row["copies"]) for row in found["workflows"]} == {()}
    assert "No copies are shown" in output


@ON_CASSANDRA
def test_copies_are_those_of_cassandra(cluster: LiveCluster, placed: tuple[dict[str, Any], str]) -> None:
    found, output = placed
    copies_are_those_of_nodetool(cluster.view, found)
    assert f"Every workflow has all its {found['replication_factor']} copies." in output


@pytest.fixture
def lost(cluster: LiveCluster) -> Iterator[str]:
    """A Cassandra node whose host is dead, with all else that it has, and up again afterwards."""
    view = cluster.view
    *others, node = view.members("cassandra")
    address = view.lab.host(node).address
    with whole_again(view, "the ring is whole", lambda: ring_is_whole(view)):
        break_for(view, "kill-host", node)
        until("the ring has noticed", lambda: f"DN  {address}" in view.on(others[0], "nodetool status"))
        yield node


@ON_CASSANDRA
def test_a_lost_node_is_marked_and_a_quorum_of_its_workflows_remains(
    cluster: LiveCluster, lost: str, tmp_path: Path
) -> None:
    found, output = place(cluster, tmp_path, "-e", "namespace=staging", "-e", "workflow_id_range=1-1000")
    assert [node["name"] for node in found["nodes"] if not node["is_up"]] == [lost]
    hit = [row for row in found["workflows"] if lost in row["copies"]]
    assert {row["copies_up"] for row in hit} == {found["replication_factor"] - 1}
    assert found["summary"]["with_all_copies"] == 1000 - len(hit) < 1000
    assert found["summary"]["without_a_quorum"] == 0
    assert f"{lost} (" in output
    assert ") down" in output
