"""Reading from SQL outside of a unit of work."""

from collections.abc import Callable, Mapping, Sequence
from contextlib import closing
from typing import Any

import sqlalchemy as sa

from shared.frame.sql.errors import is_lost
from shared.frame.sql.sqlite import Session, question


def read_from[Result](engine: sa.Engine, question: Callable[[sa.Connection], Result]) -> Result:
    """Ask the database a question.

    If the connection turns out to have been lost while it was idle, the question is asked once more.
    """
    return again_if_lost(lambda: _ask(engine, question))


def rows_of(engine: sa.Engine, statement: sa.Select[Any], parameters: Mapping[str, Any]) -> Sequence[sa.Row[Any]]:
    """Ask the database one of the product's statements, and give all rows; as `read_from`, but faster on SQLite."""
    if engine.dialect.name != "sqlite":
        return read_from(engine, lambda connection: connection.execute(statement, parameters).all())
    with closing(Session(engine)) as session:
        return question(statement).rows(session.cursor(), parameters)


def again_if_lost[Result](work: Callable[[], Result]) -> Result:
    """Do the work, which must be safe to repeat, and once more if its connection turns out to have been lost."""
    try:
        return work()
    except sa.exc.DBAPIError as error:
        if not is_lost(error):
            raise
    return work()


def _ask[Result](engine: sa.Engine, question: Callable[[sa.Connection], Result]) -> Result:
    with engine.connect().execution_options(reads_only=True) as connection:
        return question(connection)
