"""Migrations make the schema that the code declares, and every statement can be sent to Azure SQL."""

import json
from pathlib import Path

import pytest
import sqlalchemy as sa
from alembic import command

from infra.sql import tsql
from infra.sql.migrate import CONTEXTS, OWNERS, VERSIONS, alembic_config, migrate, migration_engine
from tests.support.database import unmigrated_database


@pytest.fixture
def url(tmp_path: Path) -> str:
    return unmigrated_database(tmp_path)


def tables(url: str) -> set[str]:
    engine = migration_engine(url)
    try:
        inspector = sa.inspect(engine)
        return {
            f"{schema}.{table}"
            for schema in (VERSIONS, *(owner.SCHEMA for owner in OWNERS))
            for table in inspector.get_table_names(schema=schema)
        }
    finally:
        engine.dispose()


DECLARED = {f"{table.schema}.{table.name}" for owner in OWNERS for table in owner.METADATA.tables.values()}


def test_upgrading_from_nothing_makes_every_declared_table(url: str) -> None:
    migrate(url)
    assert tables(url) == DECLARED | {f"{VERSIONS}.alembic_version"}


def test_upgrading_again_changes_nothing(url: str) -> None:
    migrate(url)
    migrate(url)
    assert tables(url) == DECLARED | {f"{VERSIONS}.alembic_version"}


def test_the_migrated_schema_is_the_declared_one(url: str) -> None:
    migrate(url)
    command.check(alembic_config(url))


def test_a_column_that_no_migration_makes_is_noticed(url: str) -> None:
    migrate(url)
    engine = migration_engine(url)
    with engine.begin() as connection:
        connection.exec_driver_sql("ALTER TABLE ordering.inbox DROP COLUMN received_at")
    engine.dispose()
    with pytest.raises(Exception, match="received_at"):
        command.check(alembic_config(url))


def test_downgrading_takes_everything_away_and_upgrading_brings_it_back(url: str) -> None:
    migrate(url)
    command.downgrade(alembic_config(url), "base")
    assert tables(url) == {f"{VERSIONS}.alembic_version"}
    migrate(url)
    assert tables(url) >= DECLARED


def test_every_statement_compiles_for_azure_sql_and_knows_its_parameters_types(tmp_path: Path) -> None:
    count = tsql.write(tmp_path)
    entries = json.loads((tmp_path / "statements.json").read_text())
    assert len(entries) == count
    names = {entry["name"] for entry in entries}
    assert len(names) == count
    logs = {f"{context.SCHEMA}.event_log" for context in CONTEXTS}
    assert {log for log in logs for entry in entries if f"INSERT INTO {log}" in entry["sql"]} == logs
    assert names >= {"ordering.repository.LOAD", "ordering.reference_data.RENAME_PRODUCT", "catalog.repository.UPDATE"}
    for entry in entries:
        assert entry["sql"].count("?") == len(entry["parameters"]), entry["name"]


def test_relays_do_not_wait_for_one_another_on_azure_sql(tmp_path: Path) -> None:
    tsql.write(tmp_path)
    claims = [
        entry["sql"]
        for entry in json.loads((tmp_path / "statements.json").read_text())
        if entry["name"].endswith(".claim_at_once")
    ]
    assert len(claims) == len(CONTEXTS)
    assert all("WITH (READPAST, UPDLOCK, ROWLOCK, READCOMMITTEDLOCK)" in claim for claim in claims)


def test_the_migrations_are_written_as_t_sql_without_a_database(tmp_path: Path) -> None:
    tsql.write(tmp_path)
    script = (tmp_path / "schema.sql").read_text()
    for owner in OWNERS:
        assert f"CREATE SCHEMA {owner.SCHEMA}" in script
        for table in owner.METADATA.tables.values():
            assert f"CREATE TABLE {table.schema}.{table.name}" in script
