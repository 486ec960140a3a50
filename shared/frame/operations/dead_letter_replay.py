"""Replaying dead letters, which gives each event to its own consumer again and to no other; and discarding them.

Service Bus could only send the event to its topic again, and every subscriber would get it. So a replay calls the
consumer's code directly, as its trigger would, and then completes the dead letter. Consumers apply no event twice: if
the process dies in between, the dead letter stays and can be replayed again.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Collection, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Literal

from azure.core.exceptions import AzureError
from pydantic import Field, JsonValue, StringConstraints

from shared.frame.messaging.subscriptions import Consume
from shared.frame.operations.errors import described
from shared.frame.platform.examples import example
from shared.frame.platform.input import Input, Text, Whole
from shared.frame.platform.output import Answer

if TYPE_CHECKING:
    from shared.frame.messaging.dead_letters import DeadLetter, DeadLetterQueue

logger = logging.getLogger(__name__)

MAX_SCAN = 10_000
"""Dead letters that one call looks through, and that it locks at most: to lock one, a call has to lock all older ones.
Letters beyond this number can be reached when older ones are gone."""

MOST = 100
"""Dead letters that one call deals with."""

COUNTED = 1_000
"""Chosen dead letters beyond `MOST` that a call counts; counting ten thousand would take most of its time."""

LOCKING, SETTLING = 15.0, 25.0
"""Seconds of one call for locking dead letters, and for dealing with them: together less than the minute that a lock
lasts, and less than the 230 seconds that Azure lets a request last."""

MAX_ERROR_TEXT = 500
"""Characters of an error that an answer repeats."""

type Key = (
    Annotated[int, Field(ge=1, lt=10**18), Whole] | Annotated[str, StringConstraints(min_length=1, max_length=128)]
)
"""A dead letter's sequence number, or its message id, which is its event's id."""

type Keys = Annotated[list[Key], Field(min_length=1, max_length=MOST)]


class ReplayDeadLetters(
    Input, json_schema_extra=example(subscription="order-events/order-views", reason="MaxDeliveryCountExceeded")
):
    """Give dead letters to their consumer again. No other subscription gets them, and doing it twice does no harm.

    `messages` and `reason` say which; without either it is all of them, up to 100 in one call.
    """

    subscription: str
    messages: Keys | None = Field(default=None, description="event ids or sequence numbers")
    reason: Annotated[str, StringConstraints(min_length=1, max_length=4096)] | None = Field(
        default=None, description="only those that were dead-lettered for this reason"
    )
    after: Annotated[int, Field(ge=0, lt=10**18), Whole] = Field(
        default=0, description="only those with higher sequence numbers; goes on where `next` tells"
    )
    dry_run: bool = Field(default=False, description="only tell what would be replayed")


class DiscardDeadLetters(
    Input,
    json_schema_extra=example(
        subscription="order-events/order-views", messages=[17], why="Sent by mistake", dryRun=True
    ),
):
    """Throw dead letters away for good. A projection whose event is discarded gets it from the log when it needs it."""

    subscription: str
    messages: Keys = Field(description="event ids or sequence numbers")
    why: Annotated[Text, StringConstraints(min_length=1, max_length=500)]
    dry_run: bool = Field(default=False, description="only tell what would be discarded")


type Result = Literal["replayed", "discarded", "chosen", "failed", "unconfirmed", "unreadable", "left", "absent"]


class Settled(Answer):
    """The outcome for one dead letter."""

    sequence_number: int | None
    message_id: str | None
    result: Result = Field(
        description="""\
