"""Metrics of ordering: deadlines and erasures that are overdue, and how long the oldest unpaid order has waited."""

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta

import sqlalchemy as sa

from shared.frame.platform.telemetry import Metric
from shared.frame.sql.columns import UtcDateTime
from shared.ordering.fulfilment.decisions import Deadline
from shared.ordering.tables import CUSTOMERS, FULFILMENTS, ORDERS, UNDER_WAY

OVERDUE = Metric("tandem.fulfilment.overdue", "{order}", "Orders whose deadline passed over five minutes ago")
OLDEST_UNPAID = Metric("tandem.fulfilment.oldest_unpaid", "s", "Age of the oldest wait for a payment; 0: there is none")
UNERASED = Metric(
    "tandem.erasure.unerased",
    "{order}",
    "Closed orders and drafts of erased customers that should be erased for over an hour",
)

LATE = timedelta(minutes=5)
"""The delay of a timer that is no fault, given how often it runs."""

LATE_TO_ERASE = timedelta(hours=1)
"""The delay that is no fault: an order that was not erased is tried again at the next ticks."""

_ERASE_BEFORE = sa.bindparam("erase_before", type_=UtcDateTime)

FIGURES = sa.select(
    sa.select(sa.func.count())
    .where(FULFILMENTS.c.due_at < sa.bindparam("due_before", type_=UtcDateTime))
    .scalar_subquery()
    .label("overdue"),
    sa.select(sa.func.min(FULFILMENTS.c.since))
    .where(
        FULFILMENTS.c.due_at.is_not(None), FULFILMENTS.c.deadline == sa.literal_column(f"'{Deadline.PAYMENT.value}'")
    )
    .scalar_subquery()
    .label("unpaid_since"),
    sa.select(sa.func.count())
    .select_from(sa.join(CUSTOMERS, ORDERS, ORDERS.c.customer_id == CUSTOMERS.c.customer_id))
    .where(
        CUSTOMERS.c.erasure == sa.literal_column("1"),
        sa.or_(CUSTOMERS.c.erasing_since.is_(None), CUSTOMERS.c.erasing_since < _ERASE_BEFORE),
        ORDERS.c.erased == sa.literal_column("0"),
        ORDERS.c.status.not_in(UNDER_WAY),
        ORDERS.c.changed_at < _ERASE_BEFORE,
    )
    .scalar_subquery()
    .label("unerased"),
)


def ordering_metrics(connection: sa.Connection) -> Mapping[Metric, float]:
    """Read them, by the indexes of deadlines and of erasures that are under way."""
    now = datetime.now(UTC)
    row = connection.execute(FIGURES, {"due_before": now - LATE, "erase_before": now - LATE_TO_ERASE}).one()
    age = 0.0 if row.unpaid_since is None else (now - row.unpaid_since).total_seconds()
    return {OVERDUE: row.overdue, OLDEST_UNPAID: max(age, 0.0), UNERASED: row.unerased}
