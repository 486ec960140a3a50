"""Write the T-SQL that the system ships, for a checker: `python -m infra.sql.tsql --out DIR`.

DIR/schema.sql holds all migrations and the access rights, DIR/statements.json every statement constant with the types
of its parameters.
"""

import argparse
import importlib
import json
import pkgutil
from collections.abc import Iterator
from dataclasses import fields
from pathlib import Path
from typing import Any
from uuid import UUID

import sqlalchemy as sa
from sqlalchemy.dialects.mssql.pyodbc import MSDialect_pyodbc
from sqlalchemy.sql.dml import UpdateBase
from sqlalchemy.sql.visitors import cloned_traverse

import shared
from infra.sql.access import User, access_script
from infra.sql.migrate import LOCK, migration_script
from shared.messaging.event_log import EventLog
from shared.messaging.inbox import Inbox

# SQLAlchemy has not annotated its dialects' constructors.
MSSQL = MSDialect_pyodbc(paramstyle="qmark")  # type: ignore[no-untyped-call]

EXAMPLE = {"command_side": User("commands", UUID(int=1)), "query_side": User("views", UUID(int=2))}
"""Stands in for an environment's identities."""


def statements() -> Iterator[tuple[str, sa.sql.Executable]]:
    """Find every statement constant of the product, with a name that leads to it."""
    seen = set()
    for module in pkgutil.walk_packages(shared.__path__, "shared."):
        for name, value in vars(importlib.import_module(module.name)).items():
            if id(value) in seen:
                continue  # imported from elsewhere
            seen.add(id(value))
            where = f"{module.name.removeprefix('shared.')}.{name}"
            match value:
                case sa.Select() | sa.CompoundSelect() | UpdateBase():
                    yield where, value
                case EventLog():
                    for field in fields(value.statements):
                        yield f"{where}.{field.name}", getattr(value.statements, field.name)
                case Inbox():
                    yield from ((f"{where}.seen", value.seen), (f"{where}.record", value.record))
                case _:
                    pass


def entry(name: str, statement: Any) -> dict[str, Any]:
    """Compile a statement for Azure SQL, its parameters in order with their types."""
    compiled = cloned_traverse(statement, {}, {"bindparam": _give_value}).compile(
        dialect=MSSQL, compile_kwargs={"render_postcompile": True}
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
    directory.mkdir(parents=True, exist_ok=True)
    with (directory / "schema.sql").open("w") as script:
        migration_script(script)
        script.write(access_script(EXAMPLE))
    entries = [entry(name, statement) for name, statement in statements()]
    entries.append({"name": "migrations.LOCK", "sql": LOCK, "parameters": []})
    (directory / "statements.json").write_text(json.dumps(entries, indent=1))
    return len(entries)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, default=Path(".local/tsql"), help="folder for both files")
    out = parser.parse_args().out
    print(f"{write(out)} statements and the migrations, in {out}")
