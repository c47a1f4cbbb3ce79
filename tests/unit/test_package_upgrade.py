"""Which packages come to which host, and which services restart for them, follows from what apt has and offers."""

from __future__ import annotations

from typing import Any

import pytest
from ansible_collections.zerospof.temporal.plugins.module_utils import _package_upgrade, _packages, _rolling

POLICY = """etcd-client:
  Installed: 3.5.16-4
  Candidate: 3.5.16-4+deb13u1
  Version table:
     3.5.16-4+deb13u1 500
 *** 3.5.16-4 100
        100 /var/lib/dpkg/status
etcd-server:
  Installed: (none)
  Candidate: 3.5.16-4
  Version table:
"""


def package(
    name: str,
    installed: str,
    candidate: str | None,
    *units: str,
    newer: bool = True,
    unfinished: bool = False,
    **companions: str,
) -> dict[str, Any]:
    changes = {name: candidate} if candidate not in (None, installed) else {}
    return {
        "name": name,
        "units": list(units),
        "installed": installed,
        "candidate": candidate,
        "newer": newer and bool(changes),
        "unfinished": unfinished,
        "companions": changes | {key.replace("_", "-"): value for key, value in companions.items()},
    }


def etcd(installed: str, candidate: str | None = "3.5.16-5", **changed: Any) -> dict[str, Any]:  # noqa: ANN401
    return package("etcd-server", installed, candidate, "etcd.service", **changed)


def haproxy(installed: str, candidate: str, *units: str) -> dict[str, Any]:
    return package("haproxy", installed, candidate, *(units or ("haproxy-edge.service",)))


def test_a_service_restarts_for_a_newer_version_of_its_package_and_its_companions_come_along() -> None:
    made = _package_upgrade.package_plan({"db-a": [etcd("3.5.16-4", etcd_client="3.5.16-5")], "db-b": []})
    assert made["problems"] == []
    assert made["moves"] == {"db-a": {"etcd.service": "etcd-server 3.5.16-4 becomes 3.5.16-5"}}
    assert made["packages"] == {"db-a": {"etcd": ["etcd-server=3.5.16-5", "etcd-client=3.5.16-5"]}}
    assert "come to 1 host" in _package_upgrade.package_text(made)


def test_nothing_happens_where_apt_offers_what_is_there() -> None:
    hosts = {"db-a": [etcd("3.5.16-4", "3.5.16-4"), etcd("3.5.16-4", None)]}
    made = _package_upgrade.package_plan(hosts)
    assert (made["moves"], made["packages"], made["problems"]) == ({}, {}, [])
    assert _package_upgrade.package_text(made) == "The services have the newest packages that apt offers."


def test_a_service_that_comes_from_two_packages_restarts_once() -> None:
    hosts = {
        "db-a": [
            package("patroni", "4.0.4-1", "4.0.5-1", "patroni.service"),
            package("postgresql-17", "17.5-1", "17.6-1", "patroni.service"),
        ]
    }
    made = _package_upgrade.package_plan(hosts)
    assert made["moves"]["db-a"] == {
        "patroni.service": "patroni 4.0.4-1 becomes 4.0.5-1, postgresql-17 17.5-1 becomes 17.6-1"
    }
    assert made["packages"]["db-a"] == {"postgresql": ["patroni=4.0.5-1", "postgresql-17=17.6-1"]}


def test_one_package_of_two_tiers_is_installed_in_the_step_of_each() -> None:
    both = ("haproxy-database.service", "haproxy-edge.service")
    hosts = {"server-a": [haproxy("3.0.11-1", "3.0.12-1", *both)]}
    made = _package_upgrade.package_plan(hosts)
    assert made["packages"]["server-a"] == {
        "temporal_servers": ["haproxy=3.0.12-1"],
        "load_balancers": ["haproxy=3.0.12-1"],
    }
    only = _package_upgrade.package_plan(hosts, "[load_balancers]")
    assert set(only["moves"]["server-a"]) == {"haproxy-edge.service"}
    assert set(only["packages"]["server-a"]) == set(only["tiers"]) == {"load_balancers"}


