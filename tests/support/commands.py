"""Commands as tests give them to the write side, with a key or many at once, and what they leave in the tables."""

import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager
from unittest import mock
from uuid import uuid4

import pytest
import sqlalchemy as sa

from shared.frame.messaging.envelope import Metadata
from shared.frame.sql.errors import OutOfTime
from shared.frame.write_side.unit_of_work import UnitOfWork
from shared.ordering.commands.create_order import CreateOrder, Item
from shared.ordering.tables import LOG, ORDER_LINES, ORDERS
from tests.support.shop import SHIPPING, Shop, rows


def keyed(key: str, content: bytes = b"same") -> Metadata:
    """What comes with a command of this idempotency key, whose content has this fingerprint."""
    return Metadata(command_id=key, fingerprint=content.ljust(32))


def everything(shop: Shop) -> list[list[dict[str, object]]]:
    """Orders, their lines and their log."""
    return [rows(shop.ordering_engine, table) for table in (ORDERS, ORDER_LINES, LOG.table)]


def create(shop: Shop) -> CreateOrder:
    """Order something new for somebody new."""
    item = Item(product_id=shop.product(), quantity=2)
    return CreateOrder(order_id=uuid4(), customer_id=shop.customer(), items=[item], shipping_address=SHIPPING)


def answers_lost() -> AbstractContextManager[object]:
    """Let each commit be made, and its answer be lost."""
    real = UnitOfWork.commit

    def commit(work: UnitOfWork) -> None:
        real(work)
        raise sa.exc.OperationalError("COMMIT", {}, Exception("08S01", "[08S01] Communication link failure"))

    return mock.patch.object(UnitOfWork, "commit", commit)


def database_away() -> AbstractContextManager[object]:
    """Let no commit have an answer in time."""
    return mock.patch.object(UnitOfWork, "commit", side_effect=OutOfTime)


def told_in_one_line(caplog: pytest.LogCaptureFixture, words: str) -> bool:
    """Whether what failed with these words is told without tracebacks: nobody needs one of a database that is away."""
    told = [record for record in caplog.records if words in record.getMessage()]
    assert told
    return all(record.exc_info is None and "\n" not in record.getMessage() for record in told)


def at_once[Result](count: int, act: Callable[[int], Result]) -> list[Result]:
    """Do something in that many threads, which start together."""
    barrier = threading.Barrier(count)

    def start(number: int) -> Result:
        barrier.wait()
        return act(number)

    with ThreadPoolExecutor(count) as pool:
        return list(pool.map(start, range(count)))
