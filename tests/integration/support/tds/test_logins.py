"""A login is seen with all that it tells, may fail, and begins a connection of its own."""

from contextlib import closing

import pytest
import sqlalchemy as sa

from shared.frame.sql.engines import sql_engine
from tests.support.bare_driver import pyodbc
from tests.support.listeners import resetting, silent
from tests.support.odbc import driver, needs_driver, needs_unixodbc
from tests.support.tds import Error, Server

pytestmark = [needs_unixodbc, needs_driver]


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


def test_an_error_may_meet_a_login(server: Server) -> None:
    server.answer = lambda request: Error(40613, severity=14) if request.kind == "login" else None
    with pytest.raises(pyodbc.Error, match="40613"):
        pyodbc.connect(server.odbc)


def test_each_connection_is_told_apart(server: Server) -> None:
    for _ in range(2):
        with closing(pyodbc.connect(server.odbc, autocommit=True)) as connection:
            connection.execute("SELECT 1")
    assert [request.connection for request in server.requests if request.kind == "batch"] == [1, 2]


def test_a_listener_that_is_silent_or_resets_is_no_server() -> None:
    with silent() as port, pytest.raises(pyodbc.Error, match="HYT00"):
        pyodbc.connect(f"DRIVER={{{driver()}}};SERVER=127.0.0.1,{port};UID=a;PWD=b;Encrypt=no", timeout=1)
    with resetting() as port, pytest.raises(pyodbc.Error, match=r"08001|HYT00"):  # it tries until its time is up
        pyodbc.connect(f"DRIVER={{{driver()}}};SERVER=127.0.0.1,{port};UID=a;PWD=b;Encrypt=no", timeout=1)
