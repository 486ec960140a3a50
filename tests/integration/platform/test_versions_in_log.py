"""The version that the log has for a document: for what a partition shows, and for nothing that belongs to others."""

from decimal import Decimal
from uuid import uuid4

import pytest
import sqlalchemy as sa

from shared.catalog.commands.add_product import AddProduct, add_product
from shared.catalog.commands.rate_product import RateProduct, rate_product
from shared.catalog.domain.rating import rating_id
from shared.catalog.domain.stock import stock_of
from shared.catalog.views.product_details import partition_key_of
from shared.catalog.views.product_lists import LISTS
from shared.frame.messaging.envelope import Metadata
from shared.ordering.domain.errors import OrderNotFound
from shared.ordering.events import fulfilment_of
from shared.ordering.views.customer_summary import SUMMARY
from shared.ordering.views.order_details import ReadOrder
from shared.ordering.views.order_history import ReadHistory, read_entries, read_order_of_the_past
from tests.integration.customers.test_export import to_be_paid
from tests.support.shop import Shop


def test_an_orders_version_is_told_in_its_customers_partition_alone(shop: Shop) -> None:
    ada, eve = shop.customer(), shop.customer()
    order_id = shop.order(shop.product(), customer_id=ada)
    logged = shop.wired()["ordering"].read_models["orders"].logged
    assert [logged(str(order_id), str(customer_id)) for customer_id in (ada, eve)] == [1, 0]
    assert logged(str(uuid4()), str(ada)) == 0


def test_the_requests_of_a_fulfilment_are_no_versions_that_a_customer_waits_for(shop: Shop) -> None:
    ada = shop.customer()
    order_id = shop.order(product_id := shop.product(), customer_id=ada)
    to_be_paid(shop, order_id, product_id)
    context = shop.wired()["ordering"]
    with context.reader.connect() as connection:
        assert context.log.version(connection, fulfilment_of(order_id)) > 0
    assert context.read_models["orders"].logged(str(fulfilment_of(order_id)), str(ada)) == 0


def test_the_requests_of_a_fulfilment_are_no_order_that_has_a_past_or_a_history(shop: Shop) -> None:
    ada = shop.customer()
    order_id = shop.order(product_id := shop.product(), customer_id=ada)
    to_be_paid(shop, order_id, product_id)
    reader, keeper = shop.wired()["ordering"].reader, shop.ordering_engine
    asked = {
        id_: ReadOrder(order_id=id_, customer_id=ada, as_of_version=1) for id_ in (order_id, fulfilment_of(order_id))
    }
    assert read_order_of_the_past(reader, keeper, asked[order_id]).order_id == order_id
    assert read_entries(reader, ReadHistory(order_id=order_id))[0] == ada
    with pytest.raises(OrderNotFound):
        read_order_of_the_past(reader, keeper, asked[fulfilment_of(order_id)])
    with pytest.raises(OrderNotFound):
        read_entries(reader, ReadHistory(order_id=fulfilment_of(order_id)))


def test_a_summarys_version_is_what_ordering_knows_of_its_customer(shop: Shop) -> None:
    logged = shop.wired()["ordering"].read_models["orders"].logged
    assert [logged(SUMMARY, str(customer_id)) for customer_id in (shop.customer(), uuid4())] == [1, 0]


def test_what_a_products_partition_shows_has_its_version_there_and_nowhere_else(shop: Shop) -> None:
    product_id, other_id, ada = uuid4(), shop.product(), shop.customer()
    added = AddProduct(
        product_id=product_id, name="Tea", unit_price=Decimal(1), currency="EUR", category="A", initial_stock=3
    )
    shop.catalog.run(add_product, added, Metadata())
    shop.catalog.run(rate_product, RateProduct(product_id=product_id, customer_id=ada, rating=5), Metadata())
    logged = shop.wired()["catalog"].read_models["products"].logged
    stock, rating = stock_of(product_id), rating_id(product_id, ada)
    for shown in (product_id, stock, rating):
        places = {
            view: logged(str(shown), view)
            for view in (partition_key_of(product_id), partition_key_of(other_id), partition_key_of(shown))
        }
        assert places == {view: int(view == partition_key_of(product_id)) for view in places}


def test_a_list_tells_versions_of_products_and_not_who_has_rated_one(shop: Shop) -> None:
    product_id, ada = shop.product(), shop.customer()
    shop.catalog.run(rate_product, RateProduct(product_id=product_id, customer_id=ada, rating=5), Metadata())
    logged = shop.wired()["catalog"].read_models["products"].logged
    told = [logged(str(id_), LISTS) for id_ in (product_id, rating_id(product_id, ada), uuid4())]
    assert told == [1, 0, 0]


def test_what_is_anothers_takes_the_same_statements_as_what_does_not_exist(shop: Shop) -> None:
    ada, eve = shop.customer(), shop.customer()
    order_id = shop.order(shop.product(), customer_id=ada)
    context = shop.wired()["ordering"]
    asked = list[str]()
    sa.event.listen(context.reader, "before_cursor_execute", lambda *said: asked.append(said[2]))
    statements = list[list[str]]()
    for id_ in (order_id, uuid4()):
        asked.clear()
        context.read_models["orders"].logged(str(id_), str(eve))
        statements.append(list(asked))
    assert statements[0] == statements[1]
    assert len(statements[0]) == 1
