"""A host ends its fault by itself, and a fault that did not happen is an error."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.zerospof.temporal.plugins.module_utils import _drill
from ansible_collections.zerospof.temporal.plugins.modules import drill_fault


class Failed(Exception):
    """What ``fail_json`` says."""


class Host:
    """A host with one service, and what was run on it."""

    def __init__(self, fault: str, **params: object) -> None:
        """Let the service be well."""
        self.params: dict[str, Any] = {
            "fault": fault,
            "units": [] if fault == "cut" else ["a.service"],
            "addresses": ["192.0.2.1"] if fault == "cut" else [],
            "virtual_address": "192.0.2.10" if fault == "cut" else "",
            "interface": "eth0" if fault == "cut" else "",
            "ssh_port": 22,
            "deadline_seconds": 90,
        } | params
        self.ran: list[list[str]] = []
        self.number, self.state, self.has_rules, self.has_timer = "17", "S", False, False
        self.obeys, self.refuses, self.rules = True, "", ""

    def run_command(self, words: list[str], data: str = "", check_rc: bool = False) -> tuple[int, str, str]:
        """Do what it says, unless the host does not obey."""
        self.ran.append(words)
        if words[:2] == ["nft", "list"]:
            return (0 if self.has_rules else 1), "", ""
        if words[:2] == ["systemctl", "is-active"]:
            return (0 if self.has_timer else 3), "", ""
        if self.refuses and self.refuses in words:
            return 1, "", "no such thing\n"
        if self.obeys:
            self.rules += data
            if "--signal=SIGSTOP" in words:
                self.state = "T"
            elif "--signal=SIGCONT" in words and words[0] == "systemctl":
                self.state = "S"
            elif "--signal=SIGKILL" in words:
                self.number = "18"
            elif words[0] == "nft":
                self.has_rules = "--file" in words
        return 0, "", ""

    def fail_json(self, msg: str) -> None:
        """Raise what is wrong."""
        raise Failed(msg)

    jsonify = staticmethod(json.dumps)
    from_json = staticmethod(json.loads)

    @property
    def said(self) -> list[str]:
        """The commands that change something."""
        return [" ".join(words) for words in self.ran if words[1] not in ("list", "is-active")]


@pytest.fixture(autouse=True)
def here(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[list[Host]]:
    """The host on which everything happens."""
    hosts: list[Host] = []
    monkeypatch.setattr(drill_fault, "RECORD", tmp_path / "record.json")
    monkeypatch.setattr(drill_fault, "PAUSE_SECONDS", 0)
    monkeypatch.setattr(drill_fault._systemd, "main_process", lambda module, _: Path("/proc", module.number))
    monkeypatch.setattr(drill_fault, "state_of", lambda number: hosts[-1].state if number == hosts[-1].number else "")
    return hosts


def host(hosts: list[Host], fault: str, **params: object) -> Host:
    """Return a new host."""
    hosts.append(Host(fault, **params))
    return hosts[-1]


@pytest.mark.parametrize(
    ("fault", "made", "end"),
    [
        ("hang", "systemctl kill --signal=SIGSTOP a.service", "systemctl kill --signal=SIGCONT a.service"),
        ("cut", "nft --file -", " ".join(_drill.ending("cut", []))),
    ],
)
def test_the_timer_that_ends_a_fault_is_there_before_the_fault(
    here: list[Host], fault: str, made: str, end: str
) -> None:
    module = host(here, fault)
    drill_fault.make(module)
    assert module.said == [
        f"systemd-run --collect --unit=zerospof-drill --on-active=90 --timer-property=AccuracySec=1s {end}",
        made,
    ]
    drill_fault.end(module)
    assert module.said[2:] == [end, "systemctl stop zerospof-drill.timer"]


def test_what_is_killed_needs_no_end(here: list[Host]) -> None:
    module = host(here, "kill")
    drill_fault.make(module)
    assert module.said == ["systemctl kill --signal=SIGKILL a.service"]


@pytest.mark.parametrize("fault", ["kill", "hang", "cut"])
def test_a_fault_that_did_not_happen_is_an_error_and_leaves_no_timer(here: list[Host], fault: str) -> None:
    module = host(here, fault)
    module.obeys = False
    with pytest.raises(Failed, match=f"{fault} did not happen to (a.service|the rules of nftables)"):
        drill_fault.make(module)
    assert module.said[-1] == "systemctl stop zerospof-drill.timer"


@pytest.mark.parametrize(("fault", "command"), [("hang", "--signal=SIGSTOP"), ("cut", "--file")])
def test_a_fault_that_cannot_be_made_leaves_nothing(here: list[Host], fault: str, command: str) -> None:
    module = host(here, fault)
    module.refuses = command
    with pytest.raises(Failed, match=f"{fault} did not happen: no such thing$"):
        drill_fault.make(module)
    assert module.said[-2:] == [" ".join(_drill.ending(fault, ["a.service"])), "systemctl stop zerospof-drill.timer"]
    assert not drill_fault.RECORD.exists()


def test_a_balancer_that_is_cut_off_does_not_announce_the_virtual_address(here: list[Host]) -> None:
    module = host(here, "cut")
    drill_fault.make(module)
    assert module.rules == _drill.cut_rules(["192.0.2.1"], 22, "192.0.2.10", "eth0")


@pytest.mark.parametrize("number", ["0", ""])
def test_what_does_not_run_is_not_hit(here: list[Host], number: str) -> None:
    module = host(here, "kill")
    module.number = number
    with pytest.raises(Failed, match=r"a\.service: does not run"):
        drill_fault.make(module)
    assert module.said == []
    assert not drill_fault.RECORD.exists()


def test_what_is_left_of_a_fault_that_its_timer_ended_is_not_of_the_next_one(here: list[Host]) -> None:
    drill_fault.RECORD.write_text('{"b.service": "9"}')
    module = host(here, "hang")
    module.number = "0"
    with pytest.raises(Failed, match=r"a\.service: does not run"):
        drill_fault.make(module)
    assert not drill_fault.RECORD.exists()


def test_what_a_fault_spared_is_asked_of_what_it_was_made_on(here: list[Host]) -> None:
    """Whoever ends it may not know that."""
    assert drill_fault.spared(host(here, "hang", units=["a.service"]), {"b.service": "17"}) == ["b.service"]


def test_there_is_one_fault_at_a_time(here: list[Host]) -> None:
    drill_fault.RECORD.write_text('{"b.service": "9"}')
    module = host(here, "hang")
    module.has_timer = True
    with pytest.raises(Failed, match=r"there is a fault on this host already, which zerospof-drill\.timer ends"):
        drill_fault.make(module)
    assert module.said == []
    assert drill_fault.RECORD.exists()


@pytest.mark.parametrize(("number", "state", "spared"), [("17", "T", []), ("18", "S", []), ("17", "S", ["a.service"])])
def test_a_hang_lasted_when_the_process_hangs_or_was_replaced(
    here: list[Host], number: str, state: str, spared: list[str]
) -> None:
    module = host(here, "hang")
    module.number, module.state = number, state
    assert drill_fault.spared(module, {"a.service": "17"}) == spared
