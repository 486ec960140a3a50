"""Given commands that were carried out, when another one is, then its events; or a refusal, and nothing has changed."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa

from shared.frame.context import Context
from shared.frame.messaging.envelope import Accepted, Metadata
from shared.frame.write_side.log_table import envelope_of
from shared.kernel.refusals import Refusal

type Handler = Callable[..., Accepted]
type Rows = Mapping[str, Sequence[Any]]


class Given:
    """A context in which these commands have been carried out, each with its handler."""

    def __init__(self, context: Context[Any], *before: tuple[Handler, Any]) -> None:
        self._context = context
        for handler, command in before:
            context.writes.run(handler, command, Metadata())

    def when(self, handler: Handler, command: Any, metadata: Metadata | None = None) -> "Outcome":
        """Carry out a command."""
        before = self._rows()
        accepted, refusal = None, None
        try:
            accepted = self._context.writes.run(handler, command, metadata or Metadata())
        except Refusal as error:
            refusal = error
        after = self._rows()
        log = self._context.log
        new = after[log.table.name][len(before[log.table.name]) :]
        return Outcome(accepted, refusal, [log.codec.open(envelope_of(row)).event for row in new], before == after)

    def _rows(self) -> Rows:
        """Give all that the context's tables hold; the log in its order."""
        with self._context.engine.connect() as connection:
            return {
                table.name: connection.execute(sa.select(table).order_by(*table.primary_key.columns)).all()
                for table in self._context.log.table.metadata.sorted_tables
            }


@dataclass(frozen=True, slots=True)
class Outcome:
    """What came of a command."""

    answer: Accepted | None
    refusal: Refusal | None
    events: Sequence[Any]
    is_as_before: bool

    def accepted(self) -> Accepted:
        """It was accepted, with this answer."""
        if self.refusal is not None:
            raise AssertionError(f"it was refused: {self.refusal!r}") from self.refusal
        assert self.answer is not None
        return self.answer

    def then(self, *events: Any) -> None:
        """It was accepted, and left exactly these events."""
        self.accepted()
        assert list(self.events) == list(events)

    def refused(self, kind: type[Refusal]) -> Refusal:
        """It was refused so, and nothing has changed."""
        assert type(self.refusal) is kind, self.refusal or f"it was accepted, and left {self.events}"
        assert self.is_as_before, "it was refused, and something has changed"
        return self.refusal
