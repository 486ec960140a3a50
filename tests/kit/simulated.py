"""What a context gives to the simulation: what its clients send, and the tables that its log is held against."""

import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from shared.frame.messaging.envelope import Accepted
from shared.frame.write_side.repository import Repository

type Handler = Callable[..., Accepted]

type Next = Callable[[random.Random, Sequence[UUID], UUID], tuple[Handler, Any]]
"""Chooses what a client does next: by chance, with one of the things that are there, by id, or under a new id.

All chance has to come from there, so that a seed tells the same story again.
"""


@dataclass(frozen=True, slots=True)
class Simulated:
    """A context that the simulation runs beside the shop's own; its read models have a document for each aggregate.

    Attributes:
        context: its name.
        repository: loads its aggregates.
        next: what a client does next.
    """

    context: str
    repository: type[Repository[Any]]
    next: Next
