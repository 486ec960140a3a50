"""Control documents: small documents that steer or describe a view. One container has all, by the view's name."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from http import HTTPStatus
from typing import Any

from azure.core import MatchConditions
from azure.core.exceptions import HttpResponseError

from shared.frame.read_side.cosmos import CosmosDatabase
from shared.frame.read_side.read_your_writes import Document, point_read
from shared.frame.read_side.shape import Shapes
from shared.kernel.refusals import Refusal

CONTROL = "operations"
"""The container."""

_RACES = frozenset({HTTPStatus.CONFLICT, HTTPStatus.PRECONDITION_FAILED})


class ControlChanged(Refusal):
    """Somebody else changed the document at the same time; look again."""

    code = "changed-meanwhile"


@dataclass(frozen=True, slots=True)
class ControlDocument[Content]:
    """One document of one view.

    Attributes:
        shapes: the document's shapes; VIEW in their remedy stands for the view's name.
        content: parses the document; raises KeyError, TypeError or ValueError if it does not fit.
    """

    cosmos: CosmosDatabase
    view: str
    name: str
    shapes: Shapes
    content: Callable[[Document], Content]

    async def read(self) -> Content | None:
        """Read and parse the document; None if there is none.

        Raises:
            UnreadableShape: another release wrote it, or it is damaged.
        """
        stored = await self.stored()
        return None if stored is None else self.parsed(stored)

    async def stored(self) -> Document | None:
        """Read the document as stored, with its `_etag`; None if there is none."""
        return await point_read(self.cosmos.container(CONTROL), self.name, self.view)

    def parsed(self, stored: Document) -> Content:
        """Parse a stored document.

        Raises:
            UnreadableShape: another release wrote it, or it is damaged.
        """
        shapes = replace(self.shapes, mend=self.shapes.mend.replace("VIEW", self.view))
        document = shapes.read(stored)
        try:
            return self.content(document)
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise shapes.unreadable(f"{document['shape']}, but damaged ({type(error).__name__})") from None

    async def write(self, content: Mapping[str, Any], etag: str | None) -> str:
        """Replace the document that was read, or create it if there was none; give its new etag.

        Raises:
            ControlChanged: the stored document is no longer the one that was read.
        """
        container = self.cosmos.container(CONTROL)
        document = {"id": self.name, "view": self.view, "shape": self.shapes.today, **content}
        try:
            if etag is None:
                written = await container.create_item(document)
            else:
                written = await container.replace_item(
                    self.name, document, etag=etag, match_condition=MatchConditions.IfNotModified
                )
        except HttpResponseError as error:
            if error.status_code not in _RACES:
                raise
            raise ControlChanged(f"Somebody else is changing {self.view} at this moment.") from error
        return str(written["_etag"])
