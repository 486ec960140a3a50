"""Microsoft's driver against the tests' own TDS server: what it sends, and what it makes of an answer."""

import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import closing
from datetime import date, datetime
from decimal import Decimal
from typing import Any
from uuid import UUID

import pytest
import sqlalchemy as sa

from shared.frame.sql.engines import sql_engine
from tests.support.listeners import resetting, silent
from tests.support.odbc import driver, needs_driver, needs_unixodbc
from tests.support.tds import (
    Answer,
    Cut,
    Delay,
    Done,
    Error,
    Request,
    Reset,
    Rows,
    Server,
    Silence,
    ordinary,
    tapped,
    tds_server,
    when,
)

pyodbc = pytest.importorskip("pyodbc", exc_type=ImportError)  # which a missing libodbc.so.2 raises
pyodbc.pooling = False

pytestmark = [needs_unixodbc, needs_driver]

UPDATE = "UPDATE orders SET name = ?"
ID = UUID("0f0e0d0c-0b0a-4908-8706-050403020100")
IDLE = 0.05
"""Seconds after which the driver looks whether a connection still stands before it uses it; it took 3 to 10 ms."""

NOON = datetime(2026, 11, 28, 12, 0, 0, 123_456)  # noqa: DTZ001  # datetime2 has no zone


@pytest.fixture
def server() -> Iterator[Server]:
    with tds_server() as running:
        yield running


def connect(server: Server, *, autocommit: bool = True, extra: str = "") -> Any:
    """Connect by pyodbc, and forget what that took."""
    connection = pyodbc.connect(server.odbc + extra, autocommit=autocommit)
    server.forget()
    return closing(connection)


def names(server: Server) -> list[str]:
    """What was asked since: the procedure's name, or the kind."""
    return [request.procedure or request.kind for request in server.requests]


def failure(connection: Any, *arguments: object) -> tuple[Any, float]:
    """Execute what must fail; gives the error, and how long it took in seconds."""
    began = time.monotonic()
    with pytest.raises(pyodbc.Error) as failed:
        connection.execute(*arguments)
    return failed.value, time.monotonic() - began


def test_a_login_is_seen_with_user_password_and_database(server: Server) -> None:
    with closing(pyodbc.connect(server.odbc)):
        login = server.requests[0].login
    assert login
    assert (login.user, login.password, login.database, login.token) == ("tandem", "no-secret", "tandem", None)
    assert server.connections == 1


def test_a_login_is_seen_with_the_token_that_the_product_gives_the_driver(server: Server) -> None:
    class Credential:
        token = "of-an-identity"  # noqa: S105  # of nobody's

        def get_token(self, *_scopes: str) -> "Credential":
            return self

    engine = sql_engine(server.url_for_token, "ordering", credential=Credential())
    with engine.connect():
        login = server.requests[0].login
    engine.dispose()
    assert login
    assert (login.user, login.password, login.token) == ("", "", "of-an-identity")


def test_sqlalchemy_learns_what_it_asks_of_azure_sql(server: Server) -> None:
    engine = sa.create_engine(server.url)
    with engine.connect() as connection:
        assert engine.dialect.server_version_info == (12, 0, 2000, 8)
        assert connection.get_isolation_level() == "READ COMMITTED"
        assert engine.dialect.default_schema_name == "dbo"
    engine.dispose()


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
    assert names(server) == ["sp_prepexec"] * 3 + ["sp_unprepare"]


def test_a_new_cursor_costs_an_unprepare_as_soon_as_the_old_one_goes(server: Server) -> None:
    with connect(server) as connection:
        for _ in range(2):
            connection.execute(UPDATE, "Ada").close()
    assert names(server) == ["sp_prepexec", "sp_unprepare"] * 2


def test_none_costs_a_question_for_its_type_and_a_typed_null_does_not(server: Server) -> None:
    with connect(server) as connection, closing(connection.cursor()) as cursor:
        cursor.setinputsizes([(pyodbc.SQL_WVARCHAR, 40, 0)])
        cursor.execute(UPDATE, None)
        cursor.execute(UPDATE, None)  # a kept cursor remembers
        assert names(server) == ["sp_describe_undeclared_parameters", "sp_prepexec", "sp_prepexec"]

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
        assert names(server) == ["sp_prepare", "sp_execute"]
        assert server.requests[-1].values == ("x" * 10_000,)

        server.forget()
        connection.maxwrite = 2**30
        cursor.execute(UPDATE, "x" * 1_000_000)
        assert names(server) == ["sp_prepexec"]
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


def test_a_time_out_ends_as_soon_as_the_server_answers_the_attention(server: Server) -> None:
    server.answer = when("orders", Silence(acknowledges=True))
    with connect(server) as connection:
        connection.timeout = 1
        error, seconds = failure(connection, UPDATE, "Ada")
        assert error.args[0] == "HYT00"
        assert 0.9 < seconds < 2.8
        assert names(server) == ["sp_prepexec", "attention"]
        assert connection.execute("SELECT 1").fetchval() == 1  # the connection is as good as before


def test_a_time_out_on_a_silent_server_takes_three_times_as_long(server: Server) -> None:
    server.answer = when("orders", Silence())
    with connect(server) as connection:
        connection.timeout = 1
        error, seconds = failure(connection, UPDATE, "Ada")
        assert error.args[0] == "HYT00"
        assert 2.9 < seconds < 5.9
        assert names(server) == ["sp_prepexec", "attention"]
        error, _ = failure(connection, "SELECT 1")
        assert error.args[0] in {"08S01", "IMC06"}  # a lost link; or one that is not to be taken up again
        assert names(server) == ["sp_prepexec", "attention"]


