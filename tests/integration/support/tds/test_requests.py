"""What the driver sends for statements, their parameters and transactions."""

import subprocess
import sys
from contextlib import closing
from decimal import Decimal

import pytest

from tests.integration.support.tds.conftest import ID, NOON, UPDATE
from tests.support.bare_driver import connect, pyodbc
from tests.support.odbc import needs_driver, needs_unixodbc
from tests.support.tds import Server

pytestmark = [needs_unixodbc, needs_driver]


def test_a_statement_with_parameters_is_one_request_that_declares_them(server: Server) -> None:
    with connect(server) as connection:
        connection.execute("INSERT INTO orders VALUES (?, ?)", ID, 7)
    [request, *_] = server.requests
    assert request.procedure == "sp_prepexec"
    assert request.text == "INSERT INTO orders VALUES (@P1, @P2)"
    assert request.declaration == "@P1 uniqueidentifier,@P2 int"
    assert request.values == (ID, 7)


def test_a_kept_cursor_prepares_in_the_request_that_gives_up_what_it_had_prepared(server: Server) -> None:
    """Bindings are reset by pyodbc each time, so the driver never sends sp_execute; the request is one all the same."""
    with connect(server) as connection, closing(connection.cursor()) as cursor:
        for number in range(3):
            cursor.execute(UPDATE, number)
    assert server.asked == ["sp_prepexec"] * 3 + ["sp_unprepare"]


def test_a_new_cursor_costs_an_unprepare_as_soon_as_the_old_one_goes(server: Server) -> None:
    with connect(server) as connection:
        for _ in range(2):
            connection.execute(UPDATE, "Ada").close()
    assert server.asked == ["sp_prepexec", "sp_unprepare"] * 2


def test_none_costs_a_question_for_its_type_and_a_typed_null_does_not(server: Server) -> None:
    with connect(server) as connection, closing(connection.cursor()) as cursor:
        cursor.setinputsizes([(pyodbc.SQL_WVARCHAR, 40, 0)])
        cursor.execute(UPDATE, None)
        cursor.execute(UPDATE, None)  # a kept cursor remembers
        assert server.asked == ["sp_describe_undeclared_parameters", "sp_prepexec", "sp_prepexec"]

    with connect(server) as connection, closing(connection.cursor()) as cursor:
        cursor.setinputsizes([(pyodbc.SQL_WVARCHAR, 40, 0)])
        cursor.execute(UPDATE, pyodbc.BinaryNull)
        [request] = server.requests
    assert (request.declaration, request.values) == ("@P1 nvarchar(40)", (None,))


@pytest.mark.parametrize(
    ("size", "value", "declared"),
    [
        ((pyodbc.SQL_WVARCHAR, 0, 0), "Ada \N{SNOWMAN} \N{GRINNING FACE}", "nvarchar(max)"),
        ((pyodbc.SQL_WVARCHAR, 0, 0), "", "nvarchar(max)"),
        ((pyodbc.SQL_WVARCHAR, 20, 0), "Ada", "nvarchar(20)"),
        ((pyodbc.SQL_VARCHAR, 20, 0), "Ada", "varchar(20)"),
        ((pyodbc.SQL_INTEGER, 0, 0), -7, "int"),
        ((pyodbc.SQL_BIGINT, 0, 0), -(2**40), "bigint"),
        ((pyodbc.SQL_BIT, 0, 0), True, "bit"),
        ((pyodbc.SQL_GUID, 16, 0), ID, "uniqueidentifier"),
        ((pyodbc.SQL_DECIMAL, 19, 4), Decimal("-12.3456"), "decimal(19,4)"),
        ((pyodbc.SQL_TYPE_TIMESTAMP, 26, 6), NOON, "datetime2"),
        ((pyodbc.SQL_TYPE_DATE, 10, 0), NOON.date(), "date"),
        ((pyodbc.SQL_DOUBLE, 0, 0), 1.5, "float"),
        ((pyodbc.SQL_BINARY, 32, 0), bytes(range(32)), "binary(32)"),
        ((pyodbc.SQL_VARBINARY, 0, 0), bytes(range(32)), "varbinary(max)"),
    ],
)
def test_a_parameter_is_declared_as_its_size_is_set(server: Server, size: object, value: object, declared: str) -> None:
    with connect(server) as connection, closing(connection.cursor()) as cursor:
        cursor.setinputsizes([size])
        cursor.execute(UPDATE, value)
        cursor.execute(UPDATE, pyodbc.BinaryNull)
        requests = server.requests
    assert [(request.declaration, request.values) for request in requests] == [
        (f"@P1 {declared}", (value,)),
        (f"@P1 {declared}", (None,)),
    ]


def test_long_text_takes_two_requests_until_the_connection_may_write_it_at_once(server: Server) -> None:
    with connect(server) as connection, closing(connection.cursor()) as cursor:
        cursor.setinputsizes([(pyodbc.SQL_WVARCHAR, 0, 0)])
        cursor.execute(UPDATE, "x" * 10_000)
        assert server.asked == ["sp_prepare", "sp_execute"]
        assert server.requests[-1].values == ("x" * 10_000,)

        server.forget()
        connection.maxwrite = 2**30
        cursor.execute(UPDATE, "x" * 1_000_000)
        assert server.asked == ["sp_prepexec"]
        assert server.requests[-1].values == ("x" * 1_000_000,)


def test_many_rows_at_once_are_one_message_of_many_calls(server: Server) -> None:
    """In a process of its own: pyodbc would hold the lock that the server needs."""
    program = """if True:
        import pyodbc, sys
        with pyodbc.connect(sys.argv[1], autocommit=True) as connection:
            cursor = connection.cursor()
            cursor.fast_executemany = True
            cursor.executemany("INSERT INTO lines VALUES (?)", [("a",), ("b",), ("c",)])
        """
    subprocess.run([sys.executable, "-c", program, server.odbc], check=True, timeout=30)
    asked = [request for request in server.requests if "lines" in request.text]
    assert [(request.procedure, request.values, request.along) for request in asked] == [
        ("sp_describe_undeclared_parameters", (), False),
        ("sp_prepare", (), False),
        ("sp_execute", ("a",), False),
        ("sp_execute", ("b",), True),
        ("sp_execute", ("c",), True),
        ("sp_unprepare", (), False),
    ]


def test_a_transaction_begins_with_the_commit_of_the_one_before(server: Server) -> None:
    with closing(pyodbc.connect(server.odbc)) as connection:
        connection.execute("DELETE FROM orders")
        connection.commit()
        connection.execute("DELETE FROM orders")
        connection.rollback()
        asked = [request.text for request in server.requests if request.kind in {"transaction", "batch"}]
    assert asked == ["BEGIN", "DELETE FROM orders", "COMMIT", "DELETE FROM orders", "ROLLBACK"]


def test_a_commit_under_autocommit_sends_nothing(server: Server) -> None:
    with connect(server) as connection:
        connection.commit()
        connection.rollback()
        assert server.requests == []
