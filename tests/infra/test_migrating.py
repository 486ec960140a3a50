"""Migrations as a step of a deployment: once, whoever else migrates at the same moment."""

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler
from pathlib import Path

import pytest
import sqlalchemy as sa
from alembic import command
from alembic.script import ScriptDirectory

from infra.sql.migrate import (
    LOCK,
    WrongDatabaseError,
    _signed_in,
    alembic_config,
    attempts,
    migrate,
    migration_engine,
    take_turn,
)
from infra.sql.migrate import migrating as migrating_at
from shared.frame.sql.errors import is_transient
from tests.support.database import sqlite_database, unmigrated_database
from tests.support.identities import identity_endpoint
from tests.support.odbc import needs_driver, needs_unixodbc
from tests.support.tds import Answering, Answers, Cut, Done, Error, Request, Rows, tds_server

ROOT = Path(__file__).parents[2]
HEADS = sa.text("SELECT version_num FROM dbo.alembic_version")
AT_ONCE = 4


@pytest.fixture
def url(tmp_path: Path) -> str:
    return unmigrated_database(tmp_path)


@pytest.fixture
def migrating(url: str) -> Iterator[list[subprocess.Popen[str]]]:
    processes = [
        subprocess.Popen(
            [sys.executable, "-m", "infra.sql.migrate"],
            cwd=ROOT,
            env={**os.environ, "SqlConnection": url},
            stderr=subprocess.PIPE,
            text=True,
        )
        for _ in range(AT_ONCE)
    ]
    yield processes
    for process in processes:
        process.kill()
        process.communicate()


def test_several_runs_at_once_migrate_once(url: str, migrating: list[subprocess.Popen[str]]) -> None:
    for process in migrating:
        _, said = process.communicate(timeout=120)
        assert process.returncode == 0, said
    engine = migration_engine(url)
    with engine.connect() as connection:
        assert connection.execute(HEADS).scalars().all() == ScriptDirectory.from_config(alembic_config(url)).get_heads()
    engine.dispose()


@needs_unixodbc
@needs_driver
def test_who_has_not_signed_in_is_told_so_at_once(tmp_path: Path) -> None:
    with tds_server() as server:
        ran = subprocess.run(
            [sys.executable, "-m", "infra.sql.migrate"],
            cwd=ROOT,
            env={
                "PATH": str(tmp_path),  # has no az
                "HOME": str(tmp_path),
                "SqlConnection": server.url_for_token,
                "AZURE_TOKEN_CREDENTIALS": "dev",  # a virtual machine may have an identity
            },
            capture_output=True,
            text=True,
            check=False,
            timeout=60,
        )
    assert ran.returncode == 1
    assert "The database was not migrated, and is as it was: " in ran.stderr
    assert "no access token" in ran.stderr
    assert "Not yet" not in ran.stderr
    assert server.requests == []


