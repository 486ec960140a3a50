"""What Microsoft's driver sends for a command, and what becomes of its errors; no SQL is run (tests/support/tds)."""

import re
import time
import traceback
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from typing import Any
from uuid import uuid4

import pytest
import sqlalchemy as sa

from infra.sql.tsql import entry, statements
from shared.catalog.tables import LOG as CATALOG
from shared.customers.tables import LOG as CUSTOMERS
from shared.frame.messaging.envelope import Accepted, Metadata
from shared.frame.sql.engines import sql_engine
from shared.frame.sql.errors import TRANSIENT, error_number, is_lost, is_transient, sqlstate
from shared.frame.sql.odbc import KEPT, _Cursor
from shared.frame.sql.reading import read_from
from shared.frame.write_side import commands
from shared.frame.write_side.commands import WriteSide
from shared.frame.write_side.event_log import EventLog, Settled
from shared.frame.write_side.relay import Relay
from shared.frame.write_side.unit_of_work import CONNECTING, OutOfTime, UnitOfWork
from shared.ordering.commands.create_order import Item, create_order
from shared.ordering.commands.submit_order import SubmitOrder, submit_order
from shared.ordering.domain.errors import OrderAlreadyExists, OrderNotFound
from shared.ordering.repository import LOAD
from shared.ordering.tables import LOG, ORDERS
from shared.ordering.tables import LOG as ORDERING
from tests.support.azure_sql import NO_EVENTS, PRODUCT, WRITTEN, Azure, conflict, create
from tests.support.counting import counting_sql
from tests.support.listeners import resetting, silent
from tests.support.odbc import driver, needs_driver, needs_unixodbc
from tests.support.shop import SHIPPING
from tests.support.tds import (
    Answer,
    Answers,
    Cut,
    Error,
    Request,
    Reset,
    Rows,
    Server,
    Silence,
    ordinary,
    tds_server,
)
from tests.support.topic import KeptTopic

pytestmark = [needs_unixodbc, needs_driver]

RESUMABLE = 0.05
"""Seconds after which the driver looks whether a connection still stands before it uses it; it took 3 to 10 ms."""


@pytest.fixture
def server() -> Iterator[Server]:
    with tds_server(Azure()) as running:
        yield running


@pytest.fixture
def engine(server: Server) -> Iterator[sa.Engine]:
    engine = sql_engine(server.url, "ordering")
    with engine.connect():
        server.forget()
    yield engine
    engine.dispose()


@pytest.fixture
def orders(engine: sa.Engine) -> WriteSide:
    return WriteSide(engine, LOG, committed=lambda: None)


def sent(server: Server) -> list[str]:
    return [request.procedure or request.kind for request in server.requests]


def test_a_command_is_two_requests_the_first_time_and_ever_after(server: Server, orders: WriteSide) -> None:
    for _ in range(3):
        orders.run(create_order, create(), Metadata())
    assert sent(server) == ["sp_prepexec"] * 6
    load, batch = server.requests[-2:]
    assert load.declaration == "@P1 uniqueidentifier,@P2 uniqueidentifier,@P3 nvarchar(max)"
    assert batch.declaration == "@P1 nvarchar(max),@P2 binary(32),@P3 nvarchar(255)"


def test_a_cursor_is_kept_for_each_of_the_two_time_outs_and_costs_no_request(
    server: Server, engine: sa.Engine, orders: WriteSide, monkeypatch: pytest.MonkeyPatch
) -> None:
    for deadline in (10, 8, 10, 8):  # with three and with one second for a statement
        monkeypatch.setattr(commands, "DEADLINE", deadline)
        orders.run(create_order, create(), Metadata())
    assert sent(server) == ["sp_prepexec"] * 8
    with engine.connect() as connection:
        kept = connection.connection.dbapi_connection.kept  # type: ignore[union-attr]  # of KeptCursors
        texts = Counter(text for text, _ in kept if "ordering." in text)
        assert sorted(texts.values()) == [2, 2]


def test_the_cursors_that_were_used_last_are_kept_and_no_more_than_a_hundred(server: Server, engine: sa.Engine) -> None:
    texts = [f"SELECT {number} AS n WHERE 1 = :one" for number in range(KEPT + 3)]
    with engine.connect() as connection:
        for text in (*texts[:KEPT], texts[0], *texts[KEPT:]):
            connection.execute(sa.text(text), {"one": 1}).close()
        kept = connection.connection.dbapi_connection.kept  # type: ignore[union-attr]  # of KeptCursors
        assert len(kept) == KEPT == 100
        numbers = [int(text.split()[1]) for text, _ in kept]
        assert numbers == [*range(4, KEPT), 0, *range(KEPT, KEPT + 3)]
        server.forget()
        for text in texts[:2]:  # one that is kept, and one that was given up
            connection.execute(sa.text(text), {"one": 1}).close()
    assert [(request.procedure, request.text.split()[1]) for request in server.requests] == [
        ("sp_prepexec", "0"),
        ("sp_prepexec", "1"),
        ("sp_unprepare", "4"),  # the one that was not used for longest
    ]


