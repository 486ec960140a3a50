"""The allowed names of resources, and the resource ids that the service gives them."""

import base64

from cosmos_engine.errors import BadRequestError
from cosmos_engine.values import Json

LONGEST_NAME = 255
"""Characters in the id of a database or a container.
https://learn.microsoft.com/azure/cosmos-db/concepts-limits#control-plane"""
LONGEST_ITEM_ID = 1023
"""Bytes in the id of an item. https://learn.microsoft.com/azure/cosmos-db/concepts-limits#per-item-limits"""
ITEM_RID = 16
"""Octets in the resource id of an item."""
FORBIDDEN = "/\\?#"
"""https://learn.microsoft.com/dotnet/api/microsoft.azure.documents.resource.id"""


def check_name(name: Json) -> str:
    """The id of a database or a container.

    Raises:
        BadRequestError: it cannot be one.
    """
    checked = _check(name)
    if len(checked) > LONGEST_NAME:
        raise BadRequestError(f"The input name is invalid: it is longer than {LONGEST_NAME} characters.")
    return checked


def check_item_id(item_id: Json) -> str:
    """The id of an item.

    Raises:
        BadRequestError: it is missing or cannot be one.
    """
    checked = _check(item_id)
    if len(checked.encode()) > LONGEST_ITEM_ID:
        raise BadRequestError(f"The input name is invalid: it is longer than {LONGEST_ITEM_ID} bytes.")
    return checked


def database_rid(number: int) -> str:
    """The resource id of the database with this number: four bytes in the service's base64."""
    return _encode(number.to_bytes(4, "big"))


def container_rid(database: int, number: int) -> str:
    """The resource id of a container: its database's, and four bytes of which the first bit is set."""
    return _encode(database.to_bytes(4, "big") + (number | 0x80000000).to_bytes(4, "big"))


def item_rid(container: str, number: int) -> str:
    """The resource id of an item: its container's, and eight bytes."""
    return _encode(_decode(container) + number.to_bytes(8, "little"))


def item_number(rid: str) -> int | None:
    """The number in an item's resource id; None if it is no such thing."""
    try:
        octets = _decode(rid)
    except ValueError:
        return None
    return int.from_bytes(octets[8:], "little") if len(octets) == ITEM_RID else None


def _check(name: Json) -> str:
    if not isinstance(name, str) or not name:
        raise BadRequestError(
            "The input content is invalid because the required properties - 'id; ' - are missing or not strings."
        )
    if any(character in name for character in FORBIDDEN):
        raise BadRequestError(f"The input name '{name}' is invalid: it must not contain any of {' '.join(FORBIDDEN)}")
    return name


def _encode(octets: bytes) -> str:
    return base64.b64encode(octets, altchars=b"+-").decode()


def _decode(rid: str) -> bytes:
    return base64.b64decode(rid, altchars=b"+-")
