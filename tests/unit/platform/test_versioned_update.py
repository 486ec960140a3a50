"""The update of a row by its id and the version at which it was loaded."""

from uuid import UUID

import pytest
import sqlalchemy as sa

from shared.frame.write_side.writes import versioned_update

ID = UUID(int=1)
THINGS = sa.Table(
    "things",
    sa.MetaData(),
    sa.Column("thing_id", sa.Uuid, primary_key=True),
    sa.Column("version", sa.BigInteger, nullable=False),
    sa.Column("name", sa.Unicode(20), nullable=False),
    sa.Column("note", sa.Unicode(20), nullable=False),
)
PARTS = sa.Table(
    "parts",
    sa.MetaData(),
    sa.Column("thing_id", sa.Uuid, primary_key=True),
    sa.Column("part_id", sa.Uuid, primary_key=True),
    sa.Column("version", sa.BigInteger, nullable=False),
)


@pytest.mark.parametrize(
    ("id_", "loaded_version", "name"), [(ID, 3, "new"), (ID, 2, "old"), (ID, 4, "old"), (UUID(int=2), 3, "old")]
)
def test_a_row_is_updated_at_the_version_at_which_it_was_loaded(id_: UUID, loaded_version: int, name: str) -> None:
    update = versioned_update(THINGS, THINGS.c.version, THINGS.c.name)
    engine = sa.create_engine("sqlite://")
    with engine.begin() as connection:
        THINGS.create(connection)
        connection.execute(sa.insert(THINGS), {"thing_id": ID, "version": 3, "name": "old", "note": "kept"})
        connection.execute(update.statement, {"id": id_, "loaded_version": loaded_version, "version": 4, "name": "new"})
        [row] = connection.execute(sa.select(THINGS)).all()
    engine.dispose()
    assert (row.version, row.name, row.note) == (4 if name == "new" else 3, name, "kept")


def test_a_row_whose_key_has_several_columns_is_refused() -> None:
    with pytest.raises(ValueError, match="too many values"):
        versioned_update(PARTS, PARTS.c.version)
