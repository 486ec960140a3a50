"""One process of the function app: what it has in memory, and loses when it dies."""

from collections.abc import Awaitable, Callable, Mapping
from typing import cast

import sqlalchemy as sa

from shared.frame.messaging.envelope import Envelope
from shared.frame.operations.rebuilding import Rebuilding
from shared.frame.read_side.cosmos import CosmosDatabase
from shared.frame.read_side.generations import Generations
from tests.simulation.provider import SETTINGS
from tests.simulation.read_models import FaultyReadModels
from tests.simulation.scheduler import Scheduler
from tests.support.jobs import do
from tests.support.wiring import Wiring, contexts

SKEW = 0.5
"""Seconds by which a process's clock may be wrong when it keeps appointments."""


class Process:
    """Wired up as the contexts declare themselves.

    Attributes:
        orders: the generations of the orders, as this process knows them.
        products: those of the products.
        consumers: what it does with a message of each subscription, by topic and subscription.
        hear: takes a webhook of the payment provider in.
        rebuildings: how it rebuilds each view.
        wired: the contexts, by their names.
    """

    def __init__(self, scheduler: Scheduler, models: FaultyReadModels, engines: Mapping[str, sa.Engine]) -> None:
        skew = scheduler.random.uniform(-SKEW, SKEW)

        def clock() -> float:
            return scheduler.now.timestamp() + skew

        cosmos = cast("CosmosDatabase", models)
        wiring = Wiring(
            engines,
            lambda view, container: Generations(cosmos, view, container, clock),
            committed=lambda _: lambda: None,
            environment=SETTINGS,
        )
        self.wired = contexts(wiring)
        wired = self.wired.values()
        self.consumers: dict[str, Callable[[Envelope], Awaitable[None]]] = {
            f"{consumer.topic}/{consumer.subscription}": consumer.consume
            for context in wired
            for consumer in context.consumers
        }
        [webhook] = self.wired["payments"].webhooks
        self.hear = webhook.receive
        views = {name: model.view for context in wired for name, model in context.read_models.items()}
        self.orders, self.products = views["orders"].generations, views["products"].generations
        self.rebuildings = {name: Rebuilding(cosmos, view, clock) for name, view in views.items()}

    async def look_after_payments(self) -> None:
        """Do what its timer does."""
        await do(self.wired["payments"], "look_after_payments")

    def rebuildings_of(self, context: str) -> Mapping[str, Rebuilding]:
        """How it rebuilds the views of one context."""
        return {name: self.rebuildings[name] for name in self.wired[context].read_models}
