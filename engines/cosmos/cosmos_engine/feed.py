"""The change feed in latest-version mode: items in the order of their last change; deletions do not appear.

https://learn.microsoft.com/azure/cosmos-db/nosql/change-feed-modes#latest-version-change-feed-mode
"""

from collections.abc import Mapping
from dataclasses import dataclass
from email.utils import parsedate_to_datetime

from cosmos_engine.definitions import Container
from cosmos_engine.errors import BadRequestError
from cosmos_engine.hashing import within
from cosmos_engine.store import Store

CHUNK = 500
MOST_DIGITS = 18
"""Of a position: such a number fits into SQLite's 64 bits."""


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
    in_range = within(headers)
    found: list[str] = []
    while len(found) < most and (chunk := store.changes(container, after, CHUNK)):
        for item in chunk:
            after = item.changed
            wanted = item.timestamp >= since and partition in (None, item.partition)
            if wanted and (in_range is None or in_range(item.partition)) and item.is_alive(container):
                found.append(item.body)
                if len(found) == most:
                    break
    return Changes(found, f'"{after}"')


def _position(etag: str | None, container: Container) -> int:
    if etag is None:
        return 0
    if etag == "*":
        return container.sequence
    position = etag.strip('"')
    if not (position.isascii() and position.isdecimal() and len(position) <= MOST_DIGITS):
        raise BadRequestError(f"The continuation {etag} of the change feed is invalid.")
    return int(position)


def _since(date: str | None) -> float:
    if date is None:
        return 0.0
    try:
        return parsedate_to_datetime(date).timestamp()
    except ValueError:
        raise BadRequestError(f"If-Modified-Since '{date}' is not a date.") from None
