"""Serve on where orders wait for available pieces, because one change serves at most SERVED_AT_ONCE of them.

A timer looks for such products, so a process that dies between two changes loses nothing. Any number of timers may run
at once: each change is made at the version of the stock that was read.
"""

import logging
import time
from dataclasses import dataclass
from uuid import UUID

import sqlalchemy as sa

from shared.catalog.repository import Stocks
from shared.catalog.tables import STOCK
from shared.frame.messaging.envelope import Accepted, Metadata
from shared.frame.messaging.retries import tell
from shared.frame.sql.reading import read_from
from shared.frame.write_side.commands import WriteSide

logger = logging.getLogger(__name__)

ACTOR = "waiting list"
"""The actor of reservations that the timer makes."""

PAGE = 100
"""Products that take turns."""

WORKS_FOR = 5.0
"""Seconds after which a tick serves no other product: the relays' next tick waits for this one."""

SERVABLE = (
    sa.select(STOCK.c.product_id, STOCK.c.version)
    .where(STOCK.c.waiting > sa.literal_column("0"), STOCK.c.reserved < STOCK.c.on_hand)
    .order_by(STOCK.c.changed_at, STOCK.c.product_id)
    .limit(PAGE)
)
"""Products that have available pieces and waiting orders; the one that was served least recently is the first."""


@dataclass(frozen=True, slots=True)
class ServeWaiting:
    """Reserve available pieces of a product for waiting orders."""

    product_id: UUID


def serve_waiting(command: ServeWaiting, stocks: Stocks) -> Accepted:
    """Reserve them; no change if another process has done it."""
    stock = stocks.load(command.product_id)
    stock.serve()
    return stocks.save(stock) if stock.pending_events else Accepted(stock.stock_id, stock.version)


def serve_waiting_orders(engine: sa.Engine, writes: WriteSide) -> None:
    """Serve until nobody waits for available pieces, or the time is up; the next tick continues there.

    Raises:
        sqlalchemy.exc.SQLAlchemyError: the database does not answer.
    """
    until, served = time.monotonic() + WORKS_FOR, True
    while served:
        served = False
        for product_id, version in read_from(engine, lambda connection: connection.execute(SERVABLE).all()):
            if time.monotonic() > until:
                return
            served |= _serve(product_id, version, writes)


def _serve(product_id: UUID, version: int, writes: WriteSide) -> bool:
    """Serve orders that wait for one product, and tell whether its stock has changed."""
    try:
        return writes.run(serve_waiting, ServeWaiting(product_id), Metadata(actor=ACTOR)).version > version
    except Exception as error:  # noqa: BLE001  # one product's failure must not stop the others
        tell(logger, error, f"orders that wait for product {product_id} were not served, and are at the next tick")
        return False
