"""The account, its databases and their containers."""

from starlette.requests import Request
from starlette.responses import Response

from cosmos_engine import definitions
from cosmos_engine.definitions import Container
from cosmos_engine.errors import BadRequestError, CosmosError
from cosmos_engine.names import check_name
from cosmos_engine.query.pages import over
from cosmos_engine.replies import feed, reply
from cosmos_engine.store import Database, Store
from cosmos_engine.values import Json, dump, parse

RANGES_ETAG = '"1"'
"""A container is never split, so its one partition key range never changes."""
LARGEST_REQUEST = 4 * 1024 * 1024
"""Bytes: more than an item or a batch may have, which are measured on their own."""
QUERY_ENGINE = {"sqlAllowAggregateFunctions": True, "clientDisableOptimisticDirectExecution": True}
"""The service's description of its query engine. The .NET client refuses every query when it is empty."""
REPLICAS = {"minReplicaSetSize": 1, "maxReplicasetSize": 1, "asyncReplication": False}
"""The .NET client in direct mode asks for the addresses of replicas only if it is told how many there are."""
NO_OWNER = 1003
RECREATED = 1024
"""Sub-statuses of azure.cosmos.http_constants.SubStatusCodes."""


def store_of(request: Request) -> Store:
    """The store that the application runs on."""
    store: Store = request.app.state.store
    return store


def container_of(request: Request) -> Container:
    """The container that a request for something in it has in its address.

    Raises:
        CosmosError: there is none, or it is not the one that the client knew by this name.
    """
    names = request.path_params
    container = store_of(request).container(names["database"], names["container"])
    if container is None:
        raise CosmosError(404, f"Owner resource does not exist: container '{names['container']}'.", NO_OWNER)
    intended = request.headers.get("x-ms-cosmos-intended-collection-rid")
    if intended is not None and intended != container.rid:
        raise BadRequestError("The container was deleted and created again: its resource id has changed.", RECREATED)
    return container


def is_query(request: Request) -> bool:
    """Whether a POST is a query, and not to create anything."""
    return request.headers.get("x-ms-documentdb-isquery", "").lower() == "true"


async def read_body(request: Request) -> bytes:
    """The body of a request.

    Raises:
        CosmosError: it is too large.
    """
    body = bytearray()
    async for part in request.stream():
        body += part
        if len(body) > LARGEST_REQUEST:
            raise CosmosError(413, f"Request size is too large: more than {LARGEST_REQUEST} bytes.")
    return bytes(body)


async def read_account(request: Request) -> Response:
    """The account's description: one region, session consistency."""
    location = [{"name": "Local", "databaseAccountEndpoint": str(request.base_url)}]
    account = {
        "id": "local",
        "_self": "",
        "_rid": "local",
        "_dbs": "//dbs/",
        "writableLocations": location,
        "readableLocations": location,
        "enableMultipleWriteLocations": False,
        "userConsistencyPolicy": {"defaultConsistencyLevel": "Session"},
        "queryEngineConfiguration": dump(QUERY_ENGINE),
        "systemReplicationPolicy": REPLICAS,
        "userReplicationPolicy": REPLICAS,
        "readPolicy": {"primaryReadCoefficient": 1, "secondaryReadCoefficient": 1},
    }
    return reply(request, 200, dump(account))


async def refuse_direct_mode(_request: Request) -> Response:
    """Refuse to give the addresses of replicas: this engine speaks only HTTP."""
    raise BadRequestError("Direct mode is not supported by this engine: use gateway mode (ConnectionMode.Gateway).")


async def list_databases(request: Request) -> Response:
    """All databases on one page."""
    return reply(request, 200, feed("", "Databases", [it.body() for it in store_of(request).databases()]))


