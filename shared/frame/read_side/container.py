"""The containers of read models, as those see them who read and write there.

azure-cosmos is left to who connects: importing it takes a fifth of the time that importing the app does.
So its type has a name here, and its errors are known by the classes of azure.core that they are of, or by their status.
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


async def took_effect(write: Awaitable[object]) -> bool:
    """Carry out a write that has a condition, and tell whether that held; nothing has changed if not."""
    try:
        await write
    except HttpResponseError as error:
        if error.status_code != HTTPStatus.PRECONDITION_FAILED:
            raise
        return False
    return True


async def replaced(container: Container, document: dict[str, Any], before: Mapping[str, Any]) -> bool:
    """Replace a document, and tell whether it was still what had been read."""
    return await took_effect(
        container.replace_item(
            document["id"], document, etag=before["_etag"], match_condition=MatchConditions.IfNotModified
        )
    )
