"""The pages of a query, and of all items of a container.

A query that streams continues after the last item that it has looked at. Of any other query the whole result is kept
for a while, so that its pages are of one moment; when it is gone, after a restart say, it is made again.
"""

import asyncio
import base64
import json
import secrets
import zlib
from collections import OrderedDict
from collections.abc import AsyncIterator, Callable, Iterable
from contextlib import suppress
from dataclasses import dataclass, field

from cosmos_engine.definitions import DEFAULT_INDEXING, Container
from cosmos_engine.errors import BadRequestError
from cosmos_engine.query.parse import parse
from cosmos_engine.query.plan import Plan
from cosmos_engine.store import Item, Store
from cosmos_engine.values import Json, dump

type Part = Callable[[str], bool] | None
"""Whether a stored partition key is in the part of the range that was asked for; None is the whole."""

DEFAULT_COUNT = 1000
LARGEST_PAGE = 4 * 1024 * 1024
"""Bytes of a page. https://learn.microsoft.com/azure/cosmos-db/concepts-limits#per-request-limits"""
CHUNK = 500
"""So many items are looked at before other requests have their turn."""
PLAN: Json = {
    "partitionedQueryExecutionInfoVersion": 2,
    "queryInfo": {
        "distinctType": "None",
        "top": None,
        "offset": None,
        "limit": None,
        "orderBy": [],
        "orderByExpressions": [],
        "groupByExpressions": [],
        "groupByAliases": [],
        "aggregates": [],
        "groupByAliasToAggregateType": {},
        "rewrittenQuery": "",
        "hasSelectValue": False,
        "dCountInfo": None,
        "hasNonStreamingOrderBy": False,
    },
    "queryRanges": [{"min": "", "max": "FF", "isMinInclusive": True, "isMaxInclusive": False}],
}
"""Of every query, as clients ask for one: the engine does all of it, so nothing is left for them to do."""
NOT_SERVABLE = 1004
"""Sub-status by which clients know to ask for a plan."""
MOST = 2**63
"""Above every number in a continuation: SQLite's have 64 bits."""
KEPT_RESULTS = 8
"""Whole results, of queries that were not read to their end."""


@dataclass(slots=True)
class Page:
    """Results as JSON texts, and where to continue; None at the end."""

    results: list[str] = field(default_factory=list)
    continuation: str | None = None
    size: int = 0

    def takes(self, result: str, most: int) -> bool:
        """Add a result if there is room. The first always fits."""
        if self.results and (len(self.results) >= most or self.size + len(result) > LARGEST_PAGE):
            return False
        self.results.append(result)
        self.size += len(result)
        return True


class _Mark:
    """How far the pages have come, as the client sends it back; it is good for one query only."""

    def __init__(self, origin: str, continuation: str | None) -> None:
        self._origin = zlib.crc32(origin.encode())
        self._state: Json = {}
        if continuation:
            with suppress(ValueError):
                self._state = json.loads(base64.b64decode(continuation))
            if not isinstance(self._state, dict) or self._state.get("of") != self._origin:
                raise BadRequestError("Invalid Continuation Token: it was not given for this query.")

    def get[T](self, name: str, default: T) -> T:
        """A part of the mark; the default before the first page."""
        value: T = self._state.get(name, default)
        if type(value) is not type(default) or (isinstance(value, int) and not 0 <= value < MOST):
            raise BadRequestError("Invalid Continuation Token: it was changed.")
        return value

    def move(self, **state: Json) -> str:
        """The continuation for a further place."""
        return base64.b64encode(dump({"of": self._origin, **state}).encode()).decode()


