"""Products in lists: one entry for each, all in one partition, so that every list is one query of it.

An entry is made of two documents alone, the product's and its stock's, after each event that changed one of them.
`changes` counts the changes of both: an entry only replaces an older one, so entries may be written repeatedly and in
any order. Lists and their cursors are ordered by the time when products were added, which never changes.
"""

import asyncio
from collections.abc import Mapping, Sequence
from contextlib import suppress
from typing import Annotated, Any
from uuid import UUID

from azure.core.exceptions import ResourceExistsError, ResourceNotFoundError
from pydantic import AfterValidator, Field, StringConstraints

from shared.catalog.domain.words import SHORTEST_PREFIX, folded, words_of
from shared.catalog.views import product_details, stock_level
from shared.catalog.views.product_details import product_of, rating_of
from shared.catalog.views.stock_level import available, stock_document_of
from shared.frame.platform.examples import example
from shared.frame.platform.input import AFTER_SCHEMA, After, Digits, QueryInput, Text, read_after
from shared.frame.platform.output import Amount, Answer, amount
from shared.frame.read_side.comparing import Derived, Difference
from shared.frame.read_side.container import Container, took_effect
from shared.frame.read_side.cursors import LONGEST, cursor_at, position_of
from shared.frame.read_side.generations import Served
from shared.frame.read_side.read_your_writes import TIMEOUT, Document, Wait, point_read, read_at_least
from shared.frame.read_side.shape import Shapes, UnreadableShape

LISTS = "products"
"""The partition of all entries. An entry has one or two KB; the 20 GB of a partition hold ten million (ADR 32)."""

MOST_WORDS = 10
"""Words of a search at most; each is a condition of the query."""

NEWEST = "~"
"""A place before every product."""

SHAPES = Shapes(what="A product's entry in lists", today=1, mend="Make the view anew: python3 dev.py rebuild products")


class ProductInList(Answer):
    """A product without its description; `available` is null where no stock is kept."""

    product_id: UUID
    name: str
    unit_price: Amount
    currency: str
    category: str
    is_out_of_stock: bool
    available: int | None
    user_rating: float | None
    rating_count: int
    version: int


class ProductList(Answer):
    """A page of products; `next` is the cursor of the next page, null on the last one."""

    items: list[ProductInList]
    next: str | None


def _searched(name: str) -> str:
    words = words_of(name)
    if not words:
        raise ValueError("should have a letter or a digit")
    if len(words) > MOST_WORDS:
        raise ValueError(f"should have at most {MOST_WORDS} different words")
    return name


class ListProducts(QueryInput, json_schema_extra=example(name="tea", category="kitchen")):
    """A page of products, those added last first.

    `name` finds products whose names have all its words, in any order, whatever their case and accents; the last word
    may be the beginning of a word, from two letters on. `category` finds the products of a category, compared in the
    same way.
    """

    name: Annotated[Text, StringConstraints(min_length=1, max_length=200), AfterValidator(_searched)] | None = None
    category: Annotated[Text, StringConstraints(min_length=1, max_length=100)] | None = None
    cursor: Annotated[str, StringConstraints(max_length=LONGEST)] | None = Field(
        default=None, description="the `next` of the page before, with the same name and category"
    )
    take: Annotated[int, Field(ge=1, le=100), Digits] = 20
    after: Annotated[After, read_after("productId"), AFTER_SCHEMA] | None = None


class ProductListEntries(Derived):
    """The list entries of products, by the products' partitions."""

    def home(self, document_id: str, partition_key: str) -> str:
        """Name a product's partition by its entry."""
        return product_details.partition_key_of(UUID(document_id)) if partition_key == LISTS else partition_key

    async def write(self, container: Container, partition_key: str) -> None:
        """Write the entry of a product from its present documents; a product that is not there yet has none.

        The event that makes the product's document, or filling, calls this again afterwards.
        """
        product, stock = await _shown(container, partition_key)
        if product is None:
            return
        entry = entry_of(product, stock)
        operations = [
            {"op": "set", "path": f"/{name}", "value": value}
            for name, value in entry.items()
            if name not in {"id", "view"}
        ]
        older = f"from c where c.changes < {entry['changes']}"
        while True:
            try:
                write = container.patch_item(entry["id"], LISTS, operations, filter_predicate=older, no_response=True)
                await took_effect(write)
            except ResourceNotFoundError:
                try:
                    await container.create_item(entry, no_response=True)
                except ResourceExistsError:  # another event made it
                    continue
            return

    async def differences(self, container: Container, partition_key: str) -> Sequence[Difference]:
        """Tell whether a product's entry is not what its document makes it."""
        try:
            product, stock = await _shown(container, partition_key)
        except UnreadableShape:
            product = None
        if product is None:
            return []  # that the product is missing, or unreadable, is told of its own document
        right = entry_of(product, stock)
        stored = await point_read(container, right["id"], LISTS)
        wrong = "missing" if stored is None else ", ".join(each for each in right if right[each] != stored.get(each))
        return [Difference(right["id"], partition_key, f"in lists: {wrong}")] if wrong else []

    async def heal(self, container: Container, partition_key: str) -> None:
        """Write a wrong entry again."""
        if await self.differences(container, partition_key):
            with suppress(ResourceNotFoundError):
                await container.delete_item(product_of(partition_key), LISTS)
            await self.write(container, partition_key)


