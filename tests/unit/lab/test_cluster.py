"""The command behind ``make lab`` refuses what it cannot make before it makes anything."""

from __future__ import annotations

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
