"""Acts on deadlines: a timer finds the rows whose deadline has passed, and runs a command for each.

Any number of timers may run at once, and clocks may jump: the command decides whether an order has waited too long, in
the transaction that cancels it, at the version of the row that it has read.
"""

import logging
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from uuid import UUID

import sqlalchemy as sa

from shared.frame.messaging.envelope import Metadata
from shared.frame.sql.columns import UtcDateTime
from shared.frame.sql.reading import read_from
from shared.frame.write_side.commands import WriteSide
from shared.ordering.commands.fulfil_order import Fulfilling, PassDeadline
from shared.ordering.tables import FULFILMENTS

logger = logging.getLogger(__name__)

ACTOR = "deadlines"
"""The actor who cancels an order that has waited too long."""

PAGE = 100
"""Deadlines that are read at a time."""

_AT = sa.bindparam("after_at", type_=UtcDateTime)
DUE = (
    sa.select(FULFILMENTS.c.due_at, FULFILMENTS.c.order_id)
    .where(
        FULFILMENTS.c.due_at <= sa.bindparam("now_at", type_=UtcDateTime),
        FULFILMENTS.c.due_at >= _AT,  # the OR below implies this, but databases cannot seek by an OR
        sa.or_(
            FULFILMENTS.c.due_at > _AT,
            sa.and_(FULFILMENTS.c.due_at == _AT, FULFILMENTS.c.order_id > sa.bindparam("after_id", type_=sa.Uuid)),
        ),
    )
    .order_by(FULFILMENTS.c.due_at, FULFILMENTS.c.order_id)
    .limit(PAGE)
)
_EARLIEST = datetime.min.replace(tzinfo=UTC)


class Deadlines:
    """Acts on the deadlines that have passed."""

    def __init__(
        self,
        writes: WriteSide,
        engine: sa.Engine,
        fulfilling: Fulfilling,
        clock: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self._writes = writes
        self._engine = engine
        self._fulfilling = fulfilling
        self._clock = clock

    def act(self) -> None:
        """Act on all deadlines that have passed; a failure does not stop the others, and is tried again next time.

        Raises:
            sqlalchemy.exc.SQLAlchemyError: the database does not answer.
        """
        now, after = self._clock(), (_EARLIEST, UUID(int=0))
        while rows := self._passed(now, *after):
            for row in rows:
                self._pass(row.order_id, now)
            after = (rows[-1].due_at, rows[-1].order_id)

    def _passed(self, now: datetime, after_at: datetime, after_id: UUID) -> Sequence[sa.Row[datetime | None, UUID]]:
        values = {"now_at": now, "after_at": after_at, "after_id": after_id}
        return read_from(self._engine, lambda connection: connection.execute(DUE, values).all())

    def _pass(self, order_id: UUID, now: datetime) -> None:
        metadata = Metadata(fingerprint=None, actor=ACTOR, at=now)
        try:
            self._writes.run(self._fulfilling.pass_deadline, PassDeadline(order_id=order_id), metadata)
        except Exception:  # one order's failure must not stop the others
            logger.exception("the deadline of order %s was not acted on, and is tried again at the next tick", order_id)
