"""An erasure reaches a generation that was given up, which no event reaches."""

from dataclasses import replace
from datetime import timedelta
from functools import partial
from uuid import UUID

from azure.cosmos.aio import ContainerProxy

from shared.customers.commands.erase_customer import EraseCustomer, Erasures
from shared.frame.messaging.envelope import Metadata
from shared.frame.read_side.generations import Generations, State
from shared.ordering.commands.cancel_order import CancelOrder, cancel_order
from shared.ordering.jobs.erase_orders import erase_orders
from tests.integration.operations.conftest import LiveShop
from tests.support.wiring import Wiring, contexts

REASON = "because her cat sat on it"


async def stored(container: ContainerProxy, customer_id: UUID) -> str:
    return repr([row async for row in container.query_items("SELECT * FROM c", partition_key=str(customer_id))])


async def follow(live: LiveShop, consumer: str, context: str, aggregate_id: UUID) -> None:
    """Let a process that has just started take in all of an aggregate's events."""
    wired = contexts(Wiring(live.shop.engines, partial(Generations, live.read_models), lambda _: live.shop.commits))
    [consume] = [each.consume for each in wired["ordering"].consumers if each.name == consumer]
    with wired[context].engine.connect() as connection:
        history = wired[context].log.history(connection, aggregate_id)
    for recorded in history:
        await consume(recorded.envelope)


async def test_an_order_that_is_erased_after_a_generation_was_given_up_is_not_in_its_container(live: LiveShop) -> None:
    shop = live.shop
    customer_id = shop.customer("Ada")
    order_id = shop.order(shop.product(), customer_id=customer_id)
    state = await live.orders.write(State(serving=2, standby=1))
    shop.ordering.run(cancel_order, CancelOrder(order_id=order_id, reason=REASON), Metadata())
    await follow(live, "project_order", "ordering", order_id)
    erasures = Erasures([], timedelta())
    shop.customers.run(erasures.ask, EraseCustomer(customer_id=customer_id, reason="a letter"), Metadata())
    erasures.keep_all(shop.customers_engine, shop.customers)
    await follow(live, "follow_customers", "customers", customer_id)
    given_up = live.orders.container(1)
    assert REASON in await stored(given_up, customer_id)

    await live.orders.write(replace(state, standby=None))
    erase_orders(shop.ordering_engine, shop.ordering)
    await follow(live, "project_order", "ordering", order_id)
    assert REASON not in await stored(given_up, customer_id)
    assert REASON not in await stored(live.orders.container(2), customer_id)
