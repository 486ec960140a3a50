"""A command that has no time left neither waits nor tells what it has not seen."""

import time

import pytest

from shared.frame.messaging.envelope import Accepted, Metadata
from shared.frame.sql.errors import OutOfTime
from shared.frame.write_side.unit_of_work import CONNECTING, UnitOfWork
from shared.ordering.commands.submit_order import SubmitOrder, submit_order
from shared.ordering.fulfilment.repository import Fulfilments
from shared.ordering.repository import Orders
from tests.support.commands import everything
from tests.support.shop import Shop


def test_what_has_no_time_for_its_turn_to_write_does_not_wait_for_it(shop: Shop) -> None:
    order_id = shop.order(shop.product())
    order = Orders(UnitOfWork(shop.ordering_engine), Metadata()).load(order_id)
    order.submit()
    before = everything(shop)
    with UnitOfWork(shop.ordering_engine, until=time.monotonic() + CONNECTING - 0.1) as work:
        Orders(work, Metadata()).save(order)
        with pytest.raises(OutOfTime):
            work.commit()
    assert everything(shop) == before


def test_a_refusal_is_not_told_when_there_is_no_time_to_see_what_was_accepted(
    shop: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    order_id = shop.order()

    def late(command: SubmitOrder, orders: Orders, fulfilments: Fulfilments) -> Accepted:
        monkeypatch.setattr("shared.frame.write_side.unit_of_work.CONNECTING", 100)
        return submit_order(command, orders, fulfilments)

    monkeypatch.setattr(UnitOfWork, "stand_in_line", lambda *_: None)
    loaded = Orders(UnitOfWork(shop.ordering_engine), Metadata()).load(order_id)
    monkeypatch.setattr(Orders, "load", lambda *_: loaded)
    with pytest.raises(OutOfTime):
        shop.ordering.run(late, SubmitOrder(order_id=order_id), Metadata())
