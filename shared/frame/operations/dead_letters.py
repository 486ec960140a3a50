"""The dead-letter queues, as operators see them."""

import asyncio
import logging
from collections import Counter
from collections.abc import Awaitable, Callable, Iterable, Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated, Any
from uuid import UUID

from pydantic import AfterValidator, BaseModel, Field, StringConstraints, create_model

from shared.frame.messaging.retries import tell
from shared.frame.messaging.subscriptions import Consumer, SubscriptionClosed
from shared.frame.platform import telemetry
from shared.frame.platform.input import Digits, QueryInput, Text
from shared.frame.platform.output import Answer, Time
from shared.frame.platform.times import utc_text
from shared.frame.timers import SomeFailed
from shared.kernel.refusals import Unavailable

if TYPE_CHECKING:
    from shared.frame.messaging.dead_letters import DeadLetter, DeadLetterQueue, DeadLetters

logger = logging.getLogger(__name__)

COUNTED, FARTHEST = 1_000, 10_000
"""Dead letters of a subscription that are counted, which takes a few requests, and the most that a caller may ask for.
Service Bus gives the number itself only to an identity that may manage the namespace, which the system may not."""

AT_ONCE = 4
"""Subscriptions that are looked at at once. Each takes two seconds, in which azure-servicebus mostly sleeps: closing a
receiver waits for its keep-alive, which looks once a second. Each holds a connection and a page, a megabyte."""

LISTED_WITHIN = 45.0
"""Seconds after which a list says of the subscriptions that are left that they are unanswered: `dev.py dead-letters`
waits for a minute. Without time-outs ten thousand dead letters take a few."""

REASONS = 50
"""Reasons that an answer lists, the most frequent first: a consumer may write any text as its reason."""


class ListDeadLetters(QueryInput):
    """Messages that subscriptions gave up on, oldest first. Reading them changes nothing.

    Without `subscription`, the list has those of all subscriptions. `after` continues behind a sequence number, which
    `next` gives. `reason` and `find` choose among the first `reach` messages.
    """

    subscription: str | None = None
    after: Annotated[int, Field(ge=0, lt=10**18), Digits] = 0
    take: Annotated[int, Field(ge=1, le=250), Digits] = 50
    reason: Annotated[str, StringConstraints(min_length=1, max_length=4096)] | None = None
    find: Annotated[Text, StringConstraints(min_length=1, max_length=200)] | None = Field(
        default=None, description="in an id, a correlation, an event's type, a description; whatever the case"
    )
    reach: Annotated[int, Field(ge=1, le=FARTHEST), Digits] = COUNTED


class DeadEvent(Answer):
    """The event in a dead letter."""

    event_id: UUID
    type: str
    aggregate_id: UUID = Field(description="of the aggregate that it is about")
    version: int
    occurred_at: Time
    correlation_id: str
    actor: str


class DeadMessage(Answer):
    """A message that its subscription gave up on."""

    sequence_number: int
    message_id: str | None
    reason: str | None
    description: str | None
    deliveries: int = Field(description="also to those who passed over it here while looking for others")
    enqueued_at: Time
    age: int = Field(description="seconds since Service Bus got it")
    event: DeadEvent | None = Field(description="null: it is no event of this system, and cannot be replayed")
    text: str | None = Field(description="where there is no event, how the message begins")


class ReasonCount(Answer):
    """How many dead letters have a reason."""

    reason: str | None
    count: int


class SubscriptionDeadLetters(Answer):
    """The dead letters of one subscription."""

    subscription: str
    consumer: str = Field(description="the trigger that takes its events in")
    closed: str | None = Field(
        description="why it cannot be read, and its consumer gets nothing: it is missing, disabled or forbidden. "
        "null: it can"
    )
    unanswered: bool = Field(
        description="Service Bus does not answer for it: whether it has dead letters is not known. Ask again"
    )
    count: int = Field(description="that fit, behind `after`, among those that were looked through")
    looked_through: int = Field(description="as many as `reach` says: there may be more")
    reasons: list[ReasonCount]
    items: list[DeadMessage]
    next: int | None = Field(description="give it as `after` to go on; null: there are no more")


class DeadLetterList(Answer):
    """Messages that subscriptions gave up on."""

    subscriptions: list[SubscriptionDeadLetters]


async def list_dead_letters(
    dead_letters: "DeadLetters", consumers: Sequence[Consumer], query: ListDeadLetters
) -> DeadLetterList:
    """Look at the dead letters of these consumers' subscriptions, and say of which there is no answer.

    Raises:
        Unavailable: none of them is answered for (503).
    """
    until = asyncio.get_running_loop().time() + LISTED_WITHIN

    async def listed(consumer: Consumer) -> SubscriptionDeadLetters:
        try:
            async with asyncio.timeout_at(until), dead_letters.of(consumer.topic, consumer.subscription) as queue:
                return await _shown(consumer, queue, query)
        except SubscriptionClosed as closed:
            return _nothing_shown(consumer, closed=closed.why)
        except TimeoutError as error:
            said = f"Service Bus has not given them within {LISTED_WITHIN:.0f} seconds: ask for less, by `reach`."
            raise Unavailable("service-bus-unavailable", said) from error

    answers = await _of_each(consumers, listed)
    unanswered = [answer for answer in answers if isinstance(answer, Unavailable)]
    if unanswered and len(unanswered) == len(consumers):
        raise unanswered[0]
    return DeadLetterList(
        subscriptions=[
            _nothing_shown(consumer, unanswered=True) if isinstance(answer, Unavailable) else answer
            for consumer, answer in zip(consumers, answers, strict=True)
        ]
    )


