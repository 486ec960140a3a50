"""Containers as projections and queries take them."""

from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import override

from azure.cosmos.aio import ContainerProxy

from shared.frame.read_side.generations import Generations, Served


def only(container: ContainerProxy) -> Callable[[], Awaitable[Sequence[ContainerProxy]]]:
    """A read model of one generation."""

    async def containers() -> Sequence[ContainerProxy]:
        return [container]

    return containers


class OneGeneration(Generations):
    """A read model that is never rebuilt, in a container that need not be there before it is used.

    Without any containers nothing is written: that is a test of the write side.
    """

    def __init__(self, view: str, container: str, containers: Mapping[str, ContainerProxy]) -> None:
        self.view = view
        self._container = container
        self._containers = containers

    @override
    async def served(self) -> Served:
        return Served(self._containers[self._container], 1)

    @override
    @contextmanager
    def tolerate_missing(self, container: ContainerProxy) -> Iterator[None]:
        yield

    @override
    async def delete_from_unused(self, partition_key: str) -> None:
        """None was given up."""

    @override
    async def containers_to_write(self) -> Sequence[ContainerProxy]:
        return [self._containers[self._container]] if self._containers else []
