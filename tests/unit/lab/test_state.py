"""Labs by name, hosts by name and by zone."""

from __future__ import annotations

from pathlib import Path

import pytest

from lab import faults, state
from lab.machine import LabError
from lab.state import Host, Lab


@pytest.fixture
def lab(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Lab:
    monkeypatch.setenv("ZEROSPOF_LAB_STATE", str(tmp_path))
    zones = {"a": "az_a", "b": "az_b", "c": "az_b"}
    hosts = tuple(Host(name, f"10.90.1.{10 + n}", zone, "debian-13") for n, (name, zone) in enumerate(zones.items()))
    lab = Lab("unit", "10.90.1.0/24", "inventories/basic", hosts)
    state.save(lab)
    return lab


def test_a_saved_lab_is_read_back(lab: Lab) -> None:
    assert state.load("unit") == lab
    assert state.names() == ["unit"]


def test_hosts_and_zones_are_picked_once_each(lab: Lab) -> None:
    assert [host.name for host in lab.pick(["az_b", "a", "c"])] == ["b", "c", "a"]


@pytest.mark.parametrize(
    ("names", "message"), [(["d"], "no host d in lab unit; it has a, b, c"), (["az_z"], "its zones are az_a, az_b")]
)
def test_unknown_host_or_zone_is_named(lab: Lab, names: list[str], message: str) -> None:
    with pytest.raises(LabError, match=message):
        lab.pick(names)


def test_unknown_lab_says_how_to_start_one(lab: Lab) -> None:
    with pytest.raises(LabError, match="no lab named other; start one"):
        state.load("other")


@pytest.mark.parametrize("name", ["", "Lab", "1lab", "a b", "a/b", "a" * 60])
def test_name_that_cannot_name_a_container_is_refused(name: str) -> None:
    with pytest.raises(LabError):
        state.check_name(name)


def test_the_record_of_a_fault_is_read_back(lab: Lab) -> None:
    fault = faults.Fault("cut-az_b", "cut", ("b", "c"), deadline=1000.0, token="t")
    faults.record(lab, fault)
    assert faults.active(lab) == [fault]
    assert fault.remaining(990.0) == 10.0
    assert fault.remaining(2000.0) == 0.0
