"""Restart decisions follow from what a unit recorded at its last start."""

from __future__ import annotations

from pathlib import Path

import pytest
from ansible_collections.zerospof.temporal.plugins.module_utils import _systemd, _units
from ansible_collections.zerospof.temporal.plugins.modules import systemd_units, systemd_units_info

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


def test_what_a_reload_reads_is_recorded_by_start_and_reload_and_decides_no_restart() -> None:
    drop_in = _units.recorder("patroni.service", [CONFIG], ["/tls/patroni.crt"])
    started, loaded, reloaded = (line.partition("=") for line in drop_in.splitlines() if line.startswith("Exec"))
    assert (started[0], loaded[0], reloaded[0]) == ("ExecStartPre", "ExecStartPre", "ExecReload")
    assert CONFIG in started[2]
    assert "/tls/patroni.crt" not in started[2]
    assert loaded[2] == reloaded[2]
    assert _units.loaded_path("patroni.service") in loaded[2]
    assert "ExecReload" not in _units.recorder("patroni.service", [CONFIG])


@pytest.mark.parametrize(
    ("loaded", "present", "unread"),
    [({"/a": "1"}, {"/a": "1"}, []), ({"/a": "1"}, {"/a": "2"}, ["/a"]), ({}, {"/a": "1"}, ["/a"]), ({}, {}, [])],
)
def test_a_service_has_to_read_what_differs_from_what_it_read(
    loaded: dict[str, str], present: dict[str, str], unread: list[str]
) -> None:
    assert _units.unread(loaded, present) == unread


def test_people_read_what_waits_and_why() -> None:
    current = {"name": "etcd.service", "state": _units.CURRENT, "reasons": []}
    waiting = {"name": "patroni.service", "state": _units.PENDING, "reasons": ["it is not running", "/x is missing"]}
    idle = {"units": [current], "interrupted": []}
    text = _units.pending_text({"db-a": {"units": [current, waiting], "interrupted": []}, "temporal-a": idle})
    assert text.splitlines() == [
        "Waiting for a restart: 1 service (rolling_restart.yml)",
        "  db-a  patroni.service  it is not running; /x is missing",
    ]
    assert _units.pending_text({"db-a": idle}) == "No service waits for a restart."


def test_people_read_which_hosts_a_killed_run_left_half_way() -> None:
    units = [{"name": "temporal-frontend.service", "state": _units.CURRENT, "reasons": []}]
    left = {"units": units, "interrupted": ["temporal_servers", "temporal_ui"]}
    text = _units.pending_text({"temporal-a": left, "temporal-b": {"units": units, "interrupted": []}})
    assert text.splitlines() == [
        "Half-way through a restart: 1 host (rolling_restart.yml completes it)",
        "  temporal-a  temporal_servers, temporal_ui",
    ]


def test_the_marks_of_a_rolling_restart_name_the_tiers_that_are_half_way(tmp_path: Path) -> None:
    assert systemd_units_info.interrupted(f"{tmp_path}/none/rolling-") == []
    for name in ("rolling-temporal_ui", "rolling-etcd", "other"):
        (tmp_path / name).touch()
    assert systemd_units_info.interrupted(f"{tmp_path}/rolling-") == ["etcd", "temporal_ui"]


@pytest.mark.parametrize(
    ("is_optional", "was_optional", "active", "state"),
    [
        (True, False, False, _units.CURRENT),
        (True, True, True, _units.PENDING),
        # From now on it is to run always, and it has run before: nobody else starts it.
        (False, True, False, _units.NEW),
        (False, True, True, _units.PENDING),
        (False, False, False, _units.PENDING),
    ],
)
def test_a_unit_that_runs_when_it_is_needed_may_stand_still(
    monkeypatch: pytest.MonkeyPatch, is_optional: bool, was_optional: bool, active: bool, state: str
) -> None:
    monkeypatch.setattr(_systemd, "is_active", lambda *_: active)
    monkeypatch.setattr(_systemd, "judge", lambda *_: _units.Verdict("x.service", _units.PENDING))
    unit = {"name": "x.service", "on_demand": False, "optional": is_optional}
    assert systemd_units._judge(None, unit, [], was_optional).state == state


@pytest.mark.parametrize("optional", [True, False])
def test_whether_a_unit_may_stand_still_is_read_back(monkeypatch: pytest.MonkeyPatch, optional: bool) -> None:
    text = _systemd.with_listed_files(_units.recorder("x.service", [CONFIG]), [CONFIG], [], optional)
    monkeypatch.setattr(_systemd, "read_text", lambda _: text)
    assert _systemd.is_optional("x.service") == optional
    assert _systemd.tracked_files_of("x.service") == [CONFIG]


def test_a_file_that_a_process_closes_meanwhile_hides_no_other(tmp_path: Path) -> None:
    """Where there is no link any more, nothing can be read; here it never was one."""
    descriptors = tmp_path / "fd"
    descriptors.mkdir()
    for number, target in enumerate(["/dev/null", "socket:[4711]"]):
        (descriptors / str(number)).symlink_to(target)
    (descriptors / "2").touch()
    assert sorted(_systemd.open_files(tmp_path)) == ["/dev/null", "socket:[4711]"]
    assert list(_systemd.open_files(tmp_path / "gone")) == []
