"""The process manager's state, for each order: a row, written in the same transaction as the changes that it caused.

The facts are JSON with a shape of their own. Separate columns have the values by which lists and deadlines search.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import astuple, dataclass
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

import sqlalchemy as sa

from shared.frame.messaging.envelope import Metadata
from shared.frame.read_side.shape import Shapes
from shared.frame.write_side.unit_of_work import UnitOfWork
from shared.frame.write_side.writes import insert, versioned_update
from shared.ordering.events import FulfilmentEvent, fulfilment_of
from shared.ordering.fulfilment.decisions import (
    Ask,
    Authorise,
    Cancel,
    Capture,
    Confirm,
    Deadline,
    FulfilmentFacts,
    OrderFact,
    PaymentFact,
    Refund,
    Void,
)
from shared.ordering.tables import FULFILMENTS, LOG

FIND = sa.select(FULFILMENTS).where(FULFILMENTS.c.order_id == sa.bindparam("id", type_=sa.Uuid))
INSERT = insert(FULFILMENTS)
UPDATE = versioned_update(
    FULFILMENTS,
    FULFILMENTS.c.version,
    FULFILMENTS.c.state,
    FULFILMENTS.c.waits_for,
    FULFILMENTS.c.since,
    FULFILMENTS.c.deadline,
    FULFILMENTS.c.due_at,
    FULFILMENTS.c.ended_at,
    FULFILMENTS.c.facts,
)


def _with_any_shipped(stored: Mapping[str, Any]) -> dict[str, Any]:
    """Upcast facts: the release before ended a cancelled order's payment as if nothing of it had been shipped."""
    asked = {name for name, *_ in stored["asks"]}
    never_begun = stored["order"] == OrderFact.CANCELLED and Authorise.__name__ not in asked
    is_over = never_begun or asked & {Void.__name__, Refund.__name__, Cancel.__name__}
    return {"anyShipped": False if is_over else None} | dict(stored)


SHAPES = Shapes(
    what="What is known of an order's fulfilment",
    # 2: an order may be cancelled because it was not confirmed in time
    today=3,  # a cancelled order may be paid, because something of it was shipped
    mend="Go on with the release that wrote it.",
    upcasts={1: dict, 2: _with_any_shipped},
)
STEPS = 40
"""The number of last steps that are kept for one order."""

_ASKS: dict[str, Ask] = {type(ask).__name__: ask for ask in (Authorise(), Confirm(), Capture(), Void(), Refund())}


@dataclass(frozen=True, slots=True)
class Step:
    """Something that happened to an order on its way."""

    at: datetime
    what: str


@dataclass(frozen=True, slots=True)
class FulfilmentProcess:
    """The process manager's state for one order.

    Attributes:
        version: counts its changes.
        facts: the known facts, and the requests that were made.
        unkept: the number of lines for which the catalogue keeps no stock.
        token: the token to pay with; None for an order on account, after it was handed to payments, or once it is clear
            that a cancelled order has nothing to pay.
        asked: the number of events in its stream.
        begun_at: when the order was submitted.
        since: when it began to wait for the present thing.
        due_at: when it waits no longer for the same thing: the order is cancelled then or, if it is cancelled already,
            its payment is decided on.
        steps: what happened so far.
    """

    order_id: UUID
    version: int
    facts: FulfilmentFacts
    unkept: int
    token: str | None
    asked: int
    begun_at: datetime
    since: datetime
    due_at: datetime | None
    steps: Sequence[Step]


