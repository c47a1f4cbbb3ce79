"""The databases hold the schemas that the installed release expects."""

from __future__ import annotations

import pytest
from testinfra.host import Host


@pytest.mark.parametrize(
    ("database", "table"), [("temporal", "executions"), ("temporal_visibility", "executions_visibility")]
)
def test_the_database_has_the_tables_of_its_schema(host: Host, database: str, table: str) -> None:
    with host.sudo("postgres"):
        assert host.check_output(f"psql -tAd {database} -c \"SELECT to_regclass('{table}')\"") == table


@pytest.mark.parametrize(("database", "version"), [("temporal", "1.19"), ("temporal_visibility", "1.14")])
def test_the_schema_is_at_the_version_of_the_release(host: Host, database: str, version: str) -> None:
    query = f"SELECT curr_version FROM schema_version WHERE db_name = '{database}'"
    with host.sudo("postgres"):
        assert host.check_output(f'psql -tAd {database} -c "{query}"') == version


def test_the_tables_belong_to_the_role_of_temporal(host: Host) -> None:
    with host.sudo("postgres"):
        owners = host.check_output(
            "psql -tAd temporal -c \"SELECT DISTINCT tableowner FROM pg_tables WHERE schemaname = 'public'\""
        )
    assert owners == "temporal"


def test_the_password_is_in_no_file_of_the_role(host: Host) -> None:
    assert host.run("grep -rl PASSWORD /etc/temporal-schema").stdout == ""