async def _shown(container: Container, partition_key: str) -> tuple[Document | None, Document | None]:
    """Read a product and its stock; None for what is not there."""
    product_id = product_of(partition_key)
    product, stock = await asyncio.gather(
        point_read(container, product_id, partition_key),
        point_read(container, stock_document_of(UUID(product_id)), partition_key),
    )
    return product and product_details.SHAPES.read(product), stock and stock_level.SHAPES.read(stock)


def entry_of(document: Document, stock: Document | None) -> dict[str, Any]:
    """Make the entry of a product and its stock."""
    pieces = available(stock)
    return {
        "id": document["id"],
        "view": LISTS,
        "shape": SHAPES.today,
        "version": document["version"],
        "changes": document["changes"] + stock_level.changes_of(stock),
        "listed": f"{document['addedAt']}/{document['id']}",
        "words": words_of(document["name"]),
        "inCategory": folded(document["category"]),
        "outOfStock": pieces is not None and pieces <= 0,
        "item": {
            **{name: document[name] for name in ("name", "unitPrice", "currency", "category")},
            **{name: document[name] for name in ("ratingSum", "ratingCount")},
            "stock": stock and {name: stock[name] for name in ("onHand", "reserved", "waiting")},
        },
    }


async def list_products(served: Served, query: ListProducts, wait: Wait) -> ProductList:
    """Read a page.

    Raises:
        Invalid: the cursor is not of this list.
        UnreadableShape: another release wrote one of the entries.
        Unavailable: the product that `after` names did not reach its version in time.
    """
    words = words_of(query.name or "")
    category = None if query.category is None else folded(query.category)
    of_list = f"products\n{' '.join(words)}\n{'' if category is None else f'in {category}'}"
    await wait_for_product(served, query.after, wait)
    entries, more = await page_of(of_list, served, *_conditions(words, category), query.cursor, query.take)
    return ProductList(items=[rendered(entry) for entry in entries], next=more)


async def wait_for_product(served: Served, after: After | None, wait: Wait) -> None:
    """Wait for a product that a list may include; raises as read_at_least."""
    if after is not None:
        await read_at_least(served.container, str(after.id), LISTS, after.version, wait)


async def page_of(
    of_list: str,
    served: Served,
    conditions: Sequence[str],
    values: Mapping[str, object],
    cursor: str | None,
    take: int,
) -> tuple[Sequence[Mapping[str, Any]], str | None]:
    """Read a page of entries, and the cursor of the next one.

    Args:
        of_list: names the list and its filters, for the cursor.
        served: the read model that serves.
        conditions: the conditions on an entry `c` of the list, in Cosmos SQL.
        values: the parameters of the conditions.
        cursor: where the page before ended.
        take: how many entries.

    Raises:
        Invalid: the cursor is not of this list.
        UnreadableShape: another release wrote one of the entries.
    """
    place = NEWEST if cursor is None else position_of(cursor, of_list, served.generation, str)
    conditions = ["c.listed < @place", *conditions]
    found = await entries_of(served.container, conditions, {"@place": place, **values}, take + 1)
    entries = found[:take]
    more = cursor_at(entries[-1]["listed"], of_list, served.generation) if len(found) > len(entries) else None
    return entries, more


def _conditions(words: list[str], category: str | None) -> tuple[list[str], dict[str, object]]:
    """Make the conditions on the entries of a list, and their parameters. A caller's text is never part of a query."""
    conditions: list[str] = []
    values: dict[str, object] = {}
    if category is not None:
        conditions.append("c.inCategory = @category")
        values["@category"] = category
    for place, word in enumerate(words):
        values[f"@word{place}"] = word
        if place == len(words) - 1 and len(word) >= SHORTEST_PREFIX:
            conditions.append(f"EXISTS(SELECT VALUE w FROM w IN c.words WHERE STARTSWITH(w, @word{place}))")  # noqa: S608  # a parameter's name
        else:
            conditions.append(f"ARRAY_CONTAINS(c.words, @word{place})")
    return conditions, values


async def entries_of(
    container: Container, conditions: Sequence[str], values: Mapping[str, object], most: int
) -> list[Mapping[str, Any]]:
    """Read entries that meet these conditions, those added last first; raises UnreadableShape as page_of."""
    query = f"SELECT TOP {most} * FROM c WHERE {' AND '.join(conditions)} ORDER BY c.listed DESC"  # noqa: S608  # see _conditions
    parameters = [{"name": name, "value": value} for name, value in values.items()]
    rows = container.query_items(query, parameters=parameters, partition_key=LISTS)
    async with asyncio.timeout(TIMEOUT):
        return [SHAPES.read(row) async for row in rows]


def rendered(entry: Mapping[str, Any]) -> ProductInList:
    """Show an entry."""
    item = entry["item"]
    return ProductInList(
        product_id=entry["id"],
        name=item["name"],
        unit_price=amount(item["unitPrice"], item["currency"]),
        currency=item["currency"],
        category=item["category"],
        is_out_of_stock=entry["outOfStock"],
        available=available(item["stock"]),
        user_rating=rating_of(item),
        rating_count=item["ratingCount"],
        version=entry["version"],
    )
