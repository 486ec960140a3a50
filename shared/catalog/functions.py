"""The catalogue's way in: HTTP commands and queries, the events it projects, its relay."""

from uuid import UUID

import azure.functions as func

from shared.catalog.commands.add_product import AddProduct, add_product
from shared.catalog.commands.change_price import ChangePrice, change_price
from shared.catalog.commands.rename_product import RenameProduct, rename_product
from shared.catalog.repository import Products
from shared.catalog.tables import CODEC, LOG, SCHEMA
from shared.catalog.views import product_details
from shared.catalog.views.product_details import ProductDetails, ReadProduct, read_product
from shared.catalog.views.products_source import ProductsSource
from shared.messaging.envelope import Envelope
from shared.messaging.projection import Projection
from shared.platform.cosmos import ReadModels
from shared.platform.generations import Generations
from shared.platform.http.answers import created, done, found
from shared.platform.http.api import Api
from shared.platform.http.callers import Role
from shared.platform.http.requests import command_call, query_call
from shared.platform.outbox import Outbox
from shared.platform.output import Answer
from shared.platform.settings import Settings
from shared.platform.sql import context_engine, query_engine
from shared.platform.write_side import WriteSide


class ProductAdded(Answer):
    """Which product was made."""

    product_id: UUID


def catalog(settings: Settings, read_models: ReadModels) -> Api:
    """Wire the catalogue up; nothing connects yet."""
    engine, reader = context_engine(settings, SCHEMA), query_engine(settings, SCHEMA)
    outbox = Outbox(settings, engine, LOG, SCHEMA, topic="product-events")
    writes = WriteSide(engine, LOG, Products, committed=outbox.wake)

    products = Generations(read_models, "products", container="catalog")
    projection = Projection(products.written, reader, LOG, product_details.change)
    api = Api("catalog")
    api.view(products, ProductsSource(reader, projection))

    @api.command("POST", "products", AddProduct, role=Role.CATALOG_WRITE, created=ProductAdded)
    def post_product(req: func.HttpRequest, context: func.Context) -> func.HttpResponse:
        call = command_call(req, context, AddProduct)
        accepted = writes.run(add_product, call.command, call.metadata)
        answer = ProductAdded(product_id=accepted.aggregate_id)
        return created(accepted, answer, f"/api/products/{accepted.aggregate_id}")

    @api.command("POST", "products/{productId}/price", ChangePrice, role=Role.CATALOG_WRITE)
    def post_product_price(req: func.HttpRequest, context: func.Context) -> func.HttpResponse:
        call = command_call(req, context, ChangePrice)
        return done(writes.run(change_price, call.command, call.metadata))

    @api.command("POST", "products/{productId}/rename", RenameProduct, role=Role.CATALOG_WRITE)
    def post_product_rename(req: func.HttpRequest, context: func.Context) -> func.HttpResponse:
        call = command_call(req, context, RenameProduct)
        return done(writes.run(rename_product, call.command, call.metadata))

    @api.query("products/{productId}", ReadProduct, ProductDetails, role=Role.CATALOG_READ, customers=True)
    async def get_product(req: func.HttpRequest, context: func.Context) -> func.HttpResponse:
        call = query_call(req, ReadProduct)
        return found(call, *await read_product(await products.served(), call.query, call.wait))

    @api.consumer("product-events", "product-views")
    async def project_product(envelope: Envelope) -> None:
        await projection.project(CODEC.open(envelope))

    @api.blueprint.timer_trigger(arg_name="timer", schedule="%RelaySchedule%")
    def relay_product_events(timer: func.TimerRequest) -> None:
        outbox.sweep()

    return api
