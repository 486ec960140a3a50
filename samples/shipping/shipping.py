"""Keeps the list of orders to be packed: a program of another system, which knows Tandem by its events alone.

    SERVICEBUS_CONNECTION='Endpoint=sb://...' python shipping.py shipping.db

What to pack, and where it goes, it would ask the API for: GET /orders/{orderId}, with the role Orders.Read. An order is
confirmed once, so the order's id itself tells that an event was taken in before.
"""

import json
import logging
import os
import sqlite3
import sys
from contextlib import closing

from azure.servicebus import NEXT_AVAILABLE_SESSION, ServiceBusClient
from azure.servicebus.exceptions import OperationTimeoutError

TOPIC, SUBSCRIPTION = "order-events", "shipping"
IDLE = 2.0
"""Seconds without a message after which an order's session is left for the next order's."""

TABLE = """
CREATE TABLE IF NOT EXISTS to_pack (
    order_id TEXT PRIMARY KEY, customer_id TEXT NOT NULL, confirmed_at TEXT NOT NULL, packed_at TEXT);
"""

logger = logging.getLogger("shipping")


def main(path: str) -> None:
    """Take in what comes, until the process is ended; it may be killed at any moment."""
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    logging.getLogger("azure").setLevel(logging.ERROR)
    with (
        closing(sqlite3.connect(path)) as orders,
        ServiceBusClient.from_connection_string(os.environ["SERVICEBUS_CONNECTION"]) as client,
    ):
        orders.executescript(TABLE)
        logger.info("shipping listens")
        while True:
            take_one_order(client, orders)


def take_one_order(client: ServiceBusClient, orders: sqlite3.Connection) -> None:
    """Take in the events of the next order that has some: commit, and then acknowledge."""
    try:
        with client.get_subscription_receiver(
            TOPIC, SUBSCRIPTION, session_id=NEXT_AVAILABLE_SESSION, max_wait_time=IDLE
        ) as receiver:
            for message in receiver:
                try:
                    event = json.loads(b"".join(message.body))
                    data = event["data"]
                    row = (data["orderId"], data["customerId"], event["time"])
                except (ValueError, KeyError, TypeError) as error:
                    receiver.dead_letter_message(message, reason="Unreadable", error_description=type(error).__name__)
                    continue
                with orders:
                    orders.execute("INSERT OR IGNORE INTO to_pack VALUES (?, ?, ?, NULL)", row)
                receiver.complete_message(message)
                logger.info("%s of order %s", event["type"], event["subject"])
    except OperationTimeoutError:
        return  # no order has any


if __name__ == "__main__":
    main(*sys.argv[1:])
