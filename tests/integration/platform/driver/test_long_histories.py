"""An erasure has time for a history of thousands of changes, for which a request would not wait."""

import re
from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any
from uuid import uuid4

import pytest
import sqlalchemy as sa

from infra.sql.tsql import MSSQL, entry
from shared.customers import repository as customers
from shared.customers.events import CustomerRegisteredV1
from shared.customers.jobs.erase_customers import DueErasures
from shared.customers.tables import LOG as CUSTOMERS_LOG
from shared.frame.write_side.commands import WriteSide
from shared.frame.write_side.event_log import EventLog
from shared.ordering import repository as orders
from shared.ordering.events import OrderCancelledV1, OrderStatus
from shared.ordering.fulfilment import repository as fulfilments
from shared.ordering.jobs.erase_orders import ERASING, NOT_ERASED, TO_ERASE, erase_orders
from shared.ordering.tables import LOG as ORDERING_LOG
from tests.support.odbc import needs_driver, needs_unixodbc
from tests.support.tds import Answers, Delay, Done, Request, Rows, Server

pytestmark = [needs_unixodbc, needs_driver]

SLOW = 1.2
"""Seconds that the history takes: then a command of ten seconds has less than nine left."""
NOW = datetime.now(UTC).replace(tzinfo=None)
CUSTOMER, ORDER = uuid4(), uuid4()
ADDRESS = {"street": "S", "city": "C", "postal_code": "P"}


def rows(statement: sa.Select[Any], *found: Mapping[str, Any]) -> Rows:
    """What the server answers to a statement; columns that are not named are null."""
    types = {
        str(column.key): column.type.compile(MSSQL).partition(" COLLATE ")[0].lower().replace("integer", "int")
        for column in statement.selected_columns
    }
    columns = [(name, kind.replace(" ", "")) for name, kind in types.items()]
    return Rows(columns, [[each.get(name) for name in types] for each in found])


def erase_an_order(engine: sa.Engine) -> None:
    erase_orders(engine, WriteSide(engine, ORDERING_LOG, lambda: None))


def erase_a_customer(engine: sa.Engine) -> None:
    DueErasures(engine, WriteSide(engine, CUSTOMERS_LOG, lambda: None), []).keep_all()


def history(log: EventLog[Any], event: Any) -> Mapping[str, Any]:
    return {
        "sequence": 1,
        "event_id": uuid4(),
        "aggregate_id": uuid4(),
        "aggregate_version": 1,
        "type": type(event).__name__,
        "payload": log.codec.encode(event).decode(),
        "occurred_at": NOW,
        "command_id": "c",
        "correlation_id": "",
        "causation_id": "c",
        "actor": "a",
    }


OF_AN_ORDER = {
    ERASING: [{"customer_id": CUSTOMER}],
    NOT_ERASED: [{"order_id": ORDER}],
    TO_ERASE: [{"order_id": ORDER}],
    orders.LOAD: [
        {"order_id": ORDER, "customer_id": CUSTOMER, "version": 2, "status": "Cancelled", "total": Decimal(0)}
        | {"lines_ever": 0, "cancel_reason": "r", "created_at": NOW, "changed_at": NOW, "erased": False, **ADDRESS}
    ],
    fulfilments.FIND: [],
    ORDERING_LOG.statements.history: [
        history(ORDERING_LOG, OrderCancelledV1(ORDER, CUSTOMER, None, Decimal(0), OrderStatus.CREATED, "r"))
    ],
}
OF_A_CUSTOMER = {
    customers.DUE: [{"customer_id": CUSTOMER}],
    customers.COUNT_ERASED: [{"count_1": 0}],
    customers.LOAD: [
        {"customer_id": CUSTOMER, "version": 2, "name": "n", "email": "e@example.com", "newsletter": False}
        | {"changed_at": NOW, "erase_at": NOW - timedelta(hours=1), "erased": False}
    ],
    CUSTOMERS_LOG.statements.history: [history(CUSTOMERS_LOG, CustomerRegisteredV1(CUSTOMER, "n", "e@example.com"))],
}


@pytest.mark.parametrize(("erase", "stored"), [(erase_an_order, OF_AN_ORDER), (erase_a_customer, OF_A_CUSTOMER)])
def test_an_erasure_whose_history_takes_long_has_longer_than_a_second_for_its_batch(
    erase: Callable[[sa.Engine], None],
    stored: Mapping[sa.Select[Any], list[Mapping[str, Any]]],
    server: Server,
    engine: sa.Engine,
) -> None:
    answers = {entry("", statement)["sql"]: rows(statement, *found) for statement, found in stored.items()}
    pages = {
        entry("", each)["sql"]: iter([answers[entry("", each)["sql"]]])
        for each in (ERASING, TO_ERASE, customers.DUE)
        if each in stored
    }
    timeouts = dict[str, int]()

    def answer(request: Request) -> Answers:
        if request.prepares:
            return None
        if "BEGIN TRANSACTION" in request.text:
            return Done(None)
        text = re.sub(r"@P\d+", "?", request.text)
        if text in pages:
            return next(pages[text], Rows(answers[text].columns))
        found = answers.get(text)
        return [Delay(SLOW), found] if found is not None and "payload" in text else found

    @sa.event.listens_for(engine, "before_cursor_execute")
    def _look(connection: sa.Connection, _cursor: object, text: str, *_: object) -> None:
        kind = "batch" if "payload=s" in text else "history" if "payload" in text and "BEGIN" not in text else "other"
        timeouts[kind] = connection.get_execution_options().get("statement_timeout", 0)

    server.answer = answer
    erase(engine)
    assert timeouts["history"] > SLOW
    assert timeouts["batch"] > 3 * SLOW
