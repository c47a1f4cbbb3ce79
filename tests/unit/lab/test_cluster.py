"""The command behind ``make lab`` refuses what it cannot make before it makes anything."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from lab import cluster


def test_a_profile_that_is_not_there_is_told_with_those_that_are(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("sys.argv", ["lab.cluster", "--profile", "ha_postgres"])
    with pytest.raises(SystemExit) as refused:
        cluster.main()
    assert refused.value.code == 2
    told = capsys.readouterr().err
    assert all(profile in told for profile in ("'ha_postgres'", "basic", "ha_cassandra", "ha_postgresql"))


def test_an_error_that_has_been_shown_is_not_shown_again(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    wrong = [sys.executable, "-c", "raise SystemExit('lab: error: subnet 10.9 is not a network')"]
    with pytest.raises(cluster.StepError, match=r"Hosts: failed after \d+ s; the whole output is in .*up\.log"):
        cluster.stream("Hosts", wrong, tmp_path / "up.log")
    assert capsys.readouterr().out.count("subnet 10.9") == 1


def test_the_end_of_a_playbook_that_failed_is_shown(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    program = tmp_path / "ansible-playbook"
    program.write_text("#!/bin/sh\necho 'PLAY [Hosts] ***'\necho 'fatal: no disk'\nexit 2\n")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=":")
    with pytest.raises(cluster.StepError):
        cluster.stream("Cluster", ["ansible-playbook"], tmp_path / "site.log")
    told = capsys.readouterr().out
    assert "s  Hosts\n" in told
    assert "   | fatal: no disk\n" in told
