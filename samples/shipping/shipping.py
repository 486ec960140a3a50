"""Keeps the list of orders to be packed: a program of another system, which knows Tandem by its events alone.

    SERVICEBUS_CONNECTION='Endpoint=sb://...' python shipping.py shipping.db          # on a laptop
    SERVICEBUS_NAMESPACE=NAME.servicebus.windows.net python shipping.py shipping.db   # in Azure, as an identity

What to pack, and where it goes, it would ask the API for: GET /orders/{orderId}, with the role Orders.Read. An event
may come twice, and a dead letter that somebody sends again comes after later events of its order. So of a confirmation
and a cancellation the later one counts, by the time at which each happened: a confirmation brings no cancelled order
back, unless the order was confirmed anew after the shop's database was restored.
"""

import json
import logging
import os
import sqlite3
import sys
from contextlib import ExitStack, closing
from typing import Any

from azure.servicebus import NEXT_AVAILABLE_SESSION, ServiceBusClient
from azure.servicebus.exceptions import OperationTimeoutError

TOPIC, SUBSCRIPTION = "order-events", "shipping"
IDLE = 2.0
"""Seconds without a message after which an order's session is left for the next order's."""

TABLE = """
CREATE TABLE IF NOT EXISTS to_pack (
    order_id TEXT PRIMARY KEY, customer_id TEXT NOT NULL, confirmed_at TEXT NOT NULL, packed_at TEXT,
    cancelled_at TEXT);
"""

logger = logging.getLogger("shipping")


def main(path: str) -> None:
    """Take in what comes, until the process is ended; it may be killed at any moment."""
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    logging.getLogger("azure").setLevel(logging.ERROR)
    with closing(sqlite3.connect(path)) as orders, ExitStack() as open_:
        client = connected(open_)
        orders.executescript(TABLE)
        logger.info("shipping listens")
        while True:
            take_one_order(client, orders)


def connected(open_: ExitStack) -> ServiceBusClient:
    """Connect: as an identity where a namespace is named, for Azure takes no keys; else by a connection string."""
    namespace = os.environ.get("SERVICEBUS_NAMESPACE")
    if namespace is None:
        client = ServiceBusClient.from_connection_string(os.environ["SERVICEBUS_CONNECTION"])
    else:
        from azure.identity import DefaultAzureCredential  # noqa: PLC0415  # a laptop does without the package

        client = ServiceBusClient(namespace, open_.enter_context(DefaultAzureCredential()))
    return open_.enter_context(client)


def take_one_order(client: ServiceBusClient, orders: sqlite3.Connection) -> None:
    """Take in the events of the next order that has some: commit, and then acknowledge."""
    try:
        with client.get_subscription_receiver(
            TOPIC, SUBSCRIPTION, session_id=NEXT_AVAILABLE_SESSION, max_wait_time=IDLE
        ) as receiver:
            for message in receiver:
                try:
                    event = json.loads(b"".join(message.body))
                    record(event, orders)
                except (ValueError, KeyError, TypeError) as error:
                    receiver.dead_letter_message(message, reason="Unreadable", error_description=type(error).__name__)
                    continue
                receiver.complete_message(message)
                logger.info("%s of order %s", event["type"], event["subject"])
    except OperationTimeoutError:
        return  # no order has any


def record(event: dict[str, Any], orders: sqlite3.Connection) -> None:
    """Write what an event means onto the list."""
    data = event["data"]
    with orders:  # one transaction
        match event["type"]:
            case "OrderConfirmedV1":
                row = (data["orderId"], data["customerId"], event["time"])
                orders.execute(
                    "INSERT INTO to_pack VALUES (?1, ?2, ?3, NULL, NULL) ON CONFLICT (order_id) DO UPDATE "
                    "SET confirmed_at = ?3, packed_at = NULL, cancelled_at = NULL WHERE cancelled_at < ?3",
                    row,
                )
            case "OrderCancelledV1":
                # one that is packed comes back; one whose confirmation has not come must not be packed when it comes
                row = (data["orderId"], data["customerId"], event["time"])
                orders.execute(
                    "INSERT INTO to_pack VALUES (?1, ?2, '', NULL, ?3) "
                    "ON CONFLICT (order_id) DO UPDATE SET cancelled_at = ?3 WHERE confirmed_at <= ?3",
                    row,
                )
            case _:
                pass  # a rule lets more in than this release knows


if __name__ == "__main__":
    main(*sys.argv[1:])
