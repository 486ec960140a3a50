"""The headers of every answer that the clients read, with the request charge."""

import uuid
from urllib.parse import quote

from starlette.requests import Request
from starlette.responses import Response

from cosmos_engine.definitions import Container
from cosmos_engine.errors import CosmosError
from cosmos_engine.values import Json, dump

CHARGES = {"read": 1.0, "create": 6.0, "replace": 10.0, "patch": 10.0, "delete": 6.0, "metadata": 1.0, "refused": 1.0}
"""Request units, about those of a 1 KB item with default indexing; in the service they grow with the item.
https://learn.microsoft.com/azure/cosmos-db/request-units"""
QUERY_CHARGE = 2.5
"""Request units of a query or a page of a feed, before its results."""
RESULT_CHARGE = 0.1
"""Request units of each result of a query."""


def reply(
    request: Request,
    status: int,
    body: str | bytes | None,
    *,
    charge: float = CHARGES["metadata"],
    container: Container | None = None,
    etag: str | None = None,
    headers: dict[str, str] | None = None,
) -> Response:
    """An answer with its body, JSON text or a binary batch, and the headers that the clients read."""
    response = Response(body, status, media_type="application/json")
    more = response.headers
    more["x-ms-request-charge"] = f"{charge:g}"
    more["x-ms-activity-id"] = request.headers.get("x-ms-activity-id") or str(uuid.uuid4())
    more["x-ms-gatewayversion"] = "version=2.0.0"
    if container is not None:
        more["x-ms-session-token"] = f"0:-1#{container.sequence}"
        more["x-ms-documentdb-partitionkeyrangeid"] = "0"
        more["x-ms-alt-content-path"] = quote(container.link)
        more["x-ms-content-path"] = container.rid
        more["lsn"] = str(container.sequence)
    if etag is not None:
        more["etag"] = etag
    if headers:
        more.update(headers)
    return response


def refusal(request: Request, error: CosmosError) -> Response:
    """The answer to a request that is refused."""
    headers = {"x-ms-substatus": str(error.substatus)} if error.substatus else None
    return reply(request, error.status, dump(error.body()), charge=CHARGES["refused"], headers=headers)


def feed(rid: str, kind: str, entries: list[Json]) -> str:
    """The body of a list of resources."""
    return dump({"_rid": rid, kind: entries, "_count": len(entries)})