def test_the_texts_are_the_same_for_any_values(server: Server, orders: WriteSide) -> None:
    orders.run(create_order, create(), Metadata(traceparent="00-1"))
    many = create()
    many.items.extend(Item(product_id=PRODUCT, quantity=1) for _ in range(20))
    orders.run(create_order, many, Metadata(traceparent=None, command_id="k" * 200))
    first, second = server.requests[:2], server.requests[2:]
    assert [request.text for request in first] == [request.text for request in second]
    assert [request.declaration for request in first] == [request.declaration for request in second]


def test_a_large_order_goes_in_one_request_too(server: Server, orders: WriteSide) -> None:
    address = SHIPPING.model_copy(update={"street": "ß" * 200})
    command = create().model_copy(update={"shipping_address": address})
    for _ in range(2):
        orders.run(create_order, command, Metadata(actor="a" * 8_000))
    assert sent(server) == ["sp_prepexec"] * 4


def test_nothing_as_a_parameter_costs_no_request(server: Server, engine: sa.Engine) -> None:
    statement = sa.select(ORDERS.c.order_id).where(ORDERS.c.cancel_reason == sa.bindparam("why", type_=sa.Unicode(50)))
    with engine.connect() as connection:
        assert connection.execute(statement, {"why": None}).all() == []
    [request] = server.requests
    assert (request.procedure, request.declaration) == ("sp_prepexec", "@P1 nvarchar(50)")
    assert request.values == (None,)


def test_a_parameter_that_is_too_long_for_its_column_is_refused_and_not_cut(server: Server, engine: sa.Engine) -> None:
    statement = sa.select(ORDERS.c.order_id).where(ORDERS.c.cancel_reason == sa.bindparam("why", type_=sa.Unicode(50)))
    with engine.connect() as connection, pytest.raises(sa.exc.DBAPIError, match="right truncation"):
        connection.execute(statement, {"why": "a" * 51})
    assert server.requests == []


def test_what_is_counted_is_what_the_wire_shows(server: Server, engine: sa.Engine, orders: WriteSide) -> None:
    server.answer = Azure(WRITTEN, conflict(0), WRITTEN)
    counts = Counter[str]()
    with counting_sql(engine, counts):
        orders.run(create_order, create(), Metadata())
        orders.run(create_order, create(), Metadata())
        with pytest.raises(OrderNotFound):
            orders.run(submit_order, SubmitOrder(order_id=uuid4()), Metadata())
        read_from(engine, LOG.newest)
        Relay(engine, LOG, KeptTopic()).run()
    assert counts["sql_requests"] == len(server.requests)


def test_a_refused_command_is_two_requests(server: Server, orders: WriteSide) -> None:
    with pytest.raises(OrderNotFound):
        orders.run(submit_order, SubmitOrder(order_id=uuid4()), Metadata())
    assert sent(server) == ["sp_prepexec"] * 2  # its load, and whether it was accepted before


def test_a_command_that_was_accepted_before_is_answered_by_its_batch(server: Server, orders: WriteSide) -> None:
    command = create()
    metadata = Metadata(command_id="key", fingerprint=b"f" * 32)
    server.answer = Azure(conflict(2, (command.order_id, b"f" * 32, 3)))
    assert orders.run(create_order, command, metadata) == Accepted(command.order_id, 3, replayed=True)
    assert sent(server) == ["sp_prepexec"] * 2


def test_an_id_that_is_taken_is_told_from_a_lost_race(server: Server, orders: WriteSide) -> None:
    server.answer = Azure(conflict(2))  # after the two checks of what was read comes the order
    with pytest.raises(OrderAlreadyExists):
        orders.run(create_order, create(), Metadata())
    server.answer = Azure(conflict(0), conflict(1), WRITTEN)
    assert orders.run(create_order, create(), Metadata()).version == 1


def test_a_relay_with_nothing_to_do_asks_once(server: Server, engine: sa.Engine) -> None:
    assert Relay(engine, LOG, KeptTopic()).run() == 0
    [request] = server.requests
    assert request.procedure == "sp_prepexec"
    assert "ORDER BY head.sequence" in request.text


