"""The containers of read models, and writes to them that have a condition.

Only cosmos.py imports azure-cosmos, and only when it connects: the import takes a fifth of the time that importing the
app does. Other modules use the type's name from here, and know errors by their azure.core class or their status.
"""

from collections.abc import Awaitable, Mapping
from http import HTTPStatus
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from azure.core import MatchConditions
from azure.core.exceptions import HttpResponseError, ResourceNotFoundError

if TYPE_CHECKING:
    from azure.core.rest import HttpRequest
    from azure.cosmos.aio import ContainerProxy

type Container = ContainerProxy
"""A container of Cosmos DB."""


NO_CONTAINER = 1003
"""Cosmos DB's sub-status of a 404 for a document whose container is not there."""


def is_without_container(error: HttpResponseError) -> bool:
    """Tell whether a request failed because the container itself is missing, not a document.

    Before the first document of a container the SDK reads the container, whose own 404 has no sub-status.
    """
    if error.status_code != HTTPStatus.NOT_FOUND:
        return False
    if getattr(error, "sub_status", None) == NO_CONTAINER:
        return True
    if error.response is None:  # of a batch
        return False
    asked: HttpRequest = error.response.request  # type: ignore[assignment]  # azure.core calls it an object
    return "/docs" not in urlsplit(asked.url).path


async def stored_document(container: Container, document_id: str, partition_key: str) -> Mapping[str, Any] | None:
    """Read one document by id and partition key; None if there is none.

    Raises:
        ResourceNotFoundError: the container is missing, not only the document.
    """
    try:
        return await container.read_item(document_id, partition_key)
    except ResourceNotFoundError as error:
        if is_without_container(error):
            raise
        return None


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
