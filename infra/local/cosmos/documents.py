"""The items of a container, one or many to a request."""

from contextlib import AbstractContextManager

from starlette.requests import Request
from starlette.responses import Response

from infra.local.cosmos import batch, feed, items
from infra.local.cosmos.accounts import container_of, store_of
from infra.local.cosmos.definitions import Container
from infra.local.cosmos.errors import BadRequestError, CosmosError
from infra.local.cosmos.items import Outcome, Partition, partition_of
from infra.local.cosmos.query.pages import DEFAULT_COUNT, Page, Queries
from infra.local.cosmos.replies import QUERY_CHARGE, RESULT_CHARGE, reply
from infra.local.cosmos.values import UNDEFINED, Json, dump, parse

LARGEST_REQUEST = 4 * 1024 * 1024
"""Bytes: more than an item or a batch may have, which are measured on their own."""
PARTITION_KEY = "x-ms-documentdb-partitionkey"


async def post(request: Request) -> Response:
    """Create or upsert an item, run a query or a batch: the headers say which."""
    headers = request.headers
    if headers.get("x-ms-cosmos-is-query-plan-request", "").lower() == "true":
        raise BadRequestError("Query plans, which queries across partitions need, are not supported by this engine.")
    body = await _body(request)
    if headers.get("x-ms-documentdb-isquery", "").lower() == "true":
        return await _query(request, parse(body))
    partition = _partition(request)
    if headers.get("x-ms-cosmos-is-batch-request", "").lower() == "true":
        return _batch(request, partition, body)
    document = parse(body)
    _refuse_if_none_match(request)
    with _transaction(partition):
        if headers.get("x-ms-documentdb-is-upsert", "").lower() == "true":
            outcome = items.upsert(partition, document, headers.get("if-match"))
        else:
            outcome = items.create(partition, document)
    return _show(request, partition.container, outcome)


async def read(request: Request) -> Response:
    """One item."""
    partition, item_id = _partition(request), request.path_params["item"]
    outcome = items.read(partition, item_id, request.headers.get("if-none-match"))
    return _show(request, partition.container, outcome)


async def replace(request: Request) -> Response:
    """Put another document in an item's place."""
    document = parse(await _body(request))
    _refuse_if_none_match(request)
    partition, item_id = _partition(request), request.path_params["item"]
    with _transaction(partition):
        outcome = items.replace(partition, item_id, document, request.headers.get("if-match"))
    return _show(request, partition.container, outcome)


async def patch(request: Request) -> Response:
    """Change a part of an item."""
    operations = parse(await _body(request))
    _refuse_if_none_match(request)
    partition, item_id = _partition(request), request.path_params["item"]
    with _transaction(partition):
        outcome = items.patch(partition, item_id, operations, request.headers.get("if-match"))
    return _show(request, partition.container, outcome)


async def delete(request: Request) -> Response:
    """Remove an item."""
    partition, item_id = _partition(request), request.path_params["item"]
    with _transaction(partition):
        outcome = items.delete(partition, item_id, request.headers.get("if-match"))
    return _show(request, partition.container, outcome)


async def read_feed(request: Request) -> Response:
    """The change feed, or all items of a container."""
    container = container_of(request)
    if "a-im" in request.headers:
        changes = feed.read(store_of(request), container, _key(request), request.headers, _most(request))
        if not changes.items:
            return reply(request, 304, None, container=container, etag=changes.etag)
        return _show_page(request, container, Page(changes.items), etag=changes.etag)
    if PARTITION_KEY in request.headers:
        raise BadRequestError("Reading all items of one partition is not supported by this engine: query it.")
    continuation = request.headers.get("x-ms-continuation")
    return _show_page(request, container, await _queries(request).all(container, continuation, _most(request)))


async def _query(request: Request, query: Json) -> Response:
    container, headers = container_of(request), request.headers
    partition = _key(request)
    crossing = headers.get("x-ms-documentdb-query-enablecrosspartition", "").lower() == "true"
    if partition is None and not crossing and "x-ms-documentdb-partitionkeyrangeid" not in headers:
        raise BadRequestError(
            "Cross partition query is required but disabled. Please set x-ms-documentdb-query-enablecrosspartition to "
            "true, specify x-ms-documentdb-partitionkey, or revise your query to avoid this exception."
        )
    if "x-ms-start-epk" in headers:
        raise BadRequestError(
            "A query on a part of a feed range is not supported by this engine: name the partition key."
        )
    continuation = headers.get("x-ms-continuation")
    page = await _queries(request).run(container, partition, query, continuation, _most(request))
    return _show_page(request, container, page)


def _batch(request: Request, partition: Partition, body: bytes) -> Response:
    if len(body) > batch.LARGEST:
        raise CosmosError(413, f"Request size is too large: a batch has at most {batch.LARGEST} bytes.")
    status, results = batch.run(partition, parse(body))
    charge = sum(result["requestCharge"] for result in results)
    return reply(request, status, dump(results), charge=charge, container=partition.container)


def _show(request: Request, container: Container, outcome: Outcome) -> Response:
    minimal = request.method != "GET" and request.headers.get("prefer") == "return=minimal"
    body = None if minimal else outcome.body
    return reply(request, outcome.status, body, charge=outcome.charge, container=container, etag=outcome.etag)


def _show_page(request: Request, container: Container, page: Page, etag: str | None = None) -> Response:
    headers = {"x-ms-item-count": str(len(page.results))}
    if page.continuation:
        headers["x-ms-continuation"] = page.continuation
    body = f'{{"_rid":"{container.rid}","Documents":[{",".join(page.results)}],"_count":{len(page.results)}}}'
    charge = QUERY_CHARGE + RESULT_CHARGE * len(page.results)
    return reply(request, 200, body, charge=charge, container=container, etag=etag, headers=headers)


def _partition(request: Request) -> Partition:
    key = _key(request)
    if key is None:
        raise BadRequestError("PartitionKey value must be supplied for this operation.")
    return Partition(store_of(request), container_of(request), key)


def _key(request: Request) -> str | None:
    header = request.headers.get(PARTITION_KEY)
    if header is None:
        return None
    key = parse(header)
    if not isinstance(key, list) or len(key) != 1:
        raise BadRequestError("The partition key header must be a JSON array with one value.")
    return partition_of(UNDEFINED if key[0] == {} else key[0])


def _transaction(partition: Partition) -> AbstractContextManager[None]:
    return partition.store.transaction(partition.container)


def _most(request: Request) -> int:
    text = request.headers.get("x-ms-max-item-count", "-1")
    try:
        most = int(text)
    except ValueError:
        raise BadRequestError(f"The maximum item count '{text}' is not an integer.") from None
    return most if most > 0 else DEFAULT_COUNT


def _queries(request: Request) -> Queries:
    queries: Queries = request.app.state.queries
    return queries


async def _body(request: Request) -> bytes:
    body = bytearray()
    async for part in request.stream():
        body += part
        if len(body) > LARGEST_REQUEST:
            raise CosmosError(413, f"Request size is too large: more than {LARGEST_REQUEST} bytes.")
    return bytes(body)


def _refuse_if_none_match(request: Request) -> None:
    if "if-none-match" in request.headers:
        raise BadRequestError("If-None-Match is supported for reads only.")
