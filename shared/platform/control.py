"""Small documents that steer a view, or tell of it: one container for all, partitioned by the view's name."""

from collections.abc import Mapping
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any

from azure.core import MatchConditions
from azure.core.exceptions import HttpResponseError

from shared.kernel.refusals import Refusal
from shared.platform.cosmos import ReadModels
from shared.platform.reading import Document, point_read

CONTROL = "operations"
"""The container."""

_RACES = frozenset({HTTPStatus.CONFLICT, HTTPStatus.PRECONDITION_FAILED})


class ControlChanged(Refusal):
    """Somebody else changed the document at the same time; look again."""

    code = "changed-meanwhile"


@dataclass(frozen=True, slots=True)
class ControlDocument:
    """One document of one view."""

    read_models: ReadModels
    view: str
    name: str

    async def read(self) -> Document | None:
        """Read it, with its `_etag`; None while there is none."""
        return await point_read(self.read_models.container(CONTROL), self.name, self.view)

    async def write(self, content: Mapping[str, Any], etag: str | None) -> str:
        """Replace what was read, or create it if there was nothing; give its new etag.

        Raises:
            ControlChanged: it is no longer what was read.
        """
        container = self.read_models.container(CONTROL)
        document = {"id": self.name, "view": self.view, **content}
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
