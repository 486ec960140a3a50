"""On Azure SQL text that is a key, or by which callers find something, is compared exactly."""

import re
from collections.abc import Iterator
from io import StringIO

import pytest
import sqlalchemy as sa
from sqlalchemy.sql import operators
from sqlalchemy.sql.elements import BinaryExpression
from sqlalchemy.sql.visitors import iterate

from infra.sql import tsql
from infra.sql.migrate import OWNERS, migration_script
from shared.frame.write_side.writes import Step

EXACT = "COLLATE Latin1_General_100_BIN2"

BY_LANGUAGE = {
    "category": "alternatives may be of a category that is written in another way",
    "correlation_id": "a search for operators, who see what it has found",
    "state": "words of the code, that differ in letters of ASCII",
}
"""Columns that are compared by the database's collation, and why that does no harm."""

KEYS = {
    str(column): column
    for owner in OWNERS
    for table in owner.METADATA.sorted_tables
    for key in (*table.constraints, *table.indexes)
    if isinstance(key, sa.PrimaryKeyConstraint | sa.UniqueConstraint) or (isinstance(key, sa.Index) and key.unique)
    for column in key.columns
    if isinstance(column.type, sa.String)
}


def compared() -> Iterator[tuple[str, sa.Column[str]]]:
    """Give the columns of text that statements compare with parameters or columns; not those with words of the code."""
    for name, statement in tsql.statements(parts=True):
        for each in iterate(statement.statement if isinstance(statement, Step) else statement):
            if isinstance(each, BinaryExpression) and each.operator in {operators.eq, operators.ne}:
                sides = each.left, each.right
                if all(isinstance(side, sa.Column | sa.BindParameter) for side in sides):
                    yield from ((name, side) for side in sides if isinstance(side, sa.Column) and is_text(side))


@pytest.fixture(scope="module")
def script() -> str:
    output = StringIO()
    migration_script(output)
    return output.getvalue()


def is_text(column: sa.Column[str]) -> bool:
    return isinstance(column.type, sa.String)


COMPARED = {f"{name}, {column}": column for name, column in compared() if column.name not in BY_LANGUAGE}


@pytest.mark.parametrize("column", (KEYS | COMPARED).values(), ids=KEYS | COMPARED)
def test_text_that_is_a_key_or_is_compared_is_exact(column: sa.Column[str]) -> None:
    assert EXACT in column.type.compile(dialect=tsql.MSSQL)


def test_keys_and_comparisons_are_found() -> None:
    assert {"emails.address", "event_log.command_id", "audit.step"} <= {
        f"{column.table.name}.{column.name}" for column in KEYS.values()
    }
    assert any("OWNER" in name for name in COMPARED)
    assert any("DELETE_EMAIL" in name for name in COMPARED)


@pytest.mark.parametrize(
    ("name", "statement"), [(name, statement) for name, statement in tsql.statements() if isinstance(statement, Step)]
)
def test_exact_text_of_a_batch_is_exact_too(name: str, statement: Step) -> None:
    """A server does not compare columns of two collations (error 468), and one of OPENJSON has the database's."""
    exact = [key for key, kind in statement.types.items() if EXACT in kind.compile(dialect=tsql.MSSQL)]
    sql = tsql.entry(name, statement)["sql"]
    assert all(f"{EXACT} '$.{key}'" in sql for key in exact)
    assert sql.count(EXACT) == len(exact)


@pytest.mark.parametrize("column", KEYS.values(), ids=KEYS)
def test_the_migrations_leave_keys_exact(script: str, column: sa.Column[str]) -> None:
    """Alembic compares the declared schema with SQLite's, which has no such collation."""
    of_table = re.findall(rf"(?:CREATE|ALTER) TABLE {column.table.fullname} .*?\nGO\n", script, re.DOTALL)
    kinds = [kind for part in of_table for kind in re.findall(rf"\b{column.name} (NVARCHAR.*?) (?:NOT )?NULL", part)]
    assert kinds[-1] == column.type.compile(dialect=tsql.MSSQL)
