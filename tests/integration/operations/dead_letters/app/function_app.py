"""Operations of two consumers of one topic: one fails as long as the file BROKEN says that it shall, one never does."""

import json
import os
from pathlib import Path

import azure.functions as func

from shared.catalog.tables import EVERY_TABLE, LOG
from shared.frame.app import App
from shared.frame.context import Context
from shared.frame.http.declared import declared
from shared.frame.messaging import retries
from shared.frame.messaging.envelope import Envelope
from shared.frame.messaging.subscriptions import Consumer
from shared.frame.operations.functions import operations
from shared.frame.platform.settings import Settings
from shared.frame.read_side.cosmos import CosmosDatabase

retries.LONGEST_PAUSE = 0.01  # seconds between two of the ten deliveries, which take half a minute else
settings = Settings.from_environment()
wired = App(settings, CosmosDatabase(settings))
context = Context(wired, "catalog", LOG, "product-events", EVERY_TABLE)


def _note(consumer: str, envelope: Envelope) -> None:
    line = {"consumer": consumer, "id": str(envelope.event_id), "version": envelope.version}
    with Path(os.environ["RECORD"]).open("a") as record:
        record.write(json.dumps(line) + "\n")


def _refuse_broken(envelope: Envelope) -> None:
    if str(envelope.aggregate_id) in Path(os.environ["BROKEN"]).read_text():
        raise LookupError(f"{envelope.aggregate_id} is broken")


async def frail(envelope: Envelope) -> None:
    """Take an event in, unless it is broken."""
    _refuse_broken(envelope)
    _note("frail", envelope)


async def sound(envelope: Envelope) -> None:
    """Take every event in."""
    _note("sound", envelope)


context.consumers += [
    Consumer("frail", "product-events", "ordering", frail),
    Consumer("sound", "product-events", "product-views", sound),
]
app = func.FunctionApp(http_auth_level=func.AuthLevel.ANONYMOUS)
for api in (declared(context), operations(wired, [context])):
    app.register_functions(api.blueprint)
