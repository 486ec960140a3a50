"""Writes an invoice for every confirmed order and a credit for every refund; a cancelled order's invoice is void.

It is a program of another system, which knows Tandem by its events alone.

    SERVICEBUS_CONNECTION='Endpoint=sb://...' python billing.py billing.db          # on a laptop
    SERVICEBUS_NAMESPACE=NAME.servicebus.windows.net python billing.py billing.db   # in Azure, as an identity

Two topics are two subscriptions. Each has an order's events in their order; between the two there is none, so a credit
needs no invoice to be there. It does not hear of captures: the refund of a cancelled order is a credit beside a void
invoice. Whoever keeps such books for good would take `PaymentCapturedV1` as well.

An event may come twice: after a crash between this program's commit and its acknowledgement, say. So the event's id is
noted in the transaction that writes what it means, and an event that is noted changes nothing again. A dead letter that
somebody sends again comes after later events of its order. So cancellations are noted too, and of a confirmation and a
cancellation the later one counts, by the time at which each happened. An order that is confirmed by a second event was
confirmed anew after the shop's database was restored: that invoice takes the place of the one before.
"""

import asyncio
import json
import logging
import os
import sqlite3
import sys
from contextlib import AsyncExitStack, closing
from typing import Any

from azure.servicebus import NEXT_AVAILABLE_SESSION, ServiceBusReceivedMessage
from azure.servicebus.aio import ServiceBusClient, ServiceBusReceiver
from azure.servicebus.exceptions import OperationTimeoutError

TOPICS, SUBSCRIPTION = ("order-events", "payment-events"), "billing"
IDLE = 2.0
"""Seconds without a message after which an order's session is left for the next order's."""

TABLES = """
CREATE TABLE IF NOT EXISTS seen (event_id TEXT PRIMARY KEY);
CREATE TABLE IF NOT EXISTS invoices (
    order_id TEXT PRIMARY KEY, customer_id TEXT NOT NULL, amount TEXT NOT NULL, currency TEXT NOT NULL,
    void INTEGER NOT NULL DEFAULT 0);
CREATE TABLE IF NOT EXISTS latest (
    order_id TEXT PRIMARY KEY, confirmed_at TEXT NOT NULL DEFAULT '', cancelled_at TEXT NOT NULL DEFAULT '');
CREATE TABLE IF NOT EXISTS credits (
    refund_id TEXT PRIMARY KEY, order_id TEXT NOT NULL, amount TEXT NOT NULL, currency TEXT NOT NULL);
"""

VOID = """
UPDATE invoices SET void = cancelled_at >= confirmed_at FROM latest
WHERE invoices.order_id = ? AND latest.order_id = invoices.order_id"""

logger = logging.getLogger("billing")


async def main(path: str) -> None:
    """Take in what comes, until the process is ended; it may be killed at any moment."""
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    logging.getLogger("azure").setLevel(logging.ERROR)
    with closing(sqlite3.connect(path)) as books:
        books.executescript(TABLES)
        async with AsyncExitStack() as open_:
            client = await connected(open_)
            async with asyncio.TaskGroup() as listening:  # an error in one ends the other, and the program
                for topic in TOPICS:
                    listening.create_task(listen(topic, client, books))
                logger.info("billing listens")


async def connected(open_: AsyncExitStack) -> ServiceBusClient:
    """Connect: as an identity where a namespace is named, for Azure takes no keys; else by a connection string."""
    namespace = os.environ.get("SERVICEBUS_NAMESPACE")
    if namespace is None:
        client = ServiceBusClient.from_connection_string(os.environ["SERVICEBUS_CONNECTION"])
    else:
        from azure.identity.aio import DefaultAzureCredential  # noqa: PLC0415  # a laptop does without the package

        client = ServiceBusClient(namespace, await open_.enter_async_context(DefaultAzureCredential()))
    return await open_.enter_async_context(client)


async def listen(topic: str, client: ServiceBusClient, books: sqlite3.Connection) -> None:
    """Take in a topic's events; those of one order come in the order in which they happened."""
    while True:
        try:
            async with client.get_subscription_receiver(
                topic, SUBSCRIPTION, session_id=NEXT_AVAILABLE_SESSION, max_wait_time=IDLE
            ) as receiver:
                async for message in receiver:
                    await take_in(message, receiver, books)
        except OperationTimeoutError:
            continue  # no order has any


async def take_in(message: ServiceBusReceivedMessage, receiver: ServiceBusReceiver, books: sqlite3.Connection) -> None:
    """Commit, and then acknowledge; the other way round, a crash between the two would lose the event."""
    try:
        event = json.loads(b"".join(message.body))
        changed = record(event, books)
    except (ValueError, KeyError, TypeError) as error:
        # what cannot be read now cannot be read later: a person has to look, and the order's other events go on
        await receiver.dead_letter_message(message, reason="Unreadable", error_description=type(error).__name__)
        return
    await receiver.complete_message(message)
    logger.info("%s of order %s%s", event["type"], event["subject"], "" if changed else ", again")


def record(event: dict[str, Any], books: sqlite3.Connection) -> bool:
    """Write what an event means into the books, once; False if it was there."""
    data = event["data"]
    with books:  # one transaction
        if not books.execute("INSERT OR IGNORE INTO seen VALUES (?)", (event["id"],)).rowcount:
            return False
        match event["type"]:
            case "OrderConfirmedV1":
                # an amount is text, so that nobody makes a binary fraction of it
                row = (data["orderId"], data["customerId"], data["total"], data["currency"])
                if _is_latest("confirmed_at", event, books):
                    books.execute("INSERT OR REPLACE INTO invoices VALUES (?, ?, ?, ?, 0)", row)
                    books.execute(VOID, (data["orderId"],))
            case "OrderCancelledV1":
                # one whose confirmation has not come has no invoice yet
                if _is_latest("cancelled_at", event, books):
                    books.execute(VOID, (data["orderId"],))
            case "PaymentRefundedV1":
                row = (data["refundId"], data["orderId"], data["amount"], data["currency"])
                books.execute("INSERT OR REPLACE INTO credits VALUES (?, ?, ?, ?)", row)
            case _:
                pass  # a rule lets more in than this release knows
    return True


def _is_latest(what: str, event: dict[str, Any], books: sqlite3.Connection) -> bool:
    """Note when an order was confirmed or cancelled, unless that is known to have happened later."""
    noting = (
        f"INSERT INTO latest (order_id, {what}) VALUES (?1, ?2) "  # noqa: S608  # a column of ours
        f"ON CONFLICT (order_id) DO UPDATE SET {what} = ?2 WHERE {what} <= ?2"
    )
    return books.execute(noting, (event["data"]["orderId"], event["time"])).rowcount == 1


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
