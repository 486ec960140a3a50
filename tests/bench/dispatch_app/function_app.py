"""The function of the dispatch bench: it waits as long as a store takes, or projects orders for good, and notes when.

A line of RECORD says: when the message was sent, when it was done, and how many SQL statements and Cosmos requests this
process has made until then.
"""

import asyncio
import os
import time
from collections import Counter
from contextlib import ExitStack

import azure.functions as func

from shared.frame.messaging.wire import from_body
from shared.frame.platform.settings import Settings
from shared.frame.platform.time_formats import keep_time_formats, remember_times
from shared.frame.read_side.cosmos import CosmosDatabase
from shared.frame.read_side.projection import Projection
from shared.frame.sql.engines import sql_engine
from shared.ordering.events import OrderEvent
from shared.ordering.tables import CODEC, LOG
from shared.ordering.views import order_projection
from tests.support.containers import only
from tests.support.counting import counting_cosmos, counting_sql

app = func.FunctionApp()
keep_time_formats()  # as the real app does
remember_times()

_RECORD = os.open(os.environ["RECORD"], os.O_WRONLY | os.O_APPEND | os.O_CREAT)
_COUNTS: Counter[str] = Counter()
_counting = ExitStack()
_SECONDS = float(os.environ.get("SECONDS", "0"))
_models = CosmosDatabase(
    Settings(sql=os.environ["SQL"], cosmos=os.environ["COSMOS"], service_bus="", cosmos_database=os.environ["DATABASE"])
)


def _projection() -> Projection[OrderEvent]:
    engine = sql_engine(os.environ["SQL"], "ordering")
    _counting.enter_context(counting_sql(engine, _COUNTS))
    _counting.enter_context(counting_cosmos(_COUNTS))
    return Projection(
        only(_models.container("orders")), engine, LOG, order_projection.project, order_projection.reconsider
    )


_orders = None if _SECONDS else _projection()


@app.service_bus_topic_trigger(
    arg_name="message",
    topic_name="%TOPIC%",
    subscription_name="views",
    connection="BUS",
    is_sessions_enabled=os.environ["TOPIC"] == "sessions",
    data_type=func.DataType.BINARY,
)
async def take(message: func.ServiceBusMessage) -> None:
    """Take one event."""
    if _orders is None:
        await asyncio.sleep(_SECONDS)
    else:
        await _orders.project(CODEC.open(from_body(message.get_body())))
    sent = (message.application_properties or {})["sent"]
    line = f"{sent} {time.time()} {_COUNTS['sql_statements']} {_COUNTS['cosmos_requests']}\n"
    os.write(_RECORD, line.encode())
