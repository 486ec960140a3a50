"""Checks that a view has any documents at all: an empty store would answer every query with "there is none"."""

import asyncio

from azure.core.exceptions import ResourceNotFoundError

from shared.frame.read_side.container import Container
from shared.frame.read_side.read_model import View
from shared.frame.read_side.read_your_writes import Document
from shared.frame.read_side.shape import UnreadableShape

SECOND_LOOK = 1.0
"""Seconds after which a view that shows nothing is looked at again: its first document may be on its way."""

LOOKED_AT = 20
"""Documents whose shape is checked: a release that leaves other shapes leaves many."""


async def wrong_with(view: View) -> list[str]:
    """Describe the faults of a view as a whole, each with its remedy; nothing if there are none."""
    try:
        served = await view.generations.served()
        documents = await _first_documents(served.container)
        if not documents and await view.source.has_something_to_show():
            await asyncio.sleep(SECOND_LOOK)
            documents = await _first_documents(served.container)
            if not documents:
                return [
                    f"{view.name}: generation {served.generation}, which serves, is empty, and the event log is not. "
                    + anew(view)
                ]
        for document in documents:
            view.source.shapes_of(document).read(document)
    except UnreadableShape as error:
        return [f"{view.name}: {error}"]
    except ResourceNotFoundError:
        make = "infra/deploy.sh ENVIRONMENT infrastructure; on a laptop, start again"
        return [f"{view.name}: the container that serves is missing. Make it: {make}. {anew(view)}"]
    return []


async def is_empty(view: View, container: Container) -> bool:
    """Tell whether a container of a view has no document, and should have some.

    Raises:
        ResourceNotFoundError: there is no such container.
    """
    return not await _first_documents(container) and await view.source.has_something_to_show()


def anew(view: View) -> str:
    """Tell people how a view is made anew."""
    return (
        f"Then make the view anew: python3 dev.py rebuild {view.name} (POST /api/ops/projections/{view.name}/rebuild)"
    )


async def _first_documents(container: Container) -> list[Document]:
    found: list[Document] = []
    async for document in container.query_items_change_feed(start_time="Beginning", max_item_count=LOOKED_AT):
        found.append(document)
        if len(found) == LOOKED_AT:
            break
    return found
