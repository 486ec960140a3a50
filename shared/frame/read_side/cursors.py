"""Cursors: the place in a list where a page ended, as text that means nothing to a caller.

A list has an order that nothing changes: by what stays as it is while a thing exists. So a cursor is a place in that
order. What stands still comes once, whatever is added, changed or taken out between two pages.

A cursor is of one list and one generation of its read model, and says so in its check, which a slip of the pen or a
guess does not pass. The check keeps no secret: whoever takes the trouble to compute one gets a place to begin at, in a
list that they may read from its beginning.
"""

import base64
import binascii
import hashlib

from shared.kernel.refusals import InputError, Invalid

LONGEST = 300
"""Characters of a cursor; those of products have 96."""

_CHECK = 12
"""Bytes."""


def cursor_at(place: str, of_list: str, generation: int) -> str:
    """Write the cursor of a place."""
    content = place.encode()
    return _written(_check(content, of_list, generation) + content)


def place_of(cursor: str, of_list: str, generation: int) -> str:
    """Read the place in a cursor.

    Raises:
        Invalid: it is not one that this list has given, in the generation that serves now.
    """
    try:
        decoded = base64.b64decode(cursor + "=" * (-len(cursor) % 4), altchars=b"-_", validate=True)
    except (binascii.Error, ValueError):
        decoded = b""
    check, content = decoded[:_CHECK], decoded[_CHECK:]
    if not content or check != _check(content, of_list, generation) or _written(decoded) != cursor:
        wrong = "should be the `next` of a page of this very list; after a rebuild of the read model, begin again"
        raise Invalid("The request is not valid; see errors.", [InputError("/cursor", wrong, "query")])
    return content.decode()


def _written(decoded: bytes) -> str:
    return base64.urlsafe_b64encode(decoded).rstrip(b"=").decode()


def _check(content: bytes, of_list: str, generation: int) -> bytes:
    return hashlib.blake2b(b"\0".join([of_list.encode(), b"%d" % generation, content]), digest_size=_CHECK).digest()
