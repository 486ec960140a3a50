"""What an event says of a person is read from the log, not from messages; old ones that say it are not heard."""

import json
from dataclasses import replace
from uuid import UUID, uuid4

import pytest
import sqlalchemy as sa

from shared.customers.events import (
    CustomerAddress,
    CustomerAddressAddedV1,
    CustomerPreferencesChangedV1,
    CustomerRegisteredV1,
)
from shared.customers.tables import LOG
from shared.frame.messaging.codec import UnfitPayload, UnknownEventType
from shared.frame.messaging.envelope import Envelope, Recorded
from shared.frame.write_side.relay import WITHHELD
from shared.frame.write_side.topic_log import NotInLog
from shared.ordering.tables import CODEC, CUSTOMERS, INBOX
from tests.integration.platform.test_described_events import envelope as any_envelope
from tests.support.shop import Shop


def message_of(recorded: Recorded[object]) -> Envelope:
    return LOG.codec.without_personal(recorded.envelope, WITHHELD)


def registered(shop: Shop, name: str) -> Recorded[object]:
    customer_id = shop.customer(name)
    with shop.customers_engine.connect() as connection:
        return LOG.history(connection, customer_id)[0]


async def consume(shop: Shop, message: Envelope) -> None:
    consumers = {each.name: each.consume for context in shop.wired().values() for each in context.consumers}
    with shop.ordering_engine.begin() as connection:  # as if it had not been heard of
        for table in (CUSTOMERS, INBOX.table):
            connection.execute(sa.delete(table))
    await consumers["follow_customers"](message)


def copied(shop: Shop) -> list[str]:
    with shop.ordering_engine.connect() as connection:
        return list(connection.execute(sa.select(CUSTOMERS.c.name)).scalars())


async def test_a_consumer_reads_from_the_log_what_the_message_does_not_say(shop: Shop) -> None:
    recorded = registered(shop, "Ada Lovelace")
    message = message_of(recorded)
    assert "Ada" not in message.payload
    await consume(shop, message)
    assert copied(shop) == ["Ada Lovelace"]


async def test_what_an_older_message_says_of_a_person_is_not_listened_to(shop: Shop) -> None:
    recorded = registered(shop, "what the log says")
    payload = json.dumps(json.loads(recorded.envelope.payload) | {"name": "what the message says"})
    await consume(shop, replace(recorded.envelope, payload=payload))
    assert copied(shop) == ["what the log says"]


@pytest.mark.parametrize("other", [{"version": 7}, {"aggregate_id": UUID(int=1)}, {"event_id": UUID(int=2)}], ids=str)
async def test_a_message_that_the_log_has_no_event_for_is_refused(shop: Shop, other: dict[str, int | UUID]) -> None:
    recorded = registered(shop, "Ada")
    consumers = {each.name: each.consume for context in shop.wired().values() for each in context.consumers}
    with pytest.raises(NotInLog):
        await consumers["follow_customers"](replace(message_of(recorded), **other))  # type: ignore[arg-type]  # a field's


async def test_a_message_that_does_not_fit_is_refused_before_the_log_is_asked(shop: Shop) -> None:
    recorded = registered(shop, "Ada")
    consumers = {each.name: each.consume for context in shop.wired().values() for each in context.consumers}
    with pytest.raises(UnfitPayload, match="email: Field required"):
        await consumers["follow_customers"](replace(recorded.envelope, payload='{"name": "Ada"}'))


def test_null_stands_where_it_may_and_the_word_where_it_may_not() -> None:
    address = CustomerAddress("Home", "Main Street 1", "Vienna", "1010", None, "AT")
    somebody = CustomerRegisteredV1(uuid4(), "Ada", "ada@example.org")
    added = CustomerAddressAddedV1(uuid4(), uuid4(), address, is_default=True)
    preferring = CustomerPreferencesChangedV1(uuid4(), "de-AT", "EUR", newsletter=True)
    read = []
    for event in (somebody, added, preferring):
        payload = LOG.codec.encode(event).decode()
        closed = replace(any_envelope("OrderConfirmedV1"), type=type(event).__name__, payload=payload)
        read.append(LOG.codec.open(LOG.codec.without_personal(closed, "gone")).event)
    assert read == [
        replace(somebody, name="gone", email="gone"),
        replace(added, address=CustomerAddress(None, "gone", "gone", "gone", None, None)),
        replace(preferring, language=None),
    ]


def test_an_event_of_a_newer_release_is_not_written_without_knowing_what_is_personal() -> None:
    with pytest.raises(UnknownEventType):
        CODEC.without_personal(replace(any_envelope("OrderConfirmedV1"), type="OrderGiftWrappedV1"), WITHHELD)


def test_an_event_that_says_nothing_personal_stays_as_it_is_to_the_letter() -> None:
    closed = replace(
        any_envelope("OrderConfirmedV1"), type="OrderConfirmedV1", payload='{"total": "1.10",  "odd": "spacing"}'
    )
    assert CODEC.without_personal(closed, WITHHELD) is closed
