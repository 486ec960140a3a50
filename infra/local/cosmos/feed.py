"""The change feed in latest-version mode: items in the order of their last change; deletions do not appear.

https://learn.microsoft.com/azure/cosmos-db/nosql/change-feed-modes#latest-version-change-feed-mode
"""

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from email.utils import parsedate_to_datetime
from functools import lru_cache

from infra.local.cosmos.definitions import Container
from infra.local.cosmos.errors import BadRequestError
from infra.local.cosmos.store import Store

CHUNK = 500
WHOLE_RANGE = ("", "FF")


@dataclass(frozen=True, slots=True)
class Changes:
    """A page of the feed: items as JSON texts, and the etag from which to continue."""

    items: list[str]
    etag: str


def read(store: Store, container: Container, partition: str | None, headers: Mapping[str, str], most: int) -> Changes:
    """A page of changes, which has no items when there is nothing new.

    `If-None-Match` is the etag of the page before, or * for what changes from now on; without it the feed starts at its
    beginning, or at `If-Modified-Since`. A partition or a range of hashed partition keys narrows it.

    Raises:
        BadRequestError: the headers make no sense, or ask for a mode that this engine does not support.
    """
    if headers["a-im"].lower() != "incremental feed":
        raise BadRequestError("The change feed with all versions and deletes is not supported by this engine.")
    after = _position(headers.get("if-none-match"), container)
    since = _since(headers.get("if-modified-since"))
    in_range = _range(headers)
    found: list[str] = []
    while len(found) < most and (chunk := store.changes(container, after, CHUNK)):
        for item in chunk:
            after = item.changed
            wanted = item.timestamp >= since and partition in (None, item.partition) and in_range(item.partition)
            if wanted and item.is_alive(container):
                found.append(item.body)
                if len(found) == most:
                    break
    return Changes(found, f'"{after}"')


@lru_cache(maxsize=65_536)
def hashed(partition: str) -> str:
    """The effective partition key of a stored partition key, as feed ranges are made of.

    The client hashes a partition key itself when it reads that partition's feed; using its function, both agree.
    """
    from azure.cosmos.partition_key import NonePartitionKeyValue, PartitionKey  # noqa: PLC0415 -- 0.3 s, seldom needed

    value = json.loads(partition)[0]
    key = PartitionKey("/unused")._get_effective_partition_key_string(  # noqa: SLF001 -- see above
        [NonePartitionKeyValue if value == {} else value]
    )
    return str(key)


def _position(etag: str | None, container: Container) -> int:
    if etag is None:
        return 0
    if etag == "*":
        return container.sequence
    position = etag.strip('"')
    if not position.isdecimal():
        raise BadRequestError(f"The continuation {etag} of the change feed is invalid.")
    return int(position)


def _since(date: str | None) -> float:
    if date is None:
        return 0.0
    try:
        return parsedate_to_datetime(date).timestamp()
    except ValueError:
        raise BadRequestError(f"If-Modified-Since '{date}' is not a date.") from None


def _range(headers: Mapping[str, str]) -> Callable[[str], bool]:
    if "x-ms-start-epk" not in headers:
        return lambda _partition: True
    low, high = (headers[name] for name in ("x-ms-start-epk", "x-ms-end-epk"))
    if (low, high) == WHOLE_RANGE:
        return lambda _partition: True
    return lambda partition: low <= hashed(partition) < high
