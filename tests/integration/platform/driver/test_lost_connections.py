"""A connection that broke or fell silent is made anew, costs no other one, and what it was to carry is tried again."""

import time
from typing import Any
from uuid import uuid4

import pytest
import sqlalchemy as sa

from shared.catalog.tables import LOG as CATALOG
from shared.customers.tables import LOG as CUSTOMERS
from shared.frame.messaging.envelope import Accepted, Metadata
from shared.frame.sql.errors import is_lost, is_transient, sqlstate
from shared.frame.sql.odbc import _Cursor
from shared.frame.sql.reading import read_from
from shared.frame.write_side.commands import WriteSide
from shared.frame.write_side.event_log import EventLog
from shared.frame.write_side.relay import Relay
from shared.ordering.commands.create_order import create_order
from shared.ordering.tables import LOG
from shared.ordering.tables import LOG as ORDERING
from tests.support.azure_sql import NO_EVENTS, Azure, conflict, create
from tests.support.odbc import IDLE, needs_driver, needs_unixodbc
from tests.support.tds import Answer, Cut, Error, Reset, Server, Silence, ordinary
from tests.support.topic import KeptTopic

pytestmark = [needs_unixodbc, needs_driver]

ORDER = uuid4()
IMC = [f"IMC0{number}" for number in range(1, 8)]


@pytest.mark.parametrize("state", ["08001", "08003", "08007", "08S01", "08S02", "HY010", "HYT00", "HYT01", *IMC])
def test_each_state_of_a_link_that_broke_or_was_silent_costs_its_connection(
    state: str, server: Server, engine: sa.Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Not each can be had from the driver: of what it says of a session that cannot be resumed (IMC), only IMC06 is."""
    error = engine.dialect.dbapi.OperationalError(state, f"[{state}] [Microsoft][ODBC Driver 18 for SQL Server]")  # type: ignore[union-attr]  # pyodbc

    def fail(*_: object) -> None:
        raise error

    connections = [engine.connect() for _ in range(2)]
    with monkeypatch.context() as broken:
        broken.setattr(_Cursor, "execute", fail)
        with pytest.raises(sa.exc.DBAPIError) as caught:
            connections[0].execute(sa.select(sa.literal(1)))
    assert is_transient(caught.value)
    assert is_lost(caught.value) is not state.startswith("HYT")
    server.forget()
    for connection in connections:
        connection.close()
    with engine.connect(), engine.connect():
        assert server.connections == (1 if state.startswith("HYT") else 2)


@pytest.mark.parametrize("lost", [Error(1205), Error(1222), Error(3930), Error(40613), Reset(), Cut()], ids=str)
def test_a_batch_whose_answer_never_came_is_sent_again_and_told_as_done(
    lost: Answer, server: Server, orders: WriteSide
) -> None:
    command = create()
    server.answer = Azure(lost, conflict(4, (command.order_id, bytes(32), 1)))
    assert orders.run(create_order, command, Metadata()) == Accepted(command.order_id, 1, replayed=True)


@pytest.mark.parametrize(
    ("outcomes", "requests"),
    [
        ([], 2),
        ([conflict(4, (ORDER, bytes(32), 1))], 2),
        ([Cut(), conflict(4, (ORDER, bytes(32), 1))], 4),
    ],
    ids=["answered", "asked for again", "answer lost"],
)
def test_the_publisher_is_woken_for_what_is_in_the_log_though_the_answer_was_lost(
    outcomes: list[Answer], requests: int, server: Server, engine: sa.Engine
) -> None:
    """Its first request may have woken nobody: the answer was lost, or the process."""
    woken: list[bool] = []
    server.answer = Azure(*outcomes)
    WriteSide(engine, LOG, lambda: woken.append(True)).run(create_order, create(ORDER), Metadata())
    assert woken
    assert server.asked.count("sp_prepexec") == requests


def test_connections_that_were_lost_while_idle_are_made_anew(
    server: Server, engine: sa.Engine, orders: WriteSide
) -> None:
    for recovers in (True, False):
        server.recovers = recovers
        orders.run(create_order, create(), Metadata())
        read_from(engine, LOG.claims.unpublished)
        server.end_connections()
        assert read_from(engine, LOG.claims.unpublished) == (0, None)
        server.end_connections()
        assert orders.run(create_order, create(), Metadata()).version == 1


@pytest.mark.parametrize(
    ("login", "state"),
    [(Error(40613, severity=14), "08S01"), (Error(18456, severity=14), "08S01"), (Silence(), "HYT00")],
    ids=["fails over", "refuses the token", "silent"],
)
def test_a_lost_session_that_is_not_resumed_may_be_tried_again_and_costs_its_connection(
    login: Answer, state: str, server: Server, engine: sa.Engine
) -> None:
    with engine.connect() as connection:
        time.sleep(IDLE)
        server.answer = lambda request: login if request.kind == "login" else None
        server.end_connections()
        with pytest.raises(sa.exc.DBAPIError) as caught:
            connection.execution_options(statement_timeout=1).execute(sa.select(sa.literal(1)))
    assert sqlstate(caught.value) == state
    assert is_transient(caught.value)
    assert caught.value.connection_invalidated
    assert [request.login.resumes for request in server.requests if request.login] == [True]
    server.answer = ordinary
    server.forget()
    with engine.connect() as connection:
        assert connection.execute(sa.text("SELECT 1")).scalar_one() == 1
    assert [request.login.resumes for request in server.requests if request.login] == [False]


def test_a_time_out_costs_its_own_connection_and_no_other(server: Server, engine: sa.Engine) -> None:
    connections = [engine.connect() for _ in range(3)]
    server.answer = lambda request: Silence(acknowledges=True) if "slow" in request.text else None
    options = {"statement_timeout": 1}
    with pytest.raises(sa.exc.DBAPIError, match="HYT00"):
        connections[0].execution_options(**options).execute(sa.text("SELECT 1 AS slow"))
    for connection in connections:
        connection.close()
    logins = server.connections
    connections = [engine.connect() for _ in range(3)]
    for connection in connections:
        connection.execute(sa.select(sa.literal(1)))
        connection.close()
    assert server.connections == logins + 1


@pytest.mark.parametrize("log", [ORDERING, CATALOG, CUSTOMERS], ids=lambda log: log.table.schema)
def test_what_a_relay_does_is_tried_again_where_its_connection_was_lost(
    log: EventLog[Any], server: Server, engine: sa.Engine
) -> None:
    server.recovers = False
    server.answer = lambda request: NO_EVENTS if "@claimed" in request.text and not request.prepares else None
    relay = Relay(engine, log, KeptTopic())
    assert relay.run() == 0
    server.end_connections()
    assert relay.run() == 0
