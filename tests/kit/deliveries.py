"""A read model under a broker's faults: events that come twice, in another order, or never."""

import random
from typing import Any

import sqlalchemy as sa
from azure.cosmos.aio import ContainerProxy

from shared.frame.context import Context
from shared.frame.messaging.envelope import Recorded
from shared.frame.write_side.log_table import envelope_of

ROUNDS = 3
"""Orders of delivery that are tried; the documents stay from one to the next."""

LACKING = {"behind", "missing"}
"""What a document may be that lacks an event. Whatever else is wrong with it, was wrong before."""


async def shown_whatever_happens(
    context: Context[Any], view: str, container: ContainerProxy, chance: random.Random
) -> None:
    """Deliver all that a context's log has in odd ways: what a view shows is what its log says.

    The last event of all is lost at first: the comparison has to see that in its partition and nothing anywhere else,
    and healing has to mend it.
    """
    model = context.read_models[view]
    events = _all_events(context)
    assert len(events) > 1, "there is nothing to deliver in odd ways"
    *others, lost = events
    for _ in range(ROUNDS):
        for event in chance.sample(others * 2, len(others) * 2):
            await model.projection.project(event)
    source = model.view.source
    home = await source.partition_of(lost.envelope.aggregate_id)
    assert home is not None, f"nothing shows {lost.envelope.aggregate_id}"
    partitions = {*await source.sample(len(events)), home}
    found = [each for key in partitions for each in await source.differences(container, key)]
    assert found, f"{lost.envelope.type} was never delivered, and nobody noticed"
    spoiled = [each for each in found if each.partition_key != home or each.what not in LACKING]
    assert not spoiled, f"more is wrong than that {lost.envelope.type} in {home} was never delivered: {spoiled}"
    await source.heal(container, home)
    await model.projection.project(lost)
    assert [each for key in partitions for each in await source.differences(container, key)] == []


def _all_events(context: Context[Any]) -> list[Recorded[Any]]:
    table = context.log.table
    with context.engine.connect() as connection:
        rows = connection.execute(sa.select(table).order_by(table.c.sequence)).all()
    return [context.log.codec.open(envelope_of(row)) for row in rows]
