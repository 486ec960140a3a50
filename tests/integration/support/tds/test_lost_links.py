"""What the driver makes of a connection that ends, and when it takes a session up again."""

import time
from typing import Any

import pytest

from tests.integration.support.tds.conftest import UPDATE
from tests.support.bare_driver import connect, failure, pyodbc
from tests.support.odbc import IDLE, needs_driver, needs_unixodbc
from tests.support.tds import Answer, Cut, Reset, Server, tds_server, when

pytestmark = [needs_unixodbc, needs_driver]


@pytest.mark.parametrize("how", [Reset(), Cut()])
def test_a_connection_that_ends_in_place_of_an_answer_is_a_lost_link(server: Server, how: Answer) -> None:
    server.answer = when("orders", how)
    with connect(server) as connection:
        error, seconds = failure(connection, UPDATE, "Ada")
        assert error.args[0] == "08S01"
        assert seconds < 5
        assert server.asked == ["sp_prepexec"]  # not sent again: it may have been done


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
        assert server.asked[:2] == ["login", "sp_prepexec"]
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