@needs_unixodbc
@needs_driver
def test_a_sign_in_that_goes_wrong_once_is_no_failed_deployment(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where migrations run, Entra itself may be asked for the token, and nobody waits for them as for a command."""

    def once(_asking: BaseHTTPRequestHandler) -> None:
        endpoint.fault = None

    with tds_server() as server, identity_endpoint() as endpoint:
        monkeypatch.setenv("AZURE_CLIENT_ID", "administrator")
        endpoint.fault = once
        _signed_in.cache_clear()
        engine = migration_engine(server.url_for_token)
        engine.connect().close()
        engine.dispose()
        _signed_in.cache_clear()
    assert len(endpoint.asked) == 2


def test_a_migration_that_fails_leaves_nothing_behind(url: str) -> None:
    engine = migration_engine(url)
    there = "SCHEMA operations" if engine.dialect.name == "mssql" else "TABLE operations.audit (x int)"
    with engine.begin() as connection:  # in the way of the second migration
        connection.exec_driver_sql(f"CREATE {there}")
    ran = subprocess.run(
        [sys.executable, "-m", "infra.sql.migrate"],
        cwd=ROOT,
        env={**os.environ, "SqlConnection": url},
        capture_output=True,
        text=True,
        check=False,
    )
    assert ran.returncode == 1
    assert "already" in ran.stderr
    with engine.connect() as connection:
        for schema in ("dbo", "ordering", "catalog", "customers"):
            assert sa.inspect(connection).get_table_names(schema=schema) == []
    engine.dispose()


@needs_unixodbc
@needs_driver
def test_a_firewall_rule_that_azure_sql_does_not_know_yet_is_waited_for_by_a_deployment_alone(
    capsys: pytest.CaptureFixture[str],
) -> None:
    refused = [Error(40615, "Client with IP address '198.51.100.7' is not allowed to access the server.")] * 2
    errors = []
    with tds_server(lambda _: refused.pop() if refused else None) as server:
        engine = migration_engine(server.url)
        for attempt in attempts():
            with attempt:
                try:
                    engine.connect().close()
                except sa.exc.DBAPIError as error:
                    errors.append(error)
                    raise
        engine.dispose()
    assert attempt.num == 3
    assert [is_transient(error) for error in errors] == [False, False], "a running system is not to wait for a rule"
    assert capsys.readouterr().err.count("'198.51.100.7' is not allowed") == 2


@needs_unixodbc
@needs_driver
def test_a_first_connection_that_is_lost_while_sqlalchemy_gets_to_know_it_is_no_failed_deployment() -> None:
    lost: list[Answers] = [Cut()]

    def answer(request: Request) -> Answers:
        return lost.pop() if lost and "ProductVersion" in request.text else None

    with tds_server(answer) as server:
        engine = migration_engine(server.url)
        for attempt in attempts():
            with attempt:
                engine.connect().close()
        engine.dispose()
    assert attempt.num == 2


@needs_unixodbc
@needs_driver
def test_a_migration_waits_for_another_one_that_takes_minutes(capsys: pytest.CaptureFixture[str]) -> None:
    told = [Error(51000, "Another migration has been running for more than a minute.")]

    def answer(request: Request) -> Answers:
        return told.pop() if told and "sp_getapplock" in request.text else None

    with tds_server(answer) as server:
        for attempt in attempts():
            with attempt, migrating_at(server.url) as connection:
                take_turn(connection)
    assert attempt.num == 2
    assert "Another migration has been running" in capsys.readouterr().err


class Recorder:
    """A connection to Azure SQL as far as taking a turn goes: there is none here."""

    dialect = sa.create_mock_engine("mssql+pyodbc://", executor=lambda *_: None).dialect

    def __init__(self) -> None:
        self.executed: list[str] = []

    def exec_driver_sql(self, statement: str) -> None:
        """Take a statement down."""
        self.executed.append(statement)


def test_on_azure_sql_a_migration_waits_for_an_exclusive_lock_that_its_transaction_holds() -> None:
    connection = Recorder()
    take_turn(connection)  # type: ignore[arg-type]  # stands in for a connection
    assert connection.executed == [LOCK]
    assert "@LockMode = 'Exclusive', @LockOwner = 'Transaction'" in LOCK


def noted(version: str, *, changed: int) -> Answering:
    """Answer as a database that has noted a version, and of whose note so many rows are changed."""

    def answer(request: Request) -> Answers:
        if "UPDATE dbo.alembic_version" in request.text and not request.prepares:
            return Done(changed)
        if "sys.objects.name" in request.text and not request.prepares:
            return Rows([("name", "nvarchar(128)")], [["alembic_version"]])
        if "SELECT dbo.alembic_version" in request.text and not request.prepares:
            return Rows([("version_num", "nvarchar(32)")], [[version]])
        return None

    return answer


@needs_unixodbc
@needs_driver
def test_whoever_has_taken_their_turn_on_azure_sql_has_the_rows_counted_that_a_migration_changes() -> None:
    scripts = ScriptDirectory.from_config(alembic_config(""))
    [*_, second, newest] = reversed(list(scripts.walk_revisions()))
    with tds_server(noted(second.revision, changed=1)) as server:
        command.stamp(alembic_config(server.url), newest.revision)
    turn, update = (
        next(number for number, request in enumerate(server.requests) if text in request.text)
        for text in ("sp_getapplock", "UPDATE dbo.alembic_version")
    )
    assert turn < update


@needs_unixodbc
@needs_driver
def test_a_version_that_cannot_be_noted_is_no_later_release() -> None:
    scripts = ScriptDirectory.from_config(alembic_config(""))
    [*_, second, _] = reversed(list(scripts.walk_revisions()))
    with (
        tds_server(noted(second.revision, changed=2)) as server,
        pytest.raises(WrongDatabaseError, match=r"not migrated, and is as it was: .* match one row") as told,
    ):
        migrate(server.url)
    assert "later release" not in str(told.value)


@contextmanager
def left_open() -> Iterator[set[int]]:
    """Give the connections that pools open in the block and have not closed."""
    left: set[int] = set()

    def opened(connection: object, _record: object) -> None:
        left.add(id(connection))

    def closed(connection: object, _record: object) -> None:
        left.discard(id(connection))

    sa.event.listen(sa.pool.Pool, "connect", opened)
    sa.event.listen(sa.pool.Pool, "close", closed)
    try:
        yield left
    finally:
        sa.event.remove(sa.pool.Pool, "connect", opened)
        sa.event.remove(sa.pool.Pool, "close", closed)


def test_a_database_of_a_later_release_is_told_from_others(tmp_path: Path) -> None:
    url = sqlite_database(tmp_path)
    engine = migration_engine(url)
    with engine.begin() as connection:
        connection.execute(sa.text("UPDATE dbo.alembic_version SET version_num = '9999'"))
    engine.dispose()
    with left_open() as left, pytest.raises(WrongDatabaseError, match=r"later release .*'9999'"):
        migrate(url)
    assert not left, "who fails closes its connections too"
