"""Where the fulfilment of each order has come: a row, written in the transaction of what made it go on.

What is known is JSON with a shape of its own; beside it stand the columns that lists and deadlines look for.
"""

import json
from collections.abc import Sequence
from dataclasses import astuple, dataclass
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

import sqlalchemy as sa

from shared.frame.messaging.envelope import Metadata
from shared.frame.read_side.shape import Shapes
from shared.frame.write_side.unit_of_work import UnitOfWork
from shared.frame.write_side.writes import Write, by_name, insert
from shared.ordering.domain.fulfilment import (
    Ask,
    Authorise,
    Cancel,
    Capture,
    Confirm,
    Deadline,
    Fulfilment,
    OrderFact,
    PaymentFact,
    Refund,
    Void,
)
from shared.ordering.events import FulfilmentEvent, fulfilment_of
from shared.ordering.tables import FULFILMENTS, LOG

FIND = sa.select(FULFILMENTS).where(FULFILMENTS.c.order_id == sa.bindparam("id", type_=sa.Uuid))
INSERT = insert(FULFILMENTS)
UPDATE = Write(
    sa.update(FULFILMENTS)
    .where(
        FULFILMENTS.c.order_id == sa.bindparam("id", type_=sa.Uuid),
        FULFILMENTS.c.version == sa.bindparam("loaded_version", type_=sa.BigInteger),
    )
    .values(
        by_name(
            FULFILMENTS.c.version,
            FULFILMENTS.c.state,
            FULFILMENTS.c.waits_for,
            FULFILMENTS.c.since,
            FULFILMENTS.c.deadline,
            FULFILMENTS.c.due_at,
            FULFILMENTS.c.ended_at,
            FULFILMENTS.c.facts,
        )
    )
)

SHAPES = Shapes(
    what="What is known of an order's fulfilment",
    today=1,
    mend="Go on with the release that wrote it.",
)
STEPS = 40
"""Steps that are kept of what happened to one order, the last ones."""

_ASKS: dict[str, type[Ask]] = {kind.__name__: kind for kind in (Authorise, Confirm, Capture, Void, Refund, Cancel)}


@dataclass(frozen=True, slots=True)
class Step:
    """Something that happened to an order on its way."""

    at: datetime
    what: str


@dataclass(frozen=True, slots=True)
class Process:
    """The fulfilment of one order.

    Attributes:
        version: counts its changes.
        facts: what is known, and was asked for.
        unkept: lines of which the catalogue has said that it keeps no stock.
        token: what is to be paid with; None on account, or when it was handed on.
        asked: events of its stream.
        begun_at: when the order was submitted.
        since: since when it waits for what it waits for.
        due_at: when it is cancelled, if it still waits for that then.
        steps: what happened so far.
    """

    order_id: UUID
    version: int
    facts: Fulfilment
    unkept: int
    token: str | None
    asked: int
    begun_at: datetime
    since: datetime
    due_at: datetime | None
    steps: Sequence[Step]


class Fulfilments:
    """The fulfilment of orders, within one unit of work."""

    def __init__(self, work: UnitOfWork, metadata: Metadata) -> None:
        self._work = work
        self._metadata = metadata

    @property
    def at(self) -> datetime:
        """When what is done here happens."""
        return self._metadata.at

    def begin(self, order_id: UUID, token: str | None) -> None:
        """Let the fulfilment of an order begin that is submitted in the same unit of work."""
        facts = Fulfilment(order=OrderFact.SUBMITTED, paid=token is not None)
        step = Step(self.at, "submitted, to be paid" if token else "submitted, on account")
        begun = Process(order_id, 1, facts, 0, token, 0, self.at, self.at, None, [step])
        self._work.write(INSERT, [{"order_id": order_id, "begun_at": self.at} | _row(begun, self.at)])

    def find(self, order_id: UUID) -> Process | None:
        """Find the fulfilment of an order; None of one that was submitted before there was any.

        Raises:
            UnreadableShape: another release wrote what is known.
        """
        rows = self._work.read(FIND, {"id": order_id})
        return process_of(rows[0]) if rows else None

    def save(self, process: Process, asks: Sequence[FulfilmentEvent] = ()) -> None:
        """Have a change written, and what is asked for with it.

        Committing raises LostRace if it has been changed since it was found.
        """
        row = {"id": process.order_id, "loaded_version": process.version - 1} | _row(process, self.at)
        self._work.write(UPDATE, [row], must_find=True)
        if asks:
            before = process.asked - len(asks)
            events: Any = asks  # the log's other events are an order's
            LOG.append(self._work, fulfilment_of(process.order_id), before, events, self._metadata)


def _row(process: Process, at: datetime) -> dict[str, Any]:
    facts = process.facts
    return {
        "version": process.version,
        "state": facts.order.name.lower(),
        "waits_for": facts.waits_for,
        "since": process.since,
        "deadline": None if process.due_at is None else facts.deadline,
        "due_at": process.due_at,
        "ended_at": at if facts.ended else None,
        "facts": _written(process),
    }


def _written(process: Process) -> str:
    facts = process.facts
    return json.dumps(
        {
            "shape": SHAPES.today,
            "order": facts.order.name.lower(),
            "paid": facts.paid,
            "stock": facts.stock,
            "shipped": facts.shipped,
            "payment": facts.payment,
            "attempt": facts.attempt,
            "asks": sorted([type(ask).__name__, *astuple(ask)] for ask in facts.asked),
            "unkept": process.unkept,
            "token": process.token,
            "asked": process.asked,
            "steps": [[step.at.astimezone(UTC).isoformat(), step.what] for step in process.steps[-STEPS:]],
        }
    )


def process_of(row: sa.Row[Any]) -> Process:
    """Read a row of the table; raises as Fulfilments.find."""
    stored = SHAPES.read(json.loads(row.facts))
    facts = Fulfilment(
        order=OrderFact[stored["order"].upper()],
        paid=stored["paid"],
        stock=stored["stock"],
        shipped=stored["shipped"],
        payment=PaymentFact(stored["payment"]),
        attempt=stored["attempt"],
        asked=frozenset(_ask(*ask) for ask in stored["asks"]),
    )
    return Process(
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


def _ask(name: str, *arguments: Any) -> Ask:
    if name == Cancel.__name__:
        return Cancel(Deadline(arguments[0]))
    return _ASKS[name](*arguments)
