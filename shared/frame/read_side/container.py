"""The containers of read models, and writes to them that have a condition.

Only cosmos.py imports azure-cosmos, and only when it connects: the import takes a fifth of the time that importing the
app does. Other modules use the type's name from here, and know errors by their azure.core class or their status.
"""

from collections.abc import Awaitable, Mapping
from http import HTTPStatus
from typing import TYPE_CHECKING, Any

from azure.core import MatchConditions
from azure.core.exceptions import HttpResponseError

if TYPE_CHECKING:
    from azure.cosmos.aio import ContainerProxy

type Container = ContainerProxy
"""A container of Cosmos DB."""


NO_CONTAINER = 1003
"""Cosmos DB's sub-status of a 404 for a document whose container is not there."""


def is_without_container(error: HttpResponseError) -> bool:
    """Tell whether a request failed because the container itself is missing, not a document."""
    return error.status_code == HTTPStatus.NOT_FOUND and getattr(error, "sub_status", None) == NO_CONTAINER


async def took_effect(write: Awaitable[object]) -> bool:
    """Carry out a conditional write, and tell whether its condition held; if not, nothing has changed."""
    try:
        await write
    except HttpResponseError as error:
        if error.status_code != HTTPStatus.PRECONDITION_FAILED:
            raise
        return False
    return True


async def deleted(container: Container, document: Mapping[str, Any], partition_key: str) -> bool:
    """Delete a document, unless it has changed since it was read; tell whether it was deleted."""
    return await took_effect(
        container.delete_item(
            document["id"], partition_key, etag=document["_etag"], match_condition=MatchConditions.IfNotModified
        )
    )


async def replaced(container: Container, document: dict[str, Any], before: Mapping[str, Any]) -> bool:
    """Replace a document, unless it has changed since it was read; tell whether it was replaced."""
    return await took_effect(
        container.replace_item(
            document["id"], document, etag=before["_etag"], match_condition=MatchConditions.IfNotModified
        )
    )
