"""What is heard as requests to the database is the same of one engine, and of all, by which the bench delays it."""

from collections.abc import Callable
from uuid import UUID

import pytest
import sqlalchemy as sa

from shared.frame.messaging.envelope import Metadata
from shared.frame.sql.reading import rows_of
from shared.frame.write_side.relay import Relay
from shared.ordering.commands.submit_order import SubmitOrder, submit_order
from shared.ordering.repository import INSERT_ORDER, LOAD
from shared.ordering.tables import LOG
from tests.support.counting import STATEMENT_BY_STATEMENT, hearing_requests
from tests.support.shop import Shop
from tests.support.topic import KeptTopic

type Work = Callable[[Shop, UUID], object]


def submit(shop: Shop, order_id: UUID) -> None:
    shop.ordering.run(submit_order, SubmitOrder(order_id=order_id), Metadata())


def publish(shop: Shop, _order_id: UUID) -> None:
    assert Relay(shop.ordering_engine, LOG, KeptTopic()).run() == 1


def publish_nothing(shop: Shop, _order_id: UUID) -> None:
    assert Relay(shop.ordering_engine, LOG, KeptTopic()).run() == 0


def read(shop: Shop, order_id: UUID) -> None:
    assert rows_of(shop.ordering_engine, LOAD, {"id": order_id})


def fail_to_write(shop: Shop, _order_id: UUID) -> None:
    with pytest.raises(sa.exc.IntegrityError), shop.ordering_engine.begin() as connection:
        connection.execute(sa.insert(LOG.table), {"type": "x"})


def write_by_statements(shop: Shop, order_id: UUID) -> None:
    engine = shop.ordering_engine.execution_options(**{STATEMENT_BY_STATEMENT: True})
    with engine.begin() as connection:
        for _ in range(2):
            connection.execute(sa.select(INSERT_ORDER.table).where(INSERT_ORDER.table.c.order_id == order_id)).all()


@pytest.mark.parametrize(
    ("requests", "work"),
    [(2, submit), (2, publish), (1, publish_nothing), (1, read), (1, fail_to_write), (3, write_by_statements)],
)
@pytest.mark.parametrize("of_all", [False, True])
def test_each_request_is_heard(shop: Shop, requests: int, work: Work, *, of_all: bool) -> None:
    order_id, heard = shop.order(shop.product()), list[sa.Engine]()
    if work is publish_nothing:
        publish(shop, order_id)
    with hearing_requests(sa.Engine if of_all else shop.ordering_engine, lambda engine, _: heard.append(engine)):
        work(shop, order_id)
    assert len(heard) == requests