def test_what_became_of_a_claim_is_noted_in_one_request(server: Server, engine: sa.Engine) -> None:
    with engine.begin() as connection:
        LOG.settle(connection, Settled([1, 2], datetime.now(UTC), [(3, datetime.now(UTC))]))
    [request] = server.requests
    assert request.declaration == "@P1 nvarchar(max)"


def test_publishing_is_two_requests(server: Server, engine: sa.Engine) -> None:
    event = {
        "sequence": 7, "event_id": uuid4(), "aggregate_id": uuid4(), "aggregate_version": 1, "type": "OrderSubmittedV1",
        "payload": "{}", "occurred_at": datetime(2026, 11, 28, tzinfo=UTC), "command_id": "c",
        "command_fingerprint": bytes(32),
        "correlation_id": "", "causation_id": "c", "traceparent": None, "actor": "a", "claimed_until": None,
        "published_at": None,
    }  # fmt: skip
    types = {"sequence": "bigint", "event_id": "uniqueidentifier", "aggregate_id": "uniqueidentifier"}
    types |= {"aggregate_version": "bigint", "occurred_at": "datetime2(6)", "command_fingerprint": "binary(32)"}
    columns = [(name, types.get(name, "nvarchar(max)")) for name in event]
    claimed = [Rows(columns, [list(event.values())]), NO_EVENTS]
    server.answer = lambda request: claimed.pop(0) if "@claimed" in request.text and not request.prepares else None
    topic = KeptTopic()
    assert Relay(engine, LOG, topic).run() == 1
    assert [envelope.event_id for envelope in topic.sent] == [event["event_id"]]
    assert sent(server) == ["sp_prepexec"] * 2
    assert '"at_sequence":7' in server.requests[1].values[0]


def test_a_lone_read_is_one_request(server: Server, engine: sa.Engine) -> None:
    for _ in range(3):
        assert read_from(engine, LOG.newest) == 0
    assert len(server.requests) == 3


# what is transient, as the driver builds it


def raised(server: Server, engine: sa.Engine, answer: Answer) -> sa.exc.DBAPIError:
    server.answer = lambda request: None if request.prepares or request.kind == "login" else answer
    with pytest.raises(sa.exc.DBAPIError) as caught, engine.connect() as connection:
        connection.execute(sa.select(sa.literal(1)))
    return caught.value


@pytest.mark.parametrize("number", sorted(TRANSIENT))
def test_each_error_that_passes_is_told_as_such(number: int, server: Server, engine: sa.Engine) -> None:
    assert is_transient(raised(server, engine, Error(number)))


@pytest.mark.parametrize("number", [102, 207, 208, 229, 515, 547, 2601, 2627, 8152, 50_409])
def test_each_error_that_stays_is_told_as_such(number: int, server: Server, engine: sa.Engine) -> None:
    assert not is_transient(raised(server, engine, Error(number)))


@pytest.mark.parametrize(
    "answer",
    [
        Error(
            2627,
            "Violation of UNIQUE KEY 'uq'. Cannot insert duplicate key. The duplicate key value is (7 Rue, (Paris)).",
        ),
        Error(2601, "Cannot insert duplicate key row with unique index 'ix'. The duplicate key value is (7 Rue)."),
        Error(2628, "String would be truncated in table 't', column 'c'. Truncated value: '7 Rue (2) d'Ulm'."),
        Error(245, "Conversion failed when converting the nvarchar value '7 Rue\n' to data type int."),
    ],
    ids=lambda answer: str(answer.number),
)
def test_what_the_database_repeats_of_a_row_is_nowhere_in_its_error(
    answer: Error, server: Server, engine: sa.Engine
) -> None:
    error = raised(server, engine, answer)
    told = "".join(traceback.format_exception(error)) + repr(error) + repr(error.orig)
    assert "7 Rue" not in told
    assert error_number(error) == answer.number


@pytest.mark.parametrize("answer", [Reset(), Cut(), Error(596, severity=21)])
def test_a_connection_that_breaks_may_be_tried_again(answer: Answer, server: Server, engine: sa.Engine) -> None:
    assert is_transient(raised(server, engine, answer))


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


def test_connections_that_were_lost_while_idle_are_made_anew(
    server: Server, engine: sa.Engine, orders: WriteSide
) -> None:
    for recovers in (True, False):
        server.recovers = recovers
        orders.run(create_order, create(), Metadata())
        read_from(engine, LOG.newest)
        server.end_connections()
        assert read_from(engine, LOG.newest) == 0
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
        time.sleep(RESUMABLE)
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


NUMBERS = sa.text("SELECT n FROM numbers").columns(sa.column("n", sa.Integer))
THREE = Rows([("n", "int")], [[1], [2], [3]])


