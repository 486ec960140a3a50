"""How long the driver waits for an answer, and what its attention ends."""

from tests.integration.support.tds.conftest import UPDATE
from tests.support.bare_driver import connect, failure
from tests.support.odbc import needs_driver, needs_unixodbc
from tests.support.tds import Delay, Done, Server, Silence, when

pytestmark = [needs_unixodbc, needs_driver]


def test_a_time_out_ends_as_soon_as_the_server_answers_the_attention(server: Server) -> None:
    server.answer = when("orders", Silence(acknowledges=True))
    with connect(server) as connection:
        connection.timeout = 1
        error, seconds = failure(connection, UPDATE, "Ada")
        assert error.args[0] == "HYT00"
        assert 0.9 < seconds < 2.8
        assert server.asked == ["sp_prepexec", "attention"]
        assert connection.execute("SELECT 1").fetchval() == 1  # the connection is as good as before


def test_a_time_out_on_a_silent_server_takes_three_times_as_long(server: Server) -> None:
    server.answer = when("orders", Silence())
    with connect(server) as connection:
        connection.timeout = 1
        error, seconds = failure(connection, UPDATE, "Ada")
        assert error.args[0] == "HYT00"
        assert 2.9 < seconds < 5.9
        assert server.asked == ["sp_prepexec", "attention"]
        error, _ = failure(connection, "SELECT 1")
        assert error.args[0] in {"08S01", "IMC06"}  # a lost link; or one that is not to be taken up again
        assert server.asked == ["sp_prepexec", "attention"]


def test_a_cursor_keeps_the_time_out_that_it_was_made_with(server: Server) -> None:
    server.answer = when("orders", Silence(acknowledges=True))
    with connect(server) as connection:
        connection.timeout = 1
        cursor = connection.cursor()
        connection.timeout = 30
        _, seconds = failure(cursor, UPDATE, "Ada")
    assert seconds < 10


def test_an_attention_ends_a_delay_and_what_was_to_follow(server: Server) -> None:
    server.answer = when("orders", (Delay(0.1), Done(5)), (Delay(5), Done(5)))
    with connect(server) as connection:
        connection.timeout = 1
        assert connection.execute(UPDATE, "Ada").rowcount == 5
        _, seconds = failure(connection, UPDATE, "Ada")
    assert seconds < 4.5