async def measure_subscriptions(dead_letters: "DeadLetters", consumers: Sequence[Consumer]) -> None:
    """Tell telemetry how many dead letters each of these consumers' subscriptions has, and since when the oldest waits.

    Dead letters are counted up to `COUNTED`. Whichever fail, the others are measured.

    Raises:
        SomeFailed: some subscriptions could not be read, which has been logged; the others were measured.
    """

    async def measured(consumer: Consumer) -> bool:
        try:
            await _measure(dead_letters, consumer)
        except SubscriptionClosed as error:
            logger.error("%s cannot be read: %s", path_of(consumer), error.why)  # noqa: TRY400  # it says all there is
            return False
        except Exception as error:  # whatever it is, the others are measured
            tell(logger, error, f"{path_of(consumer)} cannot be read")
            if isinstance(error, Unavailable):
                raise
            return False
        return True

    well = await _of_each(consumers, measured)
    if failed := [path_of(each) for each, how in zip(consumers, well, strict=True) if how is not True]:
        raise SomeFailed(", ".join(failed))


async def _of_each[Found](
    consumers: Sequence[Consumer], find: Callable[[Consumer], Awaitable[Found]]
) -> Sequence[Found | Unavailable]:
    """Find something of each of these consumers' subscriptions, a few at a time; or why there is no answer about it.

    If the first few get no answer, Service Bus is taken for away, and the rest is not waited for.
    """
    few = asyncio.Semaphore(AT_ONCE)

    async def found(consumer: Consumer) -> Found | Unavailable:
        async with few:
            try:
                return await find(consumer)
            except Unavailable as error:
                return error

    first = await asyncio.gather(*map(found, consumers[:AT_ONCE]))
    rest = consumers[AT_ONCE:]
    if all(isinstance(each, Unavailable) for each in first):
        return first + first[:1] * len(rest)
    return first + await asyncio.gather(*map(found, rest))


async def _measure(dead_letters: "DeadLetters", consumer: Consumer) -> None:
    count = 0
    async with dead_letters.of(consumer.topic, consumer.subscription) as queue:
        async for _ in queue.look(0, COUNTED):
            count += 1
    since = await dead_letters.waiting_since(consumer.topic, consumer.subscription)
    telemetry.subscription(consumer.topic, consumer.subscription, count, since)


def path_of(consumer: Consumer) -> str:
    """Name a consumer's subscription."""
    return f"{consumer.topic}/{consumer.subscription}"


def naming[Model: BaseModel](model: type[Model], names: Iterable[str]) -> type[Model]:
    """Let a model's `subscription` be one of these names, and say so in its description."""
    known = list(names)

    def check(name: str) -> str:
        if name not in known:
            raise ValueError(f"should be one of {', '.join(known)}")
        return name

    named = Annotated[str, AfterValidator(check), Field(json_schema_extra={"enum": known})]
    own = model.model_fields["subscription"]
    field: Any = (named, ...) if own.is_required() else (named | None, own.default)
    return create_model(model.__name__, __base__=model, __doc__=model.__doc__, subscription=field)


async def _shown(consumer: Consumer, queue: "DeadLetterQueue", query: ListDeadLetters) -> SubscriptionDeadLetters:
    count, last = 0, None
    reasons: Counter[str | None] = Counter()
    shown: list[DeadMessage] = []
    async for letter in queue.look(query.after, query.reach):
        reasons[letter.reason] += 1
        last = letter.sequence_number
        if _fits(letter, query):
            count += 1
            if count <= query.take:
                shown.append(_message(letter))
    if count > query.take:
        last = shown[-1].sequence_number
    elif reasons.total() < query.reach:
        last = None  # there are no more
    return SubscriptionDeadLetters(
        subscription=path_of(consumer),
        consumer=consumer.name,
        closed=None,
        unanswered=False,
        count=count,
        looked_through=reasons.total(),
        reasons=[ReasonCount(reason=reason, count=times) for reason, times in reasons.most_common(REASONS)],
        items=shown,
        next=last,
    )


def _nothing_shown(
    consumer: Consumer, *, closed: str | None = None, unanswered: bool = False
) -> SubscriptionDeadLetters:
    return SubscriptionDeadLetters(
        subscription=path_of(consumer),
        consumer=consumer.name,
        closed=closed,
        unanswered=unanswered,
        count=0,
        looked_through=0,
        reasons=[],
        items=[],
        next=None,
    )


def _fits(letter: "DeadLetter", query: ListDeadLetters) -> bool:
    if query.reason is not None and letter.reason != query.reason:
        return False
    if query.find is None:
        return True
    event = letter.envelope
    said = [letter.message_id, letter.description, letter.text]
    if event is not None:
        said += [str(event.event_id), str(event.aggregate_id), event.type, event.correlation_id, event.actor]
    return any(query.find.casefold() in each.casefold() for each in said if each)


def _message(letter: "DeadLetter") -> DeadMessage:
    return DeadMessage(
        sequence_number=letter.sequence_number,
        message_id=letter.message_id,
        reason=letter.reason,
        description=letter.description,
        deliveries=letter.deliveries,
        enqueued_at=utc_text(letter.enqueued_at),
        age=max(0, int((datetime.now(UTC) - letter.enqueued_at).total_seconds())),
        event=letter.envelope
        and DeadEvent(
            event_id=letter.envelope.event_id,
            type=letter.envelope.type,
            aggregate_id=letter.envelope.aggregate_id,
            version=letter.envelope.version,
            occurred_at=utc_text(letter.envelope.occurred_at),
            correlation_id=letter.envelope.correlation_id,
            actor=letter.envelope.actor,
        ),
        text=letter.text,
    )
