"""Round trips, counted where they leave this process: SQL statements and commits, requests for Cosmos documents."""

from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from unittest import mock

import aiohttp
import sqlalchemy as sa

MILLI = 1_000
"""Request units are counted in thousandths, so that they add up exactly."""


@contextmanager
def counting_sql(engine: sa.Engine, counts: Counter[str]) -> Iterator[None]:
    """Count statements (`sql_statements`), one for each round trip, and commits (`sql_commits`)."""

    def statement(_connection: object, _cursor: object, text: str, *_: object) -> None:
        counts["sql_statements"] += not text.startswith("BEGIN")

    def commit(_connection: object) -> None:
        counts["sql_commits"] += 1

    sa.event.listen(engine, "before_cursor_execute", statement)
    sa.event.listen(engine, "commit", commit)
    yield
    sa.event.remove(engine, "before_cursor_execute", statement)
    sa.event.remove(engine, "commit", commit)


@contextmanager
def counting_cosmos(counts: Counter[str]) -> Iterator[None]:
    """Count requests for documents (`cosmos_requests`), and thousandths of request units (`cosmos_milliunits`).

    Other requests are none of the work: a client asks once for a container's partition ranges.
    """
    real = aiohttp.ClientSession._request

    async def request(self: aiohttp.ClientSession, method: str, url: str, **options: object) -> object:
        answer = await real(self, method, url, **options)  # type: ignore[arg-type]  # handed on as it came
        if "/docs/" in url:
            counts["cosmos_requests"] += 1
            counts["cosmos_milliunits"] += round(float(answer.headers["x-ms-request-charge"]) * MILLI)
        return answer

    with mock.patch.object(aiohttp.ClientSession, "_request", request):
        yield
