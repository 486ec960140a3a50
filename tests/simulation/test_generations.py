"""What the switch of a view relies on, at moments that are chosen: by chance they are rare."""

from datetime import timedelta

import sqlalchemy as sa

from shared.platform.generations import Generations, State
from tests.simulation.process import Process
from tests.simulation.read_models import FaultyReadModels
from tests.simulation.scheduler import Scheduler


async def test_the_generation_that_takes_over_is_written_first_before_the_switch_and_after() -> None:
    scheduler = Scheduler(seed=1, fault_rate=0)
    models = FaultyReadModels(scheduler)

    def orders() -> Generations:
        """As a process knows them that has just started."""
        return Process(scheduler, models, dict.fromkeys(("ordering", "catalog"), sa.create_engine("sqlite://"))).orders

    first, second = orders().container(1), orders().container(2)
    await orders().write(State(serving=1, standby=2))
    assert await orders().written() == [second, first]
    assert (await orders().served()).generation == 1

    switch = await orders().agree_on_switch(await orders().read())
    assert await orders().written() == [second, first]
    scheduler.now += timedelta(seconds=switch - scheduler.now.timestamp() + 5)
    assert (await orders().served()).generation == 2
    assert await orders().written() == [second, first]

    await orders().agree_on_switch(await orders().read())
    assert await orders().written() == [first, second]
    assert (await orders().served()).generation == 2
