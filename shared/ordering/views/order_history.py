"""The history of an order, and its past states, from the event log.

Names are those of the time of the events: the log of orders does not know of later renames.
"""

import time
from collections.abc import Sequence
from datetime import UTC, datetime
from functools import partial
from typing import Annotated
from uuid import UUID

import sqlalchemy as sa
from pydantic import Field, JsonValue

from shared.frame.messaging.codec import payload_of
from shared.frame.platform.examples import example
from shared.frame.platform.input import Digits, Id, QueryInput
from shared.frame.platform.output import Answer, Time
from shared.frame.platform.times import utc_text
from shared.frame.read_side.container import Container
from shared.frame.read_side.generations import Served
from shared.frame.read_side.past import Past
from shared.frame.read_side.read_your_writes import Wait, point_read
from shared.frame.sql.reading import read_from
from shared.frame.write_side.concurrency_limit import FairConcurrencyLimit
from shared.frame.write_side.event_log import Entry
from shared.frame.write_side.unit_of_work import LONGEST_TIMEOUT
from shared.ordering.domain.errors import NoSuchVersion, OrderNotFound
from shared.ordering.events import OrderCreatedV1, OrderEvent
from shared.ordering.tables import LOG, SNAPSHOTS
from shared.ordering.views import order_details
from shared.ordering.views.order_details import SHAPES, OrderDetails, ReadOrder, read_order, rendered
from shared.story import ORDER_ID

PAST = Past(LOG, SNAPSHOTS, order_details.project, SHAPES.today)

CONCURRENCY, MAX_WAITING = 4, 32
"""Reads of the log that one process carries out at once, and the most that may run or wait. They are rare, and they use
much of the processor, because folding is done in Python."""

FOLDING = 2.0
"""Seconds for which one read may fold. It keeps its last snapshots, and the next read begins there."""


class OrderHappening(Answer):
    """One event: what, who, when and why; when it was published to Service Bus and when the read model showed it.

    `projectedAt` is that of the read model in use: after a rebuild, the time of the rebuild.
    """

    version: int
    type: str
    data: dict[str, JsonValue]
    event_id: UUID
    occurred_at: Time
    actor: str
    command_id: str
    causation_id: str
    correlation_id: str
    published_at: Time | None
    projected_at: Time | None


class OrderHistory(Answer):
    """A page of an order's events, oldest first; `version` is that of the last event of all."""

    order_id: UUID
    customer_id: UUID
    version: int
    events: list[OrderHappening]


class ReadHistory(QueryInput, json_schema_extra=example(orderId=ORDER_ID)):
    """What happened to an order: every event, from the log."""

    order_id: Id
    after_version: Annotated[int, Field(ge=0, lt=2**53), Digits] = 0
    take: Annotated[int, Field(ge=1, le=1_000), Digits] = 100


class Pasts:
    """Reads the log within a concurrency limit of its own that is fair to callers."""

    def __init__(self, reader: sa.Engine, keeper: sa.Engine) -> None:
        """Prepare; nothing connects yet.

        Args:
            reader: reads the log.
            keeper: writes snapshots.
        """
        self._reader = reader
        self._keeper = keeper
        self._limit = FairConcurrencyLimit(CONCURRENCY, MAX_WAITING, kind="reads of the past")

    async def read_order(self, served: Served, query: ReadOrder, wait: Wait) -> OrderDetails | tuple[OrderDetails, int]:
        """Read an order as it is now; or as it was, when the caller's turn comes.

        Raises:
            OrderNotFound, NoSuchVersion, StillFolding, Unavailable: as reading an order now, or of the past, in turn.
        """
        if not query.of_the_past:
            return await read_order(served, query, wait)
        fold = partial(read_order_of_the_past, self._reader, self._keeper, query)
        return await self._limit.take_for(wait.caller, fold)

    async def read_history(self, served: Served, query: ReadHistory, wait: Wait) -> OrderHistory:
        """Read a page of history when it is the caller's turn; raises as read_entries and FairConcurrencyLimit."""
        entries = await self._limit.take_for(wait.caller, partial(read_entries, self._reader, query))
        return await read_history(served.container, query, *entries)


