"""Shapes of stored documents: each document names its shape, and a release also reads those of the release before.

A shape gets a new number when code of the previous shape could not read it, or could not change it. A document in the
previous shape is read by a pure upcast, as events are, and written back in today's shape when an event next changes it.
A document in any other shape is refused; the error names the remedy, and the document is never half changed (ADR 25).
"""

from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

from azure.core.exceptions import ResourceNotFoundError

from shared.frame.messaging.retries import OfAnotherRelease
from shared.frame.read_side.container import Container, replaced, stored_document

FIRST = 1
"""The shape of a document that names none: it was written before shapes had numbers."""


class UnreadableShape(OfAnotherRelease):
    """A stored document is in a shape that this release cannot read: another release wrote it, or it is damaged."""


@dataclass(frozen=True, slots=True)
class Shapes:
    """The shapes of one kind of document.

    Attributes:
        what: names the kind, for people.
        today: the shape that is written.
        mend: the remedy for an unreadable document; a sentence.
        upcasts: by an old shape, the function that makes a document of the next shape of one. It leaves its argument
        unchanged.
    """

    what: str
    today: int
    mend: str
    upcasts: Mapping[int, Callable[[Mapping[str, Any]], dict[str, Any]]] = field(default_factory=dict)

    @property
    def condition(self) -> str:
        """The condition that a document `c` is in today's shape, in Cosmos SQL."""
        return f"c.shape = {self.today}"

    def read(self, stored: Mapping[str, Any]) -> Mapping[str, Any]:
        """Give a document in today's shape; the same object if it is in that already.

        Raises:
            UnreadableShape: its shape cannot be read.
        """
        shape, document = stored.get("shape", FIRST), stored
        try:
            while shape != self.today:
                document = {**self.upcasts[shape](document), "shape": shape + 1}
                shape += 1
        except (KeyError, TypeError, ValueError, AttributeError):  # an unknown shape, or content that does not fit it
            raise self.unreadable(stored.get("shape", FIRST)) from None
        return document

    def check_part(self, stored: Mapping[str, Any]) -> Mapping[str, Any]:
        """Give a part of a document as it is stored: an upcast is of whole documents. The part has the shape with it.

        So a query selects only what looks the same in each shape that is read, and a test compares both.

        Raises:
            UnreadableShape: its shape cannot be read.
        """
        shape = stored.get("shape", FIRST)
        if shape not in [*self.upcasts, self.today]:
            raise self.unreadable(shape)
        return stored

    def unreadable(self, shape: object) -> UnreadableShape:
        """Say that what is stored cannot be read."""
        read = " and ".join(map(str, [*sorted(self.upcasts), self.today]))
        return UnreadableShape(f"{self.what} is in shape {shape}, and this release reads {read}. {self.mend}")

    def reads(self, stored: Mapping[str, Any]) -> bool:
        """Tell whether a document can be read."""
        try:
            self.read(stored)
        except UnreadableShape:
            return False
        return True

    async def read_migrated(
        self, container: Container, document_id: str, partition_key: str
    ) -> Mapping[str, Any] | None:
        """Read a document, which is stored in today's shape by then; None if there is none.

        Raises:
            UnreadableShape: it is in a shape that cannot be read; it stays as it is.
            ResourceNotFoundError: the container is missing.
        """
        while (before := await stored_document(container, document_id, partition_key)) is not None:
            today = self.read(before)
            if today is before:
                break
            with suppress(ResourceNotFoundError):  # somebody deletes it
                await replaced(container, dict(today), before)  # or the loop reads a concurrent change
        return before
