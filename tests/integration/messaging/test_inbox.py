"""The inbox tells first deliveries from repeated ones, in the transaction of what they change."""

from uuid import UUID, uuid4

import pytest

from shared.frame.write_side.inbox import AlreadyConsumed
from shared.frame.write_side.unit_of_work import LostRace, UnitOfWork
from shared.ordering.reference_data import FIND_PRODUCT
from shared.ordering.tables import INBOX
from tests.support.shop import Shop, rows


def consume(shop: Shop, event_id: UUID) -> None:
    with UnitOfWork(shop.ordering_engine) as work:
        INBOX.receive(work, event_id)
        work.commit()


def test_an_event_is_received_once(shop: Shop) -> None:
    event_id = uuid4()
    consume(shop, event_id)
    for _ in range(2):
        with pytest.raises(AlreadyConsumed):
            consume(shop, event_id)
    assert [row["event_id"] for row in rows(shop.ordering_engine, INBOX.table)] == [event_id]


def test_an_event_whose_consumption_failed_is_received_again(shop: Shop) -> None:
    event_id = uuid4()
    work = UnitOfWork(shop.ordering_engine)
    INBOX.receive(work, event_id)
    work.require(FIND_PRODUCT, [{"id": uuid4()}])  # what it changes cannot be changed
    with pytest.raises(LostRace):
        work.commit()
    consume(shop, event_id)
