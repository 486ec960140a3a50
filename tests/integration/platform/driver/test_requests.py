"""What the driver sends for commands, reads and relays: one request for each statement, always of the same text."""

from collections import Counter
from datetime import UTC, datetime
from uuid import uuid4

import pytest
import sqlalchemy as sa

from shared.frame.messaging.envelope import Accepted, Metadata
from shared.frame.sql.engines import sql_engine
from shared.frame.sql.reading import read_from
from shared.frame.write_side.claims import Settled
from shared.frame.write_side.commands import WriteSide
from shared.frame.write_side.relay import Relay
from shared.ordering.commands.create_order import Item, create_order
from shared.ordering.commands.submit_order import SubmitOrder, submit_order
from shared.ordering.domain.errors import OrderAlreadyExists, OrderNotFound
from shared.ordering.tables import LOG, ORDERS
from tests.support.azure_sql import NO_EVENTS, PRODUCT, WRITTEN, Azure, conflict, create
from tests.support.counting import counting_sql
from tests.support.odbc import needs_driver, needs_unixodbc
from tests.support.shop import SHIPPING
from tests.support.tds import Rows, Server
from tests.support.topic import KeptTopic

pytestmark = [needs_unixodbc, needs_driver]


def test_a_command_is_two_requests_the_first_time_and_ever_after(server: Server, orders: WriteSide) -> None:
    for _ in range(3):
        orders.run(create_order, create(), Metadata())
    assert server.asked == ["sp_prepexec"] * 6
    load, batch = server.requests[-2:]
    assert load.declaration == "@P1 uniqueidentifier,@P2 uniqueidentifier,@P3 nvarchar(max)"
    assert batch.declaration == "@P1 nvarchar(max),@P2 binary(32),@P3 nvarchar(255),@P4 nvarchar(255)"


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
        orders.run(create_order, command, Metadata(correlation_id="a" * 8_000))
    assert server.asked == ["sp_prepexec"] * 4


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
        read_from(engine, LOG.claims.unpublished)
        Relay(engine, LOG, KeptTopic()).run()
    assert counts["sql_requests"] == len(server.requests)


def test_a_refused_command_is_two_requests(server: Server, orders: WriteSide) -> None:
    with pytest.raises(OrderNotFound):
        orders.run(submit_order, SubmitOrder(order_id=uuid4()), Metadata())
    assert server.asked == ["sp_prepexec"] * 2  # its load, and whether it was accepted before


def test_a_command_that_was_accepted_before_is_answered_by_its_batch(server: Server, orders: WriteSide) -> None:
    command = create()
    metadata = Metadata(command_id="key", fingerprint=b"f" * 32)
    server.answer = Azure(conflict(2, (command.order_id, b"f" * 32, 3)))
    assert orders.run(create_order, command, metadata) == Accepted(command.order_id, 3, replayed=True)
    assert server.asked == ["sp_prepexec"] * 2


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
        LOG.claims.settle(connection, Settled([1, 2], datetime.now(UTC), [(3, datetime.now(UTC))]))
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
    assert server.asked == ["sp_prepexec"] * 2
    assert '"at_sequence":7' in server.requests[1].values[0]


def test_a_lone_read_is_one_request(server: Server, engine: sa.Engine) -> None:
    for _ in range(3):
        assert read_from(engine, LOG.claims.unpublished) == (0, None)
    assert len(server.requests) == 3


def test_nothing_is_asked_of_a_new_server(server: Server) -> None:
    engine = sql_engine(server.url, "ordering")
    for _ in range(2):
        read_from(engine, LOG.claims.unpublished)
        engine.dispose()
    asked = [name for name in server.asked if name != "sp_datatype_info_100"]  # pyodbc asks it once in a process
    assert asked == ["login", "batch"] * 2