def numbers(request: Request) -> Answers:
    """Answer NUMBERS with three rows."""
    return THREE if "numbers" in request.text and not request.prepares else None


def fill(engine: sa.Engine, cursors: int) -> None:
    """Let a connection keep so many cursors, each with a prepared statement."""
    with engine.connect() as connection:
        for number in range(cursors):
            connection.execute(sa.text(f"SELECT {number} AS n WHERE 1 = :one"), {"one": 1}).close()


def test_a_connection_whose_life_is_over_closes_without_a_word(
    server: Server, engine: sa.Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Giving up what each cursor has prepared would be a request for each, within the next command."""
    server.answer = numbers
    fill(engine, 20)
    server.forget()
    monkeypatch.setattr(engine.pool, "_recycle", 0)
    with engine.connect() as connection:
        assert connection.execute(NUMBERS).scalars().all() == [1, 2, 3]
    assert sent(server) == ["login", "batch"]


def test_a_connection_that_has_fallen_silent_closes_at_once(
    server: Server, engine: sa.Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    fill(engine, 20)
    server.answer = lambda request: Silence() if request.prepares else None
    monkeypatch.setattr(engine.pool, "_recycle", 0)
    begin = time.monotonic()
    with engine.connect():
        pass
    assert time.monotonic() - begin < 15, "a statement's time-out three times over"


def test_results_that_cannot_be_read_to_their_end_cost_the_connection_and_not_its_place_in_the_pool(
    server: Server, engine: sa.Engine
) -> None:
    server.answer = lambda request: [THREE, Silence()] if "numbers" in request.text else None
    for _ in range(3):
        with engine.connect() as connection:
            assert connection.execute(NUMBERS).fetchone() == (1,)
            server.end_connections()
        assert engine.pool.checkedout() == 0  # type: ignore[attr-defined]  # the pool is a QueuePool
    server.answer = numbers
    with engine.connect() as connection:
        assert connection.execute(NUMBERS).scalars().all() == [1, 2, 3]


# how long a command takes at most


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
    assert sent(server)[: requests + 1] == ["sp_prepexec"] * requests + ["attention"]


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


def test_nothing_is_asked_of_a_new_server(server: Server) -> None:
    engine = sql_engine(server.url, "ordering")
    for _ in range(2):
        read_from(engine, LOG.newest)
        engine.dispose()
    asked = [name for name in sent(server) if name != "sp_datatype_info_100"]  # pyodbc asks it once in a process
    assert asked == ["login", "batch"] * 2


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


def test_what_was_not_read_to_its_end_does_not_hold_up_the_next_one(server: Server, engine: sa.Engine) -> None:
    server.answer = lambda request: Rows([("n", "int")], [[1], [2], [3]]) if "numbers" in request.text else None
    numbers = sa.text("SELECT n FROM numbers").columns(sa.column("n", sa.Integer))
    with engine.connect() as connection:
        unread = connection.execute(numbers)
        assert unread.fetchone() == (1,)
    for statement in (sa.text("SELECT n FROM other_numbers").columns(*numbers.selected_columns), numbers):
        with engine.connect() as connection:
            assert connection.execute(statement).all() == [(1,), (2,), (3,)]
    assert server.connections == 0, "there was one before, and it is enough"


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


def test_what_a_command_relies_on_is_sought_and_stays_as_it_is_until_the_commit(
    server: Server, orders: WriteSide
) -> None:
    """Without the lock a rename in between is lost; without the seek the lock is of every customer and product."""
    orders.run(create_order, create(), Metadata())
    batch = server.requests[-1].text
    found = re.findall(r"FROM ordering\.(customers|products) WITH \((.*?)\)", batch)
    assert sorted(found) == [(table, "REPEATABLEREAD, FORCESEEK") for table in ("customers", "products")]


def test_what_another_relay_is_claiming_is_passed_over(server: Server, engine: sa.Engine) -> None:
    Relay(engine, LOG, KeptTopic()).run()
    [request] = server.requests
    assert "WITH (READPAST, UPDLOCK, ROWLOCK, READCOMMITTEDLOCK)" in request.text


def test_no_table_that_is_written_has_a_hint_that_sql_server_refuses_there() -> None:
    # errors 10724, 10745 and 1069; neither Microsoft's compiler nor this server knows of them
    for name, statement in statements():
        text = entry(name, statement)["sql"]
        for hint in re.findall(r"(?:UPDATE|DELETE FROM|INSERT INTO) \S+ WITH \((.*?)\)", text):
            assert not re.search("FORCESEEK|FORCESCAN|INDEX", hint), name
