"""Write the T-SQL that the system ships, for a checker: `python -m infra.sql.tsql --out DIR`.

DIR/schema.sql holds all migrations and the access rights, DIR/statements.json every statement constant as the driver
gets it, with the types of its parameters. What a test run has executed is collected too (infra/sql/collected.py).
"""

import argparse
import importlib
import json
import pkgutil
import sys
from collections.abc import Collection, Iterator
from dataclasses import fields
from pathlib import Path
from typing import Any
from uuid import UUID

import sqlalchemy as sa
from sqlalchemy.sql.dml import UpdateBase
from sqlalchemy.sql.visitors import cloned_traverse

import shared
from infra.local import screen
from infra.sql.access import User, access_script, batches, lock_out
from infra.sql.migrate import LOCK, migration_script
from shared.frame.read_side.past import Past
from shared.frame.sql.azure_sql import azure_sql_dialect
from shared.frame.write_side.event_log import EventLog
from shared.frame.write_side.inbox import Inbox
from shared.frame.write_side.unit_of_work import Planned, batch
from shared.frame.write_side.writes import Step

MSSQL = azure_sql_dialect("qmark")

EXAMPLE = {"command_side": User("commands", UUID(int=1)), "query_side": User("views", UUID(int=2))}
"""Stands in for an environment's identities."""

PARTS = {"claim", "claimed", "mark_published", "release"}
"""Statements of an event log that Azure SQL gets as parts of others."""

type Statement = sa.ClauseElement | Step


def statements(*, parts: bool = False) -> Iterator[tuple[str, Statement]]:
    """Find every statement constant of the product, with a name that leads to it.

    Args:
        parts: whether those are wanted too that are only sent as parts of others.
    """
    seen = set()
    for module in pkgutil.walk_packages(shared.__path__, "shared."):
        for name, value in vars(importlib.import_module(module.name)).items():
            if id(value) in seen:
                continue  # imported from elsewhere
            seen.add(id(value))
            where = f"{module.name.removeprefix('shared.')}.{name}"
            match value:
                case sa.Select() | sa.CompoundSelect() | UpdateBase() | Step() if not name.startswith("_"):
                    yield where, value  # the others are parts of statements
                case EventLog():
                    for own, statement in of_log(value):
                        if parts or own not in PARTS:
                            yield f"{where}.{own}", statement
                case Inbox():
                    yield f"{where}.record", value.record
                    yield f"{where}.find", value.find
                    yield f"{where}.received", value.received
                case Past():
                    yield f"{where}.insert", value.insert
                    yield f"{where}.nearest", value.nearest
                case _:
                    pass


def of_log(log: EventLog[Any]) -> Iterator[tuple[str, Statement]]:
    """Give every statement of an event log, with its name."""
    for group in (log.statements, log.claims.statements, log.search):
        for field in fields(group):
            yield field.name, getattr(group, field.name)


def entry(name: str, statement: Statement, keys: Collection[str] | None = None) -> dict[str, Any]:
    """Compile a statement for Azure SQL as the driver gets it, its parameters in order with their types.

    Args:
        name: what to call it.
        statement: a statement, or a step, which is written as a batch of its own.
        keys: the parameters that it is executed with, if that is known: those of an INSERT decide its columns.
    """
    if isinstance(statement, Step):
        statement = batch((Planned(statement, must_find=True),), None)
    compiled: Any = cloned_traverse(statement, {}, {"bindparam": _give_value}).compile(
        dialect=MSSQL, column_keys=None if keys is None else sorted(keys), compile_kwargs={"render_postcompile": True}
    )
    binds = [
        # the values of an expanded in_() are called key_1, key_2, ...
        compiled.binds[key if key in compiled.binds else key.rpartition("_")[0]]
        for key in compiled.positiontup or []
    ]
    # a parameter takes the collation of the column that it is compared with
    types = [bind.type.compile(dialect=MSSQL).partition(" COLLATE ")[0] for bind in binds]
    return {"name": name, "sql": str(compiled), "parameters": types}


def _give_value(bind: sa.BindParameter[Any]) -> None:
    """An expanding parameter is written out with its values; two show that it expands."""
    if bind.value is None:
        bind.required, bind.value = False, [None, None] if bind.expanding else 1


def write(directory: Path) -> int:
    """Write both files; gives the number of statements."""
    entries = [entry(name, statement) for name, statement in statements()]
    entries.append({"name": "migrations.LOCK", "sql": LOCK, "parameters": []})
    write_script(directory)
    (directory / "statements.json").write_text(json.dumps(entries, indent=1))
    return len(entries)


def write_script(directory: Path) -> Path:
    """Write schema.sql alone, and tell where it is."""
    directory.mkdir(parents=True, exist_ok=True)
    file = directory / "schema.sql"
    with file.open("w") as script:
        migration_script(script)
        script.write(access_script((*batches(EXAMPLE), *lock_out(EXAMPLE))))
    return file


def main() -> int:
    """Write them; the exit code."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, default=Path(".local/tsql"), help="folder for both files")
    out = parser.parse_args().out
    print(f"{write(out)} statements and the migrations, in {out}")
    return 0


if __name__ == "__main__":
    sys.exit(screen.command(main))
