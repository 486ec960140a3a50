"""Cursors are kept, each with what it has prepared, and hold nobody up: neither the next statement nor a closing."""

import time
from collections import Counter

import pytest
import sqlalchemy as sa

from shared.frame.messaging.envelope import Metadata
from shared.frame.sql.odbc import KEPT
from shared.frame.write_side import commands
from shared.frame.write_side.commands import WriteSide
from shared.ordering.commands.create_order import create_order
from tests.support.azure_sql import create
from tests.support.odbc import needs_driver, needs_unixodbc
from tests.support.tds import Answers, Request, Rows, Server, Silence

pytestmark = [needs_unixodbc, needs_driver]


def test_a_cursor_is_kept_for_each_of_the_two_time_outs_and_costs_no_request(
    server: Server, engine: sa.Engine, orders: WriteSide, monkeypatch: pytest.MonkeyPatch
) -> None:
    for deadline in (10, 8, 10, 8):  # with three and with one second for a statement
        monkeypatch.setattr(commands, "DEADLINE", deadline)
        orders.run(create_order, create(), Metadata())
    assert server.asked == ["sp_prepexec"] * 8
    with engine.connect() as connection:
        kept = connection.connection.dbapi_connection.kept  # type: ignore[union-attr]  # of KeptCursors
        texts = Counter(text for text, _ in kept if "ordering." in text)
        assert sorted(texts.values()) == [2, 2]


def test_the_cursors_that_were_used_last_are_kept_and_no_more_than_a_hundred(server: Server, engine: sa.Engine) -> None:
    texts = [f"SELECT {number} AS n WHERE 1 = :one" for number in range(KEPT + 3)]
    with engine.connect() as connection:
        for text in (*texts[:KEPT], texts[0], *texts[KEPT:]):
            connection.execute(sa.text(text), {"one": 1}).close()
        kept = connection.connection.dbapi_connection.kept  # type: ignore[union-attr]  # of KeptCursors
        assert len(kept) == KEPT == 100
        numbers = [int(text.split()[1]) for text, _ in kept]
        assert numbers == [*range(4, KEPT), 0, *range(KEPT, KEPT + 3)]
        server.forget()
        for text in texts[:2]:  # one that is kept, and one that was given up
            connection.execute(sa.text(text), {"one": 1}).close()
    assert [(request.procedure, request.text.split()[1]) for request in server.requests] == [
        ("sp_prepexec", "0"),
        ("sp_prepexec", "1"),
        ("sp_unprepare", "4"),  # the one that was not used for longest
    ]


NUMBERS = sa.text("SELECT n FROM numbers").columns(sa.column("n", sa.Integer))
THREE = Rows([("n", "int")], [[1], [2], [3]])


def numbers(request: Request) -> Answers:
    """Answer NUMBERS with three rows."""
    return THREE if "numbers" in request.text and not request.prepares else None


def fill(engine: sa.Engine, cursors: int) -> None:
    """Let a connection keep so many cursors, each with a prepared statement."""
    with engine.connect() as connection:
        for number in range(cursors):
            connection.execute(sa.text(f"SELECT {number} AS n WHERE 1 = :one"), {"one": 1}).close()


def test_a_connection_whose_life_is_over_closes_without_a_word(
    server: Server, engine: sa.Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Giving up what each cursor has prepared would be a request for each, within the next command."""
    server.answer = numbers
    fill(engine, 20)
    server.forget()
    monkeypatch.setattr(engine.pool, "_recycle", 0)
    with engine.connect() as connection:
        assert connection.execute(NUMBERS).scalars().all() == [1, 2, 3]
    assert server.asked == ["login", "batch"]


def test_a_connection_that_has_fallen_silent_closes_at_once(
    server: Server, engine: sa.Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    fill(engine, 20)
    server.answer = lambda request: Silence() if request.prepares else None
    monkeypatch.setattr(engine.pool, "_recycle", 0)
    begin = time.monotonic()
    with engine.connect():
        pass
    assert time.monotonic() - begin < 15, "a statement's time-out three times over"


def test_results_that_cannot_be_read_to_their_end_cost_the_connection_and_not_its_place_in_the_pool(
    server: Server, engine: sa.Engine
) -> None:
    server.answer = lambda request: [THREE, Silence()] if "numbers" in request.text else None
    for _ in range(3):
        with engine.connect() as connection:
            assert connection.execute(NUMBERS).fetchone() == (1,)
            server.end_connections()
        assert engine.pool.checkedout() == 0  # type: ignore[attr-defined]  # the pool is a QueuePool
    server.answer = numbers
    with engine.connect() as connection:
        assert connection.execute(NUMBERS).scalars().all() == [1, 2, 3]


def test_what_was_not_read_to_its_end_does_not_hold_up_the_next_one(server: Server, engine: sa.Engine) -> None:
    server.answer = lambda request: Rows([("n", "int")], [[1], [2], [3]]) if "numbers" in request.text else None
    numbers = sa.text("SELECT n FROM numbers").columns(sa.column("n", sa.Integer))
    with engine.connect() as connection:
        unread = connection.execute(numbers)
        assert unread.fetchone() == (1,)
    for statement in (sa.text("SELECT n FROM other_numbers").columns(*numbers.selected_columns), numbers):
        with engine.connect() as connection:
            assert connection.execute(statement).all() == [(1,), (2,), (3,)]
    assert server.connections == 0, "there was one before, and it is enough"
