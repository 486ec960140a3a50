"""A missing container is told from a missing document, also by a process that has not used the container yet.

The SDK reads a container itself before its first document. The service answers that with a 404 without a sub-status,
and requests for documents of a missing container with sub-status 1003.
"""

from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable
from uuid import uuid4

import pytest
from azure.core.exceptions import ResourceNotFoundError

from shared.frame.read_side.container import Container, is_without_container
from shared.frame.read_side.cosmos import CosmosDatabase
from shared.frame.read_side.generations import Generations
from shared.frame.read_side.read_your_writes import point_read
from shared.frame.read_side.view_state import CONTROL
from shared.ordering.views.order_details import SHAPES
from tests.integration.operations.conftest import LiveShop
from tests.support.counting import counting_cosmos


@pytest.fixture(params=["used before", "never used"])
async def models(live: LiveShop, request: pytest.FixtureRequest) -> AsyncIterator[CosmosDatabase]:
    """The database without its containers, and a process that has used them, or has not."""
    models = CosmosDatabase(live.read_models._settings)
    for name in ("orders", CONTROL):
        if request.param == "used before":
            assert await point_read(models.container(name), "absent", "absent") is None
        await live.read_models._database.delete_container(name)
    yield models
    await models.close()


async def read(container: Container) -> object:
    return await point_read(container, "id", "key")


async def read_in_shape(container: Container) -> object:
    return await SHAPES.read_migrated(container, "id", "key")


@pytest.mark.parametrize("look", [read, read_in_shape])
async def test_a_document_of_a_missing_container_is_not_taken_for_missing(
    models: CosmosDatabase, look: Callable[[Container], Awaitable[object]]
) -> None:
    with pytest.raises(ResourceNotFoundError) as missing:
        await look(models.container("orders"))
    assert is_without_container(missing.value)


async def test_without_the_container_of_states_nobody_takes_the_first_generation_for_the_one_that_serves(
    models: CosmosDatabase,
) -> None:
    with pytest.raises(ResourceNotFoundError):
        await Generations(models, "orders", "orders").served()


async def test_nothing_of_a_missing_container_is_taken_for_healed(live: LiveShop, models: CosmosDatabase) -> None:
    with pytest.raises(ResourceNotFoundError):
        await live.orders_view.source.heal(models.container("orders"), str(uuid4()))


async def test_a_missing_document_takes_one_request(live: LiveShop) -> None:
    container = live.orders.container(1)
    await read(container)
    counts: Counter[str] = Counter()
    with counting_cosmos(counts):
        assert await read(container) is None
    assert counts["cosmos_requests"] == 1