class Queries:
    """Runs queries on a store, and keeps the results that wait to be read."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._kept: OrderedDict[str, list[Json]] = OrderedDict()

    async def all(
        self, container: Container, partition: str | None, part: Part, continuation: str | None, most: int
    ) -> Page:
        """A page of all items of a container, a partition or a part of the range, oldest first."""
        mark = _Mark(f"{container.rid}{partition}", continuation)
        page = Page()
        after = mark.get("after", 0)
        async for item in _scan(self._store, container, partition, part, after):
            if not page.takes(item.body, most):
                page.continuation = mark.move(after=after)
                break
            after = item.created
        return page

    async def run(
        self,
        container: Container,
        partition: str | None,
        request: Json,
        continuation: str | None,
        most: int,
        part: Part = None,
        *,
        served_by_client: bool = True,
    ) -> Page:
        """A page of a query, {"query": "...", "parameters": [{"name": "@p", "value": ...}]}.

        Raises:
            BadRequestError: the query is wrong or not supported, or the continuation belongs to another one; or it is
                sorted, grouped or summed across partitions, for which the client has to ask for a plan first.
        """
        text, parameters = _checked(request)
        plan = Plan(parse(text), parameters, container.definition["indexingPolicy"])
        if partition is None and not plan.streams and not served_by_client:
            raise _not_servable()
        mark = _Mark(f"{container.rid}{partition}{dump(request)}", continuation)
        items = _scan(self._store, container, partition, part, mark.get("after", 0))
        return await (_stream if plan.streams else self._whole)(plan, items, mark, most)

    async def _whole(self, plan: Plan, items: AsyncIterator[Item], mark: _Mark, most: int) -> Page:
        key, skip = mark.get("key", "") or secrets.token_hex(8), mark.get("skip", 0)
        results = self._kept.get(key)
        if results is None:
            if plan.constant:
                plan.add(None)
            else:
                async for item in items:
                    plan.add(json.loads(item.body))
            results = plan.finish()
        page = Page()
        for result in results[skip:]:
            if not page.takes(dump(result), most):
                page.continuation = mark.move(key=key, skip=skip + len(page.results))
                self._keep(key, results)
                return page
        self._kept.pop(key, None)
        return page

    def _keep(self, key: str, results: list[Json]) -> None:
        self._kept[key] = results
        self._kept.move_to_end(key)
        if len(self._kept) > KEPT_RESULTS:
            self._kept.popitem(last=False)


async def _stream(plan: Plan, items: AsyncIterator[Item], mark: _Mark, most: int) -> Page:
    page = Page()
    after, taken = mark.get("after", 0), mark.get("taken", 0)
    if plan.top is not None:
        most = min(most, plan.top - taken)
    if most <= 0:
        return page
    async for item in items:
        for result in plan.results(json.loads(item.body)):
            if not page.takes(dump(result), most):
                if plan.top is None or taken + len(page.results) < plan.top:
                    page.continuation = mark.move(after=after, taken=taken + len(page.results))
                return page
        after = item.created
    return page


async def _scan(
    store: Store, container: Container, partition: str | None, part: Part, after: int
) -> AsyncIterator[Item]:
    while chunk := store.items(container, partition, after, CHUNK):
        for item in chunk:
            if item.is_alive(container) and (part is None or part(item.partition)):
                yield item
        after = chunk[-1].created
        if len(chunk) < CHUNK:
            return
        await asyncio.sleep(0)


def over(documents: Iterable[Json], request: Json) -> list[Json]:
    """All results of a query over a few documents that are not items: databases, containers.

    Raises:
        BadRequestError: the query is wrong or not supported.
    """
    text, parameters = _checked(request)
    plan = Plan(parse(text), parameters, DEFAULT_INDEXING)
    for document in documents:
        plan.add(document)
    return plan.finish()


def plan_of(container: Container, request: Json) -> Json:
    """The plan of a query.

    Raises:
        BadRequestError: the query is wrong or not supported.
    """
    text, parameters = _checked(request)
    Plan(parse(text), parameters, container.definition["indexingPolicy"])
    return PLAN


def _not_servable() -> BadRequestError:
    error = BadRequestError(
        "The provided cross partition query can not be directly served by the gateway. This is a first chance "
        "(internal) exception that all newer clients will know how to handle gracefully.",
        NOT_SERVABLE,
    )
    error.more["additionalErrorInfo"] = dump(PLAN)  # by this the client for JavaScript knows it
    return error


def _checked(request: Json) -> tuple[str, dict[str, Json]]:
    if not isinstance(request, dict) or not isinstance(request.get("query"), str):
        raise BadRequestError("A query is sent as an object with a query, which is a string.")
    parameters = request.get("parameters") or []
    if not isinstance(parameters, list) or not all(
        isinstance(it, dict) and isinstance(it.get("name"), str) for it in parameters
    ):
        raise BadRequestError("The parameters of a query are a list of objects with a name and a value.")
    return request["query"], {parameter["name"]: parameter.get("value") for parameter in parameters}
