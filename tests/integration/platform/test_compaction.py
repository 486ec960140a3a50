"""Nothing that was erased is left in a SQLite file, wherever a process died, and whoever else used the file."""

import random
import sqlite3
from collections.abc import Iterator
from pathlib import Path
from unittest import mock

import pytest
import sqlalchemy as sa

from shared.frame.sql import compaction, sqlite, sqlite_engine
from shared.frame.sql.compaction import Compaction
from shared.frame.sql.engines import sql_engine

WORD = b"Ockham-under-Secret"
TABLE = sa.Table(
    "orders",  # the count below is read by Microsoft's compiler as well, so it is of a table that Azure SQL has
    sa.MetaData(schema="ordering"),
    sa.Column("id", sa.Unicode(32), primary_key=True),
    sa.Column("said", sa.Unicode, nullable=False),
    sa.Column("erased", sa.Boolean, nullable=False),
)
ERASED = sa.select(sa.func.count()).select_from(TABLE).where(TABLE.c.erased)
ROWS = 3_000


@pytest.fixture
def engine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[sa.Engine]:
    for module in (sqlite_engine, sqlite):
        monkeypatch.setattr(module, "BUSY_TIMEOUT", 0.1)
    engine = sql_engine(f"sqlite:///{tmp_path}/shop.db", "ordering")
    TABLE.metadata.create_all(engine)
    yield engine
    engine.dispose()


def written(engine: sa.Engine) -> None:
    """Write rows, a third of which say the word, and let them grow one by one: SQLite moves them in the file."""
    chance = random.Random(1)
    keys = [f"{number:032x}" for number in range(ROWS)]
    grow = sa.update(TABLE).where(TABLE.c.id == sa.bindparam("of")).values(said=sa.bindparam("new"))
    with engine.begin() as connection:
        connection.execute(sa.insert(TABLE), [{"id": key, "said": "", "erased": False} for key in keys])
        for key in chance.sample(keys, ROWS):
            said = WORD.decode() if int(key, 16) % 3 == 0 else "x"
            connection.execute(grow, {"of": key, "new": said * chance.randint(1, 30)})


def erase(engine: sa.Engine) -> None:
    with engine.begin() as connection:
        connection.execute(sa.update(TABLE).where(TABLE.c.said.contains("Ockham")).values(said="erased", erased=True))


def left(folder: Path) -> int:
    return sum(file.read_bytes().count(WORD) for file in folder.iterdir())


def test_a_file_has_copies_of_what_was_overwritten_until_it_is_compacted(engine: sa.Engine, tmp_path: Path) -> None:
    written(engine)
    chore = Compaction(ERASED)
    chore.run(engine)
    erase(engine)
    Compaction(sa.select(sa.literal(0))).run(engine)  # the write-ahead log alone
    assert left(tmp_path) > 0
    chore.run(engine)
    assert left(tmp_path) == 0


def test_a_process_compacts_what_one_before_it_has_erased(engine: sa.Engine, tmp_path: Path) -> None:
    written(engine)
    erase(engine)
    Compaction(ERASED).run(engine)
    assert left(tmp_path) == 0


def test_a_file_in_use_is_compacted_at_the_next_tick(engine: sa.Engine, tmp_path: Path) -> None:
    written(engine)
    chore = Compaction(ERASED)
    chore.run(engine)
    with engine.connect().execution_options(reads_only=True) as reader:
        reader.execute(ERASED).scalar_one()
        erase(engine)
        with pytest.raises(sqlite3.OperationalError):
            chore.run(engine)
        assert left(tmp_path) > 0
    chore.run(engine)
    assert left(tmp_path) == 0


def test_a_file_is_written_anew_only_after_an_erasure(engine: sa.Engine) -> None:
    written(engine)
    erase(engine)
    chore = Compaction(ERASED)
    with mock.patch.object(compaction, "compact", wraps=compaction.compact) as compact:
        for _ in range(3):
            chore.run(engine)
        compact.assert_called_once()
