"""What is renewed follows from the certificates on the hosts; what ends too soon is named with what to do."""

from __future__ import annotations

from typing import Any

import pytest
from ansible_collections.zerospof.temporal.plugins.module_utils import _expiry, _renewal

GROUPS = {
    "az_a": ["temporal-a", "db-a"],
    "az_b": ["temporal-b"],
    "temporal_servers": ["temporal-a", "temporal-b"],
    "load_balancers": ["temporal-a"],
    "postgresql": ["db-a"],
    "etcd": ["db-a"],
}
OLD, NEW, MOMENT = "2026-01-01T00:00:00+00:00", "2026-02-02T00:00:00+00:00", "2026-02-01T00:00:00Z"
AUTHORITY = {"id": "1", "name": "ca", "ends": "2036-01-01T00:00:00+00:00", "days": 3650}


def certificate(name: str, issued: str = OLD, days: int = 300) -> dict[str, Any]:
    return {"path": f"/tls/{name}.crt", "name": name, "issued": issued, "days": days, "trusts": [AUTHORITY]}


FOUND = {
    "temporal-a": [certificate("temporal"), certificate("haproxy", NEW)],
    "temporal-b": [certificate("temporal", NEW), certificate("somebody-else")],
    "db-a": [certificate("etcd"), certificate("patroni")],
    "control node": [certificate("operator")],
}


def plan(groups: dict[str, list[str]] = GROUPS, found: Any = FOUND, **wishes: object) -> dict[str, Any]:  # noqa: ANN401
    return _renewal.renewal_plan(groups, found, {"issued_before": MOMENT, **wishes})


def due(made: dict[str, Any]) -> list[tuple[str, str]]:
    return [(one["host"], one["path"].removeprefix("/tls/").removesuffix(".crt")) for one in made["due"]]


def test_what_was_issued_before_the_moment_is_renewed_and_the_rest_is_kept() -> None:
    made = plan()
    assert due(made) == [
        ("temporal-a", "temporal"),
        ("db-a", "etcd"),
        ("db-a", "patroni"),
        ("control node", "operator"),
    ]
    assert made["kept"] == 2
    assert made["problems"] == []
    text = _renewal.renewal_text(made)
    assert text.startswith("To be renewed, with new keys: 4 certificates on 3 hosts\n")
    assert "db-a          /tls/patroni.crt   issued 2026-01-01T00:00  the service is reloaded" in text
    assert "As they are to be, and kept: 2 certificates" in text


def test_an_interrupted_run_is_completed_and_a_complete_one_renews_nothing() -> None:
    half = {**FOUND, "db-a": [certificate("etcd", NEW), certificate("patroni")]}
    assert ("db-a", "etcd") not in due(plan(found=half))
    done = {host: [{**one, "issued": NEW} for one in certificates] for host, certificates in FOUND.items()}
    made = plan(found=done)
    assert made["due"] == []
    assert _renewal.renewal_text(made).startswith("Nothing is to be renewed.")
    # A run may have ended between a file and its reload.
    assert made["hosts"]["postgresql"] == ["db-a"]


def test_only_the_tiers_that_were_asked_for_are_touched() -> None:
    made = plan(tiers="[postgresql]")
    assert due(made) == [("db-a", "patroni")]
    assert _renewal.renewal_groups(made) == [{"name": "db-a", "groups": ["certificates_postgresql"]}]


def test_hosts_that_the_limit_leaves_out_are_named_and_not_touched() -> None:
    made = plan(found={"temporal-b": FOUND["temporal-b"]})
    assert made["left_out"] == ["db-a", "temporal-a"]
    assert made["hosts"]["temporal_servers"] == ["temporal-b"]
    assert "--limit leaves them out: db-a, temporal-a" in _renewal.renewal_text(made)


@pytest.mark.parametrize("cassandra", [False, True])
def test_temporal_restarts_for_a_certificate_only_where_it_shows_it_to_cassandra(cassandra: bool) -> None:
    groups = {**GROUPS, **({"cassandra": ["db-a"]} if cassandra else {})}
    taken = {one["path"]: one["taken"] for one in plan(groups)["due"]}
    assert taken["/tls/temporal.crt"] == (_renewal.RESTARTED if cassandra else "read every minute")


@pytest.mark.parametrize(
    ("wishes", "problem"),
    [
        ({"tiers": "[etdc]"}, "tiers: etdc: not one of etcd, postgresql"),
        ({"issued_before": "2999-01-01T00:00:00Z"}, "is no moment of the past"),
        ({"issued_before": "yesterday"}, "write it as 2026-11-26T10:00:00Z"),
        ({"misspelt": ["tier"]}, "tier: is no wish of a rotation"),
    ],
)
def test_what_cannot_be_meant_is_refused(wishes: dict[str, object], problem: str) -> None:
    [found] = plan(**wishes)["problems"]
    assert problem in found


def test_people_read_what_ends_first_and_each_authority_once() -> None:
    found = {"b": [certificate("etcd", days=50)], "a": [certificate("etcd", days=7), certificate("patroni", days=50)]}
    assert _expiry.certificates_text(found).splitlines() == [
        "  host        certificate       days left",
        "  a           /tls/etcd.crt     7",
        "  a           /tls/patroni.crt  50",
        "  b           /tls/etcd.crt     50",
        "  every host  authority 'ca'    3650",
    ]


def test_what_ends_too_soon_is_a_problem_with_its_remedy() -> None:
    ending = {**certificate("etcd", days=30), "trusts": [{**AUTHORITY, "days": 29}]}
    assert _expiry.certificate_problems({"a": [ending]}, 30) == [
        "every host: authority 'ca' ends in 29 days; run rotate_certificates.yml with -e rotate_authority=trust"
    ]
    assert _expiry.certificate_problems({"a": [ending]}, 30, authorities=False) == []
    assert _expiry.certificate_problems({"a": [{**ending, "days": -1}]}, 0) == [
        "a: /tls/etcd.crt has ended; run rotate_certificates.yml"
    ]
