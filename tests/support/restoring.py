"""A shop's database as it was, and its restore while everything else stays: what a restore in Azure leaves behind."""

import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import sqlalchemy as sa

from tests.support.shop import Shop


def backed_up(shop: Shop, folder: Path) -> Callable[[], None]:
    """Copy the database, which is a file of SQLite's for each schema; what is given puts it back."""
    files = list(Path(str(sa.make_url(shop.url).database)).parent.glob("*.db"))
    assert files
    for file in files:
        _copy(file, folder / file.name)

    def restore() -> None:
        for file in files:
            _copy(folder / file.name, file)

    return restore


def _copy(file: Path, to: Path) -> None:
    with closing(sqlite3.connect(file)) as source, closing(sqlite3.connect(to)) as target:
        source.backup(target)
