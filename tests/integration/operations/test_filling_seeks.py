"""Filling goes on where it was, instead of passing everything before that again on each page."""

from shared.ordering.views.order_documents import NEXT_ORDERS
from tests.support.database import needs_sqlite
from tests.support.shop import Shop

pytestmark = needs_sqlite("reads the plan that SQLite makes")


def test_the_next_page_of_customers_is_sought_by_index(shop: Shop) -> None:
    with shop.ordering_engine.connect() as connection:
        statement = str(NEXT_ORDERS.compile(connection))
        values = tuple([0] * statement.count("?"))
        plan = [row.detail for row in connection.exec_driver_sql(f"EXPLAIN QUERY PLAN {statement}", values)]
    assert plan[0].startswith("SEARCH"), plan
    assert "customers" in plan[0], plan
