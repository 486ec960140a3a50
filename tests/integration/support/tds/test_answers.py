"""What the driver makes of rows, counts and errors."""

from datetime import date
from decimal import Decimal

import pytest

from tests.integration.support.tds.conftest import ID, NOON, UPDATE
from tests.support.bare_driver import connect, failure, pyodbc
from tests.support.odbc import needs_driver, needs_unixodbc
from tests.support.tds import Answer, Done, Error, Request, Rows, Server, ordinary, tds_server, when

pytestmark = [needs_unixodbc, needs_driver]


@pytest.mark.parametrize(
    ("kind", "value"),
    [
        ("int", -7),
        ("bigint", 2**62),
        ("bit", True),
        ("nvarchar(40)", "Ada \N{SNOWMAN}"),
        ("nvarchar(max)", "\N{GRINNING FACE}" * 10_000),
        ("varchar(40)", "Ada"),
        ("uniqueidentifier", str(ID).upper()),
        ("datetime2(6)", NOON),
        ("date", date(2026, 11, 28)),
        ("decimal(19,4)", Decimal("-12.3456")),
        ("float", 1.5),
        ("binary(32)", bytes(range(32))),
    ],
)
def test_rows_of_each_type_arrive_and_so_does_null(server: Server, kind: str, value: object) -> None:
    server.answer = when("orders", Rows([("first", kind), ("second", kind)], [[value, None], [None, value]]))
    with connect(server) as connection:
        cursor = connection.execute("SELECT first, second FROM orders")
        assert [column[0] for column in cursor.description] == ["first", "second"]
        assert [tuple(row) for row in cursor] == [(value, None), (None, value)]


def test_row_counts_arrive_and_none_is_none(server: Server) -> None:
    server.answer = when("orders", Done(3), Done(None))
    with connect(server) as connection:
        assert connection.execute(UPDATE, 1).rowcount == 3
        assert connection.execute(UPDATE, 1).rowcount == -1
        assert connection.execute(UPDATE, 1).rowcount == 0  # the server's own answer


def test_a_batch_that_ends_the_counting_ends_it_for_all_that_follow_and_a_procedure_for_itself_alone(
    server: Server,
) -> None:
    server.answer = lambda request: Done(1) if "orders" in request.text and not request.prepares else None
    with connect(server) as connection:
        assert connection.execute(f"SET XACT_ABORT, NOCOUNT ON; {UPDATE}", 1).rowcount == -1
        assert connection.execute(UPDATE, 1).rowcount == 1
        connection.execute("SET NOCOUNT, XACT_ABORT ON")
        assert connection.execute(UPDATE, 1).rowcount == -1
        connection.execute("set nocount off")
        assert connection.execute(UPDATE, 1).rowcount == 1
    with connect(server) as connection:
        assert connection.execute(UPDATE, 1).rowcount == 1


@pytest.mark.parametrize(
    ("number", "severity", "kind", "state"),
    [
        (1205, 13, pyodbc.Error, "40001"),
        (1222, 16, pyodbc.ProgrammingError, "42000"),
        (2601, 14, pyodbc.IntegrityError, "23000"),
        (2627, 14, pyodbc.IntegrityError, "23000"),
        (3930, 16, pyodbc.ProgrammingError, "42000"),
        (40613, 16, pyodbc.ProgrammingError, "42000"),
        (50409, 16, pyodbc.ProgrammingError, "42000"),
        (40197, 20, pyodbc.Error, "HY000"),
    ],
)
def test_an_error_arrives_with_its_number_as_the_drivers_own_object(
    server: Server, number: int, severity: int, kind: type[Exception], state: str
) -> None:
    server.answer = when("orders", Error(number, "No, \N{SNOWMAN}.", severity=severity))
    with connect(server) as connection:
        error, _ = failure(connection, UPDATE, "Ada")
    assert type(error) is kind
    assert error.args == (
        state,
        f"[{state}] [Microsoft][ODBC Driver 18 for SQL Server][SQL Server]No, \N{SNOWMAN}. ({number}) (SQLExecDirectW)",
    )


@pytest.mark.parametrize("first", [Rows([("id", "int")], [[1]]), Done(1)])
def test_an_error_behind_a_first_result_is_seen_with_the_next_one(server: Server, first: Answer) -> None:
    server.answer = when("orders", (first, Error(50409)))
    with connect(server) as connection:
        cursor = connection.execute(UPDATE, "Ada")
        with pytest.raises(pyodbc.Error, match="50409"):
            cursor.nextset()


def test_an_error_behind_statements_without_a_count_is_seen_at_once(server: Server) -> None:
    server.answer = when("orders", (Done(None), Error(50409)))
    with connect(server) as connection:
        error, _ = failure(connection, UPDATE, "Ada")
    assert "(50409)" in error.args[1]


def test_a_kept_cursor_holds_its_connection_until_its_last_result_was_asked_for(server: Server) -> None:
    server.answer = when("orders", (Rows([("id", "int")], [[1]]), Done(1)))
    with connect(server) as connection:
        cursor = connection.execute("SELECT id FROM orders")
        assert cursor.fetchall() != []
        error, _ = failure(connection, "SELECT 1")
        assert "Connection is busy" in error.args[1]
        while cursor.nextset():
            pass
        assert connection.execute("SELECT 1").fetchval() == 1


def test_a_failure_of_the_answer_fails_the_test() -> None:
    def answer(request: Request) -> Answer:
        if "orders" in request.text:
            raise ValueError("a mistake in the test")
        return ordinary(request)

    with pytest.raises(ExceptionGroup, match="TDS") as failed, tds_server(answer) as it, connect(it) as connection:
        failure(connection, UPDATE, "Ada")
    assert failed.group_contains(ValueError, match="a mistake in the test")
