"""What is read again and again goes on where it was, instead of passing everything before that on each page."""

from typing import Any

import pytest
import sqlalchemy as sa

from shared.ordering.views.order_documents import NEXT_ORDERS
from shared.ordering.views.processes import RUNNING, RUNNING_DUE
from tests.support.database import needs_sqlite
from tests.support.shop import Shop

pytestmark = needs_sqlite("reads the plan that SQLite makes")


def plan_of(statement: sa.Select[Any], engine: sa.Engine) -> list[str]:
    """How SQLite would carry a statement out, step by step."""
    with engine.connect() as connection:
        text = str(statement.compile(connection))
        values = tuple([0] * text.count("?"))
        return [row.detail for row in connection.exec_driver_sql(f"EXPLAIN QUERY PLAN {text}", values)]


@pytest.mark.parametrize(
    ("statement", "seek"),
    [
        (RUNNING, "SEARCH fulfilments USING INDEX ix_fulfilments_running (begun_at>?)"),
        (RUNNING_DUE, "SEARCH fulfilments USING INDEX ix_fulfilments_due (due_at>? AND due_at<?)"),
    ],
    ids=["under way", "due"],
)
def test_the_next_page_of_processes_is_sought_by_its_own_index_and_not_sorted(
    statement: sa.Select[Any], seek: str, shop: Shop
) -> None:
    assert [step.replace("ordering.", "") for step in plan_of(statement, shop.ordering_engine)] == [seek]


def test_the_next_page_of_customers_is_sought_by_index(shop: Shop) -> None:
    plan = plan_of(NEXT_ORDERS, shop.ordering_engine)
    assert plan[0].startswith("SEARCH"), plan
    assert "customers" in plan[0], plan
