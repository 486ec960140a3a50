"""The query side reads SQL through an engine of its own, which cannot write; Azure grants it what it reads there."""

import random
from collections.abc import Iterator, Mapping, Sequence
from decimal import Decimal
from typing import Any
from uuid import uuid4

import pytest
import sqlalchemy as sa
from sqlalchemy.sql import visitors

from infra.sql.access import QUERY_SIDE
from shared.catalog.commands.change_price import ChangePrice, change_price
from shared.catalog.commands.rename_product import RenameProduct, rename_product
from shared.catalog.tables import LOG as CATALOG
from shared.contexts import CONTEXTS
from shared.customers.commands.rename_customer import RenameCustomer, rename_customer
from shared.customers.tables import LOG as CUSTOMERS
from shared.frame.app import App
from shared.frame.messaging.envelope import Metadata
from shared.frame.platform.settings import Settings
from shared.frame.read_side.cosmos import CosmosDatabase
from shared.frame.sql.engines import context_engine, query_engine
from shared.frame.sql.reading import rows_of
from shared.frame.write_side import event_log
from shared.frame.write_side.owner_data import page_of
from shared.ordering.commands.submit_order import SubmitOrder, submit_order
from shared.ordering.tables import LOG as ORDERING
from shared.ordering.tables import ORDERS
from tests.simulation.contexts import SIMULATED
from tests.support.database import needs_sqlite
from tests.support.shop import Shop
from tests.support.wiring import Woken


@needs_sqlite("on a server the rights of the identity say so, which infra/sql/access.py grants in Azure")
def test_what_the_query_side_reads_through_cannot_write(shop: Shop) -> None:
    reader = query_engine(Settings(sql=shop.url, cosmos="", service_bus=""), "ordering")
    with reader.connect() as connection, pytest.raises(sa.exc.OperationalError, match="readonly database"):
        connection.execute(sa.delete(ORDERS))
    reader.dispose()


@pytest.fixture
def read(monkeypatch: pytest.MonkeyPatch) -> Iterator[set[str]]:
    """The tables that any query engine has read."""
    tables: set[str] = set()
    engines: list[sa.Engine] = []

    def note(statement: sa.ClauseElement) -> None:
        found = visitors.iterate(statement)
        tables.update(element.fullname for element in found if isinstance(element, sa.Table))

    def writing(settings: Settings, schema: str) -> sa.Engine:
        engines.append(context_engine(settings, schema))
        return engines[-1]

    def reading(settings: Settings, schema: str) -> sa.Engine:
        engines.append(query_engine(settings, schema))

        @sa.event.listens_for(engines[-1], "before_execute")
        def _executed(_connection: object, statement: sa.ClauseElement, *_: object) -> None:
            note(statement)

        return engines[-1]

    def asked(engine: sa.Engine, statement: sa.Select[Any], parameters: Mapping[str, Any]) -> Sequence[sa.Row[Any]]:
        note(statement)  # it goes past SQLAlchemy's events
        return rows_of(engine, statement, parameters)

    monkeypatch.setattr("shared.frame.app.context_engine", writing)
    monkeypatch.setattr("shared.frame.app.query_engine", reading)
    monkeypatch.setattr(event_log, "rows_of", asked)
    # a publisher would go on, with engines that end here
    monkeypatch.setattr(App, "outbox", lambda *_: Woken(lambda: None))
    yield tables
    for engine in engines:
        engine.dispose()


async def test_what_it_reads_to_fill_gaps_and_correct_names_it_may_read(
    shop: Shop, read_models: str, read: set[str]
) -> None:
    settings = Settings(sql=shop.url, cosmos=read_models, service_bus="")
    models = CosmosDatabase(settings)
    app = App(settings, models)
    wired = [declare(app) for declare in CONTEXTS]
    consume = {consumer.name: consumer.consume for context in wired for consumer in context.consumers}
    customer_id, product_id = shop.customer(), shop.product()
    order_id = shop.order(product_id, customer_id=customer_id)
    shop.ordering.run(submit_order, SubmitOrder(order_id=order_id), Metadata())
    shop.catalog.run(change_price, ChangePrice(product_id=product_id, unit_price=Decimal("3.00")), Metadata())
    shop.catalog.run(rename_product, RenameProduct(product_id=product_id, name="Chai"), Metadata())
    shop.customers.run(rename_customer, RenameCustomer(customer_id=customer_id, name="Grace"), Metadata())
    with shop.ordering_engine.connect() as connection:
        [_, submitted] = ORDERING.history(connection, order_id)
    with shop.catalog_engine.connect() as connection:
        [added, _, renamed] = CATALOG.history(connection, product_id)
    with shop.customers_engine.connect() as connection:
        [_, customer_renamed] = CUSTOMERS.history(connection, customer_id)

    await consume["project_order"](submitted.envelope)  # before the order was made: from the log
    await consume["project_product"](renamed.envelope)
    for recorded in (added, renamed):
        await consume["follow_products"](recorded.envelope)
    await consume["follow_customers"](customer_renamed.envelope)
    await models.close()
    logs = {"ordering.event_log", "catalog.event_log", "customers.event_log"}
    assert read == {*logs, "ordering.orders", "ordering.order_lines"}
    assert read <= set(QUERY_SIDE)


async def test_what_it_reads_to_fill_compare_and_heal_read_models_and_to_export_it_may_read(
    shop: Shop, read_models: str, read: set[str]
) -> None:
    models = CosmosDatabase(Settings(sql=shop.url, cosmos=read_models, service_bus=""))
    app = App(Settings(sql=shop.url, cosmos=read_models, service_bus=""), models)
    customer_id, product_id = shop.customer(), shop.product()
    order_id = shop.order(product_id, shop.product(), customer_id=customer_id)
    shop.ordering.run(submit_order, SubmitOrder(order_id=order_id), Metadata())
    shop.follow_order(order_id)
    for each in SIMULATED:
        handler, command = each.next(random.Random(1), [], uuid4())
        shop.wired()[each.context].writes.run(handler, command, Metadata())
    for context in [declare(app) for declare in CONTEXTS]:
        for model in context.read_models.values():
            source = model.view.source
            assert await source.total() > 0
            assert await source.changed(0, await source.newest(), 10)
            for container in await model.view.generations.containers_to_write():
                await source.fill(container, None)
                for partition_key in await source.sample(3):
                    assert await source.differences(container, partition_key) == []
                    await source.heal(container, partition_key)
    held, _ = page_of(app.owner_data, customer_id, None, 100)
    await models.close()
    assert held
    assert {"catalog.purchases", "catalog.ratings", "catalog.stock", "customers.event_log", "ordering.orders"} <= read
    assert read <= set(QUERY_SIDE)
