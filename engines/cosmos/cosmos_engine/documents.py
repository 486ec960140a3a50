"""The items of a container, one or many to a request."""

from contextlib import AbstractContextManager

from starlette.requests import Request
from starlette.responses import Response

from cosmos_engine import batch, binary, feed, items
from cosmos_engine.accounts import container_of, is_query, read_body, store_of
from cosmos_engine.definitions import Container
from cosmos_engine.errors import BadRequestError, CosmosError
from cosmos_engine.hashing import within
from cosmos_engine.items import Outcome, Partition, partition_of_header
from cosmos_engine.names import item_number
from cosmos_engine.query.pages import DEFAULT_COUNT, MOST, Page, Queries, plan_of
from cosmos_engine.replies import QUERY_CHARGE, RESULT_CHARGE, reply
from cosmos_engine.values import Json, dump, parse

PARTITION_KEY = "x-ms-documentdb-partitionkey"
RANGE = "x-ms-documentdb-partitionkeyrangeid"
ITEM_COUNT = "x-ms-item-count"
MINIMAL = "return=minimal"
TRIGGERS = ("x-ms-documentdb-pre-trigger-include", "x-ms-documentdb-post-trigger-include")


async def post(request: Request) -> Response:
    """Create or upsert an item, run a query or a batch: the headers say which."""
    headers = request.headers
    body = await read_body(request)
    if headers.get("x-ms-cosmos-is-query-plan-request", "").lower() == "true":
        return reply(request, 200, dump(plan_of(container_of(request), parse(body))))
    if is_query(request):
        return await _query(request, parse(body))
    if headers.get("x-ms-cosmos-is-batch-request", "").lower() == "true":
        return _batch(request, body)
    partition = _partition(request)
    document = parse(body)
    _refuse_ignored(request)
    with _transaction(partition):
        if headers.get("x-ms-documentdb-is-upsert", "").lower() == "true":
            outcome = items.upsert(partition, document, headers.get("if-match"))
        else:
            outcome = items.create(partition, document)
    return _show(request, partition.container, outcome)


async def read(request: Request) -> Response:
    """One item."""
    partition = _partition(request)
    item_id = _item_id(request, partition.container)
    outcome = items.read(partition, item_id, request.headers.get("if-none-match"))
    return _show(request, partition.container, outcome)


async def replace(request: Request) -> Response:
    """Put another document in an item's place."""
    document = parse(await read_body(request))
    _refuse_ignored(request)
    partition = _partition(request)
    item_id = _item_id(request, partition.container)
    with _transaction(partition):
        outcome = items.replace(partition, item_id, document, request.headers.get("if-match"))
    return _show(request, partition.container, outcome)


async def patch(request: Request) -> Response:
    """Change a part of an item."""
    operations = parse(await read_body(request))
    _refuse_ignored(request)
    partition = _partition(request)
    item_id = _item_id(request, partition.container)
    with _transaction(partition):
        outcome = items.patch(partition, item_id, operations, request.headers.get("if-match"))
    return _show(request, partition.container, outcome)


async def delete(request: Request) -> Response:
    """Remove an item."""
    _refuse_ignored(request)
    partition = _partition(request)
    item_id = _item_id(request, partition.container)
    with _transaction(partition):
        outcome = items.delete(partition, item_id, request.headers.get("if-match"))
    return _show(request, partition.container, outcome)


async def read_feed(request: Request) -> Response:
    """The change feed, or all items of a container."""
    container = container_of(request)
    if "a-im" in request.headers:
        changes = feed.read(store_of(request), container, _key(request), request.headers, _most(request))
        if not changes.items:
            return reply(request, 304, None, container=container, etag=changes.etag, headers={ITEM_COUNT: "0"})
        return _show_page(request, container, Page(changes.items), etag=changes.etag)
    continuation, partition = request.headers.get("x-ms-continuation"), _key(request)
    page = await _queries(request).all(container, partition, within(request.headers), continuation, _most(request))
    return _show_page(request, container, page)


async def _query(request: Request, query: Json) -> Response:
    container, headers = container_of(request), request.headers
    partition = _key(request)
    crossing = headers.get("x-ms-documentdb-query-enablecrosspartition", "").lower() == "true"
    if partition is None and not crossing and RANGE not in headers:
        raise BadRequestError(
            "Cross partition query is required but disabled. Please set x-ms-documentdb-query-enablecrosspartition to "
            "true, specify x-ms-documentdb-partitionkey, or revise your query to avoid this exception."
        )
    part, continuation = within(headers), headers.get("x-ms-continuation")
    page = await _queries(request).run(
        container, partition, query, continuation, _most(request), part, served_by_client=RANGE in headers
    )
    return _show_page(request, container, page)


def _batch(request: Request, body: bytes) -> Response:
    if len(body) > batch.LARGEST:
        raise CosmosError(413, f"Request size is too large: a batch has at most {batch.LARGEST} bytes.")
    in_binary = binary.is_binary(body)
    operations = binary.read(body) if in_binary else parse(body)
    container, headers = container_of(request), request.headers
    if PARTITION_KEY not in headers and headers.get("x-ms-cosmos-batch-atomic", "").lower() == "false":
        to_the_end = headers.get("x-ms-cosmos-batch-continue-on-error", "").lower() == "true"
        status, results = batch.run_each(store_of(request), container, operations, to_the_end=to_the_end)
    else:
        status, results = batch.run(_partition(request), operations)
    charge = sum(result["requestCharge"] for result in results)
    if headers.get("prefer") == MINIMAL:
        results = [{key: value for key, value in it.items() if key != "resourceBody"} for it in results]
    answer = binary.write(results) if in_binary else dump(results)
    return reply(request, status, answer, charge=charge, container=container)


def _show(request: Request, container: Container, outcome: Outcome) -> Response:
    minimal = request.method != "GET" and request.headers.get("prefer") == MINIMAL
    body = None if minimal else outcome.body
    return reply(request, outcome.status, body, charge=outcome.charge, container=container, etag=outcome.etag)


def _show_page(request: Request, container: Container, page: Page, etag: str | None = None) -> Response:
    headers = {ITEM_COUNT: str(len(page.results))}
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


def _item_id(request: Request, container: Container) -> str:
    """The id of the item in the address, whose parts are resource ids if its container's is one."""
    item_id: str = request.path_params["item"]
    if request.path_params["container"] != container.rid or (number := item_number(item_id)) is None:
        return item_id
    found = store_of(request).items(container, None, number - 1, 1) if 0 < number < MOST else []
    return found[0].id if found and found[0].created == number else item_id


def _key(request: Request) -> str | None:
    header = request.headers.get(PARTITION_KEY)
    if header is None:
        return None
    return partition_of_header(header)


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


def _refuse_ignored(request: Request) -> None:
    """Refuse headers that change the meaning of a write and are not supported here."""
    if "if-none-match" in request.headers:
        raise BadRequestError("If-None-Match is supported for reads only.")
    if any(header in request.headers for header in TRIGGERS):
        raise BadRequestError("Triggers are not supported by this engine.")
