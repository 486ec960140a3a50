"""The steps of a unit of work: statements with rows, for SQLite and for Azure SQL.

Both texts come from one SQLAlchemy statement. SQLite gets it once for each row. Azure SQL gets all rows of a unit in
one JSON parameter, so that the text is the same for any number of rows, and so is the plan that the server keeps.
"""

import json
import sqlite3
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from decimal import Decimal
from functools import cache, cached_property
from operator import eq
from typing import Any, cast, override
from uuid import UUID

import sqlalchemy as sa
from sqlalchemy.sql.elements import BinaryExpression, BindParameter
from sqlalchemy.sql.visitors import iterate, replacement_traverse

from shared.frame.sql.azure_sql import azure_sql_dialect
from shared.frame.sql.columns import JsonText
from shared.frame.sql.sqlite import DIALECT, Prepared

type Row = Mapping[str, Any]

type Key = tuple[Any, ...]
"""Identifies the row of a table that an update changes."""

AZURE_SQL = azure_sql_dialect("named")


class Step(ABC):
    """A statement that is carried out for each of its rows; the bind parameters are the columns of a row."""

    def __init__(self, statement: sa.Insert | sa.Update | sa.Delete | sa.Select[Any]) -> None:
        self.statement = statement

    @abstractmethod
    def run(self, cursor: sqlite3.Cursor, rows: Sequence[Row]) -> bool:
        """Carry it out on SQLite, and tell whether every row found the row that it changes or requires."""

    @abstractmethod
    def tsql(self, name: str) -> str:
        """Write it for Azure SQL, on the rows that the batch's JSON has under this name."""

    @abstractmethod
    def missed(self, name: str) -> str:
        """Write the T-SQL condition that some row found no row to change or require, right after `tsql`."""

    @cached_property
    def types(self) -> Mapping[str, sa.types.TypeEngine[Any]]:
        """The columns of a row and their types."""
        binds = self.statement.compile(dialect=AZURE_SQL).binds
        return {name: bind.type for name, bind in binds.items()}

    @cached_property
    def _on_sqlite(self) -> Prepared:
        return Prepared(self.statement)

    def as_json(self, rows: Sequence[Row]) -> str:
        """Write rows for OPENJSON: exact values as text, times in UTC, JSON as JSON; of bytes, if there are any."""
        return f"[{','.join(map(self._as_object, rows))}]"

    def bytes_of(self, name: str, rows: Sequence[Row]) -> Mapping[str, bytes | None]:
        """Give the bytes in these rows as parameters of the batch, because JSON cannot hold bytes.

        Raises:
            ValueError: rows have different bytes in one column, which no unit of work has needed yet.
        """
        given: dict[str, bytes | None] = {}
        for column in self._binary:
            values = {row[column] for row in rows} - {None}
            if len(values) > 1:
                raise ValueError(f"{column} has several values in one unit of work")
            given[_bytes_name(name, column)] = next(iter(values), None)
        return given

    def parameters(self, name: str) -> Sequence[BindParameter[Any]]:
        """The parameters of `bytes_of`, with their types."""
        return [sa.bindparam(_bytes_name(name, column), type_=self.types[column]) for column in self._binary]

    @cached_property
    def _binary(self) -> Sequence[str]:
        kinds = {column: type_.dialect_impl(AZURE_SQL) for column, type_ in self.types.items()}
        return [column for column, kind in kinds.items() if isinstance(kind, sa.LargeBinary | sa.BINARY)]

    def _as_object(self, row: Row) -> str:
        members = (f'"{column}":{self._as_value(column, row[column])}' for column in self.types)
        return f"{{{','.join(members)}}}"

    def _as_value(self, column: str, value: Any) -> str:
        if column in self._binary:
            return "1" if value is not None else "0"
        if isinstance(self.types[column], JsonText):
            return str(value)
        return _JSON.encode(value)

    def _rows(self, name: str) -> sa.Subquery:
        """The rows of the batch's JSON as a table with columns of the types that the statement has."""
        declared, read = [], []
        for column, type_ in self.types.items():
            if column in self._binary:
                declared.append(f"{column} BIT '$.{column}'")
                read.append(f"CASE WHEN {column} = 1 THEN :{_bytes_name(name, column)} END AS {column}")
            elif isinstance(type_, JsonText):
                declared.append(f"{column} NVARCHAR(MAX) '$.{column}' AS JSON")
                read.append(column)
            else:
                declared.append(f"{column} {_in_json(type_)} '$.{column}'")
                read.append(column)
        text = sa.text(
            f"SELECT {', '.join(read)} FROM OPENJSON(@rows, '$.{name}') WITH ({', '.join(declared)})"  # noqa: S608  # names of columns
        )
        return text.columns(*(sa.column(column, type_) for column, type_ in self.types.items())).subquery(name)

    def _on(self, rows: sa.Subquery) -> Any:
        """The statement with the columns of these rows in the place of its parameters."""

        def replace(element: Any, **_: Any) -> Any:
            return rows.c[element.key] if isinstance(element, BindParameter) else None

        return replacement_traverse(self.statement, {}, replace)


