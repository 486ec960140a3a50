"""Related products: those bought together with a product most often, then others of its category.

Each purchase is a document in the product's partition, with the products that were bought with it. A query counts these
documents when it reads them. So a repeated event finds its document already there, and no counter can be wrong.
"""

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable, Sequence
from uuid import UUID

import sqlalchemy as sa

from shared.catalog.domain.errors import ProductNotFound
from shared.catalog.events import BoughtTogetherV1
from shared.catalog.purchases import purchases_in
from shared.catalog.views.product_details import partition_key_of, product_of
from shared.catalog.views.product_lists import LISTS, ProductInList, entries_of, rendered
from shared.catalog.views.product_lists import SHAPES as ENTRIES
from shared.frame.messaging.envelope import Recorded
from shared.frame.platform.examples import example
from shared.frame.platform.input import Id, QueryInput
from shared.frame.platform.output import Answer
from shared.frame.platform.times import utc_text
from shared.frame.read_side.container import Container
from shared.frame.read_side.document_update import Create, DocumentUpdate
from shared.frame.read_side.generations import Served
from shared.frame.read_side.read_your_writes import TIMEOUT, Wait, point_read
from shared.frame.read_side.shape import Shapes
from shared.story import PRODUCT_ID

SHOWN = 10
"""Related products that a query answers at most."""

COUNTED = 200
"""The latest purchases of a product that a query counts."""

LATEST = f"SELECT TOP {COUNTED} c.shape, c.others FROM c ORDER BY c.at DESC"  # noqa: S608  # a number

SHAPES = Shapes(what="The document of a purchase", today=1, mend="Make the view anew: python3 dev.py rebuild related")


class RelatedProducts(Answer):
    """Products that are related to one, the closest first."""

    items: list[ProductInList]


class ReadRelated(QueryInput, json_schema_extra=example(productId=PRODUCT_ID)):
    """Products that were bought together with this one most often, and then some of its category; at most ten."""

    product_id: Id


def project(recorded: Recorded[BoughtTogetherV1]) -> DocumentUpdate:
    """Make the update of an event, which creates the purchase's document."""
    event, envelope = recorded.event, recorded.envelope
    document = {
        "id": str(envelope.aggregate_id),
        "view": partition_key_of(event.product_id),
        "shape": SHAPES.today,
        "version": 1,
        "at": utc_text(envelope.occurred_at),
        "others": [str(other) for other in event.others],
    }
    return DocumentUpdate(partition_key_of(event.product_id), Create(document, notes_times=False))


def purchases_of_partition(connection: sa.Connection, partition_key: str, most: int) -> Sequence[UUID]:
    """Give the ids of the purchases in a product's partition, or as many of them."""
    return purchases_in(connection, UUID(product_of(partition_key)), most)


class Related:
    """Reads related products: their ids from the purchases, and their entries from the lists of products."""

    def __init__(self, products: Callable[[], Awaitable[Served]]) -> None:
        self._products = products

    async def read(self, served: Served, query: ReadRelated, _wait: Wait) -> RelatedProducts:
        """Read them.

        Raises:
            ProductNotFound: there is no such product, or none that has been projected yet.
            UnreadableShape: another release wrote one of the documents.
        """
        products = (await self._products()).container
        product_id = str(query.product_id)
        entry, together = await asyncio.gather(
            point_read(products, product_id, LISTS), _bought_together(served.container, query.product_id)
        )
        if entry is None:
            raise ProductNotFound(f"There is no product {product_id}.")
        known, same = await asyncio.gather(
            asyncio.gather(*(point_read(products, each, LISTS) for each in together)),
            entries_of(
                products, ["c.inCategory = @category"], {"@category": ENTRIES.read(entry)["inCategory"]}, 2 * SHOWN + 1
            ),
        )
        shown = {each["id"]: ENTRIES.read(each) for each in known if each is not None}
        shown |= {each["id"]: each for each in same if each["id"] not in {product_id, *shown}}
        return RelatedProducts(items=[rendered(each) for each in list(shown.values())[:SHOWN]])


async def _bought_together(container: Container, product_id: UUID) -> list[str]:
    """Give the products that were bought together with a product, most often first."""
    counts = Counter[str]()
    async with asyncio.timeout(TIMEOUT):
        async for row in container.query_items(LATEST, partition_key=partition_key_of(product_id)):
            counts.update(SHAPES.check_part(row)["others"])
    ranked = sorted(counts, key=lambda other: (-counts[other], other))
    return ranked[:SHOWN]
