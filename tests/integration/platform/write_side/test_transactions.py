"""A command is one transaction: it is done as a whole, or nothing has changed and nobody is told."""

import time

import pytest
import sqlalchemy as sa

from shared.frame.messaging.envelope import Accepted, Metadata
from shared.frame.sql.errors import TRANSIENT
from shared.frame.write_side.commands import DEADLINE, WriteSide
from shared.frame.write_side.unit_of_work import UnitOfWork
from shared.kernel.refusals import StaleVersion
from shared.ordering.commands.create_order import create_order
from shared.ordering.commands.submit_order import SubmitOrder, submit_order
from shared.ordering.domain.errors import OrderAlreadyExists, OrderIsEmpty
from shared.ordering.fulfilment.repository import Fulfilments
from shared.ordering.reference_data import RENAME_PRODUCT
from shared.ordering.repository import Orders
from shared.ordering.tables import LOG, ORDERS
from tests.support.commands import answers_lost, create, everything, keyed
from tests.support.shop import Shop, rows


def test_a_command_that_is_accepted_tells_its_version_and_wakes_the_publisher_once(shop: Shop) -> None:
    command = create(shop)
    before = shop.commits.count
    assert shop.ordering.run(create_order, command, Metadata()) == Accepted(command.order_id, 1)
    assert shop.commits.count == before + 1


def test_a_refused_command_changes_nothing_and_wakes_nobody(shop: Shop) -> None:
    order_id = shop.order()
    before, commits = everything(shop), shop.commits.count
    with pytest.raises(OrderIsEmpty):
        shop.ordering.run(submit_order, SubmitOrder(order_id=order_id), keyed("k"))
    assert everything(shop) == before
    assert shop.commits.count == commits


def test_a_value_that_a_statement_does_not_write_is_refused_not_lost(shop: Shop) -> None:
    """A column that is forgotten in a repository's UPDATE would keep its old value, and nobody would hear of it."""
    rename = {"id": shop.product(), "event_version": 2, "new_name": "Mug", "colour": "red"}
    with pytest.raises(ValueError, match=r"a write to ordering\.products leaves out colour"):
        UnitOfWork(shop.ordering_engine).write(RENAME_PRODUCT, [rename])


def test_the_publisher_is_woken_when_others_can_see_what_was_committed(shop: Shop) -> None:
    """One that is woken before finds nothing, and what was committed waits for the timer."""
    command, seen = create(shop), []

    def look() -> None:
        with shop.ordering_engine.connect() as connection:
            seen.append([recorded.envelope.version for recorded in LOG.history(connection, command.order_id)])

    WriteSide(shop.ordering_engine, LOG, committed=look).run(create_order, command, Metadata())
    assert seen == [[1]]


def test_the_publisher_is_woken_where_the_answer_to_a_commit_was_lost(
    shop: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The caller is told 503, and may not come again; the events are in the log, and the timer may come once a day."""
    monkeypatch.setattr("shared.frame.write_side.commands._again", lambda _: False)  # no time is left
    command, before = create(shop), shop.commits.count
    with answers_lost(), pytest.raises(sa.exc.OperationalError):
        shop.ordering.run(create_order, command, Metadata())
    assert rows(shop.ordering_engine, ORDERS)
    assert shop.commits.count > before


def test_a_command_that_fails_whatever_with_holds_up_no_other_on_the_same_order(shop: Shop) -> None:
    writes, order_id = WriteSide(shop.ordering_engine, LOG, committed=lambda: None), shop.order(shop.product())

    def failing(command: SubmitOrder, orders: Orders) -> Accepted:
        orders.load(command.order_id)
        raise RuntimeError("a bug")

    for _ in range(2):
        with pytest.raises(RuntimeError):
            writes.run(failing, SubmitOrder(order_id=order_id), Metadata())
    with pytest.raises(StaleVersion):
        writes.run(submit_order, SubmitOrder(order_id=order_id), Metadata(expected_versions={7}))
    began = time.monotonic()
    assert writes.run(submit_order, SubmitOrder(order_id=order_id), Metadata()) == Accepted(order_id, 2)
    assert time.monotonic() - began < DEADLINE / 2, "it stood in line behind somebody who had left"


def test_a_failure_after_the_save_undoes_it(shop: Shop) -> None:
    order_id = shop.order(shop.product())
    before = everything(shop)

    def failing(command: SubmitOrder, orders: Orders, fulfilments: Fulfilments) -> Accepted:
        submit_order(command, orders, fulfilments)
        raise RuntimeError("the process is dying")

    with pytest.raises(RuntimeError):
        shop.ordering.run(failing, SubmitOrder(order_id=order_id), Metadata())
    assert everything(shop) == before


def test_an_error_of_azure_sql_that_passes_undoes_the_transaction_and_another_one_is_tried(shop: Shop) -> None:
    product_id = shop.product()
    orders_by_number = {number: shop.order(product_id) for number in sorted(TRANSIENT)}
    failed: list[int] = []

    def failing_once(command: SubmitOrder, orders: Orders, fulfilments: Fulfilments) -> Accepted:
        accepted = submit_order(command, orders, fulfilments)
        [number] = [number for number, order_id in orders_by_number.items() if order_id == command.order_id]
        if number in failed:
            return accepted
        failed.append(number)
        raise sa.exc.DBAPIError("", {}, Exception("40001", f"[40001] [Microsoft]... ({number}) (SQLExecDirectW)"))

    for order_id in orders_by_number.values():
        assert shop.ordering.run(failing_once, SubmitOrder(order_id=order_id), Metadata()).version == 2
    assert failed == list(orders_by_number)


def test_an_id_is_taken_once(shop: Shop) -> None:
    command = create(shop)
    shop.ordering.run(create_order, command, Metadata())
    before = everything(shop)
    with pytest.raises(OrderAlreadyExists):
        shop.ordering.run(create_order, command, Metadata())
    assert everything(shop) == before
