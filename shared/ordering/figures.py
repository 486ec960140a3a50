"""Metrics of fulfilments: deadlines that passed without action, and how long the oldest unpaid order has waited."""

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta

import sqlalchemy as sa

from shared.frame.platform.telemetry import Figure
from shared.frame.sql.columns import UtcDateTime
from shared.ordering.domain.fulfilment import Deadline
from shared.ordering.tables import FULFILMENTS

OVERDUE = Figure("tandem.fulfilment.overdue", "{order}", "Orders whose deadline passed over five minutes ago")
OLDEST_UNPAID = Figure("tandem.fulfilment.oldest_unpaid", "s", "Age of the oldest wait for a payment; 0: there is none")

LATE = timedelta(minutes=5)
"""The delay of a timer that is no fault, given how often it runs."""

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
)


def fulfilment_figures(connection: sa.Connection) -> Mapping[Figure, float]:
    """Read them, by the index of deadlines."""
    now = datetime.now(UTC)
    row = connection.execute(FIGURES, {"due_before": now - LATE}).one()
    age = 0.0 if row.unpaid_since is None else (now - row.unpaid_since).total_seconds()
    return {OVERDUE: row.overdue, OLDEST_UNPAID: max(age, 0.0)}
