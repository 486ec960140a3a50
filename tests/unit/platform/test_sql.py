"""Signing in to Azure SQL with a token, and which of its errors a new transaction may not meet again."""

import struct
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from hypothesis import given
from hypothesis import strategies as st

from shared.frame.platform.settings import Settings
from shared.frame.sql.engines import (
    SQL_COPT_SS_ACCESS_TOKEN,
    TOKEN_SCOPE,
    context_engine,
    packed,
    sql_engine,
)
from shared.frame.sql.errors import error_number, is_transient, refuses_the_app
from tests.support.odbc import driver, needs_driver, needs_unixodbc

URL = "mssql+pyodbc://127.0.0.1:1/tandem?driver={}"


@dataclass
class AToken:
    """What a credential gives."""

    token: str


@dataclass
class ExpiringCredential:
    """Gives another token each time, as if the one before had run out."""

    given: list[str] = field(default_factory=list)

    def get_token(self, *scopes: str) -> AToken:
        """Give the next one."""
        assert scopes == (TOKEN_SCOPE,)
        self.given.append(f"token-{len(self.given) + 1}")
        return AToken(self.given[-1])


@given(st.text(st.characters(exclude_categories=["Cs"]), max_size=200))
def test_a_token_is_packed_as_its_length_in_bytes_and_utf_16(token: str) -> None:
    data = packed(token)
    (length,) = struct.unpack_from("<I", data)
    assert length == len(data) - 4
    assert data[4:].decode("utf-16-le") == token


def sql_error(text: str, *, invalidated: bool = False) -> sa.exc.DBAPIError:
    error = sa.exc.DBAPIError("SELECT 1", {}, Exception("42000", text))
    error.connection_invalidated = invalidated
    return error


PASSING = [
    *(64, 233, 596, 10053, 10054, 10060, 42108, 42109),  # the connection is lost, or not to be had
    *(1204, 1205, 1222, 3930),  # another transaction was in the way
    *(4060, 4221, 40143, 40197, 40540, 40613),  # the database fails over, or wakes
    *(10928, 10929, 40501, 49918, 49919, 49920),  # too much is asked of it
]
"""Written by hand on purpose, as the other numbers here: what the code says of itself proves nothing."""


@pytest.mark.parametrize("number", PASSING)
def test_errors_that_pass_are_told_by_their_number(number: int) -> None:
    error = sql_error(f"[42000] [Microsoft][ODBC Driver 18 for SQL Server]Whatever it says ({number}) (SQLExecDirectW)")
    assert error_number(error) == number
    assert is_transient(error)


@pytest.mark.parametrize(
    "error",
    [
        sql_error("[23000] [Microsoft]... Violation of UNIQUE KEY constraint. (2627) (SQLExecDirectW)"),
        sql_error("[42S02] [Microsoft]... Invalid object name 'orders (1205)'. (208) (SQLExecDirectW)"),
        sql_error("no number"),
        RuntimeError("(1205) (SQLExecDirectW)"),
    ],
)
def test_errors_that_stay_are_not_tried_again(error: Exception) -> None:
    assert not is_transient(error)


@pytest.mark.parametrize("number", [229, 230, 916, 18456, 40532, 40615, 40914, 42119, 47073])
def test_refusals_of_the_app_are_told_by_their_number_and_not_tried_again(number: int) -> None:
    error = sql_error(
        f"[HY000] [Microsoft][ODBC Driver 18 for SQL Server]No, for a reason. ({number}) (SQLDriverConnect)"
    )
    assert refuses_the_app(error)
    assert not is_transient(error)


@pytest.mark.parametrize("error", [sql_error("no number"), sql_error("x (2627) (SQLExec)"), OSError("(229) (SQLExec)")])
def test_other_errors_refuse_nobody(error: Exception) -> None:
    assert not refuses_the_app(error)


def test_a_lost_connection_and_a_locked_file_may_be_tried_again() -> None:
    assert is_transient(sql_error("gone", invalidated=True))
    assert is_transient(sa.exc.OperationalError("BEGIN", {}, Exception("database is locked")))


@needs_unixodbc
def test_every_new_connection_asks_for_a_token_of_its_own_and_signs_in_with_nothing_else() -> None:
    credential = ExpiringCredential()
    engine = sql_engine(URL.format("none"), "ordering", credential=credential)
    seen: list[tuple[str, Any]] = []

    @sa.event.listens_for(engine, "do_connect")
    def _look(_dialect: object, _record: object, arguments: list[str], parameters: dict[str, Any]) -> None:
        seen.append((arguments[0], parameters["attrs_before"]))

    for _ in range(3):  # there is no such driver, so each of these is a new connection
        with pytest.raises(sa.exc.DBAPIError):
            engine.connect()

    assert credential.given == ["token-1", "token-2", "token-3"]
    assert [before for _, before in seen] == [{SQL_COPT_SS_ACCESS_TOKEN: packed(token)} for token in credential.given]
    assert not any("trusted_connection" in arguments.lower() for arguments, _ in seen)


@needs_unixodbc
def test_no_pool_beneath_ours_keeps_a_connection_whose_token_has_run_out(monkeypatch: pytest.MonkeyPatch) -> None:
    import pyodbc  # noqa: PLC0415  # needs the system's unixODBC

    monkeypatch.setattr(pyodbc, "pooling", True)
    sql_engine(URL.format("none"), "ordering")
    assert not pyodbc.pooling


def microsofts(url: str) -> sa.Engine:
    """An engine that goes through Microsoft's driver to where nobody listens, and gives up soon."""
    engine = sql_engine(url.format(driver()), "ordering", credential=ExpiringCredential())

    @sa.event.listens_for(engine, "do_connect")
    def _hurry(_dialect: object, _record: object, _arguments: list[str], parameters: dict[str, Any]) -> None:
        parameters["timeout"] = 1

    return engine


@needs_unixodbc
@needs_driver
def test_microsofts_driver_takes_the_token_and_goes_on_to_the_server() -> None:
    with pytest.raises(sa.exc.DBAPIError, match=r"HYT00.*Login timeout expired"):
        microsofts(URL).connect()


@needs_unixodbc
@needs_driver
def test_microsofts_driver_refuses_the_token_beside_another_way_to_sign_in() -> None:
    with pytest.raises(sa.exc.DBAPIError, match="FA005"):
        microsofts(URL.replace("127.0.0.1", "user:password@127.0.0.1")).connect()


@needs_unixodbc
@pytest.mark.parametrize(
    ("url", "driver"),
    [("sqlite:///x.db", "pysqlite"), ("mssql+pyodbc://user:password@server/db?driver=none", "pyodbc")],
)
def test_an_address_that_signs_in_by_itself_needs_no_identity(url: str, driver: str) -> None:
    engine = context_engine(Settings(sql=url, cosmos="", service_bus=""), "ordering")
    assert engine.dialect.driver == driver


def test_an_error_of_the_database_does_not_tell_whom_it_was_about(tmp_path: Path) -> None:
    engine = sql_engine(f"sqlite:///{tmp_path / 'tandem.db'}", "customers")
    with engine.connect() as connection, pytest.raises(sa.exc.DBAPIError) as failed:
        connection.execute(sa.text("INSERT INTO customers.nowhere VALUES (:email)"), {"email": "ada@example.org"})
    engine.dispose()
    assert "ada@example.org" not in str(failed.value)
