"""The last hour of all processes, minute by minute, and single deliveries of it, as each process wrote them."""

import asyncio
import time
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Annotated, Any
from uuid import UUID

from pydantic import Field

from shared.frame.platform.activity import Write, percentile
from shared.frame.platform.examples import example
from shared.frame.platform.input import Digits, Id, QueryInput
from shared.frame.platform.output import Answer, Time
from shared.frame.platform.times import utc_text
from shared.frame.read_side.cosmos import CosmosDatabase
from shared.frame.read_side.read_your_writes import TIMEOUT, Document
from shared.frame.read_side.shape import Shapes
from shared.frame.read_side.view_state import CONTROL

PARTITION = "minutes"
"""The partition in the container of control documents; no view has this name."""

LIVES = 75 * 60
"""Seconds after which Cosmos DB removes a document: an hour, and the time by which a process may be late."""

MOST = 6_000
"""Documents that are read at most: a hundred processes' hour."""

SHAPES = Shapes(what="What a process did in a minute", today=1, mend="Nothing: it is gone in an hour.")

SINCE = "SELECT TOP @most * FROM c WHERE c.id >= @since"
OF_EVENT = "SELECT TOP @most VALUE d FROM c JOIN d IN c.deliveries WHERE d.event = @event"


class ReadMinutes(QueryInput):
    """The work of the last minutes, of all processes together; minutes without work are left out.

    Each process writes its figures within half a minute, so the last minute may still grow.
    """

    minutes: Annotated[int, Field(ge=1, le=60), Digits] = 60


class SubscriptionMinute(Answer):
    """The deliveries to one subscription within a minute."""

    subscription: str
    taken: int = Field(description="deliveries after which an event was taken in, also one that had been before")
    failed: int = Field(description="deliveries that failed; an event comes again, ten times at most")
    p50: float | None = Field(description="seconds from an event until it was taken in; to within a tenth")
    p99: float | None


class MinuteDone(Answer):
    """The work done within a minute."""

    at: Time = Field(description="when the minute began")
    processes: int = Field(description="that tell of it")
    accepted: int = Field(description="commands that changed something")
    replayed: int = Field(description="commands that had been accepted before")
    refused: int = Field(description="commands that the rules refused")
    failed: int = Field(description="commands that ended in an error")
    overloaded: int = Field(description="requests that were turned away because all callers together ask for too much")
    too_soon: int = Field(
        description="answers of 503 for which the caller alone is the reason: their share is used up, or they ask for "
        "what is yet to be written or gathered; no sign of a failure"
    )
    errors: int = Field(description="other answers with a status of 500 and more")
    subscriptions: list[SubscriptionMinute]


class MinutesDone(Answer):
    """The work of the last minutes, oldest first."""

    items: list[MinuteDone]


class FindDeliveries(QueryInput, json_schema_extra=example(eventId="6f9619ff-8b86-4d01-b42d-00cf4fc964ff")):
    """How an event was delivered, attempt by attempt, as far as processes noted it within the last hour.

    Each process notes the first 20 deliveries of a minute, and of those that failed or came again the first 50.
    """

    event_id: Id


class NotedDelivery(Answer):
    """One delivery of an event to a subscription."""

    subscription: str
    attempt: int = Field(description="counted from 1")
    at: Time = Field(description="when it began")
    seconds: float
    request_units: float = Field(description="what it cost Cosmos DB")
    error: str | None = Field(description="of which kind; null: the event was taken in")


class NotedDeliveries(Answer):
    """Deliveries of one event, oldest first."""

    items: list[NotedDelivery]


def writing(cosmos: CosmosDatabase) -> Write:
    """Make the function that writes minutes into Cosmos DB."""

    async def write(id_: str, content: Mapping[str, Any]) -> None:
        document = {"id": id_, "view": PARTITION, "shape": SHAPES.today, "ttl": LIVES, **content}
        async with asyncio.timeout(TIMEOUT):
            await cosmos.container(CONTROL).upsert_item(document, no_response=True)

    return write


async def read_history(cosmos: CosmosDatabase, query: ReadMinutes) -> MinutesDone:
    """Put together what all processes did."""
    since = int(time.time() // 60) - query.minutes + 1
    minutes: dict[int, list[Document]] = defaultdict(list)
    for document in await _rows(cosmos, SINCE, {"@since": str(since)}):
        if SHAPES.reads(document):
            minutes[int(document["id"].partition("-")[0])].append(SHAPES.read(document))
    return MinutesDone(items=[_minute(number, minutes[number]) for number in sorted(minutes)])


async def find_deliveries(cosmos: CosmosDatabase, event_id: UUID) -> NotedDeliveries:
    """Look for the deliveries of an event."""
    rows = await _rows(cosmos, OF_EVENT, {"@event": str(event_id)})
    return NotedDeliveries(items=[_delivery(row) for row in sorted(rows, key=lambda row: row["at"])])


async def _rows(cosmos: CosmosDatabase, query: str, parameters: Mapping[str, str]) -> Sequence[Document]:
    given: list[dict[str, Any]] = [{"name": name, "value": value} for name, value in parameters.items()]
    given.append({"name": "@most", "value": MOST})
    container = cosmos.container(CONTROL)
    async with asyncio.timeout(TIMEOUT):
        return [row async for row in container.query_items(query, parameters=given, partition_key=PARTITION)]


def _minute(number: int, documents: Sequence[Document]) -> MinuteDone:
    counts: Counter[str] = sum((Counter(each["counts"]) for each in documents), Counter())
    names = sorted({name for each in documents for name in each["subscriptions"]})
    return MinuteDone(
        at=utc_text(datetime.fromtimestamp(number * 60, UTC)),
        processes=len(documents),
        accepted=counts["accepted"],
        replayed=counts["replayed"],
        refused=counts["refused"],
        failed=counts["failed"],
        overloaded=counts["overloaded"],
        too_soon=counts["tooSoon"],
        errors=counts["errors"],
        subscriptions=[
            _subscription(name, [each["subscriptions"][name] for each in documents if name in each["subscriptions"]])
            for name in names
        ],
    )


def _subscription(name: str, parts: Iterable[Document]) -> SubscriptionMinute:
    taken, failed, lags = 0, 0, Counter[int]()
    for part in parts:
        taken += part["taken"]
        failed += part["failed"]
        lags.update({int(at): count for at, count in part["lags"].items()})
    return SubscriptionMinute(
        subscription=name, taken=taken, failed=failed, p50=percentile(lags, 0.5), p99=percentile(lags, 0.99)
    )


def _delivery(row: Document) -> NotedDelivery:
    return NotedDelivery(
        subscription=row["subscription"],
        attempt=row["attempt"],
        at=utc_text(datetime.fromtimestamp(row["at"], UTC)),
        seconds=row["seconds"],
        request_units=row["units"],
        error=row["error"],
    )
