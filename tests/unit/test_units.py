"""Restart decisions follow from what a unit recorded at its last start."""

from __future__ import annotations

import pytest
from ansible_collections.zerospof.temporal.plugins.module_utils import _units

CONFIG = "/etc/etcd/etcd.yaml"
BINARY = "/opt/etcd/current/MANIFEST"


def test_a_unit_without_a_record_is_new() -> None:
    assert _units.judge("etcd.service", None, {CONFIG: "a"}, active=False).state == _units.NEW


def test_a_running_unit_with_unchanged_files_is_current() -> None:
    verdict = _units.judge("etcd.service", {CONFIG: "a"}, {CONFIG: "a"}, active=True)
    assert verdict.state == _units.CURRENT
    assert verdict.reasons == ()


@pytest.mark.parametrize(
    ("recorded", "present", "active", "reason"),
    [
        ({CONFIG: "a"}, {CONFIG: "b"}, True, f"{CONFIG} has changed since its start"),
        ({CONFIG: "a"}, {CONFIG: None}, True, f"{CONFIG} is missing"),
        ({CONFIG: "a"}, {CONFIG: "a", BINARY: "c"}, True, f"{BINARY} is new since its start"),
        ({CONFIG: "a", BINARY: "c"}, {CONFIG: "a"}, True, f"{BINARY} is no longer part of it"),
        ({CONFIG: "a"}, {CONFIG: "a"}, False, "it is not running"),
    ],
)
def test_every_difference_makes_a_unit_pending_and_is_named(
    recorded: dict[str, str], present: dict[str, str | None], active: bool, reason: str
) -> None:
    verdict = _units.judge("etcd.service", recorded, present, active)
    assert verdict.state == _units.PENDING
    assert verdict.reasons == (reason,)


def test_a_record_is_read_back_as_sha256sum_writes_it() -> None:
    text = f"{'0' * 64}  {CONFIG}\n{'1' * 64} */path with blank\n"
    assert _units.parse_record(text) == {CONFIG: "0" * 64, "/path with blank": "1" * 64}


def test_the_recorder_survives_characters_that_systemd_expands() -> None:
    drop_in = _units.recorder("x.service", ["/etc/100%/a$b c"])
    assert "100%%" in drop_in
    assert "a$$b c" in drop_in
    assert drop_in.count("ExecStartPre=+") == 1


def test_people_read_what_waits_and_why() -> None:
    current = {"name": "etcd.service", "state": _units.CURRENT, "reasons": []}
    waiting = {"name": "patroni.service", "state": _units.PENDING, "reasons": ["it is not running", "/x is missing"]}
    text = _units.pending_text({"db-a": [current, waiting], "temporal-a": [current]})
    assert text.splitlines() == [
        "Waiting for a restart: 1 service (rolling_restart.yml)",
        "  db-a  patroni.service  it is not running; /x is missing",
    ]
    assert _units.pending_text({"db-a": [current]}) == "No service waits for a restart."
