"""Service Bus functions that note what reaches them in the file named by RECORD."""

import asyncio
import json
import os
import time
from pathlib import Path
from typing import Any

import azure.functions as func

app = func.FunctionApp()


def _note(function: str, msg: func.ServiceBusMessage, **more: Any) -> None:
    line = {"function": function, "session": msg.session_id, "id": msg.message_id, "at": time.time(), **more}
    with Path(os.environ["RECORD"]).open("a") as record:
        record.write(json.dumps(line) + "\n")


def _may_go() -> bool:
    return os.access(os.environ["GO"], os.F_OK)


@app.service_bus_topic_trigger(
    arg_name="msg",
    topic_name="%TOPIC%",
    subscription_name="by-session",
    connection="BUS",
    is_sessions_enabled=True,
    data_type=func.DataType.BINARY,
)
async def by_session(msg: func.ServiceBusMessage, context: func.Context) -> None:
    """Do what the body says: wait so many seconds, wait for the file GO, fail so many times, end the process once."""
    order = json.loads(msg.get_body())
    _note("by_session", msg, what="begins", n=order.get("n"), attempt=msg.delivery_count, process=os.getpid())
    if order.get("crash") and msg.delivery_count == 1:
        os._exit(3)
    await asyncio.sleep(order.get("seconds", 0))
    while order.get("hold") and not _may_go():  # noqa: ASYNC110 -- set by another process
        await asyncio.sleep(0.005)
    if (msg.delivery_count or 0) <= order.get("failures", 0):
        raise LookupError(f"attempt {msg.delivery_count} fails on purpose")
    _note("by_session", msg, what="ends", n=order.get("n"), traceparent=context.trace_context.trace_parent)


@app.service_bus_queue_trigger(arg_name="msg", queue_name="work", connection="BUS", data_type=func.DataType.BINARY)
def from_queue(msg: func.ServiceBusMessage) -> None:
    """Block a thread for as many seconds as the body says, or until there is the file GO."""
    body = msg.get_body() or b"0"
    _note("from_queue", msg, what="begins", attempt=msg.delivery_count)
    if body == b"hold":
        while not _may_go():
            time.sleep(0.005)
    else:
        time.sleep(float(body))
    _note("from_queue", msg, what="ends", attempt=msg.delivery_count)


@app.service_bus_queue_trigger(arg_name="msg", queue_name="texts", connection="BUS")
async def as_text(msg: func.ServiceBusMessage) -> None:
    """Note everything that the worker made of a message."""
    metadata = {name: value for name, value in (msg.metadata or {}).items() if name != "LockToken"}
    _note(
        "as_text",
        msg,
        body=msg.get_body().decode(),
        metadata=metadata,
        properties=msg.application_properties,
        enqueued=str(msg.enqueued_time_utc),
        expires=str(msg.expires_at_utc),
        lock_token=msg.lock_token,
    )


@app.service_bus_queue_trigger(arg_name="msg", queue_name="bytes", connection="BUS", data_type=func.DataType.BINARY)
async def as_bytes(msg: func.ServiceBusMessage) -> None:
    _note("as_bytes", msg, body=msg.get_body().hex(), sequence_number=msg.sequence_number)
