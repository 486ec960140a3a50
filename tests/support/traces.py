"""The workspace's table of log lines, in DuckDB, for the queries of the runbook."""

from collections.abc import Iterable
from datetime import UTC, datetime
from typing import Any

import duckdb_kql


def found(query: str, lines: Iterable[str]) -> list[tuple[Any, ...]]:
    """Run a query over AppTraces with these lines, all logged now; its rows."""
    database = duckdb_kql.connect()
    database.execute("CREATE TABLE AppTraces (TimeGenerated TIMESTAMP, Message VARCHAR)")
    for line in lines:
        database.execute("INSERT INTO AppTraces VALUES (?, ?)", [datetime.now(UTC).replace(tzinfo=None), line])
    rows: list[tuple[Any, ...]] = duckdb_kql.kql(database, query).fetchall()
    return rows
