"""The inbox tells first deliveries from repeated ones, in the transaction of what they change."""

from uuid import uuid4

from shared.ordering.tables import INBOX
from tests.support.shop import Shop


def test_an_event_is_received_once(shop: Shop) -> None:
    event_id = uuid4()
    for first in (True, False, False):
        with shop.ordering_engine.begin() as connection:
            assert INBOX.receive(connection, event_id) is first


def test_an_event_whose_consumption_failed_is_received_again(shop: Shop) -> None:
    event_id = uuid4()
    with shop.ordering_engine.connect() as connection:
        assert INBOX.receive(connection, event_id)
        connection.rollback()  # what it changes could not be changed
    with shop.ordering_engine.begin() as connection:
        assert INBOX.receive(connection, event_id)
