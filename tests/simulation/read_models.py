"""Cosmos DB with its moods: throttling, time-outs before and after the work was done; the local engine's own rules."""

import asyncio
import json
from collections.abc import AsyncIterator, Coroutine, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import cache
from http import HTTPStatus
from typing import Any, override

from azure.core import MatchConditions
from azure.cosmos.exceptions import (
    CosmosAccessConditionFailedError,
    CosmosBatchOperationError,
    CosmosHttpResponseError,
    CosmosResourceExistsError,
    CosmosResourceNotFoundError,
)

from cosmos_engine import batch, definitions, items
from cosmos_engine.definitions import Container
from cosmos_engine.errors import CosmosError
from cosmos_engine.items import Partition, partition_of
from cosmos_engine.query.pages import Queries
from infra.local.containers import TOPOLOGY
from tests.simulation.memory import MemoryStore
from tests.simulation.scheduler import Crash, Scheduler

STATUS = {"throttled": 429, "unavailable": 503, "time-out": 408, "time-out after the work": 408}

BESIDE = 0.3
"""How often a request lets others of the same process go first."""


@cache
def _definitions() -> dict[str, dict[str, Any]]:
    """What the containers are like, as their service would be told."""
    topology = json.loads(TOPOLOGY.read_text(encoding="utf-8"))
    return {
        container["id"]: definitions.check(container | {"partitionKey": {"paths": [container["partitionKey"]]}})
        for container in topology["containers"]
    }


class FaultyReadModels:
    """What stands in for shared.frame.read_side.cosmos.CosmosDatabase: all containers there are."""

    def __init__(self, scheduler: Scheduler) -> None:
        self._containers = {name: FaultyContainer(name, scheduler) for name in _definitions()}

    def container(self, name: str) -> "FaultyContainer":
        """Give a container by its name."""
        return self._containers[name]

    def documents(self) -> Mapping[str, list[dict[str, Any]]]:
        """All documents, by their containers, whatever generation they are of."""
        return {name: container.store.documents() for name, container in self._containers.items()}