class Write(Step):
    """Inserts, updates or deletes rows, each by its own key.

    On Azure SQL each row is looked up by itself: a scan of the table would wait for rows that other transactions have
    locked. The hint belongs to the whole statement, because a written table allows no FORCESEEK (error 10724).
    """

    statement: sa.Insert | sa.Update | sa.Delete

    def keys(self, rows: Sequence[Row]) -> set[Key]:
        """Tell which rows of the table an update changes; nothing for other writes.

        Raises:
            ValueError: two of the rows change the same row; Azure SQL would apply either of them, and count one.
        """
        if not self._key:
            return set()
        keys = {tuple(row[name] for name in self._key) for row in rows}
        if len(keys) < len(rows):
            raise ValueError(f"an update of {self.table} has two rows with the same {', '.join(self._key)}")
        return keys

    def may_precede(self, other: Step) -> bool:
        """Tell whether their order makes no difference: they use different tables, and no foreign key ties them."""
        return _are_unrelated(self, other)

    @property
    def table(self) -> sa.Table:
        """The table that it writes to."""
        return cast("sa.Table", self.statement.table)

    @cached_property
    def _key(self) -> Sequence[str]:
        if not isinstance(self.statement, sa.Update) or self.statement.whereclause is None:
            return ()
        key = self.table.primary_key.columns
        return [
            str(each.right.key)
            for each in iterate(self.statement.whereclause)
            if isinstance(each, BinaryExpression) and each.operator is eq and key.contains_column(each.left)
        ]

    @override
    def run(self, cursor: sqlite3.Cursor, rows: Sequence[Row]) -> bool:
        prepared = self._on_sqlite
        if len(rows) == 1:
            cursor.execute(prepared.text, prepared.bound(rows[0]))
        else:
            cursor.executemany(prepared.text, map(prepared.bound, rows))
        return cursor.rowcount >= len(rows)

    @override
    def tsql(self, name: str) -> str:
        rows = self._rows(name)
        if isinstance(self.statement, sa.Insert):
            statement: Any = sa.insert(self.statement.table).from_select(list(self.types), sa.select(rows))
        else:
            statement = self._on(rows)
        return f"{statement.compile(dialect=AZURE_SQL)} OPTION (LOOP JOIN);"

    @override
    def missed(self, name: str) -> str:
        return f"@@ROWCOUNT < (SELECT COUNT(*) FROM OPENJSON(@rows, '$.{name}'))"  # noqa: S608  # a step's name


@cache
def _are_unrelated(one: Write, other: Step) -> bool:
    if not isinstance(other, Write) or one.table is other.table:
        return False
    return not _is_referred_to(other, one) and not _is_referred_to(one, other)


def _is_referred_to(one: Write, other: Write) -> bool:
    """Tell whether a write adds or removes rows that the other's rows refer to; an update never changes keys."""
    keys = other.table.foreign_key_constraints
    return not isinstance(one.statement, sa.Update) and any(key.referred_table is one.table for key in keys)