class Fulfilments:
    """The fulfilment processes of orders, within one unit of work."""

    def __init__(self, work: UnitOfWork, metadata: Metadata) -> None:
        self._work = work
        self._metadata = metadata

    @property
    def at(self) -> datetime:
        """The time of the changes in this unit of work."""
        return self._metadata.at

    def begin(self, order_id: UUID, token: str | None) -> None:
        """Begin the fulfilment of an order that is submitted in the same unit of work."""
        facts = FulfilmentFacts(order=OrderFact.SUBMITTED, paid=token is not None)
        step = Step(self.at, "submitted, to be paid" if token else "submitted, on account")
        begun = FulfilmentProcess(order_id, 1, facts, 0, token, 0, self.at, self.at, None, [step])
        self._work.write(INSERT, [{"order_id": order_id, "begun_at": self.at} | _row(begun, self.at)])

    def find(self, order_id: UUID) -> FulfilmentProcess | None:
        """Find the fulfilment of an order; None if the order was submitted before fulfilments existed.

        Raises:
            UnreadableShape: another release wrote the facts.
        """
        rows = self._work.read(FIND, {"id": order_id})
        return process_of(rows[0]) if rows else None

    def save(self, process: FulfilmentProcess, asks: Sequence[FulfilmentEvent] = ()) -> None:
        """Write a change, and its requests as events, when the unit of work commits.

        Committing raises LostRace if the fulfilment has changed since it was found.
        """
        row = {"id": process.order_id, "loaded_version": process.version - 1} | _row(process, self.at)
        self._work.write(UPDATE, [row], must_find=True)
        if asks:
            before = process.asked - len(asks)
            events: Any = asks  # the log's other events are an order's
            LOG.append(self._work, fulfilment_of(process.order_id), before, events, self._metadata)


def _row(process: FulfilmentProcess, at: datetime) -> dict[str, Any]:
    facts = process.facts
    return {
        "version": process.version,
        "state": facts.order,
        "waits_for": facts.waits_for,
        "since": process.since,
        "deadline": None if process.due_at is None else facts.deadline,
        "due_at": process.due_at,
        "ended_at": at if facts.ended else None,
        "facts": _written(process),
    }


def _written(process: FulfilmentProcess) -> str:
    facts = process.facts
    return json.dumps(
        {
            "shape": _shape(facts),
            "order": facts.order,
            "paid": facts.paid,
            "stock": facts.stock,
            "shipped": facts.order is OrderFact.COMPLETED,  # which the release before reads
            "anyShipped": facts.any_shipped,
            "payment": facts.payment,
            "attempt": facts.attempt,
            "asks": sorted(map(_written_ask, facts.asked)),
            "unkept": process.unkept,
            "token": process.token,
            "asked": process.asked,
            "steps": [[step.at.astimezone(UTC).isoformat(), step.what] for step in process.steps[-STEPS:]],
        }
    )


def _shape(facts: FulfilmentFacts) -> int:
    """Give the first shape that has all of the facts: the release before reads what it could have written."""
    if facts.any_shipped and facts.order is OrderFact.CANCELLED:
        return 3
    return 2 if Cancel(Deadline.CONFIRMATION) in facts.asked else 1


def process_of(row: sa.Row[Any]) -> FulfilmentProcess:
    """Read a row of the table; raises as Fulfilments.find."""
    stored = SHAPES.read(json.loads(row.facts))
    facts = FulfilmentFacts(
        order=OrderFact(stored["order"]),
        paid=stored["paid"],
        stock=stored["stock"],
        any_shipped=stored["anyShipped"],
        payment=PaymentFact(stored["payment"]),
        attempt=stored["attempt"],
        asked=frozenset(_ask(*ask) for ask in stored["asks"]),
    )
    return FulfilmentProcess(
        order_id=row.order_id,
        version=row.version,
        facts=facts,
        unkept=stored["unkept"],
        token=stored["token"],
        asked=stored["asked"],
        begun_at=row.begun_at,
        since=row.since,
        due_at=row.due_at,
        steps=[Step(datetime.fromisoformat(at), what) for at, what in stored["steps"]],
    )


def _written_ask(ask: Ask) -> list[Any]:
    if isinstance(ask, Authorise):
        return [Authorise.__name__, 1]  # the release before reads the number of the token
    return [type(ask).__name__, *astuple(ask)]


def _ask(name: str, *arguments: Any) -> Ask:
    if name == Cancel.__name__:
        return Cancel(Deadline(arguments[0]))
    return _ASKS[name]  # the release before also noted each later token