async def read_history(
    orders: Container, query: ReadHistory, customer_id: UUID, page: Sequence[Entry[OrderEvent]], version: int
) -> OrderHistory:
    """Give an order's events, and when the read model showed them."""
    document = await point_read(orders, str(query.order_id), str(customer_id))
    projected: Sequence[int | None] = SHAPES.read(document)["projected"] if document else ()
    return OrderHistory(
        order_id=query.order_id,
        customer_id=customer_id,
        version=version,
        events=[_happening(entry, projected) for entry in page],
    )


def read_order_of_the_past(reader: sa.Engine, keeper: sa.Engine, query: ReadOrder) -> OrderDetails:
    """Read an order as it was at a version or a time; if both are given, at the earlier of the two.

    The log has every version that a command answered, so there is nothing to wait for.

    Args:
        reader: reads the log.
        keeper: writes snapshots.
        query: which order, and when.

    Raises:
        OrderNotFound: the customer has no such order.
        NoSuchVersion: the order has not reached this version, or did not exist at this time.
        StillFolding: there are too many events to fold in one read.
    """
    deadline = time.monotonic() + FOLDING
    owner, version = read_from(reader, lambda connection: _owner_and_version(connection, query.order_id))
    if owner != query.customer_id:
        raise OrderNotFound(f"Customer {query.customer_id} has no order {query.order_id}.")
    if query.as_of_version is not None and version < query.as_of_version:
        raise NoSuchVersion(f"Order {query.order_id} is at version {version}.")
    until = query.as_of_version or version
    document = PAST.document(reader, keeper, query.order_id, until, query.as_of, deadline)
    if document is None:
        raise NoSuchVersion(f"Order {query.order_id} was not there yet.")
    return rendered(document)


def read_entries(reader: sa.Engine, query: ReadHistory) -> tuple[UUID, Sequence[Entry[OrderEvent]], int]:
    """Give an order's customer, the events of the page, and the version of the last event of all.

    Raises:
        OrderNotFound: there is no such order.
    """

    def entries(connection: sa.Connection) -> tuple[UUID | None, Sequence[Entry[OrderEvent]], int]:
        connection = connection.execution_options(statement_timeout=LONGEST_TIMEOUT)
        until = query.after_version + query.take  # versions have no gaps
        owner, version = _owner_and_version(connection, query.order_id)
        return owner, LOG.entries(connection, query.order_id, query.after_version, until), version

    owner, page, version = read_from(reader, entries)
    if owner is None:
        raise OrderNotFound(f"There is no order {query.order_id}.")
    return owner, page, max([version, *(entry.recorded.envelope.version for entry in page)])


def _owner_and_version(connection: sa.Connection, order_id: UUID) -> tuple[UUID | None, int]:
    """Read an order's customer and last version from the log: from its first event, and from its last one.

    The log also has the requests of fulfilments, in streams of their own: none of them is an order.
    """
    for first in LOG.history(connection, order_id, until=1):
        if isinstance(first.event, OrderCreatedV1):
            return first.event.customer_id, LOG.version(connection, order_id)
    return None, 0


def _happening(entry: Entry[OrderEvent], projected: Sequence[int | None]) -> OrderHappening:
    envelope = entry.recorded.envelope
    shown = projected[envelope.version - 1] if envelope.version <= len(projected) else None
    return OrderHappening(
        version=envelope.version,
        type=envelope.type,
        data=payload_of(envelope),
        event_id=envelope.event_id,
        occurred_at=utc_text(envelope.occurred_at),
        actor=envelope.actor,
        command_id=envelope.command_id,
        causation_id=envelope.causation_id,
        correlation_id=envelope.correlation_id,
        published_at=entry.published_at and utc_text(entry.published_at),
        projected_at=None if shown is None else utc_text(datetime.fromtimestamp(shown / 1000, UTC)),
    )
