"""Cursors: the position in a list where a page ended, as text that is opaque to callers.

A list is ordered by properties that never change, and a cursor is a position in that order. So an entry that exists all
the time comes exactly once, whatever is added, changed or removed between two pages. A list by a property that may
change says so in its operation's description.

A cursor belongs to one list and one generation of its read model. A check value in the cursor ties it to both, and
catches typing errors and guesses. The check is no secret: a caller who computes one gets a position in a list that they
may read from its beginning anyway. So a position is parsed as any input is.
"""

import base64
import hashlib
from collections.abc import Callable

from shared.kernel.refusals import InputError, Invalid

LONGEST = 300
"""Characters of a cursor; those of products have 96."""

_CHECK = 12
"""Bytes."""


def cursor_at(position: str, of_list: str, generation: int) -> str:
    """Write the cursor of a position."""
    content = position.encode()
    return _written(_check(content, of_list, generation) + content)


def position_of[Position](cursor: str, of_list: str, generation: int, parse: Callable[[str], Position]) -> Position:
    """Read the position in a cursor.

    Args:
        cursor: what the caller gave.
        of_list: the list that is read.
        generation: the one that serves now.
        parse: makes a position of the text that was given to `cursor_at`; raises ValueError if it is no such text.

    Raises:
        Invalid: the cursor is not from this list, or not from the generation that serves now.
    """
    try:
        decoded = base64.b64decode(cursor + "=" * (-len(cursor) % 4), altchars=b"-_", validate=True)
        check, content = decoded[:_CHECK], decoded[_CHECK:]
        if content and check == _check(content, of_list, generation) and _written(decoded) == cursor:
            return parse(content.decode())
    except ValueError:
        pass
    wrong = "should be the `next` of a page of this very list; after a rebuild of the read model, begin again"
    raise Invalid("The request is not valid; see errors.", [InputError("/cursor", wrong, "query")])


def _written(decoded: bytes) -> str:
    return base64.urlsafe_b64encode(decoded).rstrip(b"=").decode()


def _check(content: bytes, of_list: str, generation: int) -> bytes:
    return hashlib.blake2b(b"\0".join([of_list.encode(), b"%d" % generation, content]), digest_size=_CHECK).digest()
