"""Which way from one patch release of Cassandra to another is open follows from what the nodes have and run."""

from __future__ import annotations

from typing import Any

import pytest
from ansible_collections.zerospof.temporal.plugins.module_utils import _cassandra_upgrade, _releases

OLD, NEW = "5.0.5", "5.0.6"
MEMBERS = ["cassandra-a", "cassandra-b", "cassandra-c"]


def node(selected: str | None, running: str | None = None) -> dict[str, Any]:
    """A node that runs what it has selected, unless ``running`` says otherwise; an empty one does not run."""
    release = selected if running is None else running
    installed = [selected] if selected else []
    running_by_unit = {"cassandra.service": release or ""}
    return {"selected": selected, "previous": None, "installed": installed, "running": running_by_unit, "started": True}


def ring(*nodes: str | dict[str, Any]) -> dict[str, Any]:
    found = [one if isinstance(one, dict) else node(one) for one in nodes]
    return dict(zip(MEMBERS, found, strict=False))


def plan(hosts: dict[str, Any], target: str = NEW) -> dict[str, Any]:
    return _cassandra_upgrade.cassandra_upgrade_plan(hosts, MEMBERS, target)


def test_every_node_of_a_whole_ring_goes_to_the_next_patch() -> None:
    made = plan(ring(OLD, OLD, OLD))
    assert made["problems"] == []
    assert made["moves"] == dict.fromkeys(MEMBERS, "5.0.5 becomes 5.0.6")
    assert made["resumed"] is False
    assert _cassandra_upgrade.cassandra_upgrade_text(made).splitlines() == [
        "Cassandra 5.0.6 comes to: cassandra-a, cassandra-b, cassandra-c",
        "First each of these keeps a snapshot of its tables, on its own disk.",
    ]


def test_a_ring_that_is_there_has_nowhere_to_go() -> None:
    made = plan(ring(NEW, NEW, NEW))
    assert (made["moves"], made["problems"]) == ({}, [])
    assert _cassandra_upgrade.cassandra_upgrade_text(made) == "Every Cassandra host runs 5.0.6."


@pytest.mark.parametrize(
    "half_way",
    [node(NEW), node(NEW, running=OLD), node(NEW, running="")],
    ids=["done", "selected and not restarted", "did not come back"],
)
def test_a_run_that_was_interrupted_is_completed(half_way: dict[str, Any]) -> None:
    made = plan(ring(half_way, OLD, OLD))
    assert made["problems"] == []
    assert made["resumed"] is True
    assert set(made["moves"]) >= {"cassandra-b", "cassandra-c"}


@pytest.mark.parametrize(
    ("hosts", "target", "said"),
    [
        (ring(OLD, OLD, OLD), "5.1.0", "5.0.5 to 5.1.0 is a step to another minor"),
        (ring(OLD, OLD, OLD), "6.0.0", "5.0.5 to 6.0.0 is a step to another minor"),
        (ring(OLD, OLD, OLD), "5.0.4", "5.0.5 to 5.0.4 is a step back"),
        (ring(NEW, OLD, OLD), OLD, "5.0.6 to 5.0.5 is a step back"),
        (ring("5.0.4", OLD, OLD), NEW, "cassandra-a has 5.0.4, cassandra-b has 5.0.5"),
        (ring(OLD, OLD, node(OLD, running="")), NEW, "cassandra-c: cassandra.service does not run"),
        (ring(OLD, OLD, node(None)), NEW, "cassandra-c: nothing is installed there"),
        (ring(OLD, OLD), NEW, "--limit leaves out cassandra-c"),
        (ring(OLD, OLD, OLD), "5.0-rc1", "5.0-rc1 is no release such as 5.0.6"),
    ],
)
def test_what_is_not_open_is_refused(hosts: dict[str, Any], target: str, said: str) -> None:
    [problem] = plan(hosts, target)["problems"]
    assert said in problem


def test_site_changes_no_release_of_a_live_node_and_names_who_does() -> None:
    asked = ("temporal_versions.cassandra", "rolling_cassandra.yml")
    [problem] = _releases.release_problems(ring(OLD, OLD, NEW), NEW, *asked)
    assert problem.startswith("temporal_versions.cassandra is 5.0.6, and cassandra-a, cassandra-b have 5.0.5")
    assert "Change it with rolling_cassandra.yml" in problem


def test_a_java_process_is_known_by_the_libraries_that_it_has_open() -> None:
    program = "/usr/lib/jvm/java-17-openjdk-amd64/bin/java"
    files = [program, None, "/dev/null", "socket:[17]", "/opt/cassandra/5.0.5/lib/apache-cassandra-5.0.5.jar"]
    assert _releases.run_by(files, "/opt/cassandra") == "5.0.5"
    assert _releases.run_by([program], "/opt/cassandra") == ""
