"""The catalogue: its commands, its read models of products and stock, and its queries."""

from uuid import UUID

from shared.catalog.commands.add_product import add_product
from shared.catalog.commands.change_price import change_price
from shared.catalog.commands.rate_product import rate_product
from shared.catalog.commands.receive_stock import receive_stock
from shared.catalog.commands.recount_stock import recount_stock
from shared.catalog.commands.rename_product import rename_product
from shared.catalog.commands.ship_items import ship_items
from shared.catalog.event_handlers.follow_orders import FOLLOWED, follow_order
from shared.catalog.events import ANSWERS, BoughtTogetherV1, CatalogEvent
from shared.catalog.jobs.serve_waiting_orders import serve_waiting_orders
from shared.catalog.metrics import stock_metrics
from shared.catalog.ratings import next_ratings_of
from shared.catalog.tables import EVERY_TABLE, INBOX, LOG, SCHEMA
from shared.catalog.views import product_projection, related_products
from shared.catalog.views.inventory import read_inventory
from shared.catalog.views.out_of_stock import list_out_of_stock
from shared.catalog.views.product_details import product_of, read_product
from shared.catalog.views.product_lists import ProductListEntries, list_products
from shared.catalog.views.product_partitions import ProductPartitions
from shared.catalog.views.related_products import Related, purchases_of_partition
from shared.catalog.views.stock_level import stock_document_of
from shared.frame.app import App
from shared.frame.context import Context
from shared.frame.messaging.codec import EventCodec
from shared.frame.messaging.event_types import EventTypes
from shared.frame.platform.jobs import Tick
from shared.frame.platform.output import Answer
from shared.frame.read_side.partitions import OfAggregates
from shared.frame.read_side.read_model import NOWHERE, ReadAt
from shared.frame.routes import Created
from shared.ordering.events import ON_TOPIC, UPCASTS, OrderEvent
from shared.roles import Role

ORDERS = EventCodec[OrderEvent](ON_TOPIC, UPCASTS)


class ProductAdded(Answer):
    """The id of the new product."""

    product_id: UUID


def catalog(app: App) -> Context[CatalogEvent]:
    """Declare the catalogue; nothing connects yet."""
    context = Context(app, SCHEMA, LOG, "product-events", EVERY_TABLE, INBOX)
    write, read = Role.CATALOG_WRITE, Role.CATALOG_READ

    context.command(
        "post_product", "POST products", add_product, role=write, created=Created(ProductAdded, "products/{productId}")
    )
    context.command("post_product_price", "POST products/{productId}/price", change_price, role=write)
    context.command("post_product_rename", "POST products/{productId}/rename", rename_product, role=write)

    context.command(
        "post_product_receipt", "POST products/{productId}/receipts", receive_stock, role=Role.INVENTORY_WRITE
    )
    context.command(
        "post_product_recount", "POST products/{productId}/recounts", recount_stock, role=Role.INVENTORY_WRITE
    )
    context.command("post_product_rating", "POST products/{productId}/ratings", rate_product, role=write, own=True)

    context.owner_data(next_ratings_of)

    context.command("post_order_shipment", "POST orders/{orderId}/shipments", ship_items, role=Role.INVENTORY_WRITE)

    products = context.read_model(
        "products",
        container="catalog",
        subscription="product-views",
        trigger="project_product",
        project=product_projection.project,
        derived=ProductListEntries(),
        documents=ProductPartitions(),
        event_types=EventTypes.all_but(BoughtTogetherV1, *ANSWERS),
        read_at=_read_at,
    )
    context.query("get_product", "products/{productId}", read_product, of=products, role=read, own=True)
    context.query("get_product_inventory", "products/{productId}/inventory", read_inventory, of=products, role=read)
    context.follows("follow_orders", "order-events", "catalog", ORDERS, follow_order, event_types=FOLLOWED)
    context.job("waiting orders", lambda: serve_waiting_orders(context.engine, context.writes), every=Tick.RELAY)
    context.query("get_out_of_stock", "inventory/out-of-stock", list_out_of_stock, of=products, role=read)
    context.query("get_products", "products", list_products, of=products, role=read, own=True)

    context.metrics(stock_metrics)

    purchases = EventTypes.only(BoughtTogetherV1)
    related = context.read_model(
        "related",
        container="related",
        subscription="product-views",
        trigger="project_product",
        project=product_projection.project,
        documents=OfAggregates(
            LOG, product_projection.project, related_products.SHAPES, purchases_of_partition, purchases
        ),
        event_types=purchases,
    )
    reader = Related(products.served)
    context.query("get_related_products", "products/{productId}/related", reader.read, of=related, role=read, own=True)
    return context


def _read_at(document_id: str, partition_key: str) -> ReadAt:
    """Tell where a product is read, or its stock; a single rating is read nowhere."""
    product_id = product_of(partition_key)
    if document_id == product_id:
        return ReadAt(now=f"products/{product_id}")
    if document_id == stock_document_of(UUID(product_id)):
        return ReadAt(now=f"products/{product_id}/inventory")
    return NOWHERE