`replayed`, `discarded`: done, and gone. `chosen`: would be (dry run). `failed`: its consumer does not take it in; it
stays. `unconfirmed`: done, but Service Bus did not confirm that it is gone; if it is still there, do it again.
`unreadable`: no event of this system; it stays. `left`: not got at; it stays. `absent`: there is none, or no more."""
    )
    detail: str | None = None


class SettledDeadLetters(Answer):
    """The outcomes for the chosen dead letters."""

    subscription: str
    dry_run: bool
    items: list[Settled]
    remaining: int = Field(description=f"how many more were chosen; counted up to {COUNTED:,}, and then those are left")
    next: int | None = Field(description="give it as `after` to go on with them; null: none remain")


type Act = Callable[[DeadLetter], Awaitable[Result]]
"""Deals with a dead letter; what it raises leaves the dead letter where it is."""


@dataclass(frozen=True, slots=True)
class Chosen:
    """The dead letters that a request chooses.

    Attributes:
        letters: what is to be dealt with now, oldest first.
        absent: keys that choose nothing.
        remaining: how many are chosen beyond those, counted up to `COUNTED`.
    """

    letters: "Sequence[DeadLetter]"
    absent: Sequence[str | int]
    remaining: int

    def told(self) -> list[JsonValue]:
        """List the letters for the audit trail. It is kept for ever, so it gets nothing of their content."""
        return [
            {
                "sequenceNumber": letter.sequence_number,
                "messageId": letter.message_id,
                "reason": letter.reason,
            }
            for letter in self.letters
        ]


async def choose(
    queue: "DeadLetterQueue", keys: Collection[str | int] | None, reason: str | None = None, after: int = 0
) -> Chosen:
    """Choose the dead letters behind `after` that have one of the keys and the reason; None allows any.

    The search ends at the last of the keys, or when `MOST` are chosen and `COUNTED` more are counted.
    """
    missing = set(keys or ())
    numbers = [key for key in missing if isinstance(key, int)]
    if keys is not None and len(numbers) == len(missing):
        after = max(after, min(numbers) - 1)
    letters: list[DeadLetter] = []
    remaining = 0
    async for letter in queue.look(after, MAX_SCAN):
        own = {letter.sequence_number, letter.message_id}
        if (keys is None or own & missing) and (reason is None or letter.reason == reason):
            missing -= own
            if len(letters) < MOST:
                letters.append(letter)
            else:
                remaining += 1
        if remaining == COUNTED or (keys is not None and not missing):
            break
    return Chosen(letters, [key for key in keys or () if key in missing], remaining)


def replaying(consume: Consume) -> Act:
    """Give the event to its consumer."""

    async def replay(letter: "DeadLetter") -> Result:
        if letter.envelope is None:
            return "unreadable"
        await consume(letter.envelope)
        return "replayed"

    return replay


async def discarding(_: "DeadLetter") -> Result:
    """Do nothing with the event."""
    return "discarded"


def would_be(subscription: str, chosen: Chosen) -> SettledDeadLetters:
    """Tell what would be dealt with."""
    return _answer(subscription, chosen, [_settled(letter, "chosen") for letter in chosen.letters], dry_run=True)


async def settle(subscription: str, queue: "DeadLetterQueue", chosen: Chosen, act: Act) -> SettledDeadLetters:
    """Deal with dead letters: those of one aggregate in the order of its versions, each gone once that is done.

    Raises:
        AzureError, OSError: Service Bus does not answer; nothing has been done.
    """
    clock = asyncio.get_running_loop().time
    held = await queue.hold({letter.sequence_number for letter in chosen.letters}, MAX_SCAN, clock() + LOCKING)
    deadline = clock() + SETTLING
    settled = {}
    for letter in sorted(chosen.letters, key=_place):
        if letter.sequence_number not in held:
            result = _settled(letter, "left", "Somebody else has it at the moment, or it is gone.")
        elif clock() > deadline:
            result = _settled(letter, "left", "There was no time left for it.")
        else:
            result = await _act(queue, letter, act, deadline)
        settled[letter.sequence_number] = result
    return _answer(subscription, chosen, [settled[number] for number in sorted(settled)], dry_run=False)


async def _act(queue: "DeadLetterQueue", letter: "DeadLetter", act: Act, deadline: float) -> Settled:
    try:
        async with asyncio.timeout_at(deadline):
            result = await act(letter)
    except Exception as error:  # any error is this letter's result; the next letter may succeed
        logger.warning("dead letter %s: %s", letter.message_id, error, exc_info=True)
        return _settled(letter, "failed", described(error)[:MAX_ERROR_TEXT])
    if result == "unreadable":
        return _settled(letter, result)
    try:
        await queue.complete(letter.sequence_number)
    except (AzureError, OSError) as error:
        return _settled(letter, "unconfirmed", described(error)[:MAX_ERROR_TEXT])
    return _settled(letter, result)


def _place(letter: "DeadLetter") -> tuple[str, int, int]:
    envelope = letter.envelope
    return (str(envelope.aggregate_id), envelope.version, 0) if envelope else ("", 0, letter.sequence_number)


def _settled(letter: "DeadLetter", result: Result, detail: str | None = None) -> Settled:
    return Settled(sequence_number=letter.sequence_number, message_id=letter.message_id, result=result, detail=detail)


def _answer(subscription: str, chosen: Chosen, items: list[Settled], *, dry_run: bool) -> SettledDeadLetters:
    absent = [
        Settled(
            sequence_number=key if isinstance(key, int) else None,
            message_id=key if isinstance(key, str) else None,
            result="absent",
        )
        for key in chosen.absent
    ]
    left = [item.sequence_number for item in items if item.result == "left" and item.sequence_number is not None]
    last = chosen.letters[-1].sequence_number if chosen.remaining else None
    return SettledDeadLetters(
        subscription=subscription,
        dry_run=dry_run,
        items=items + absent,
        remaining=chosen.remaining + len(left),
        next=left[0] - 1 if left else last,
    )
