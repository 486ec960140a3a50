"""The documents of a stack's read models themselves, as an operator gets at them."""

from collections.abc import Iterator
from contextlib import contextmanager

from azure.cosmos import ContainerProxy, CosmosClient

from tests.support.stack import Stack


@contextmanager
def orders_container(stack: Stack) -> Iterator[ContainerProxy]:
    """The orders' documents."""
    with documents_in(stack, "orders") as documents:
        yield documents


@contextmanager
def documents_in(stack: Stack, container: str) -> Iterator[ContainerProxy]:
    """The documents of a container."""
    parts = dict(part.split("=", 1) for part in stack.settings["CosmosConnection"].rstrip(";").split(";"))
    client = CosmosClient(parts["AccountEndpoint"], parts["AccountKey"], enable_endpoint_discovery=False)
    with client:
        yield client.get_database_client("orders-db").get_container_client(container)


def damage(stack: Stack, order_id: str, customer_id: str, **properties: object) -> None:
    """Change an order's document, as nobody should."""
    with orders_container(stack) as documents:
        documents.replace_item(order_id, documents.read_item(order_id, customer_id) | properties)
