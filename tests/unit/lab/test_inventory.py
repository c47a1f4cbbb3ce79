"""From an inventory listing to hosts, and addresses moved to another subnet."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

from lab import inventory
from lab.machine import LabError
from lab.state import Host, Lab


def listing(hosts: dict[str, dict[str, Any]], zones: dict[str, list[str]] | None = None) -> dict[str, Any]:
    groups: dict[str, Any] = {zone: {"hosts": members} for zone, members in (zones or {}).items()}
    return {"_meta": {"hostvars": hosts}, "all": {"children": ["ungrouped", *groups], "hosts": list(hosts)}, **groups}


def test_hosts_have_zone_image_and_address_in_address_order() -> None:
    groups = listing(
        {"b": {"ansible_host": "10.1.2.20", "lab_image": "debian-12"}, "a": {"ansible_host": "10.1.2.3"}},
        {"az_a": ["a"], "az_b": ["b"]},
    )
    assert inventory.read_hosts(groups) == (
        Host("a", "10.1.2.3", "az_a", "debian-13"),
        Host("b", "10.1.2.20", "az_b", "debian-12"),
    )


def test_an_image_for_all_hosts_outranks_the_inventory() -> None:
    groups = listing({"a": {"ansible_host": "10.1.2.3"}, "b": {"ansible_host": "10.1.2.4", "lab_image": "debian-13"}})
    assert {host.image for host in inventory.read_hosts(groups, "debian-12")} == {"debian-12"}


def test_zone_of_nested_groups_is_found() -> None:
    groups = listing({"a": {"ansible_host": "10.1.2.3"}})
    groups |= {"az_a": {"children": ["rack_1"]}, "rack_1": {"hosts": ["a"]}}
    assert inventory.read_hosts(groups)[0].zone == "az_a"


def test_local_hosts_are_not_made() -> None:
    groups = listing({"localhost": {"ansible_connection": "local"}, "a": {"ansible_host": "10.1.2.3"}})
    assert [host.name for host in inventory.read_hosts(groups)] == ["a"]


@pytest.mark.parametrize(
    ("hosts", "zones", "message"),
    [
        ({"a": {}}, {}, "host a needs an IPv4 address in ansible_host, not ''"),
        ({"a": {"ansible_host": "a.example"}}, {}, "not 'a.example'"),
        ({"a": {"ansible_host": "10.1.2.3"}, "b": {"ansible_host": "10.1.2.3"}}, {}, "the same ansible_host 10.1.2.3"),
        ({"a": {"ansible_host": "10.1.2.3"}}, {"az_a": ["a"], "az_b": ["a"]}, "host a is in az_a and az_b"),
        ({}, {}, "the inventory has no host"),
    ],
)
def test_inventory_that_cannot_be_a_lab_is_refused(hosts: dict, zones: dict, message: str) -> None:
    with pytest.raises(LabError, match=message):
        inventory.read_hosts(listing(hosts, zones))


def test_subnet_is_that_of_all_hosts() -> None:
    assert inventory.subnet_of((Host("a", "10.1.2.3", "", ""), Host("b", "10.1.2.4", "", ""))) == "10.1.2.0/24"


@pytest.mark.parametrize(
    ("addresses", "message"),
    [(["10.1.2.3", "10.1.3.3"], "several /24 networks"), (["10.1.2.1"], "which a lab needs for itself")],
)
def test_hosts_that_do_not_fit_one_subnet_are_refused(addresses: list[str], message: str) -> None:
    with pytest.raises(LabError, match=message):
        inventory.subnet_of(tuple(Host("h", address, "", "") for address in addresses))


@pytest.mark.parametrize("value", ["10.1.2.0", "10.1.0.0/16", "8.8.8.0/24", "10.1.2.3/24", "x"])
def test_subnet_that_is_no_private_24_is_refused(value: str) -> None:
    with pytest.raises(LabError):
        inventory.parse_subnet(value)


@pytest.mark.parametrize(
    ("value", "moved"),
    [
        ("10.77.0.10", "10.90.1.10"),
        ("10.77.0.0/24", "10.90.1.0/24"),
        ("http://10.77.0.10:8080/x", "http://10.90.1.10:8080/x"),
        ("110.77.0.10", "110.77.0.10"),
        ("10.77.0.10.5", "10.77.0.10.5"),
        ("10.77.1.10", "10.77.1.10"),
        ({"a": ["10.77.0.11", 7233, None]}, {"a": ["10.90.1.11", 7233, None]}),
    ],
)
def test_addresses_move_and_all_else_stays(value: object, moved: object) -> None:
    assert inventory.remap(value, "10.77.0.0/24", "10.90.1.0/24") == moved


def test_only_variables_that_name_an_address_are_overlaid() -> None:
    groups = listing({"a": {"ansible_host": "10.77.0.11", "temporal_vip": "10.77.0.10", "temporal_profile": "basic"}})
    hosts = inventory.read_hosts(groups)
    same = inventory.host_variables(groups, hosts, "10.77.0.0/24", "10.77.0.0/24")
    moved = inventory.host_variables(groups, hosts, "10.77.0.0/24", "10.90.1.0/24")
    assert same == {"a": {"ansible_host": "10.77.0.11"}}
    assert moved == {"a": {"ansible_host": "10.90.1.11", "temporal_vip": "10.90.1.10"}}


@pytest.fixture
def lab(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Lab:
    monkeypatch.setenv("ZEROSPOF_LAB_STATE", str(tmp_path))
    return Lab("unit", "10.90.1.0/24", "inventories/basic")


def test_secrets_are_private_long_and_stable(lab: Lab) -> None:
    folder = inventory.write_overlay(lab, {}) / "group_vars" / "all"
    path = folder / inventory.SECRETS_FILE
    first = yaml.safe_load(path.read_text())["temporal_secrets"]
    inventory.write_overlay(lab, {})
    assert path.stat().st_mode & 0o777 == 0o600
    assert set(first) == set(inventory.SECRETS)
    assert min(map(len, first.values())) >= 24
    assert yaml.safe_load(path.read_text())["temporal_secrets"] == first


def test_a_secret_that_is_new_is_added_to_those_that_exist(lab: Lab, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = inventory.write_overlay(lab, {}) / "group_vars" / "all"
    before = yaml.safe_load((folder / inventory.SECRETS_FILE).read_text())["temporal_secrets"]
    monkeypatch.setattr(inventory, "SECRETS", (*inventory.SECRETS, "another"))
    inventory.write_overlay(lab, {})
    after = yaml.safe_load((folder / inventory.SECRETS_FILE).read_text())["temporal_secrets"]
    assert after == before | {"another": after["another"]}


def test_a_setting_that_left_the_repository_leaves_the_overlay(lab: Lab) -> None:
    folder = inventory.write_overlay(lab, {}) / "group_vars" / "all"
    (folder / "old.yml").write_text("old: true\n")
    inventory.write_overlay(lab, {})
    assert not (folder / "old.yml").exists()