@pytest.mark.parametrize(
    ("hosts", "said"),
    [
        ({"db-a": [etcd("3.4.30-1", "3.6.1-1")]}, "db-a: etcd-server 3.4.30-1 to 3.6.1-1: a member has 3.4.30-1"),
        (
            {"db-a": [etcd("3.5.16-4", "3.6.1-1")], "db-b": [etcd("3.4.30-1", "3.5.16-4")]},
            "db-a: etcd-server 3.5.16-4 to 3.6.1-1: a member has 3.4.30-1",
        ),
        ({"db-a": [etcd("3.5.16-4", "3.4.30-1", newer=False)]}, "is a step back"),
        (
            {"db-a": [package("postgresql-17", "17.6-1", "18.1-1", "patroni.service")]},
            "another major: the data of one major of PostgreSQL",
        ),
        ({"lb-a": [haproxy("2.8.5-1", "3.0.11-1")], "lb-b": [haproxy("2.8.5-1", "3.0.11-1")]}, "lb-a, lb-b: haproxy"),
        ({"db-a": [package("patroni", "3.0.2-1", "4.0.4-1", "patroni.service")]}, "another major: its settings"),
    ],
)
def test_what_is_not_open_is_refused(hosts: dict[str, Any], said: str) -> None:
    made = _package_upgrade.package_plan(hosts)
    [problem] = made["problems"]
    assert said in problem


def test_the_next_minor_of_etcd_is_open() -> None:
    hosts = {name: [etcd("3.4.30-1", "3.5.16-4")] for name in ("db-a", "db-b", "db-c")}
    assert _package_upgrade.package_plan(hosts)["problems"] == []


def test_another_minor_of_etcd_needs_all_members_in_the_run() -> None:
    hosts, members = {"db-a": [etcd("3.4.30-1", "3.5.16-4")]}, ["db-a", "db-b"]
    [problem] = _package_upgrade.package_plan(hosts, etcd_members=members)["problems"]
    assert "step to another minor, and --limit leaves out db-b" in problem
    assert _package_upgrade.package_plan({"db-a": [etcd("3.5.16-4")]}, etcd_members=members)["problems"] == []


@pytest.mark.parametrize("candidate", ["3.5.16-4", None])
def test_an_installation_that_was_interrupted_is_completed(candidate: str | None) -> None:
    made = _package_upgrade.package_plan({"db-a": [etcd("3.5.16-4", candidate, unfinished=True)]})
    assert made["problems"] == []
    assert made["moves"] == {"db-a": {"etcd.service": "etcd-server 3.5.16-4 is not installed to the end"}}
    assert made["packages"] == {"db-a": {"etcd": ["etcd-server=3.5.16-4"]}}


def test_what_is_newer_than_an_interrupted_installation_comes_instead_of_it() -> None:
    made = _package_upgrade.package_plan({"db-a": [etcd("3.5.16-4", unfinished=True)]})
    assert made["packages"] == {"db-a": {"etcd": ["etcd-server=3.5.16-5"]}}


def test_what_is_refused_for_other_tiers_does_not_matter() -> None:
    hosts = {"db-a": [etcd("3.4.30-1", "3.6.1-1")], "lb-a": [haproxy("3.0.11-1", "3.0.12-1")]}
    made = _package_upgrade.package_plan(hosts, ["load_balancers"])
    assert (made["problems"], set(made["moves"])) == ([], {"lb-a"})


@pytest.mark.parametrize("tier", ["cassandra", "temporal_workers", "haproxy"])
def test_a_tier_without_packages_is_refused(tier: str) -> None:
    [problem] = _package_upgrade.package_plan({}, [tier])["problems"]
    assert problem == (
        f"tiers: {tier} has no service that comes from a package of the distribution; etcd, postgresql,"
        " temporal_servers, load_balancers have"
    )


def test_the_tiers_are_those_of_the_restarts() -> None:
    assert set(_package_upgrade.TIERS) <= set(_rolling.UNITS)


def test_apt_tells_of_several_packages_at_once() -> None:
    assert _packages.policies(POLICY) == {
        "etcd-client": ("3.5.16-4", "3.5.16-4+deb13u1"),
        "etcd-server": (None, "3.5.16-4"),
    }


def test_a_unit_tells_its_packages_by_the_files_that_it_tracks() -> None:
    files = ["/etc/etcd/etcd.env", "/var/lib/dpkg/info/etcd-server.md5sums", "/opt/cassandra/current/MANIFEST"]
    assert _packages.tracked(files) == ["etcd-server"]


INSTALLED = """etcd-client etcd 3.5.16-4 installed
etcd-server etcd 3.5.16-5 half-configured
etcd-doc etcd 3.5.16-4 config-files
etcd-fs etcd  not-installed
"""


def test_packages_of_one_source_go_together() -> None:
    present = _packages.installed(INSTALLED)
    assert _packages.companions("etcd-server", present) == ["etcd-client", "etcd-server"]
    assert _packages.companions("haproxy", present) == []


def test_dpkg_tells_which_installation_has_not_come_to_its_end() -> None:
    present = _packages.installed(INSTALLED)
    assert {name: (one.version, one.unfinished) for name, one in present.items()} == {
        "etcd-client": ("3.5.16-4", False),
        "etcd-server": ("3.5.16-5", True),
    }
