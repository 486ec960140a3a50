"""After a restore an aggregate comes by the same versions once more, and what they say then is heard as what it is."""

from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest
import sqlalchemy as sa

from shared.catalog.tables import STOCK
from shared.customers import tables as customers
from shared.customers.commands.rename_customer import RenameCustomer, rename_customer
from shared.frame.messaging.envelope import Envelope, Metadata
from shared.frame.write_side.event_log import EventLog
from shared.frame.write_side.relay import WITHHELD
from shared.frame.write_side.topic_log import NotInLog
from shared.ordering import tables as ordering
from shared.ordering.commands.cancel_order import CancelOrder, cancel_order
from shared.ordering.commands.confirm_order import ConfirmOrder, confirm_order
from tests.support.database import needs_sqlite
from tests.support.on_its_way import kept, submitted
from tests.support.restoring import backed_up
from tests.support.shop import Shop, rows

pytestmark = needs_sqlite("a copy of its file is the backup")


@pytest.fixture
def backups(tmp_path: Path) -> Path:
    """A folder for them."""
    folder = tmp_path / "backups"
    folder.mkdir()
    return folder


def follow(shop: Shop) -> Callable[[Envelope], Awaitable[None]]:
    """What ordering does with a message of the customers'."""
    [found] = [each for each in shop.wired()["ordering"].consumers if each.name == "follow_customers"]
    return found.consume


def renamed(shop: Shop, customer_id: UUID, name: str, key: str | None = None) -> Envelope:
    """Rename a customer, and give the message that leaves the outbox."""
    metadata = Metadata() if key is None else Metadata(command_id=key)
    shop.customers.run(rename_customer, RenameCustomer(customer_id=customer_id, name=name), metadata)
    return customers.CODEC.without_personal(latest(shop.customers_engine, customers.LOG, customer_id), WITHHELD)


def latest(engine: sa.Engine, log: EventLog[Any], aggregate_id: UUID) -> Envelope:
    with engine.connect() as connection:
        return log.history(connection, aggregate_id)[-1].envelope


def names(shop: Shop) -> list[object]:
    return [row["name"] for row in rows(shop.ordering_engine, ordering.CUSTOMERS)]


async def test_what_another_command_makes_of_a_lost_version_is_another_event(shop: Shop, backups: Path) -> None:
    customer_id = shop.customer("Ada")
    restore = backed_up(shop, backups)
    lost = renamed(shop, customer_id, "lost")
    restore()
    with pytest.raises(NotInLog):  # it goes to the dead letters, where somebody sees it
        await follow(shop)(lost)

    anew = renamed(shop, customer_id, "made again")
    assert (anew.aggregate_id, anew.version) == (lost.aggregate_id, lost.version)
    assert anew.event_id != lost.event_id
    with pytest.raises(NotInLog):  # also now that the log has this version
        await follow(shop)(lost)
    await follow(shop)(anew)
    assert names(shop) == ["made again"]


async def test_who_heard_of_the_lost_event_takes_in_the_one_that_stands_in_its_place(shop: Shop, backups: Path) -> None:
    """Its message came after the restore, and names nobody, so that the log was not asked."""
    product_id = kept(shop, 5)
    way = submitted(shop, product_id, quantity=2, paid=False)
    [hear] = [each.consume for each in shop.wired()["catalog"].consumers if each.name == "follow_orders"]
    restore = backed_up(shop, backups)
    shop.ordering.run(confirm_order, ConfirmOrder(order_id=way.order_id), Metadata())
    lost = latest(shop.ordering_engine, ordering.LOG, way.order_id)
    restore()
    await hear(lost)

    shop.ordering.run(cancel_order, CancelOrder(order_id=way.order_id, reason="r"), Metadata())
    anew = latest(shop.ordering_engine, ordering.LOG, way.order_id)
    assert anew.version == lost.version
    await hear(anew)
    assert [row["reserved"] for row in rows(shop.catalog_engine, STOCK)] == [0]


async def test_a_command_that_is_sent_again_makes_the_same_event_again(shop: Shop, backups: Path) -> None:
    """So its caller's retry after a restore brings back what others have heard of, and they do nothing twice."""
    customer_id = shop.customer("Ada")
    restore = backed_up(shop, backups)
    lost = renamed(shop, customer_id, "Ada Lovelace", "a key")
    restore()
    assert renamed(shop, customer_id, "Ada Lovelace", "a key").event_id == lost.event_id
