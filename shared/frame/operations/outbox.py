"""The events that wait to be published, as operators see them."""

import asyncio
from collections.abc import Iterable
from datetime import UTC, datetime
from typing import Any

from pydantic import Field

from shared.frame.context import Context
from shared.frame.platform.input import QueryInput
from shared.frame.platform.output import Answer
from shared.frame.platform.threads import Threads
from shared.frame.sql.reading import read_from

READING = Threads("outboxes", 1)
"""Logs that are read at the same time, over the commands' connections: the queries' identity may not read every log."""


class ReadOutbox(QueryInput):
    """How many events each context has yet to publish to Service Bus, and how old the oldest of them is."""


class ContextOutbox(Answer):
    """The unpublished events of one context."""

    context: str
    topic: str
    waiting: int = Field(description="events that Service Bus does not have yet")
    oldest_age: float | None = Field(description="seconds since the oldest of them occurred; null: none waits")


class Outboxes(Answer):
    """The unpublished events of all contexts."""

    items: list[ContextOutbox]


async def read_outbox(contexts: Iterable[Context[Any]]) -> Outboxes:
    """Count what waits, in each context's log."""
    return Outboxes(items=await asyncio.gather(*(READING.run(_outbox, context) for context in contexts)))


def _outbox(context: Context[Any]) -> ContextOutbox:
    waiting, oldest = read_from(context.engine, context.log.claims.unpublished)
    age = None if oldest is None else max(0.0, (datetime.now(UTC) - oldest).total_seconds())
    return ContextOutbox(
        context=context.name, topic=context.topic, waiting=waiting, oldest_age=age if age is None else round(age, 3)
    )
