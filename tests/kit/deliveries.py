"""A read model under a broker's faults: events that come twice, in another order, or never."""

import random
from typing import Any

import sqlalchemy as sa
from azure.cosmos.aio import ContainerProxy

from shared.frame.context import Context
from shared.frame.messaging.envelope import Recorded
from shared.frame.write_side.event_log import envelope_of

ROUNDS = 3
"""Orders of delivery that are tried; the documents stay from one to the next."""


async def shown_whatever_happens(
    context: Context[Any], view: str, container: ContainerProxy, chance: random.Random
) -> None:
    """Deliver all that a context's log has in odd ways: what a view shows is what its log says.

    The last event of all is lost at first: the comparison has to see it, and healing has to mend it.
    """
    model = context.read_models[view]
    events = _all_events(context)
    assert len(events) > 1, "there is nothing to deliver in odd ways"
    *others, lost = events
    for _ in range(ROUNDS):
        for event in chance.sample(others * 2, len(others) * 2):
            await model.projection.project(event)
    source = model.view.source
    partitions = await source.sample(len(events))
    wrong = {each.compared for key in partitions for each in await source.differences(container, key)}
    assert wrong, f"{lost.envelope.type} was never delivered, and nobody noticed"
    for key in wrong:
        await source.heal(container, key)
    await model.projection.project(lost)
    assert [each for key in partitions for each in await source.differences(container, key)] == []


def _all_events(context: Context[Any]) -> list[Recorded[Any]]:
    table = context.log.table
    with context.engine.connect() as connection:
        rows = connection.execute(sa.select(table).order_by(table.c.sequence)).all()
    return [context.log.codec.open(envelope_of(row)) for row in rows]