class Check(Step):
    """A SELECT that must find a row for each of its rows; if it does not, the decision's basis has changed."""

    statement: sa.Select[Any]

    @override
    def run(self, cursor: sqlite3.Cursor, rows: Sequence[Row]) -> bool:
        prepared = self._on_sqlite
        if len(rows) == 1:
            return cursor.execute(prepared.text, prepared.bound(rows[0])).fetchone() is not None
        values = json.dumps([prepared.bound(row) for row in rows])
        return cursor.execute(self._finding_nothing, (values,)).fetchone() is None

    @cached_property
    def _finding_nothing(self) -> str:
        names = self._on_sqlite.parameters
        read = ", ".join(f"value ->> {place} AS {column}" for place, column in enumerate(names))
        columns = (sa.column(column, self.types[column]) for column in names)
        rows = sa.text(f"SELECT {read} FROM json_each(:rows)").columns(*columns).subquery("s")  # noqa: S608  # of columns
        return str(self._without(rows).compile(dialect=DIALECT))

    @override
    def tsql(self, name: str) -> str:
        return ""

    @override
    def missed(self, name: str) -> str:
        return f"EXISTS ({self._without(self._rows(name)).compile(dialect=AZURE_SQL)})"

    def _without(self, rows: sa.Subquery) -> sa.Select[Any]:
        return sa.select(sa.literal_column("1")).select_from(rows).where(~self._on(rows).exists())


def written(statement: sa.ClauseElement) -> tuple[str, Sequence[BindParameter[Any]]]:
    """Write a statement for Azure SQL, as a part of a longer text, and give its parameters, named as in the text."""
    compiled: Any = statement.compile(dialect=AZURE_SQL)
    names: Mapping[BindParameter[Any], str] = compiled.bind_names
    return str(compiled), [
        sa.bindparam(name, type_=bind.type) if bind.required else sa.bindparam(name, bind.value, type_=bind.type)
        for bind, name in names.items()
    ]


def insert(table: sa.Table) -> Write:
    """Insert rows with all columns that the database does not number itself."""
    columns = [column for column in table.columns if column.identity is None]
    return Write(sa.insert(table).values(by_name(*columns)))


def versioned_update(table: sa.Table, *columns: sa.Column[Any]) -> Write:
    """Update these columns of the row with `id`, if it is at `loaded_version`.

    Raises:
        ValueError: the table's key is not one column.
    """
    return Write(sa.update(table).where(*at_version(table)).values(by_name(*columns)))


def at_version(table: sa.Table) -> Sequence[sa.ColumnElement[bool]]:
    """Make the condition that a row has this `id` and is at `loaded_version`.

    Raises:
        ValueError: the table's key is not one column.
    """
    [key] = table.primary_key.columns
    return (
        key == sa.bindparam("id", type_=sa.Uuid),
        table.c.version == sa.bindparam("loaded_version", type_=sa.BigInteger),
    )


def by_name(*columns: sa.Column[Any]) -> dict[sa.Column[Any], BindParameter[Any]]:
    """Make parameters that give these columns their values from a row, by name."""
    return {column: sa.bindparam(column.name, type_=column.type) for column in columns}


def _in_json(type_: sa.types.TypeEngine[Any]) -> str:
    """Write a column's type for OPENJSON, with a larger length: OPENJSON would silently cut a text that is too long.

    So the table gets the whole text, and refuses it if it is too long (error 2628). A column of OPENJSON has the
    database's collation unless it names one, and cannot be compared with one of another (error 468).
    """
    match type_.dialect_impl(AZURE_SQL):
        case sa.String(length=int(length), collation=collation):
            kind = "NVARCHAR(MAX)" if length == _LONGEST else f"NVARCHAR({length + 1})"
            return f"{kind} COLLATE {collation}" if collation else kind
        case _:
            return type_.compile(dialect=AZURE_SQL)


_LONGEST = 4_000
"""Characters that NVARCHAR can be declared with."""


def _bytes_name(step: str, column: str) -> str:
    return f"{step}_{column}"


def _as_text(value: object) -> str:
    match value:
        case UUID() | Decimal():
            return str(value)
        case datetime():
            return value.astimezone(UTC).replace(tzinfo=None).isoformat(timespec="microseconds")
        case _:
            raise TypeError(f"{type(value).__name__} is no type of a column")


_JSON = json.JSONEncoder(ensure_ascii=False, separators=(",", ":"), default=_as_text)
