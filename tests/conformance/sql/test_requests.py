"""What README and ADR 15 say that an operation costs, counted; on a server the wire has to show as much."""

from collections.abc import Callable
from contextlib import suppress
from functools import partial
from pathlib import Path
from uuid import uuid4

from shared.customers.commands.rename_customer import RenameCustomer, rename_customer
from shared.customers.tables import LOG as CUSTOMERS
from shared.frame.messaging.envelope import Metadata
from shared.frame.sql.reading import read_from
from shared.frame.write_side.relay import Relay
from shared.kernel.refusals import Refusal
from shared.ordering.commands.add_item import AddItem, add_item
from shared.ordering.commands.create_order import CreateOrder, Item, create_order
from shared.ordering.commands.submit_order import SubmitOrder, submit_order
from shared.ordering.event_handlers.follow_customers import follow_customer
from shared.ordering.tables import INBOX, LOG
from tests.support.database import empty_database
from tests.support.requests import watched_shop
from tests.support.shop import SHIPPING
from tests.support.topic import KeptTopic

type Operation = tuple[Callable[[], object], int]
"""What is done, and how many requests it may take."""


def test_each_operation_is_as_many_requests_as_the_documentation_says(tmp_path: Path) -> None:
    with watched_shop(empty_database(tmp_path)) as (shop, watch):
        on_sqlite = shop.ordering_engine.dialect.name == "sqlite"
        customer_id, tea, mug = shop.customer(), shop.product(), shop.product()
        shop.customers.run(rename_customer, RenameCustomer(customer_id=customer_id, name="Ada L."), Metadata())
        renamed = read_from(shop.customers_engine, partial(CUSTOMERS.history, aggregate_id=customer_id))[-1]
        order_id, key = uuid4(), Metadata()
        items = [Item(product_id=tea, quantity=1)]
        create = CreateOrder(order_id=order_id, customer_id=customer_id, items=items, shipping_address=SHIPPING)
        add = AddItem(order_id=order_id, product_id=mug, quantity=1)
        run, submit = shop.ordering.run, SubmitOrder(order_id=order_id)
        relay = Relay(shop.ordering_engine, LOG, KeptTopic())
        operations: dict[str, Operation] = {
            "create": (lambda: run(create_order, create, key), 2),
            "add item": (lambda: run(add_item, add, Metadata()), 2),
            "submit": (lambda: run(submit_order, submit, Metadata()), 2),
            # SQLite asks for the first answer after its transaction, a server in the batch
            "replay": (lambda: run(create_order, create, key), 3 if on_sqlite else 2),
            "refusal": (lambda: run(submit_order, submit, Metadata()), 2),
            "publishing": (relay.run, 2),
            "idle relay": (relay.run, 1),
            "lone read": (lambda: read_from(shop.ordering_engine, LOG.claims.unpublished), 1),
            "followed event": (lambda: INBOX.consume(shop.ordering_engine, renamed, follow_customer), 1),
        }
        counted, seen = {}, {}
        for name, (operation, _) in operations.items():
            with watch() as requests, suppress(Refusal):
                operation()
            counted[name], seen[name] = requests.counted, requests.on_the_wire
        assert counted == {name: most for name, (_, most) in operations.items()}
        assert seen == (dict.fromkeys(operations) if on_sqlite else counted)
