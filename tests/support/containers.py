"""Containers as projections take them."""

from collections.abc import Awaitable, Callable, Sequence

from azure.cosmos.aio import ContainerProxy


def only(container: ContainerProxy) -> Callable[[], Awaitable[Sequence[ContainerProxy]]]:
    """A read model of one generation."""

    async def containers() -> Sequence[ContainerProxy]:
        return [container]

    return containers
