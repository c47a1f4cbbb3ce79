"""Two authorities change places in three steps, each refused before its time; no order of files is a way out of it."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from ansible_collections.zerospof.temporal.plugins.module_utils import _authority, _certificates, _renewal

from tests.unit.test_certificates import authority

OLD, OLD_KEY = authority(name="old")
NEW, NEW_KEY = authority(name="new")
OLD_ID, NEW_ID = _certificates.identity(OLD), _certificates.identity(NEW)
ALONE = {"ca.crt": OLD, "ca.key": OLD_KEY, "next.crt": "", "next.key": ""}
MADE = {**ALONE, "next.crt": NEW, "next.key": NEW_KEY}
TRUSTED = {**MADE, "ca.crt": OLD + NEW}
SIGNS = {"ca.crt": NEW + OLD, "ca.key": NEW_KEY, "next.crt": "", "next.key": ""}
DONE = {**SIGNS, "ca.crt": NEW}
NOW = datetime(2026, 11, 26, 12, tzinfo=UTC)
AGES_AGO = "2026-11-26T11:00:00+00:00"


def after(step: str, files: dict[str, str]) -> dict[str, str]:
    """What the directory holds after ``step``."""
    return {**files, **{name: text or "" for name, text in _authority.texts(step, files).items()}}


def test_three_steps_lead_from_one_authority_to_the_other() -> None:
    assert after("trust", MADE) == TRUSTED
    assert after("sign", TRUSTED) == SIGNS
    assert after("finish", SIGNS) == DONE


@pytest.mark.parametrize(("step", "files"), [("trust", TRUSTED), ("sign", SIGNS), ("finish", DONE)])
def test_a_step_that_is_done_is_not_done_again(step: str, files: dict[str, str]) -> None:
    assert after(step, files) == files


@pytest.mark.parametrize(("step", "files", "complete"), [("trust", MADE, TRUSTED), ("sign", TRUSTED, SIGNS)])
def test_a_step_that_died_between_two_files_is_completed_by_the_same(
    step: str, files: dict[str, str], complete: dict[str, str]
) -> None:
    changes = list(_authority.texts(step, files).items())
    for written in range(len(changes) + 1):
        half = {**files, **{name: text or "" for name, text in changes[:written]}}
        assert after(step, half) == complete, changes[:written]


@pytest.mark.parametrize(
    ("step", "files", "reason"),
    [
        ("sign", ALONE, "begin with rotate_authority=trust"),
        ("sign", MADE, "no host trusts the new authority yet"),
        ("finish", MADE, "go on with rotate_authority=sign"),
        ("finish", TRUSTED, "go on with rotate_authority=sign"),
        ("trust", SIGNS, "go on with rotate_authority=finish"),
        ("sign", {**TRUSTED, "next.key": ""}, "next.key, the key of next.crt, is missing"),
        ("trust", {**ALONE, "ca.crt": ""}, "there is no certificate authority yet"),
    ],
)
def test_a_step_before_its_time_is_refused(step: str, files: dict[str, str], reason: str) -> None:
    with pytest.raises(_authority.AuthorityError, match=reason):
        _authority.texts(step, files)


def test_what_hosts_are_to_trust_is_known_before_anything_is_made() -> None:
    assert _authority.target("trust", ALONE) == {"signer": OLD_ID, "trusted": [OLD_ID, _authority.TO_BE_MADE]}
    assert _authority.target("trust", MADE) == {"signer": OLD_ID, "trusted": [OLD_ID, NEW_ID]}
    assert _authority.target("sign", TRUSTED) == {"signer": NEW_ID, "trusted": [NEW_ID, OLD_ID]}
    assert _authority.target("finish", SIGNS) == {"signer": NEW_ID, "trusted": [NEW_ID]}


def leaf(signer: str, *trusts: str, issued: str = AGES_AGO, name: str = "etcd") -> dict[str, Any]:
    trusted = [{"id": one, "name": one, "days": 9} for one in trusts]
    path = f"/tls/{name}.crt"
    return {"path": path, "name": name, "authority_id": signer, "trusts": trusted, "issued": issued, "days": 9}


BEFORE, BOTH, BY_NEW = leaf(OLD_ID, OLD_ID), leaf(OLD_ID, OLD_ID, NEW_ID), leaf(NEW_ID, OLD_ID, NEW_ID)


def problems(step: str, *certificates: dict[str, Any], **options: Any) -> list[str]:  # noqa: ANN401
    files = {"trust": MADE, "sign": TRUSTED, "finish": SIGNS}[step]
    found = {f"host-{number}": [one] for number, one in enumerate(certificates)}
    left_out, waiting = options.get("left_out", []), options.get("waiting", {})
    return _authority.problems(step, _authority.target(step, files), found, left_out, waiting, NOW)


def test_a_step_is_open_when_every_host_is_ready() -> None:
    assert problems("trust", BEFORE, BEFORE) == []
    assert problems("sign", BOTH, BOTH) == []
    assert problems("finish", BY_NEW, BY_NEW) == []
    # A part of the hosts was done by an earlier run, a moment ago.
    young = (NOW - timedelta(seconds=1)).isoformat()
    assert problems("sign", BOTH, {**BY_NEW, "issued": young}) == []
    assert problems("finish", BY_NEW, leaf(NEW_ID, NEW_ID, issued=young)) == []


@pytest.mark.parametrize(
    ("step", "certificates", "options", "reason"),
    [
        ("trust", [BEFORE], {"left_out": ["db-a"]}, "--limit leaves out db-a"),
        ("sign", [BOTH, BEFORE], {}, "host-1: /tls/etcd.crt does not go with the new authority; run it with"),
        ("sign", [BOTH], {"waiting": {"db-a": ["etcd.service"]}}, "db-a: etcd.service does not use the certificates"),
        ("sign", [{**BOTH, "issued": (NOW - timedelta(seconds=100)).isoformat()}], {}, "for another 21 s"),
        ("finish", [BY_NEW, BOTH], {}, "host-1: /tls/etcd.crt is signed by the former authority; run it with"),
        ("finish", [BY_NEW], {"waiting": {"db-a": ["etcd.service"]}}, "run it with rotate_authority=sign again"),
        ("finish", [{**BY_NEW, "issued": NOW.isoformat()}], {}, "for another 121 s"),
    ],
)
def test_a_step_that_would_leave_two_services_without_trust_is_refused(
    step: str, certificates: list[dict[str, Any]], options: dict[str, Any], reason: str
) -> None:
    [problem] = problems(step, *certificates, **options)
    assert reason in problem


def allowed(one: dict[str, Any], other: dict[str, Any]) -> bool:
    """Whether two services that present and trust these accept each other."""
    return one["authority_id"] in {known["id"] for known in other["trusts"]} and other["authority_id"] in {
        known["id"] for known in one["trusts"]
    }


@pytest.mark.parametrize("step", _authority.STEPS)
def test_wherever_a_step_ends_half_way_all_services_trust_each_other(step: str) -> None:
    start, end = {
        "trust": (BEFORE, BOTH),
        "sign": (BOTH, BY_NEW),
        "finish": (BY_NEW, leaf(NEW_ID, NEW_ID)),
    }[step]
    # A service may present the former certificate while it trusts by the new file, and the other way round.
    states = [leaf(a["authority_id"], *(t["id"] for t in b["trusts"])) for a in (start, end) for b in (start, end)]
    assert [(one, other) for one in states for other in states if not allowed(one, other)] == []
    assert problems(step, start, start) == []


GROUPS = {"az_a": ["db-a"], "etcd": ["db-a"]}


def plan(step: str, certificate: dict[str, Any], **wishes: object) -> dict[str, Any]:
    goal = _authority.target(step, {"trust": ALONE, "sign": TRUSTED, "finish": SIGNS}[step])
    asked = {"step": step, "accept_outage": True, **wishes}
    return _renewal.authority_plan(GROUPS, {"db-a": [certificate]}, asked, goal, {})


def test_people_read_which_step_it_is_and_what_comes_after_it() -> None:
    text = _renewal.renewal_text(plan("trust", BEFORE))
    assert text.startswith("Step 1 of 3: every service trusts the new authority beside the one that signs.")
    assert "go on with rotate_authority=sign" in text
    assert "To be renewed: 1 certificate on 1 host" in text
    assert plan("sign", BY_NEW)["due"] == []
    assert "Step 3 of 3" in _renewal.renewal_text(plan("finish", BY_NEW))


def test_an_authority_is_never_that_of_a_part_of_the_cluster() -> None:
    assert plan("trust", BEFORE, tiers="[etcd]")["problems"] == [
        "tiers: an authority is that of all tiers; leave them out"
    ]
    [left_out] = _renewal.authority_plan(
        {**GROUPS, "az_b": ["db-b"], "postgresql": ["db-b"]},
        {"db-a": [BEFORE]},
        {"step": "trust", "accept_outage": True},
        _authority.target("trust", ALONE),
        {},
    )["problems"]
    assert "--limit leaves out db-b" in left_out


@pytest.mark.parametrize(("step", "certificate"), [("trust", BEFORE), ("finish", BY_NEW)])
def test_who_has_no_second_one_and_restarts_to_trust_another_authority_is_an_outage(
    step: str, certificate: dict[str, Any]
) -> None:
    [outage] = plan(step, certificate, accept_outage=False)["problems"]
    assert outage.startswith("etcd: 1 host cannot serve while one of them restarts")
    assert [one["taken"] for one in plan(step, certificate)["due"]] == [_renewal.RESTARTED]


def test_a_certificate_of_another_authority_alone_restarts_nothing_that_reads_it_at_each_connection() -> None:
    made = plan("sign", BOTH, accept_outage=False)
    assert made["problems"] == []
    assert [one["taken"] for one in made["due"]] == ["read at each connection"]


def test_services_that_wait_for_certificates_are_found_and_those_that_wait_for_settings_are_not() -> None:
    said = {
        "unread": ["patroni.service"],
        "units": [
            {"name": "etcd.service", "reasons": ["/etc/etcd/tls/ca.crt has changed since its start"]},
            {"name": "patroni.service", "reasons": ["/etc/patroni/conf.d/member.yml has changed since its start"]},
            {"name": "temporal-ui.service", "reasons": ["/etc/temporal-ui/ui.yaml has changed since its start"]},
        ],
    }
    assert _renewal.waiting({"db-a": said}) == {"db-a": ["etcd.service", "patroni.service"]}
