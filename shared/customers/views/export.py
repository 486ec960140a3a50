"""Exports all data of a customer from the event logs, for data portability (GDPR, article 20)."""

from collections.abc import Sequence
from typing import Annotated
from uuid import UUID

from pydantic import Field, JsonValue

from shared.customers.domain.errors import CustomerNotFound
from shared.customers.tables import SCHEMA
from shared.frame.messaging.codec import payload_of
from shared.frame.platform.examples import example
from shared.frame.platform.input import Digits, OwnerId, QueryInput
from shared.frame.platform.output import Answer, Time
from shared.frame.platform.times import utc_text
from shared.frame.read_side.read_your_writes import Wait
from shared.frame.write_side.concurrency_limit import FairConcurrencyLimit
from shared.frame.write_side.owner_data import (
    MAX_EVENTS,
    POSITION,
    ExportPosition,
    OwnerData,
    OwnerEvent,
    has_events,
    page_of,
)
from shared.story import CUSTOMER_ID

CONCURRENCY, MAX_WAITING = 2, 16
"""Pages that one process reads at once, and the most requests for them that may run or wait."""


class ExportedEvent(Answer):
    """An event of the customer, or of what is theirs."""

    context: str
    subject: UUID = Field(description="the customer, an order, its fulfilment, its payment, or a rating")
    version: int
    type: str
    occurred_at: Time
    data: dict[str, JsonValue]


class CustomerExport(Answer):
    """A page of a customer's data; each subject's events come oldest first."""

    customer_id: UUID
    items: list[ExportedEvent]
    next: str | None = Field(description="give it as `cursor` to go on; null: that was all")


class ReadExport(QueryInput, json_schema_extra=example(customerId=CUSTOMER_ID)):
    """All data of a customer: every event of theirs, their orders, payments and ratings, from the log.

    All other data of the customer is made from these events. A page has fewer events, or none, if they are long or
    take long to read; `next` tells whether there are more.
    """

    customer_id: OwnerId
    cursor: Annotated[str, Field(pattern=POSITION)] | None = None
    take: Annotated[int, Field(ge=1, le=MAX_EVENTS), Digits] = MAX_EVENTS


class Exports:
    """Reads exports of customers, within a concurrency limit that is fair to callers."""

    def __init__(self, owner_data: Sequence[OwnerData]) -> None:
        """Prepare.

        Args:
            owner_data: the contexts' data of customers, including contexts that are declared later.
        """
        self._owner_data = owner_data
        self._limit = FairConcurrencyLimit(CONCURRENCY, MAX_WAITING, kind="exports")

    async def read_export(self, query: ReadExport, wait: Wait) -> CustomerExport:
        """Read a page.

        Raises:
            CustomerNotFound: there is no such customer.
            Invalid: the cursor is not from this list.
            Unavailable: the request did not have its turn in time.
        """
        after = None if query.cursor is None else ExportPosition.parse(query.cursor)

        def read() -> CustomerExport:
            page, last = page_of(self._owner_data, query.customer_id, after, query.take)
            if not page and after is None and not self._is_there(query.customer_id):
                raise CustomerNotFound(f"There is no customer {query.customer_id}.")
            return CustomerExport(
                customer_id=query.customer_id,
                items=[_exported(each) for each in page],
                next=None if last is None else str(last),
            )

        return await self._limit.take_for(wait.caller, read)

    def _is_there(self, customer_id: UUID) -> bool:
        """Ask the customers' log: a page without events may have ended before it came there."""
        return any(has_events(each, customer_id) for each in self._owner_data if each.context == SCHEMA)


def _exported(found: OwnerEvent) -> ExportedEvent:
    envelope = found.recorded.envelope
    return ExportedEvent(
        context=found.context,
        subject=envelope.aggregate_id,
        version=envelope.version,
        type=envelope.type,
        occurred_at=utc_text(envelope.occurred_at),
        data=payload_of(envelope),
    )
