"""Column types that mean the same on Azure SQL and on SQLite."""

import json
from collections.abc import Iterable
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any, override
from uuid import UUID

import sqlalchemy as sa
from sqlalchemy.dialects.mssql import DATETIME2, NVARCHAR
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.sql.functions import FunctionElement


def schema_metadata(schema: str) -> sa.MetaData:
    """Collect a context's tables, in its schema, with constraint names that a migration can refer to."""
    return sa.MetaData(
        schema=schema,
        naming_convention={
            "pk": "pk_%(table_name)s",
            "fk": "fk_%(table_name)s_%(referred_table_name)s",
            "ix": "ix_%(table_name)s_%(column_0_N_name)s",
        },
    )


def every_table(tables: sa.MetaData) -> sa.Select[Any]:
    """Read from each of a context's tables in one request, which fails if a table is missing or cannot be read."""
    return sa.select(
        *(
            sa.select(sa.func.count())
            .select_from(sa.select(sa.literal_column("1").label("one")).select_from(table).limit(1).subquery())
            .scalar_subquery()
            .label(table.name)
            for table in tables.sorted_tables
        )
    )


def text(characters: int) -> sa.Unicode:
    """Hold this many characters: NVARCHAR counts UTF-16 units, of which an emoji takes two."""
    return sa.Unicode(2 * characters)


def exact_text(characters: int) -> sa.types.TypeEngine[str]:
    """Hold text, of this many UTF-16 units, that is compared unit by unit: a key, or what finds somebody's data.

    Azure SQL's default collation takes `A` for `a`, `ß` for `ss`, `þ` for `th`, and some characters for nothing.

    Azure SQL ignores trailing blanks in comparisons, whatever the collation, and SQLite does not. So callers' text with
    blanks is refused before it gets here: an Idempotency-Key has none, nor has an e-mail address.
    """
    return sa.Unicode(characters).with_variant(NVARCHAR(characters, collation="Latin1_General_100_BIN2"), "mssql")


class JsonText(sa.TypeDecorator[str]):
    """A JSON object as text, stored exactly as it was written."""

    impl = sa.Unicode
    cache_ok = True


class UtcDateTime(sa.TypeDecorator[datetime]):
    """An aware UTC time with microseconds. Stored without a zone: DATETIME2(6), or ISO text on SQLite."""

    impl = sa.DateTime
    cache_ok = True

    @override
    def load_dialect_impl(self, dialect: sa.Dialect) -> sa.types.TypeEngine[Any]:
        if dialect.name == "mssql":
            return DATETIME2(6)  # type: ignore[no-untyped-call]  # SQLAlchemy has not annotated it
        return sa.DateTime()

    @override
    def process_bind_param(self, value: datetime | None, dialect: sa.Dialect) -> datetime | None:
        return value and value.astimezone(UTC).replace(tzinfo=None)

    @override
    def process_result_value(self, value: datetime | None, dialect: sa.Dialect) -> datetime | None:
        return value and value.replace(tzinfo=UTC)


class Amount(sa.TypeDecorator[Decimal]):
    """An exact decimal in major units: NUMERIC(19,4), or text on SQLite, whose numbers are binary floats."""

    impl = sa.Numeric(19, 4)
    cache_ok = True

    @override
    def load_dialect_impl(self, dialect: sa.Dialect) -> sa.types.TypeEngine[Any]:
        return dialect.type_descriptor(sa.String(24) if dialect.name == "sqlite" else sa.Numeric(19, 4))

    @override
    def process_bind_param(self, value: Decimal | None, dialect: sa.Dialect) -> Any:
        return str(value) if value is not None and dialect.name == "sqlite" else value

    @override
    def process_result_value(self, value: Any, dialect: sa.Dialect) -> Decimal | None:
        return None if value is None else Decimal(value)


class _Ids(sa.TypeDecorator[Iterable[UUID]]):
    """Ids as one JSON parameter, written as the database writes an id."""

    impl = sa.Unicode
    cache_ok = True

    @override
    def process_bind_param(self, value: Iterable[UUID] | None, dialect: sa.Dialect) -> str | None:
        if value is None:
            return None
        return json.dumps([id_.hex if dialect.name == "sqlite" else str(id_) for id_ in value])


class _IdsOf(FunctionElement[Any]):
    """The ids in a JSON parameter, as a subquery."""

    inherit_cache = True


@compiles(_IdsOf, "sqlite")
def _ids_on_sqlite(element: _IdsOf, compiler: Any, **options: Any) -> str:
    ids = compiler.process(element.clauses, **options)
    return f"(SELECT value FROM json_each({ids}))"  # noqa: S608  # a parameter's mark


@compiles(_IdsOf, "mssql")
def _ids_on_azure_sql(element: _IdsOf, compiler: Any, **options: Any) -> str:
    ids = compiler.process(element.clauses, **options)
    return f"(SELECT CAST(value AS UNIQUEIDENTIFIER) FROM OPENJSON({ids}))"  # noqa: S608  # as above


def in_ids(column: sa.ColumnElement[UUID], parameter: str) -> sa.ColumnElement[bool]:
    """Whether the column is one of the ids of a parameter: one text, and so one plan, for any number of them."""
    return column.op("IN", is_comparison=True)(_IdsOf(sa.bindparam(parameter, type_=_Ids)))
