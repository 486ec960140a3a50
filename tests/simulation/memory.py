"""The local Cosmos engine's store, without a file."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, override

from cosmos_engine.definitions import Container
from cosmos_engine.store import Item, Store


class MemoryStore(Store):
    """The items of one container."""

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

    @override
    def items(self, container: Container, partition: str | None, after: int, limit: int) -> list[Item]:
        found = (item for item in self._items.values() if partition in (None, item.partition) and item.created > after)
        return sorted(found, key=lambda item: item.created)[:limit]

    def documents(self) -> list[dict[str, Any]]:
        """All documents."""
        return [json.loads(item.body) for item in self._items.values()]
