"""Metrics of the stock: reserved and awaited pieces, and how long the oldest waiting order has waited."""

from collections.abc import Mapping
from datetime import UTC, datetime

import sqlalchemy as sa

from shared.catalog.tables import ORDERED_STOCK, STOCK
from shared.frame.platform.telemetry import Metric

RESERVED = Metric("tandem.stock.reserved", "{piece}", "Pieces that lie ready for orders")
WAITING = Metric("tandem.stock.waiting", "{piece}", "Pieces that orders wait for")
OLDEST = Metric("tandem.stock.oldest_waiting", "s", "Age of the oldest submission that waits for pieces; 0: none does")

_WAIT = ORDERED_STOCK.c.waiting > sa.literal_column("0")
STOCK_FIGURES = sa.select(
    sa.func.coalesce(sa.func.sum(sa.cast(STOCK.c.reserved, sa.BigInteger)), sa.literal_column("0")).label("reserved"),
    sa.func.coalesce(sa.func.sum(sa.cast(STOCK.c.waiting, sa.BigInteger)), sa.literal_column("0")).label("waiting"),
    sa.select(sa.func.min(ORDERED_STOCK.c.submitted_at)).where(_WAIT).scalar_subquery().label("oldest"),
)


def stock_metrics(connection: sa.Connection) -> Mapping[Metric, float]:
    """Read them: a row of the table of stock for each product, and of those who wait."""
    row = connection.execute(STOCK_FIGURES).one()
    age = 0.0 if row.oldest is None else (datetime.now(UTC) - row.oldest).total_seconds()
    return {RESERVED: row.reserved, WAITING: row.waiting, OLDEST: max(age, 0.0)}
