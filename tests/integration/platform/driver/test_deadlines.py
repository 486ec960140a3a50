"""How long a command takes at most, whoever is silent."""

import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from typing import Any
from uuid import uuid4

import pytest
import sqlalchemy as sa
import stamina

from shared.frame.messaging.envelope import Metadata
from shared.frame.sql.engines import sql_engine
from shared.frame.sql.errors import OutOfTime
from shared.frame.write_side import commands
from shared.frame.write_side.commands import WriteSide
from shared.frame.write_side.unit_of_work import CONNECTING, UnitOfWork
from shared.ordering.commands.create_order import create_order
from shared.ordering.jobs.act_on_deadlines import PAGE, Deadlines
from shared.ordering.repository import LOAD
from shared.ordering.tables import LOG
from tests.support.azure_sql import Azure, create
from tests.support.listeners import resetting, silent
from tests.support.odbc import driver, needs_driver, needs_unixodbc
from tests.support.on_its_way import PROCESS_MANAGER
from tests.support.tds import Answers, Error, Request, Rows, Server, Silence

pytestmark = [needs_unixodbc, needs_driver]


@pytest.mark.parametrize(("silent_at", "requests"), [("offer_id", 1), ("BEGIN TRANSACTION", 2)])
@pytest.mark.parametrize(("deadline", "timeout"), [(CONNECTING + 3.5, 1), (12.0, 3)])
def test_a_command_ends_by_its_deadline_though_the_server_is_silent(
    silent_at: str,
    requests: int,
    deadline: float,
    timeout: int,
    server: Server,
    engine: sa.Engine,
    orders: WriteSide,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Three times its statement's time-out: one second where there is little time, or three."""
    monkeypatch.setattr(commands, "DEADLINE", deadline)
    azure, timeouts = Azure(), list[int]()
    server.answer = lambda request: Silence() if silent_at in request.text and not request.prepares else azure(request)

    @sa.event.listens_for(engine, "before_cursor_execute")
    def _look(connection: sa.Connection, *_: object) -> None:
        timeouts.append(connection.get_execution_options()["statement_timeout"])

    begin = time.monotonic()
    with pytest.raises((OutOfTime, sa.exc.DBAPIError)):
        orders.run(create_order, create(), Metadata())
    assert time.monotonic() - begin < deadline + 2, "so much for a slow machine"
    assert set(timeouts) == {timeout}
    assert server.asked[: requests + 1] == ["sp_prepexec"] * requests + ["attention"]


def at(port: int) -> str:
    query = {"driver": str(driver()), "Encrypt": "no"}
    return sa.URL.create("mssql+pyodbc", "u", "p", "127.0.0.1", port, "d", query).render_as_string(hide_password=False)


@pytest.mark.parametrize("listening", [silent, resetting])
def test_a_command_ends_by_its_deadline_though_nobody_can_be_logged_in(
    listening: Callable[[], Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(commands, "DEADLINE", deadline := CONNECTING + 2.5)
    with listening() as port:
        engine = sql_engine(at(port), "ordering")
        begin = time.monotonic()
        with pytest.raises((OutOfTime, sa.exc.DBAPIError)):
            WriteSide(engine, LOG, lambda: None).run(create_order, create(), Metadata())
        assert time.monotonic() - begin < deadline
        engine.dispose()


def test_a_server_that_falls_silent_right_after_the_login_holds_nobody_up(
    server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    """SQLAlchemy would ask it first, and let the others wait until it has answered, one after the other."""
    monkeypatch.setattr(commands, "DEADLINE", deadline := CONNECTING + 3.5)
    server.answer = lambda request: None if request.kind == "login" or "datatype" in request.procedure else Silence()
    engine = sql_engine(server.url, "ordering")
    orders = WriteSide(engine, LOG, lambda: None)

    def seconds(_: int) -> float:
        begin = time.monotonic()
        with pytest.raises((OutOfTime, sa.exc.DBAPIError)):
            orders.run(create_order, create(), Metadata())
        return time.monotonic() - begin

    with ThreadPoolExecutor(4) as threads:
        assert max(threads.map(seconds, range(4))) < deadline
    engine.dispose()


def test_a_command_that_has_no_time_to_log_in_does_not_begin_to() -> None:
    with silent() as port:
        engine = sql_engine(at(port), "ordering")
        work = UnitOfWork(engine, until=time.monotonic() + CONNECTING - 0.1)
        with pytest.raises(OutOfTime):
            work.read(LOAD, {"id": uuid4()})
        engine.dispose()


def test_a_command_whose_connection_came_too_late_sends_nothing_and_gives_it_back(
    server: Server, engine: sa.Engine
) -> None:
    @sa.event.listens_for(engine, "checkout")
    def _late(*_: object) -> None:
        time.sleep(CONNECTING - 2.5)

    kept = []  # for what is gone gives its connection back in any case
    for _ in range(2):
        work = UnitOfWork(engine, until=time.monotonic() + CONNECTING + 0.3)
        with pytest.raises(OutOfTime) as late:
            work.read(LOAD, {"id": uuid4()})  # a silent server would take 3 s of the 2.8 that are left
        kept.append(late)
    assert server.requests == []
    assert engine.pool.checkedout() == 0  # type: ignore[attr-defined]  # the pool is a QueuePool


@pytest.mark.parametrize("number", [40613, 229], ids=["fails over", "refuses the app"])
def test_orders_that_have_waited_too_long_wait_together_for_a_database_that_is_away(
    number: int, server: Server, engine: sa.Engine, orders: WriteSide
) -> None:
    columns = [("due_at", "datetime2(6)"), ("order_id", "uniqueidentifier")]
    now, due = datetime.now(UTC), [uuid4() for _ in range(PAGE)]
    pages = [Rows(columns, [[now.replace(tzinfo=None), each] for each in due]), Rows(columns)]
    tried = list[Request]()

    def be_away(request: Request) -> Answers:
        if request.prepares or "unprepare" in request.procedure or "FROM ordering." not in request.text:
            return None
        if "ORDER BY ordering.fulfilments.due_at" in request.text:
            return pages.pop(0)
        tried.append(request)
        return Error(number)

    server.answer = be_away
    deadlines = Deadlines(orders, engine, PROCESS_MANAGER, lambda: now)
    with stamina.set_testing(True, attempts=1), pytest.raises(sa.exc.DBAPIError, match=str(number)):
        deadlines.act()
    assert len(tried) == 1, "each order would wait for as long as a command may take"
