"""The operations on one item, as rules on the stored and the sent item.

Each runs inside a transaction that the caller has opened, so that a batch is just several of them.
"""

import json
import time
from dataclasses import dataclass

from cosmos_engine import patching, values
from cosmos_engine.definitions import Container, check_ttl
from cosmos_engine.errors import BadRequestError, CosmosError
from cosmos_engine.names import check_item_id, item_rid
from cosmos_engine.query import condition
from cosmos_engine.replies import CHARGES
from cosmos_engine.store import Item, Store, new_etag
from cosmos_engine.values import UNDEFINED, Json

LARGEST = 2 * 1024 * 1024
"""Bytes of an item as UTF-8 JSON. https://learn.microsoft.com/azure/cosmos-db/concepts-limits#per-item-limits"""
LONGEST_PARTITION_KEY = 2048
"""Bytes. https://learn.microsoft.com/azure/cosmos-db/concepts-limits#per-item-limits"""
PARTITION_KEY_MISMATCH = 1001
"""Sub-status of azure.cosmos.http_constants.SubStatusCodes."""
SYSTEM_PROPERTIES = ("_rid", "_self", "_etag", "_attachments", "_ts")


@dataclass(frozen=True, slots=True)
class Partition:
    """A logical partition: the items of a container with one partition key value, in its stored form."""

    store: Store
    container: Container
    key: str


@dataclass(frozen=True, slots=True)
class Outcome:
    """The answer of an operation: status, charge in request units, and the item as JSON text if there is one."""

    status: int
    charge: float
    etag: str | None = None
    body: str | None = None


def partition_of(key: Json) -> str:
    """The stored form of a partition key value: equal values have equal text.

    Raises:
        BadRequestError: an object or an array cannot be one, nor can a long string.
    """
    if key is UNDEFINED:
        return "[{}]"
    if isinstance(key, dict | list):
        raise BadRequestError("The partition key value must be a string, a number, a boolean, null or absent.")
    if isinstance(key, str) and len(key.encode()) > LONGEST_PARTITION_KEY:
        raise BadRequestError(f"The partition key is larger than {LONGEST_PARTITION_KEY} bytes.")
    return values.dump([key])


def partition_of_header(text: str) -> str:
    """The stored form of a partition key as requests name it: JSON text of an array with one value, {} for absent.

    Raises:
        BadRequestError: it is not that.
    """
    key = values.parse(text)
    if not isinstance(key, list) or len(key) != 1:
        raise BadRequestError("The partition key of a request is a JSON array with one value.")
    return partition_of(UNDEFINED if key[0] == {} else key[0])


def create(partition: Partition, document: Json) -> Outcome:
    """Add an item.

    Raises:
        CosmosError: 409 if the partition has an item with this id, 400 or 413 if the item cannot be stored.
    """
    item_id = _check(partition, document)
    if partition.store.item(partition.container, partition.key, item_id):
        raise CosmosError(409, "Entity with the specified id already exists in the system.")
    return _save(partition, document, None, 201, "create")


def upsert(partition: Partition, document: Json, if_match: str | None = None) -> Outcome:
    """Add an item or replace it. If-Match counts only if the item exists.

    Raises:
        CosmosError: 412 if the item has another etag, 400 or 413 if the item cannot be stored.
    """
    item = partition.store.item(partition.container, partition.key, _check(partition, document))
    if item:
        _check_match(item, if_match)
    return _save(partition, document, item, 200 if item else 201, "replace" if item else "create")


def replace(partition: Partition, item_id: str, document: Json, if_match: str | None = None) -> Outcome:
    """Put another document in an item's place.

    Raises:
        CosmosError: 404, 412 if it has another etag, 400 or 413 if the item cannot be stored.
    """
    item = _existing(partition, item_id)
    if _check(partition, document) != item_id:
        raise BadRequestError("The id in the document differs from the id in the address: an id cannot be changed.")
    _check_match(item, if_match)
    return _save(partition, document, item, 200, "replace")


def read(partition: Partition, item_id: str, if_none_match: str | None = None) -> Outcome:
    """The item; 304 without a body if it still has the etag.

    Raises:
        CosmosError: 404.
    """
    item = _existing(partition, item_id)
    if if_none_match in ("*", item.etag):
        return Outcome(304, CHARGES["read"], item.etag)
    return Outcome(200, CHARGES["read"], item.etag, item.body)


def delete(partition: Partition, item_id: str, if_match: str | None = None) -> Outcome:
    """Remove an item.

    Raises:
        CosmosError: 404, 412 if it has another etag.
    """
    item = _existing(partition, item_id)
    _check_match(item, if_match)
    partition.store.delete_item(partition.container, item)
    partition.container.sequence += 1
    return Outcome(204, CHARGES["delete"])


def patch(partition: Partition, item_id: str, request: Json, if_match: str | None = None) -> Outcome:
    """Apply {"operations": [...], "condition": "from c where ..."}, or the bare list, to an item: all of it or nothing.

    Raises:
        CosmosError: 404, 412 if it has another etag or the condition is not true of it, 400 or 413 for a wrong patch.
    """
    request = {"operations": request} if isinstance(request, list) else request
    operations = patching.check(request, partition.container.partition_path)
    predicate = condition(request["condition"]) if request.get("condition") is not None else None
    item = _existing(partition, item_id)
    _check_match(item, if_match)
    document = json.loads(item.body)
    if predicate and not predicate(document):
        raise CosmosError(412, "One of the specified pre-condition is not met: the filter predicate is not true.")
    for operation in operations:
        document = patching.apply(operation, document)
    _check(partition, document)
    return _save(partition, document, item, 200, "patch")


def _existing(partition: Partition, item_id: str) -> Item:
    item = partition.store.item(partition.container, partition.key, item_id)
    if item is None:
        raise CosmosError(404, "Entity with the specified id does not exist in the system.")
    return item


def _check(partition: Partition, document: Json) -> str:
    if not isinstance(document, dict):
        raise BadRequestError("The input content is invalid: an item is a JSON object.")
    item_id = check_item_id(document.get("id"))
    if partition_of(values.get(document, partition.container.partition_path)) != partition.key:
        raise BadRequestError(
            "PartitionKey extracted from document doesn't match the one specified in the header.",
            PARTITION_KEY_MISMATCH,
        )
    if "ttl" in document:
        check_ttl(document["ttl"])
    return item_id


def _check_match(item: Item, if_match: str | None) -> None:
    if if_match not in (None, "*", item.etag):
        raise CosmosError(412, "One of the specified pre-condition is not met: the etag of the item has changed.")


def _save(partition: Partition, document: Json, old: Item | None, status: int, operation: str) -> Outcome:
    container = partition.container
    container.sequence += 1
    created, etag, now = old.created if old else container.sequence, new_etag(container.sequence), int(time.time())
    rid = item_rid(container.rid, created)
    stored = {key: value for key, value in document.items() if key not in SYSTEM_PROPERTIES}
    system = (rid, f"{container.self_link}docs/{rid}/", etag, "attachments/", now)
    body = values.dump(stored | dict(zip(SYSTEM_PROPERTIES, system, strict=True)))
    if len(body.encode()) > LARGEST:
        raise CosmosError(413, f"Request size is too large: an item has at most {LARGEST} bytes.")
    item = Item(partition.key, document["id"], created, container.sequence, etag, now, document.get("ttl"), body)
    partition.store.save(container, item)
    return Outcome(status, CHARGES[operation], etag, body)
