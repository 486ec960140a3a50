"""Cosmos DB with its moods: throttling, time-outs before and after the work was done; the local engine's own rules."""

import json
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, override

from azure.cosmos.exceptions import (
    CosmosAccessConditionFailedError,
    CosmosBatchOperationError,
    CosmosHttpResponseError,
    CosmosResourceExistsError,
    CosmosResourceNotFoundError,
)

from infra.local.cosmos import batch, items
from infra.local.cosmos.definitions import Container
from infra.local.cosmos.errors import CosmosError
from infra.local.cosmos.items import Partition, partition_of
from infra.local.cosmos.store import Item, Store
from tests.simulation.scheduler import Crash, Scheduler

STATUS = {"throttled": 429, "unavailable": 503, "time-out": 408, "time-out after the work": 408}


class MemoryStore(Store):
    """The engine's store, without a file."""

    def __init__(self) -> None:
        self._items: dict[tuple[str, str], Item] = {}

    @override
    @contextmanager
    def transaction(self, container: Container | None = None) -> Iterator[None]:
        before = dict(self._items)
        try:
            yield
        except BaseException:
            self._items = before
            raise

    @override
    def item(self, container: Container, partition: str, item_id: str) -> Item | None:
        return self._items.get((partition, item_id))

    @override
    def save(self, container: Container, item: Item) -> None:
        self._items[item.partition, item.id] = item

    @override
    def delete_item(self, container: Container, item: Item) -> None:
        del self._items[item.partition, item.id]

    def documents(self) -> list[dict[str, Any]]:
        """All documents."""
        return [json.loads(item.body) for item in self._items.values()]


class FaultyContainer:
    """What the projections use of azure.cosmos.aio.ContainerProxy."""

    def __init__(self, name: str, partition_key: str, scheduler: Scheduler) -> None:
        definition = {"id": name, "partitionKey": {"paths": [partition_key]}}
        self._container = Container(1, "db", "", name, "AAAAAAAAAAA=", "", 0, 0, definition)
        self.store = MemoryStore()
        self._scheduler = scheduler

    async def read_item(self, item: str, partition_key: str) -> dict[str, Any]:
        """Read a document."""
        with self._request():
            outcome = items.read(self._partition(partition_key), item)
        document: dict[str, Any] = json.loads(outcome.body or "")
        return document

    async def create_item(self, body: Mapping[str, Any], **_options: Any) -> dict[str, Any]:
        """Create a document."""
        with self._request():
            partition = self._partition(body[self._container.partition_path[0]])
            outcome = items.create(partition, json.loads(json.dumps(body)))
        document: dict[str, Any] = json.loads(outcome.body or "")
        return document

    async def patch_item(
        self,
        item: str,
        partition_key: str,
        patch_operations: Sequence[Mapping[str, Any]],
        *,
        filter_predicate: str | None = None,
        **_options: Any,
    ) -> None:
        """Patch a document."""
        with self._request():
            request = {"operations": list(patch_operations), "condition": filter_predicate}
            items.patch(self._partition(partition_key), item, json.loads(json.dumps(request)))

    async def execute_item_batch(self, batch_operations: Sequence[Any], partition_key: str) -> None:
        """Run a transactional batch."""
        with self._request():
            requests = json.loads(json.dumps([_request(*operation) for operation in batch_operations]))
            _, results = batch.run(self._partition(partition_key), requests)
            for place, result in enumerate(results):
                if result["statusCode"] >= 400 and result["statusCode"] != batch.FAILED_DEPENDENCY:
                    raise CosmosBatchOperationError(  # type: ignore[no-untyped-call]  # the SDK has not annotated it
                        error_index=place,
                        headers={},
                        status_code=result["statusCode"],
                        message=result["message"],
                        operation_responses=results,
                    )

    async def query_items(self, *_arguments: Any, **_options: Any) -> AsyncIterator[dict[str, Any]]:
        """Lists are not simulated."""
        raise NotImplementedError
        yield {}

    @contextmanager
    def _request(self) -> Iterator[None]:
        self._scheduler.pause()
        self._raise(self._scheduler.fault("throttled", "unavailable", "time-out", "crash before Cosmos"))
        try:
            yield
        except CosmosError as error:
            raise _refused(error) from error
        self._scheduler.pause()
        self._raise(self._scheduler.fault("time-out after the work", "crash after Cosmos"))

    def _partition(self, key: str) -> Partition:
        return Partition(self.store, self._container, partition_of(key))

    @staticmethod
    def _raise(kind: str | None) -> None:
        if kind in {"crash before Cosmos", "crash after Cosmos"}:
            raise Crash
        if kind is not None:
            raise _error(CosmosHttpResponseError, STATUS[kind], kind)


def _request(kind: str, arguments: tuple[Any, ...], options: Mapping[str, Any]) -> dict[str, Any]:
    match kind:
        case "create":
            return {"operationType": "Create", "resourceBody": arguments[0]}
        case "patch":
            body = {"operations": arguments[1], "condition": options.get("filter_predicate")}
            request = {"operationType": "Patch", "id": arguments[0], "resourceBody": body}
            return request | ({"ifMatch": options["if_match_etag"]} if "if_match_etag" in options else {})
        case _:
            raise NotImplementedError(kind)


def _refused(error: CosmosError) -> CosmosHttpResponseError:
    kinds: dict[int, type[CosmosHttpResponseError]] = {
        404: CosmosResourceNotFoundError,
        409: CosmosResourceExistsError,
        412: CosmosAccessConditionFailedError,
    }
    return _error(kinds.get(error.status, CosmosHttpResponseError), error.status, error.message)


def _error(kind: type[CosmosHttpResponseError], status: int, message: str) -> CosmosHttpResponseError:
    return kind(status_code=status, message=message)
