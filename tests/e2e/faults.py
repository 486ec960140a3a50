"""What goes wrong in a running stack."""

import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager

from tests.e2e.test_poison import orders_container
from tests.support.stack import Stack


@contextmanager
def stopped(stack: Stack, name: str) -> Iterator[None]:
    """Stop a process for a while: it neither answers nor hangs up."""
    pid = stack.pids[name]
    os.kill(pid, signal.SIGSTOP)
    try:
        yield
    finally:
        os.kill(pid, signal.SIGCONT)


def damage(stack: Stack, order_id: str, customer_id: str, **properties: object) -> None:
    """Change an order's document, as nobody should."""
    with orders_container(stack) as documents:
        documents.replace_item(order_id, documents.read_item(order_id, customer_id) | properties)
