"""The account, its databases and their containers."""

from starlette.requests import Request
from starlette.responses import Response

from infra.local.cosmos import definitions
from infra.local.cosmos.definitions import Container
from infra.local.cosmos.errors import BadRequestError, CosmosError
from infra.local.cosmos.names import check_name
from infra.local.cosmos.replies import feed, reply
from infra.local.cosmos.store import Database, Store
from infra.local.cosmos.values import Json, dump, parse

RANGES_ETAG = '"1"'
"""A container is never split, so its one partition key range never changes."""
NO_OWNER = 1003
RECREATED = 1024
"""Sub-statuses of azure.cosmos.http_constants.SubStatusCodes."""


def store_of(request: Request) -> Store:
    """The store that the application runs on."""
    store: Store = request.app.state.store
    return store


def container_of(request: Request) -> Container:
    """The container in the address.

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


async def read_account(request: Request) -> Response:
    """What the account is: one region, session consistency."""
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
        "queryEngineConfiguration": "{}",
    }
    return reply(request, 200, dump(account))


async def list_databases(request: Request) -> Response:
    """All databases on one page."""
    return reply(request, 200, feed("", "Databases", [it.body() for it in store_of(request).databases()]))


async def create_database(request: Request) -> Response:
    """Create one; 409 if the name is taken."""
    name = check_name((await _body(request)).get("id"))
    store = store_of(request)
    if store.database(name):
        raise CosmosError(409, f"Resource with specified id already exists: database '{name}'.")
    with store.transaction():
        store.create_database(name)
    return _show_database(request, 201, _database(store, name))


async def read_database(request: Request) -> Response:
    """One database."""
    return _show_database(request, 200, _database(store_of(request), request.path_params["database"]))


async def delete_database(request: Request) -> Response:
    """Remove one with all that is in it."""
    store = store_of(request)
    database = _database(store, request.path_params["database"])
    with store.transaction():
        store.delete_database(database)
    return reply(request, 204, None)


async def list_containers(request: Request) -> Response:
    """All containers of a database on one page."""
    store = store_of(request)
    database = _database(store, request.path_params["database"])
    bodies = [it.body() for it in store.containers(database.name)]
    return reply(request, 200, feed(database.rid, "DocumentCollections", bodies))


async def create_container(request: Request) -> Response:
    """Create one; 409 if the name is taken."""
    definition = definitions.check(await _body(request))
    store = store_of(request)
    database = _database(store, request.path_params["database"])
    if store.container(database.name, definition["id"]):
        raise CosmosError(409, f"Resource with specified id already exists: container '{definition['id']}'.")
    with store.transaction():
        container = store.create_container(database, definition)
    return _show_container(request, 201, container)


async def read_container(request: Request) -> Response:
    """One container."""
    return _show_container(request, 200, container_of(request))


async def replace_container(request: Request) -> Response:
    """Change the default time to live or the indexing policy."""
    definition = definitions.check(await _body(request))
    container = container_of(request)
    if any(definition[key] != container.definition[key] for key in ("id", "partitionKey")):
        raise BadRequestError("The id and the partition key of a container cannot be changed.")
    store = store_of(request)
    with store.transaction():
        store.redefine_container(container, definition)
    return _show_container(request, 200, container)


async def delete_container(request: Request) -> Response:
    """Remove one with its items."""
    store = store_of(request)
    container = container_of(request)
    with store.transaction():
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


async def _body(request: Request) -> dict[str, Json]:
    if "x-ms-documentdb-isquery" in request.headers:
        raise BadRequestError("Queries for databases and containers are not supported by this engine: list them.")
    body = parse(await request.body())
    if not isinstance(body, dict):
        raise BadRequestError("The input content is invalid: a resource is a JSON object.")
    return body


def _show_database(request: Request, status: int, database: Database) -> Response:
    return reply(request, status, dump(database.body()), etag=database.etag)


def _show_container(request: Request, status: int, container: Container) -> Response:
    link = f"dbs/{container.database}"
    headers = {"x-ms-alt-content-path": link} if link.isascii() else None
    return reply(request, status, dump(container.body()), etag=container.etag, headers=headers)