def test_a_cursor_keeps_the_time_out_that_it_was_made_with(server: Server) -> None:
    server.answer = when("orders", Silence(acknowledges=True))
    with connect(server) as connection:
        connection.timeout = 1
        cursor = connection.cursor()
        connection.timeout = 30
        _, seconds = failure(cursor, UPDATE, "Ada")
    assert seconds < 10


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


def test_an_attention_ends_a_delay_and_what_was_to_follow(server: Server) -> None:
    server.answer = when("orders", (Delay(0.1), Done(5)), (Delay(5), Done(5)))
    with connect(server) as connection:
        connection.timeout = 1
        assert connection.execute(UPDATE, "Ada").rowcount == 5
        _, seconds = failure(connection, UPDATE, "Ada")
    assert seconds < 4.5


@pytest.mark.parametrize("how", [Reset(), Cut()])
def test_a_connection_that_ends_in_place_of_an_answer_is_a_lost_link(server: Server, how: Answer) -> None:
    server.answer = when("orders", how)
    with connect(server) as connection:
        error, seconds = failure(connection, UPDATE, "Ada")
        assert error.args[0] == "08S01"
        assert seconds < 5
        assert names(server) == ["sp_prepexec"]  # not sent again: it may have been done


def test_a_lost_answer_to_a_commit_is_a_lost_link(server: Server) -> None:
    server.answer = when("COMMIT", Cut())
    with connect(server, autocommit=False) as connection:
        connection.execute("DELETE FROM orders")
        with pytest.raises(pyodbc.OperationalError, match=r"08S01.*SQLEndTran"):
            connection.commit()


def test_an_idle_session_that_was_lost_is_taken_up_again_by_the_driver(server: Server) -> None:
    with connect(server) as connection:
        time.sleep(IDLE)
        server.end_connections()
        connection.execute(UPDATE, "Ada")
        assert names(server)[:2] == ["login", "sp_prepexec"]
        login = server.requests[0].login
        assert login
        assert login.resumes


@pytest.mark.parametrize("options", [{"autocommit": False}, {"extra": ";ConnectRetryCount=0"}])
def test_it_is_not_with_a_transaction_open_nor_where_the_driver_may_not(server: Server, options: Any) -> None:
    with connect(server, **options) as connection:
        time.sleep(IDLE)
        server.end_connections()
        error, seconds = failure(connection, UPDATE, "Ada")
        assert error.args[0] == "08S01"
        assert seconds < 5
        assert server.requests == []


def test_a_session_is_not_taken_up_again_by_a_server_that_does_not_offer_it() -> None:
    with tds_server(recovers=False) as server, connect(server) as connection:
        time.sleep(IDLE)
        server.end_connections("FIN")
        error, _ = failure(connection, UPDATE, "Ada")
    assert error.args[0] == "08S01"


def test_an_error_may_meet_a_login(server: Server) -> None:
    server.answer = lambda request: Error(40613, severity=14) if request.kind == "login" else None
    with pytest.raises(pyodbc.Error, match="40613"):
        pyodbc.connect(server.odbc)


def test_each_connection_is_told_apart(server: Server) -> None:
    for _ in range(2):
        with closing(pyodbc.connect(server.odbc, autocommit=True)) as connection:
            connection.execute("SELECT 1")
    assert [request.connection for request in server.requests if request.kind == "batch"] == [1, 2]


def test_a_failure_of_the_answer_fails_the_test() -> None:
    def answer(request: Request) -> Answer:
        if "orders" in request.text:
            raise ValueError("a mistake in the test")
        return ordinary(request)

    with pytest.raises(ExceptionGroup, match="TDS") as failed, tds_server(answer) as it, connect(it) as connection:
        failure(connection, UPDATE, "Ada")
    assert failed.group_contains(ValueError, match="a mistake in the test")


def test_a_listener_that_is_silent_or_resets_is_no_server() -> None:
    with silent() as port, pytest.raises(pyodbc.Error, match="HYT00"):
        pyodbc.connect(f"DRIVER={{{driver()}}};SERVER=127.0.0.1,{port};UID=a;PWD=b;Encrypt=no", timeout=1)
    with resetting() as port, pytest.raises(pyodbc.Error, match=r"08001|HYT00"):  # it tries until its time is up
        pyodbc.connect(f"DRIVER={{{driver()}}};SERVER=127.0.0.1,{port};UID=a;PWD=b;Encrypt=no", timeout=1)


def test_a_tap_hears_every_request_and_nothing_of_the_login(server: Server) -> None:
    with tapped(server.url) as (url, tap):
        engine = sql_engine(url, "ordering")
        with engine.connect() as connection:
            before = len(server.requests)
            assert tap.requests == before - server.connections
            for text in ("SELECT 1", "SELECT '" + "x" * 9_000 + "'"):  # a packet, and several
                connection.exec_driver_sql(text).close()
            assert tap.requests - before + server.connections == len(server.requests) - before == 2
        engine.dispose()


def test_a_tap_refuses_what_it_could_not_see(server: Server) -> None:
    with pytest.raises(ValueError, match="Encrypt=no"), tapped(server.url.replace("Encrypt=no", "Encrypt=yes")):
        pass
