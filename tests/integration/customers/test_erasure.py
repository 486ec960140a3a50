"""An erased customer is in no table, log or read model; what they did goes on: totals, versions, history, rebuilds."""

import random
from uuid import UUID, uuid4

import pytest
from azure.cosmos.aio import ContainerProxy

from shared.customers.commands.erase_customer import Erasures
from shared.customers.commands.register_customer import RegisterCustomer, register_customer
from shared.customers.commands.rename_customer import RenameCustomer, rename_customer
from shared.customers.domain.errors import CustomerAlreadyExists, CustomerNotFound
from shared.customers.views.profile import Profiles, ReadProfile
from shared.frame.messaging.envelope import Metadata
from shared.frame.read_side.read_your_writes import NO_WAIT
from shared.frame.write_side.commands import KeyReused
from shared.ordering.views.order_details import ReadOrder
from shared.ordering.views.order_history import read_order_of_the_past
from tests.support.delivery import Delivery
from tests.support.erasing import (
    EMAIL,
    NAME,
    OWN,
    REASONS,
    cancel,
    erase,
    everything,
    left,
    order_at_hers,
    register,
    tick,
)
from tests.support.shop import Shop


async def stored(container: ContainerProxy, customer_id: UUID) -> str:
    return repr([row async for row in container.query_items("SELECT * FROM c", partition_key=str(customer_id))])


async def test_nothing_of_an_erased_customer_is_left_in_any_table_log_or_read_model(
    shop: Shop, orders: ContainerProxy, delivery: Delivery, erasures: Erasures
) -> None:
    customer_id = register(shop)
    order_id = order_at_hers(shop, customer_id)
    cancel(shop, order_id)
    await delivery.all(random.Random(1))
    assert left(everything(shop)) == [*OWN, REASONS[0], "en-GB", repr(b"f" * 32)]
    assert left(await stored(orders, customer_id)) == [NAME, *OWN[2:], REASONS[0]]

    erase(shop, erasures, customer_id)
    await delivery.all(random.Random(2))  # with old deliveries among the new ones
    tick(shop)
    tick(shop)
    await delivery.all(random.Random(3))
    assert left(everything(shop)) == []
    assert left(await stored(orders, customer_id)) == []
    document = await orders.read_item(str(order_id), str(customer_id))
    assert (document["version"], document["status"], document["cancelReason"]) == (3, "Cancelled", "erased")
    source = shop.wired({"orders": orders})["ordering"].read_models["orders"].view.source
    assert await source.differences(orders, str(customer_id)) == []


async def test_the_past_of_an_erased_order_can_be_read_and_its_versions_stay(
    shop: Shop, delivery: Delivery, erasures: Erasures
) -> None:
    customer_id = register(shop)
    order_id = order_at_hers(shop, customer_id)
    cancel(shop, order_id)
    await delivery.all(random.Random(1))
    erase(shop, erasures, customer_id)
    await delivery.all(random.Random(2))
    tick(shop)
    past = ReadOrder(order_id=order_id, customer_id=customer_id, as_of_version=1)
    shown = read_order_of_the_past(shop.ordering_engine, shop.ordering_engine, past)
    assert (shown.version, shown.status, shown.customer_name) == (1, "Created", "erased")
    assert shown.shipping_address.model_dump() == {
        "street": "erased",
        "city": "erased",
        "postal_code": "erased",
        "region": None,
        "country": None,
    }


async def test_a_rebuild_brings_nothing_back(
    shop: Shop, orders: ContainerProxy, delivery: Delivery, erasures: Erasures
) -> None:
    customer_id = register(shop)
    cancel(shop, order_at_hers(shop, customer_id))
    await delivery.all(random.Random(1))
    erase(shop, erasures, customer_id)
    await delivery.all(random.Random(2))
    tick(shop)
    await delivery.all(random.Random(3))
    async for row in orders.query_items("SELECT * FROM c", partition_key=str(customer_id)):
        await orders.delete_item(row["id"], row["customerId"])
    source = shop.wired({"orders": orders})["ordering"].read_models["orders"].view.source
    position = (await source.fill(orders, None)).position
    assert position is not None
    assert "erased" in await stored(orders, customer_id)
    assert left(await stored(orders, customer_id)) == []
    assert await source.differences(orders, str(customer_id)) == []


async def test_an_erased_customer_is_not_there_and_their_address_for_mail_is_free(
    shop: Shop, erasures: Erasures
) -> None:
    customer_id = register(shop)
    erase(shop, erasures, customer_id)
    with pytest.raises(CustomerNotFound):
        await Profiles(shop.customers_engine).read_profile(ReadProfile(customer_id=customer_id), NO_WAIT)
    with pytest.raises(CustomerNotFound):
        shop.customers.run(rename_customer, RenameCustomer(customer_id=customer_id, name="Ada"), Metadata())
    command = RegisterCustomer(customer_id=customer_id, name=NAME, email="other@example.org")
    with pytest.raises(CustomerAlreadyExists):
        shop.customers.run(register_customer, command, Metadata())
    again = RegisterCustomer(customer_id=uuid4(), name=NAME, email=EMAIL)
    with pytest.raises(KeyReused):  # what the command said is not known any more, nor a hash of it
        shop.customers.run(register_customer, again, Metadata(command_id="key", fingerprint=b"f" * 32))
    shop.customers.run(register_customer, again, Metadata())
