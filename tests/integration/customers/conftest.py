"""Erasures that are kept at once, and deliveries to all read models."""

from collections.abc import Callable
from datetime import timedelta

import pytest
from azure.cosmos.aio import ContainerProxy

from shared.customers.commands.erase_customer import Erasures
from shared.frame.write_side.owner_data import OwnerData
from shared.ordering import tables as ordering
from shared.ordering.finding import has_open_orders, next_orders_of, streams_of
from tests.support.delivery import Delivery
from tests.support.shop import Shop


@pytest.fixture
def erasures(shop: Shop) -> Erasures:
    """Erasures that are kept at once, if no order is open."""
    held = OwnerData("ordering", ordering.LOG, shop.ordering_engine, next_orders_of, streams_of, has_open_orders)
    return Erasures([held], timedelta())


@pytest.fixture
def delivery(
    shop: Shop, orders: ContainerProxy, catalog: ContainerProxy, containers: Callable[[str], ContainerProxy]
) -> Delivery:
    """What takes the events of all contexts to all read models."""
    return Delivery(shop, orders, catalog, containers("related"))
