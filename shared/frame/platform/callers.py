"""Callers: their identity, their roles, and the owner whose things they reach."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final
from uuid import UUID

from shared.kernel.refusals import Refusal

OPEN: Final = None
"""In place of a role: the route is open to everybody."""

OPS = "Ops"
"""The app role of people who operate the system."""


@dataclass(frozen=True, slots=True)
class Caller:
    """An authenticated caller.

    Attributes:
        id: the object id in Entra ID, which never changes and belongs to nobody else.
        roles: the app roles that were assigned.
    """

    id: UUID
    roles: frozenset[str]


@dataclass(frozen=True, slots=True)
class Requester:
    """Who makes a request, as the limits that are fair to callers know them.

    Attributes:
        id: the caller's id; None for no particular caller.
        is_owner: whether the caller acts for themselves; any other caller works for many people.
    """

    id: UUID | None = None
    is_owner: bool = False


NOBODY: Final = Requester()
"""No particular caller."""


@dataclass(frozen=True, slots=True)
class Owners:
    """Callers who act for themselves, and reach only their own things.

    Attributes:
        role: the app role that makes a caller one of them. It takes away every other right.
        who: what they are called, in the plural.
        missing: the refusal when a caller names another owner: to a caller, other owners do not exist.
    """

    role: str
    who: str
    missing: Callable[[UUID | None], Refusal]

    def reach(self, caller: Caller) -> UUID | None:
        """Give the owner whose things alone a caller reaches; None: everybody's. An owner's id is the caller's own."""
        return caller.id if self.role in caller.roles else None
