"""The way in which Temporal sends queries fits the PgBouncer that is there, or is refused."""

from __future__ import annotations

import pytest
from ansible.errors import AnsibleFilterError
from ansible_collections.zerospof.temporal.plugins.filter.pooler import FilterModule
from ansible_collections.zerospof.temporal.plugins.module_utils import _packages, _pgbouncer


@pytest.mark.parametrize("temporal", ["1.29.0", "1.31.0", "1.31.2"])
@pytest.mark.parametrize("pgbouncer", ["1.21.0", "1.24.1", "2.0"])
def test_a_pgbouncer_that_follows_prepared_statements_gets_them(pgbouncer: str, temporal: str) -> None:
    assert _pgbouncer.exec_mode(pgbouncer, temporal) == _pgbouncer.PREPARED


@pytest.mark.parametrize("temporal", ["1.29.7", "1.30.5", "1.30.6", "1.31.1", "1.31.2", "1.32.0", "2.0.0"])
def test_an_old_pgbouncer_gets_simple_queries_from_a_server_that_can(temporal: str) -> None:
    assert _pgbouncer.exec_mode("1.18.0", temporal) == _pgbouncer.SIMPLE


@pytest.mark.parametrize("temporal", ["1.28.9", "1.29.6", "1.30.4", "1.31.0"])
def test_an_old_pgbouncer_and_a_server_that_cannot_are_refused_with_the_remedy(temporal: str) -> None:
    with pytest.raises(
        _pgbouncer.UnsupportedError, match=rf"Temporal {temporal} .* PgBouncer 1\.18\.0.*newer PgBouncer"
    ):
        _pgbouncer.exec_mode("1.18.0", temporal)


def test_preflight_names_the_hosts_that_cannot_work_and_no_other() -> None:
    results = {"new": {"version": "1.24.1"}, "old": {"version": "1.18.0"}, "unasked": {}, "unknown": {"version": ""}}
    found = FilterModule().filters()["pooler_problems"](results, "1.31.0")
    assert len(found) == 1
    assert found[0].startswith("old: Temporal 1.31.0 cannot work behind PgBouncer 1.18.0")
    assert FilterModule().filters()["pooler_problems"](results, "1.31.2") == []


def test_the_filter_ends_with_the_reason() -> None:
    with pytest.raises(AnsibleFilterError, match="is not a version such as"):
        FilterModule().filters()["pgx_exec_mode"]("", "1.31.2")


@pytest.mark.parametrize(
    ("debian", "upstream"),
    [
        ("1.24.1-1", "1.24.1"),
        ("1.18.0-1+deb12u1", "1.18.0"),
        ("1:9.2p1-2+deb12u3", "9.2p1"),
        ("4.0.7-1~bpo12+1", "4.0.7"),
        ("3.5.16+dfsg-1", "3.5.16"),
        ("", ""),
    ],
)
def test_the_upstream_version_is_found_in_the_one_of_debian(debian: str, upstream: str) -> None:
    assert _packages.upstream_version(debian) == upstream


def test_installed_and_candidate_versions_are_told_apart() -> None:
    output = "pgbouncer:\n  Installed: (none)\n  Candidate: 1.24.1-1\n  Version table:\n     1.24.1-1 500\n"
    assert _packages.policy(output) == (None, "1.24.1-1")
    assert _packages.policy("N: Unable to locate package nothing\n") == (None, None)


def test_the_cause_is_taken_from_what_psql_printed() -> None:
    error = (
        'psql: error: connection to server at "127.0.0.1", port 6432 failed: '
        "FATAL:  server login has been failing, cached error: server login failed (server_login_retry)\n"
    )
    assert _pgbouncer.reason(error).endswith(
        "FATAL:  server login has been failing, cached error: server login failed (server_login_retry)"
    )
    assert _pgbouncer.reason("") == "no reason given"