class FaultyContainer:
    """What projections and queries use of azure.cosmos.aio.ContainerProxy."""

    def __init__(self, name: str, scheduler: Scheduler) -> None:
        self.id = name
        self._container = Container(1, "db", "", name, "AAAAAAAAAAA=", "", 0, 0, _definitions()[name])
        self.store = MemoryStore()
        self._queries = Queries(self.store)
        self._scheduler = scheduler

    @property
    def changes(self) -> int:
        """How many writes there have been: as long as it stays, so does everything that can be read."""
        return self._container.sequence

    async def read(self) -> dict[str, Any]:
        """Read what the container is like."""
        return self._container.definition

    async def read_item(self, item: str, partition_key: str) -> dict[str, Any]:
        """Read a document."""
        await self._turn()
        with self._request():
            outcome = items.read(self._partition(partition_key), item)
        document: dict[str, Any] = json.loads(outcome.body or "")
        return document

    async def create_item(self, body: Mapping[str, Any], **_options: Any) -> dict[str, Any]:
        """Create a document."""
        await self._turn()
        with self._request():
            partition = self._partition(body[self._container.partition_path[0]])
            outcome = items.create(partition, json.loads(json.dumps(body)))
        document: dict[str, Any] = json.loads(outcome.body or "")
        return document

    async def replace_item(
        self, item: str, body: Mapping[str, Any], *, etag: str, match_condition: MatchConditions
    ) -> dict[str, Any]:
        """Replace a document that is as it was read."""
        assert match_condition is MatchConditions.IfNotModified, "there is no other one here"
        await self._turn()
        with self._request():
            partition = self._partition(body[self._container.partition_path[0]])
            outcome = items.replace(partition, item, json.loads(json.dumps(body)), etag)
        document: dict[str, Any] = json.loads(outcome.body or "")
        return document

    async def delete_item(self, item: str, partition_key: str) -> None:
        """Delete a document."""
        await self._turn()
        with self._request():
            items.delete(self._partition(partition_key), item)

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
        await self._turn()
        with self._request():
            request = {"operations": list(patch_operations), "condition": filter_predicate}
            items.patch(self._partition(partition_key), item, json.loads(json.dumps(request)))

    async def execute_item_batch(self, batch_operations: Sequence[Any], partition_key: str) -> list[Any]:
        """Run a transactional batch."""
        await self._turn()
        with self._request():
            requests = json.loads(json.dumps([_request(*operation) for operation in batch_operations]))
            _, results = batch.run(self._partition(partition_key), requests)
            for place, result in enumerate(results):
                if result["statusCode"] >= HTTPStatus.BAD_REQUEST and result["statusCode"] != batch.FAILED_DEPENDENCY:
                    if result["statusCode"] == HTTPStatus.PRECONDITION_FAILED:
                        self._scheduler.note("412")
                    raise CosmosBatchOperationError(  # type: ignore[no-untyped-call]  # the SDK has not annotated it
                        error_index=place,
                        headers={},
                        status_code=result["statusCode"],
                        message=result["message"],
                        operation_responses=results,
                    )
        return results

    def query_items(
        self, query: str, *, parameters: Sequence[Mapping[str, Any]] = (), partition_key: str
    ) -> "_Results[dict[str, Any]]":
        """Query one partition; nothing happens until the results are asked for."""
        return _Results(self._query({"query": query, "parameters": list(parameters)}, partition_key))

    def query_items_change_feed(self, *, start_time: str, **_options: int) -> "_Results[dict[str, Any]]":
        """Give all documents."""
        assert start_time == "Beginning", "there is no other start here"
        return _Results(self._all())

    async def _all(self) -> list[dict[str, Any]]:
        await self._turn()
        with self._request():
            return self.store.documents()

    async def _query(self, request: dict[str, Any], partition_key: str) -> list[dict[str, Any]]:
        await self._turn()
        with self._request():
            sent = json.loads(json.dumps(request))
            page = await self._queries.run(self._container, partition_of(partition_key), sent, None, 1_000)
        assert page.continuation is None, "a simulated shop has no more than a page of anything"
        return [json.loads(result) for result in page.results]

    async def _turn(self) -> None:
        """Let what the same process has begun beside this go first, now and then."""
        if self._scheduler.random.random() < BESIDE:
            await asyncio.sleep(0)

    @contextmanager
    def _request(self) -> Iterator[None]:
        self._scheduler.pause()
        self._raise(self._scheduler.fault("throttled", "unavailable", "time-out", "crash before Cosmos"))
        try:
            yield
        except CosmosError as error:
            if error.status == HTTPStatus.PRECONDITION_FAILED:
                self._scheduler.note("412")
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


class _Results[T](AsyncIterator[T]):
    """What a query gives, one by one; asked for when the first is wanted."""

    def __init__(self, ask: Coroutine[Any, Any, list[T]]) -> None:
        self._ask = ask
        self._found: Iterator[T] | None = None

    def by_page(self) -> "_Results[_Results[T]]":
        """Give all of it as one page."""

        async def pages() -> "list[_Results[T]]":
            return [self]

        return _Results(pages())

    @override
    async def __anext__(self) -> T:
        if self._found is None:
            self._found = iter(await self._ask)
        for document in self._found:
            return document
        raise StopAsyncIteration


def _request(kind: str, arguments: tuple[Any, ...], options: Mapping[str, Any]) -> dict[str, Any]:
    match kind:
        case "create":
            request = {"operationType": "Create", "resourceBody": arguments[0]}
        case "patch":
            body = {"operations": arguments[1], "condition": options.get("filter_predicate")}
            request = {"operationType": "Patch", "id": arguments[0], "resourceBody": body}
        case "replace":
            request = {"operationType": "Replace", "id": arguments[0], "resourceBody": arguments[1]}
        case _:
            raise ValueError(f"projections and rebuilds send no {kind}")
    return request | ({"ifMatch": options["if_match_etag"]} if "if_match_etag" in options else {})


def _refused(error: CosmosError) -> CosmosHttpResponseError:
    kinds: dict[int, type[CosmosHttpResponseError]] = {
        404: CosmosResourceNotFoundError,
        409: CosmosResourceExistsError,
        412: CosmosAccessConditionFailedError,
    }
    return _error(kinds.get(error.status, CosmosHttpResponseError), error.status, error.message)


def _error(kind: type[CosmosHttpResponseError], status: int, message: str) -> CosmosHttpResponseError:
    return kind(status_code=status, message=message)
