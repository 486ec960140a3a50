"""Callers: who they are, what they may do, and whose things they reach."""

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
    """Somebody whom the platform knows.

    Attributes:
        id: the object id in Entra ID, which never changes and belongs to nobody else.
        roles: the app roles that were assigned.
    """

    id: UUID
    roles: frozenset[str]


@dataclass(frozen=True, slots=True)
class Owners:
    """Callers who act for themselves, and reach nothing but what is theirs.

    Attributes:
        role: the app role that makes a caller one of them. It takes away every other right.
        who: what they are called, in the plural.
        missing: refuses an owner whom the caller is not: to them, others do not exist.
    """

    role: str
    who: str
    missing: Callable[[UUID | None], Refusal]

    def reach(self, caller: Caller) -> UUID | None:
        """Tell whose things alone a caller reaches; None reaches everybody's. An owner's id is the caller's own."""
        return caller.id if self.role in caller.roles else None
