"""A seventh node comes into the ring while the others serve, and leaves it again for good."""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml
from ansible_collections.zerospof.temporal.plugins.module_utils._cassandra import parse_status

from lab.load import Load, load
from tests.chaos.whole import until
from tests.cluster.conftest import LiveCluster, Run, lab
from tests.cluster.test_placement import copies_are_those_of_nodetool, place
from tests.cluster.test_rolling_upgrade import kill_when

pytestmark = pytest.mark.profiles(whole=["ha_cassandra"])

NEW = "cassandra-a3"
HOST = {"ansible_host": "10.77.0.57", "lab_image": "debian-12"}
RECORD = "/var/lib/zerospof/cassandra/ring"
# Beside Ansible and a node that starts, two cores have no room for more.
PER_SECOND = 1
REMOVE = ("-e", f"hosts_to_remove=[{NEW}]")
# Where the control node dies, as Ansible names a task when it has ended: before the node begins to hand over its data,
# and when it has left and is stopped, and its data are still there.
ASKED = "TASK .*cassandra : remove . What the others say of the ring is known"
LEFT = "TASK .*cassandra : remove . The data of the node are gone"


def starts(cluster: LiveCluster) -> dict[str, str]:
    """When the node of every host was started, by the name of the host."""
    command = "systemctl show --property=MainPID,ActiveEnterTimestamp cassandra.service"
    return {host: cluster.view.on(host, command) for host in cluster.view.members("cassandra")}


@pytest.fixture(scope="module")
def before(cluster: LiveCluster) -> dict[str, str]:
    return starts(cluster)


@pytest.fixture(scope="module")
def grown(
    cluster: LiveCluster, before: dict[str, str], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[LiveCluster]:
    """The cluster with an inventory that has one node more, on whose host nothing is installed."""
    assert NEW not in before
    inventory = tmp_path_factory.mktemp("grown") / cluster.profile
    shutil.copytree(cluster.inventory, inventory)
    groups = {"az_a": {"hosts": {NEW: HOST}}, "cassandra": {"hosts": {NEW: None}}}
    (inventory / "seventh.yml").write_text(yaml.safe_dump({"all": {"children": groups}}), encoding="utf-8")
    # Otherwise than it was made, every host of a lab would be made anew.
    made = cluster.view.lab
    images = {host.image for host in made.hosts}
    like = ["--subnet", made.subnet, *(["--image", *images] if len(images) == 1 else [])]
    lab("up", "--name", cluster.name, "--inventory", str(inventory), *like)
    yield LiveCluster(str(inventory), cluster.name, cluster.subnet)
    lab("up", "--name", cluster.name, "--inventory", str(cluster.inventory), *like)


@pytest.fixture(scope="module")
def joined(grown: LiveCluster) -> tuple[Run, Load]:
    """What site.yml did, and what became of the workflows that were started meanwhile."""
    with load(grown.view, PER_SECOND) as made:
        run = grown.run("site")
    print(made.summary())
    return run, made


def test_it_joins_and_nothing_is_restarted(
    grown: LiveCluster, before: dict[str, str], joined: tuple[Run, Load]
) -> None:
    run, made = joined
    assert run.code == 0, run.reasons
    assert made.lost == [], made.summary()
    seen = parse_status(grown.view.on(NEW, "nodetool status"))
    assert len(seen) == len(before) + 1
    assert all(node.is_settled for node in seen)
    after = starts(grown)
    assert {host: after[host] for host in before} == before


def test_the_others_give_up_what_it_has_taken_over(grown: LiveCluster, joined: tuple[Run, Load]) -> None:
    run, _ = joined
    ring = sorted(node.host_id for node in parse_status(grown.view.on(NEW, "nodetool status")))
    done = run.output[run.output.index("The node gives up what newer nodes have taken over") :]
    for host in grown.view.members("cassandra"):
        assert json.loads(grown.view.on(host, f"cat {RECORD}")) == ring
        assert f": [{host}]" in done


@pytest.mark.usefixtures("joined")
def test_the_placement_counts_on_it(grown: LiveCluster, tmp_path: Path) -> None:
    found, _ = place(grown, tmp_path, "-e", "namespace=production", "-e", "workflow_id_range=1-500")
    assert {node["name"]: node["workflows"] for node in found["nodes"]}[NEW] > 0
    copies_are_those_of_nodetool(grown.view, found)


@pytest.mark.usefixtures("joined")
def test_the_report_counts_on_it(grown: LiveCluster, tmp_path: Path) -> None:
    file = tmp_path / "report.json"
    run = grown.run("spof_report", "-e", f"spof_report_file={file}")
    assert run.code == 0, run.reasons
    # Names that would not fit are counted.
    assert re.search(r"^cassandra +3 hosts +2 hosts +2 hosts", run.output, re.MULTILINE)
    assert NEW in file.read_text(encoding="utf-8")


@pytest.mark.usefixtures("joined")
def test_it_leaves_for_good_though_the_control_node_dies_twice_and_nothing_is_restarted(
    grown: LiveCluster, before: dict[str, str]
) -> None:
    """The first run dies while the node hands over its data, the second one when it has left; the third one goes on."""

    def it_leaves() -> None:
        until("it leaves", lambda: "Mode: LEAVING" in grown.view.on(NEW, "nodetool netstats"))

    command = grown.playbook("scale_in", *REMOVE)
    with load(grown.view, PER_SECOND) as made:
        kill_when(command, ASKED, after=f"{NEW} leaves", ready=it_leaves)
        second = kill_when(command, LEFT, after=f"{NEW} leaves")
        run = grown.run("scale_in", *REMOVE)
    assert f"{NEW}, half-way" in second
    assert f"{NEW}, half-way" in run.output
    assert run.code == 0, run.reasons
    assert made.lost == [], made.summary()
    ring = parse_status(grown.view.on(min(before), "nodetool status"))
    assert len(ring) == len(before)
    assert all(node.is_settled for node in ring)
    after = starts(grown)
    assert {host: after[host] for host in before} == before
    assert grown.view.on(NEW, "ls /var/lib/cassandra/data").split() == []
    again = grown.run("scale_in", *REMOVE)
    assert again.code == 0, again.reasons
    assert f"{NEW} has left the cluster already" in again.output
