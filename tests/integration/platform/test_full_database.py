"""A database that is full, or may not be written: commands are told to come back, and nothing half is kept."""

import sqlite3
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
import sqlalchemy as sa

from shared.customers.commands.register_customer import RegisterCustomer, register_customer
from shared.customers.tables import LOG
from shared.frame.http.problems import problem_of
from shared.frame.messaging.envelope import Metadata
from shared.frame.sql.engines import sql_engine
from shared.frame.sql.errors import is_full, is_transient
from shared.frame.write_side.commands import WriteSide
from tests.support.shop import Shop


def register(engine: sa.Engine) -> None:
    command = RegisterCustomer(customer_id=uuid4(), name="Ada " * 40, email=f"{uuid4()}@example.org")
    WriteSide(engine, LOG, lambda: None).run(register_customer, command, Metadata())


def crowd(engine: sa.Engine) -> None:
    for _ in range(1_000):
        register(engine)


def refused(engine: sa.Engine) -> sa.exc.DBAPIError:
    """Register customers until the database takes no more."""
    with pytest.raises(sa.exc.DBAPIError) as refusal:
        crowd(engine)
    problem = problem_of(refusal.value)
    assert (problem.status, problem.code, problem.headers) == (503, "database-unavailable", {"Retry-After": "1"})
    return refusal.value


def test_a_full_disk_is_a_503_until_there_is_room_again(shop: Shop) -> None:
    engine = shop.customers_engine
    pages = 40

    @sa.event.listens_for(engine, "checkout")
    def _limit(connection: sqlite3.Connection, *_: Any) -> None:
        connection.execute(f"PRAGMA customers.max_page_count = {pages}")

    error = refused(engine)
    assert isinstance(error.orig, sqlite3.Error)
    assert error.orig.sqlite_errorname == "SQLITE_FULL"
    pages = 1_000
    register(engine)


def test_a_database_that_may_not_be_written_is_a_503(shop: Shop) -> None:
    register(shop.customers_engine)
    reader = sql_engine(shop.url, "customers", writes=False)
    try:
        refused(reader)
    finally:
        reader.dispose()


def test_a_folder_that_is_gone_is_a_503(tmp_path: Path) -> None:
    gone = sql_engine(f"sqlite:///{tmp_path / 'nowhere' / 'tandem.db'}", "customers")
    refused(gone)
    gone.dispose()


@pytest.mark.parametrize("number", [1101, 1105, 9002, 40544, 40549, 40550, 40551, 40552, 40553])
def test_azure_sqls_numbers_of_a_full_database_are_known(number: int) -> None:
    said = f"('42000', '[42000] [Microsoft][ODBC Driver 18][SQL Server]No room. ({number}) (SQLExecDirectW)')"
    error = sa.exc.ProgrammingError("INSERT", {}, Exception(said))
    assert is_full(error)
    assert not is_transient(error), "what is full is full when it is tried again at once"
    problem = problem_of(error)
    assert (problem.status, problem.detail) == (503, "The database takes nothing more at the moment.")


@pytest.mark.parametrize(
    "error",
    [
        sa.exc.IntegrityError("INSERT", {}, sqlite3.IntegrityError("UNIQUE constraint failed")),
        sa.exc.ProgrammingError("INSERT", {}, Exception("[42000] Incorrect syntax (102) (SQLExecDirectW)")),
        sa.exc.InvalidRequestError("no"),
        OSError(28, "No space left on device"),
    ],
    ids=repr,
)
def test_other_errors_are_none_of_a_full_database(error: Exception) -> None:
    assert not is_full(error)
