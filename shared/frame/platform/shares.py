"""Shares: an owner, who acts for themselves, has so many pieces of work under way at a time, whatever is free."""

from collections import Counter
from uuid import UUID

from shared.kernel.refusals import TooSoon, Unavailable


class Shares:
    """The shares of owners in one kind of work, on one event loop."""

    def __init__(self, each: int, kind: str) -> None:
        """Prepare.

        Args:
            each: pieces of work of one owner at a time.
            kind: what the work is called, in the plural.
        """
        self._each = each
        self._kind = kind
        self._taken = Counter[UUID]()

    def take(self, owner: UUID) -> None:
        """Count one more piece of an owner's work, until `give_back`.

        Raises:
            TooSoon: the owner's share is used up (503 `overloaded`).
        """
        if self._taken[owner] >= self._each:
            raise overloaded(self._kind, TooSoon)
        self._taken[owner] += 1

    def give_back(self, owner: UUID) -> None:
        """Count one piece less: it has ended."""
        self._taken[owner] -= 1
        if not self._taken[owner]:
            del self._taken[owner]


def overloaded(kind: str, refusal: type[Unavailable] = Unavailable) -> Unavailable:
    """Make the refusal of work for which there is no room now; the work has not begun, and may be sent again."""
    return refusal("overloaded", f"There are more {kind} than can be carried out at the moment.")
