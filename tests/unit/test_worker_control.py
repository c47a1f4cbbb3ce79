"""What the agent of a host may have started and stopped."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

import tests.workers  # noqa: F401  (lets the programs of worker hosts be imported)

# isort: split
import temporal_worker_control as control

UNITS = [f"temporal-sdk-worker@networking-1.0.0-{number}.service" for number in range(1, 6)]
NETWORKING = {"name": "networking", "fewest": 2, "units": UNITS}
RUNS, ENDED, STOPS = {"ActiveState": "active"}, {"ActiveState": "inactive"}, {"ActiveState": "deactivating"}
REFUSED = {"ActiveState": "failed", "ExecMainStatus": "2"}
KILLED = {"ActiveState": "failed", "ExecMainStatus": "9"}


def states(*found: dict[str, str]) -> dict[str, dict[str, str]]:
    return dict(zip(UNITS, found, strict=True))


@pytest.mark.parametrize(
    ("found", "wanted", "start", "stop"),
    [
        ([RUNS, RUNS, ENDED, ENDED, ENDED], 2, [], []),
        ([RUNS, RUNS, ENDED, ENDED, ENDED], 4, UNITS[2:4], []),
        ([RUNS, RUNS, RUNS, RUNS, RUNS], 3, [], UNITS[3:]),
        ([RUNS, RUNS, RUNS, RUNS, RUNS], 2, [], UNITS[2:]),
        # What ends its tasks is not there any more, and starts only when it has; what was killed while it stopped is
        # started again.
        ([RUNS, RUNS, STOPS, RUNS, ENDED], 4, UNITS[4:5], []),
        ([RUNS, RUNS, STOPS, RUNS, ENDED], 5, [UNITS[4], UNITS[2]], []),
        ([RUNS, RUNS, STOPS, RUNS, RUNS], 5, UNITS[2:3], []),
        ([RUNS, RUNS, KILLED, ENDED, ENDED], 3, UNITS[2:3], []),
        # What cannot be served is left alone.
        ([RUNS, RUNS, REFUSED, ENDED, ENDED], 3, UNITS[3:4], []),
        ([RUNS, RUNS, REFUSED, REFUSED, REFUSED], 5, [], []),
        # The first instances are those of systemd, whatever becomes of them.
        ([ENDED, ENDED, ENDED, ENDED, ENDED], 3, UNITS[2:3], []),
    ],
)
def test_only_instances_above_the_fewest_come_and_go(
    found: list[dict[str, str]], wanted: int, start: list[str], stop: list[str]
) -> None:
    assert control.changes(NETWORKING, states(*found), wanted) == (start, stop)


@pytest.mark.parametrize("wanted", [1, 6, -1, "3", 2.5, True, None])
def test_what_is_out_of_bounds_is_refused(wanted: object) -> None:
    with pytest.raises(control.RefusedError, match="is not between 2 and 5"):
        control.changes(NETWORKING, states(*[RUNS] * 5), wanted)


def test_the_states_of_all_units_are_read() -> None:
    text = (
        f"Id={UNITS[0]}\nActiveState=active\nExecMainStatus=0\n\nId={UNITS[1]}\nActiveState=failed\nExecMainStatus=2\n"
    )
    found = control.parse(text)
    assert control.answer([NETWORKING], found) == {"networking": {"running": [UNITS[0]], "unusable": [UNITS[1]]}}


@pytest.fixture
def calls(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, ...]]:
    """Put settings in place, and a systemd of which two units run; return what is asked of it."""
    path = tmp_path / "scaling.json"
    path.write_text(json.dumps({"deployments": [NETWORKING, NETWORKING | {"name": "other", "units": ["x"]}]}))
    made: list[tuple[str, ...]] = []

    def systemctl(*arguments: str) -> str:
        made.append(arguments)
        return "\n\n".join(f"Id={unit}\nActiveState=active\nExecMainStatus=0" for unit in UNITS[:2])

    monkeypatch.setattr(control, "SETTINGS", path)
    monkeypatch.setattr(control, "systemctl", systemctl)
    return made


def test_a_question_changes_nothing(calls: list[tuple[str, ...]]) -> None:
    assert control.serve("{}\n")["networking"] == {"running": UNITS[:2], "unusable": []}
    assert [call[0] for call in calls] == ["show"]


def test_a_wish_is_carried_out_without_waiting(calls: list[tuple[str, ...]]) -> None:
    control.serve('{"networking": 3}\n')
    assert calls[1:] == [("start", "--no-block", UNITS[2])]


@pytest.mark.parametrize("request_", ["", "[]", "3", '{"ssh": 1}', '{"networking": 3, "other": 9}'])
def test_a_wish_that_is_none_changes_nothing(calls: list[tuple[str, ...]], request_: str) -> None:
    with pytest.raises(control.RefusedError):
        control.serve(request_)
    assert [call[0] for call in calls] in ([], ["show"])
