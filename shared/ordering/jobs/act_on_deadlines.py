"""Acts on deadlines: a timer finds the rows whose deadline has passed, and runs a command for each.

Any number of timers may run at once, and clocks may jump: the command decides whether an order has waited too long, in
the transaction that cancels it, at the version of the row that it has read.
"""

import logging
import time
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from uuid import UUID

import sqlalchemy as sa

from shared.frame.messaging.envelope import Metadata
from shared.frame.messaging.retries import is_away, tell
from shared.frame.sql.columns import UtcDateTime
from shared.frame.sql.reading import read_from
from shared.frame.write_side.commands import WriteSide
from shared.ordering.fulfilment.process_manager import PassDeadline, ProcessManager
from shared.ordering.tables import FULFILMENTS

logger = logging.getLogger(__name__)

ACTOR = "deadlines"
"""The actor who cancels an order that has waited too long."""

PAGE = 100
"""Deadlines that are read at a time."""

WORKS_FOR = 5.0
"""Seconds after which a tick acts on no other deadline: the relays' next tick waits for this one."""

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
_BEGINNING = (datetime.min.replace(tzinfo=UTC), UUID(int=0))


class Deadlines:
    """Acts on the deadlines that have passed."""

    def __init__(
        self,
        writes: WriteSide,
        engine: sa.Engine,
        process_manager: ProcessManager,
        clock: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self._writes = writes
        self._engine = engine
        self._process_manager = process_manager
        self._clock = clock
        self._after = _BEGINNING

    def act(self) -> None:
        """Act on deadlines that have passed, the earliest first, until none is left or the time is up.

        The next tick goes on behind the last deadline of this one; after the end it begins at the earliest again. So
        one that fails stops no other, and is tried again when the others have had their turns.

        Raises:
            sqlalchemy.exc.SQLAlchemyError: the database does not answer.
            OutOfTime: it did not answer a command in time.
        """
        now, until = self._clock(), time.monotonic() + WORKS_FOR
        while rows := self._passed(now, *self._after):
            for row in rows:
                if time.monotonic() > until:
                    return
                self._after = (row.due_at, row.order_id)
                self._pass(row.order_id, now)
        self._after = _BEGINNING

    def _passed(self, now: datetime, after_at: datetime, after_id: UUID) -> Sequence[sa.Row[datetime | None, UUID]]:
        values = {"now_at": now, "after_at": after_at, "after_id": after_id}
        return read_from(self._engine, lambda connection: connection.execute(DUE, values).all())

    def _pass(self, order_id: UUID, now: datetime) -> None:
        metadata = Metadata(fingerprint=None, actor=ACTOR, at=now)
        try:
            self._writes.run(self._process_manager.pass_deadline, PassDeadline(order_id=order_id), metadata)
        except Exception as error:
            tell(logger, error, f"the deadline of order {order_id} was not acted on, and is tried again later")
            if is_away(error):
                raise  # the others would each wait for the database as long
