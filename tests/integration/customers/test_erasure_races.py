"""What ordering reads of a customer before their erasure, and writes after it, brings nothing back."""

from collections.abc import Callable
from uuid import UUID

import pytest

from shared.customers.commands.add_address import AddAddress, add_address
from shared.customers.commands.change_address import ChangeAddress, change_address
from shared.customers.commands.erase_customer import Erasures
from shared.customers.events import CustomerErasedV1, CustomerEvent
from shared.customers.tables import LOG
from shared.frame.messaging.envelope import Metadata, Recorded
from shared.frame.write_side.unit_of_work import UnitOfWork
from shared.ordering.event_handlers.follow_customers import follow_customer
from shared.ordering.tables import CUSTOMER_ADDRESSES, INBOX
from tests.support.erasing import CITY, POSTAL_CODE, STREET, erase, everything, left, register, tick
from tests.support.shop import Shop, rows


def history(shop: Shop, customer_id: UUID) -> list[Recorded[CustomerEvent]]:
    """The customer's events as the log has them now, as a delivery reads them before it waits for a thread."""
    with shop.customers_engine.connect() as connection:
        return list(LOG.history(connection, customer_id))


def add(shop: Shop, customer_id: UUID, address_id: UUID) -> None:
    shop.customers.run(
        add_address,
        AddAddress(customer_id=customer_id, address_id=address_id, street=STREET, city=CITY, postal_code=POSTAL_CODE),
        Metadata(),
    )


def change(shop: Shop, customer_id: UUID, address_id: UUID) -> None:
    shop.customers.run(
        change_address,
        ChangeAddress(
            customer_id=customer_id, address_id=address_id, street=STREET, city=CITY, postal_code=POSTAL_CODE
        ),
        Metadata(),
    )


def known_address(shop: Shop) -> UUID:
    [address_id] = [row["address_id"] for row in rows(shop.ordering_engine, CUSTOMER_ADDRESSES)]
    return UUID(str(address_id))


@pytest.mark.parametrize("said", [add, change], ids=["added", "changed"])
def test_an_address_that_was_read_before_the_erasure_is_not_written_after_it(
    shop: Shop, erasures: Erasures, said: Callable[[Shop, UUID, UUID], None]
) -> None:
    customer_id = register(shop)
    said(shop, customer_id, UUID(int=7) if said is add else known_address(shop))
    [*_, late] = history(shop, customer_id)
    erase(shop, erasures, customer_id)
    [*_, erased] = history(shop, customer_id)
    assert isinstance(erased.event, CustomerErasedV1)
    shop.ordering.follow(INBOX, follow_customer, erased)
    shop.ordering.follow(INBOX, follow_customer, late)
    tick(shop)
    tick(shop)
    assert left(everything(shop)) == []


def test_an_address_that_is_changed_after_an_addition_which_came_too_late_is_not_written_either(
    shop: Shop, erasures: Erasures
) -> None:
    customer_id, address_id = register(shop), UUID(int=7)
    add(shop, customer_id, address_id)
    change(shop, customer_id, address_id)
    [*_, added, changed] = history(shop, customer_id)
    erase(shop, erasures, customer_id)
    [*_, erased] = history(shop, customer_id)
    for each in (erased, added, changed):
        shop.ordering.follow(INBOX, follow_customer, each)
    assert STREET not in repr(rows(shop.ordering_engine, CUSTOMER_ADDRESSES))


def test_an_address_whose_customer_is_erased_before_it_is_committed_is_not_written(
    shop: Shop, erasures: Erasures
) -> None:
    customer_id = register(shop)
    add(shop, customer_id, UUID(int=7))
    [*_, added] = history(shop, customer_id)
    erase(shop, erasures, customer_id)
    [*_, erased] = history(shop, customer_id)

    def overtaken(recorded: Recorded[CustomerEvent], work: UnitOfWork) -> None:
        follow_customer(recorded, work)
        shop.ordering.follow(INBOX, follow_customer, erased)

    shop.ordering.follow(INBOX, overtaken, added)
    assert STREET not in repr(rows(shop.ordering_engine, CUSTOMER_ADDRESSES))
