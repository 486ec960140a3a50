"""What happened to an order, and what it was: told by the event log, which forgets nothing.

Names are those of the time: the log does not know of later renames.
"""

import asyncio
from collections.abc import Sequence
from datetime import UTC, datetime
from itertools import takewhile
from typing import Annotated
from uuid import UUID

import sqlalchemy as sa
from pydantic import ConfigDict, Field, JsonValue, TypeAdapter

from shared.messaging.container import Container
from shared.messaging.event_log import Entry
from shared.ordering.domain.errors import NoSuchVersion, OrderNotFound
from shared.ordering.events import OrderEvent
from shared.ordering.tables import LOG
from shared.ordering.views.order_details import OrderDetails, ReadOrder, rendered
from shared.ordering.views.order_documents import document_of
from shared.platform.examples import ORDER_ID, example
from shared.platform.input import Digits, Id, QueryInput
from shared.platform.output import Answer, Time
from shared.platform.reading import point_read
from shared.platform.times import utc_text

_PAYLOAD = TypeAdapter[dict[str, JsonValue]](dict[str, JsonValue], config=ConfigDict(defer_build=True))


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


async def read_history(orders: Container, engine: sa.Engine, query: ReadHistory) -> OrderHistory:
    """Read a page of an order's events.

    Raises:
        OrderNotFound: there is no such order.
    """
    first, page, version = await asyncio.to_thread(_entries, engine, query)
    customer_id = first.recorded.event.customer_id
    document = await point_read(orders, str(query.order_id), str(customer_id))
    projected: Sequence[int] = document["projected"] if document else ()
    return OrderHistory(
        order_id=query.order_id,
        customer_id=customer_id,
        version=version,
        events=[_happening(entry, projected) for entry in page],
    )


def read_order_of_the_past(engine: sa.Engine, query: ReadOrder) -> OrderDetails:
    """Read an order as it was at a version or a time; if both are given, at the earlier of the two.

    The log has every version that a command answered, so there is nothing to wait for.

    Raises:
        OrderNotFound: the customer has no such order.
        NoSuchVersion: it has not got to this version yet, or was not there at this time.
    """
    with engine.connect().execution_options(reads_only=True) as connection:
        history = LOG.history(connection, query.order_id, until=query.as_of_version or 2**62)
    if not history or history[0].event.customer_id != query.customer_id:
        raise OrderNotFound(f"Customer {query.customer_id} has no order {query.order_id}.")
    if query.as_of_version is not None and history[-1].envelope.version < query.as_of_version:
        raise NoSuchVersion(f"Order {query.order_id} is at version {history[-1].envelope.version}.")
    if query.as_of is not None:
        as_of = query.as_of
        # not a filter: machines' clocks differ, and an event means nothing without those before it
        history = list(takewhile(lambda recorded: recorded.envelope.occurred_at <= as_of, history))
    if not history:
        raise NoSuchVersion(f"Order {query.order_id} was not there yet.")
    return rendered(document_of(history))


def _entries(engine: sa.Engine, query: ReadHistory) -> tuple[Entry[OrderEvent], Sequence[Entry[OrderEvent]], int]:
    """Give the first event, those of the page, and the version of the last one."""
    with engine.connect().execution_options(reads_only=True) as connection:
        entries = LOG.entries(connection, query.order_id)
    if not entries:
        raise OrderNotFound(f"There is no order {query.order_id}.")
    return entries[0], entries[query.after_version :][: query.take], entries[-1].recorded.envelope.version


def _happening(entry: Entry[OrderEvent], projected: Sequence[int]) -> OrderHappening:
    envelope = entry.recorded.envelope
    shown = projected[envelope.version - 1] if envelope.version <= len(projected) else None
    return OrderHappening(
        version=envelope.version,
        type=envelope.type,
        data=_PAYLOAD.validate_json(envelope.payload),
        event_id=envelope.event_id,
        occurred_at=utc_text(envelope.occurred_at),
        actor=envelope.actor,
        command_id=envelope.command_id,
        causation_id=envelope.causation_id,
        correlation_id=envelope.correlation_id,
        published_at=entry.published_at and utc_text(entry.published_at),
        projected_at=None if shown is None else utc_text(datetime.fromtimestamp(shown / 1000, UTC)),
    )
