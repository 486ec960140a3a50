"""A tap between the driver and a server counts the requests that it can see."""

import pytest

from shared.frame.sql.engines import sql_engine
from tests.support.odbc import needs_driver, needs_unixodbc
from tests.support.tds import Server, tapped

pytestmark = [needs_unixodbc, needs_driver]


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
