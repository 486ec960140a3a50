"""An Azure SQL that refuses the app costs no event: somebody mends that, and the delivery that waited goes through."""

from collections.abc import Callable
from uuid import uuid4

import pytest

from shared.frame.http.declared import declared
from shared.frame.messaging.wire import to_body
from shared.frame.platform.settings import Settings
from shared.frame.read_side.cosmos import CosmosDatabase
from tests.support.azure_sql import Azure
from tests.support.envelopes import an_envelope
from tests.support.odbc import needs_driver, needs_unixodbc
from tests.support.tds import Answers, Error, Request, Server
from tests.support.triggers import context, message, trigger
from tests.support.wiring import connected_app, contexts

pytestmark = [needs_unixodbc, needs_driver]


def is_login(request: Request) -> bool:
    return request.kind == "login"


def is_write(request: Request) -> bool:
    return "BEGIN TRANSACTION" in request.text and not request.prepares


@pytest.mark.parametrize(
    ("number", "at"),
    [(18456, is_login), (40615, is_login), (42119, is_login), (229, is_write)],
    ids=["login", "firewall", "month used up", "grant"],
)
async def test_an_event_that_comes_while_the_database_refuses_the_app_is_taken_in_by_the_same_delivery(
    number: int, at: Callable[[Request], bool], server: Server
) -> None:
    azure, refused, written = Azure(), list[Request](), list[Request]()

    def answer(request: Request) -> Answers:
        if at(request) and len(refused) < 2:
            refused.append(request)
            return Error(number, severity=14)
        if is_write(request):
            written.append(request)
        return azure(request)

    server.answer = answer
    settings = Settings(sql=server.url, cosmos="", service_bus="")
    product_id = uuid4()
    added = f'{{"productId": "{product_id}", "name": "Tea", "description": "", "unitPrice": "1.00", "currency": "EUR"}}'
    event = an_envelope("ProductAddedV1", product_id, payload=added[:-1] + ', "category": "tea"}')
    with connected_app(settings, CosmosDatabase(settings)) as app:
        follow_products = trigger(declared(contexts(app)["ordering"]).blueprint, "follow_products")
        await follow_products(message(to_body(event, "catalog")), context())
    assert (len(refused), len(written)) == (2, 1)
