"""Column types that mean the same on Azure SQL and on SQLite."""

from datetime import UTC, datetime
from decimal import Decimal
from typing import Any, override

import sqlalchemy as sa
from sqlalchemy.dialects.mssql import DATETIME2, NVARCHAR


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


def text(characters: int) -> sa.Unicode:
    """Hold this many characters: NVARCHAR counts UTF-16 units, of which an emoji takes two."""
    return sa.Unicode(2 * characters)


def exact_text(characters: int) -> sa.types.TypeEngine[str]:
    """Hold ASCII text that is compared byte by byte; Azure SQL's default collation ignores case and trailing blanks."""
    return sa.Unicode(characters).with_variant(NVARCHAR(characters, collation="Latin1_General_100_BIN2"), "mssql")


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