async def create_database(request: Request) -> Response:
    """Create one, or find some by a query; 409 if the name is taken."""
    body, store = await _body(request), store_of(request)
    if is_query(request):
        return reply(request, 200, feed("", "Databases", over((it.body() for it in store.databases()), body)))
    name = check_name(body.get("id"))
    if store.database(name):
        raise CosmosError(409, f"Resource with specified id already exists: database '{name}'.")
    store.create_database(name)
    return _show_database(request, 201, _database(store, name))


async def read_database(request: Request) -> Response:
    """One database."""
    return _show_database(request, 200, _database(store_of(request), request.path_params["database"]))


async def delete_database(request: Request) -> Response:
    """Remove one with all that is in it."""
    store = store_of(request)
    database = _database(store, request.path_params["database"])
    store.delete_database(database)
    return reply(request, 204, None)


async def list_containers(request: Request) -> Response:
    """All containers of a database on one page."""
    store = store_of(request)
    database = _database(store, request.path_params["database"])
    bodies = [it.body() for it in store.containers(database.name)]
    return reply(request, 200, feed(database.rid, "DocumentCollections", bodies))


async def create_container(request: Request) -> Response:
    """Create one, or find some by a query; 409 if the name is taken."""
    body, store = await _body(request), store_of(request)
    database = _database(store, request.path_params["database"])
    if is_query(request):
        found = over((it.body() for it in store.containers(database.name)), body)
        return reply(request, 200, feed(database.rid, "DocumentCollections", found))
    definition = definitions.check(body)
    if store.container(database.name, definition["id"]):
        raise CosmosError(409, f"Resource with specified id already exists: container '{definition['id']}'.")
    container = store.create_container(database, definition)
    return _show_container(request, 201, container)


async def read_container(request: Request) -> Response:
    """One container."""
    return _show_container(request, 200, _container(request))


async def replace_container(request: Request) -> Response:
    """Change the default time to live or the indexing policy."""
    definition = definitions.check(await _body(request))
    container = _container(request)
    if any(definition[key] != container.definition[key] for key in ("id", "partitionKey")):
        raise BadRequestError("The id and the partition key of a container cannot be changed.")
    store = store_of(request)
    store.redefine_container(container, definition)
    return _show_container(request, 200, container)


async def delete_container(request: Request) -> Response:
    """Remove one with its items."""
    store = store_of(request)
    container = _container(request)
    store.delete_container(container)
    return reply(request, 204, None)


async def list_ranges(request: Request) -> Response:
    """The one partition key range of a container; as a change feed of ranges, nothing new after it."""
    container = container_of(request)
    if request.headers.get("if-none-match") == RANGES_ETAG:
        return reply(request, 304, None, etag=RANGES_ETAG)
    whole: Json = {"id": "0", "minInclusive": "", "maxExclusive": "FF", "_rid": container.rid, "parents": []}
    return reply(request, 200, feed(container.rid, "PartitionKeyRanges", [whole]), etag=RANGES_ETAG)


def _database(store: Store, name: str) -> Database:
    database = store.database(name)
    if database is None:
        raise CosmosError(404, f"Resource Not Found: database '{name}'.")
    return database


def _container(request: Request) -> Container:
    """The container that a request is for. A 404 of it has no sub-status: what is missing is not its owner."""
    names = request.path_params
    container = store_of(request).container(names["database"], names["container"])
    if container is None:
        raise CosmosError(404, f"Resource Not Found: container '{names['container']}'.")
    return container


async def _body(request: Request) -> dict[str, Json]:
    body = parse(await read_body(request))
    if not isinstance(body, dict):
        raise BadRequestError("The input content is invalid: a resource is a JSON object.")
    return body


def _show_database(request: Request, status: int, database: Database) -> Response:
    return reply(request, status, dump(database.body()), etag=database.etag)


def _show_container(request: Request, status: int, container: Container) -> Response:
    link = f"dbs/{container.database}"
    headers = {"x-ms-alt-content-path": link} if link.isascii() else None
    return reply(request, status, dump(container.body()), etag=container.etag, headers=headers)
