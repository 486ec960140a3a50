"""A command is one transaction, carried out once however often it is asked for, and decided again after a lost race."""

import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from decimal import Decimal
from uuid import UUID, uuid4

import pytest
import sqlalchemy as sa
from stamina.instrumentation import get_on_retry_hooks, set_on_retry_hooks

from shared.catalog.commands.change_price import ChangePrice, change_price
from shared.catalog.commands.rename_product import RenameProduct, rename_product
from shared.customers.commands.rename_customer import RenameCustomer, rename_customer
from shared.frame.messaging.envelope import Accepted, Metadata
from shared.frame.sql.errors import TRANSIENT
from shared.frame.write_side import commands
from shared.frame.write_side.commands import DEADLINE, KeyReused, WriteSide
from shared.frame.write_side.unit_of_work import CONNECTING, LostRace, OutOfTime, UnitOfWork
from shared.kernel.refusals import StaleVersion
from shared.ordering.commands.add_item import AddItem, add_item
from shared.ordering.commands.cancel_order import CancelOrder, cancel_order
from shared.ordering.commands.create_order import CreateOrder, Item, create_order
from shared.ordering.commands.submit_order import SubmitOrder, submit_order
from shared.ordering.domain.errors import OrderAlreadyExists, OrderIsEmpty, OrderNotInStatus
from shared.ordering.events import OrderCreatedV1
from shared.ordering.fulfilments import Fulfilments
from shared.ordering.repository import Orders
from shared.ordering.tables import LOG, ORDER_LINES, ORDERS
from tests.support.shop import SHIPPING, Shop, rows


def keyed(key: str, content: bytes = b"same") -> Metadata:
    return Metadata(command_id=key, fingerprint=content.ljust(32))


def everything(shop: Shop) -> list[list[dict[str, object]]]:
    return [rows(shop.ordering_engine, table) for table in (ORDERS, ORDER_LINES, LOG.table)]


def create(shop: Shop, order_id: UUID | None = None) -> CreateOrder:
    item = Item(product_id=shop.product(), quantity=2)
    return CreateOrder(
        order_id=order_id or uuid4(), customer_id=shop.customer(), items=[item], shipping_address=SHIPPING
    )


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


def test_the_publisher_is_woken_when_others_can_see_what_was_committed(shop: Shop) -> None:
    """One that is woken before finds nothing, and what was committed waits for the timer."""
    command, seen = create(shop), []

    def look() -> None:
        with shop.ordering_engine.connect() as connection:
            seen.append([recorded.envelope.version for recorded in LOG.history(connection, command.order_id)])

    WriteSide(shop.ordering_engine, LOG, committed=look).run(create_order, command, Metadata())
    assert seen == [[1]]


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


def test_the_same_key_and_content_gives_the_first_answer_and_changes_nothing(shop: Shop) -> None:
    command = create(shop)
    first = shop.ordering.run(create_order, command, keyed("k"))
    before = everything(shop)
    assert shop.ordering.run(create_order, command, keyed("k")) == Accepted(
        first.aggregate_id, first.version, replayed=True
    )
    assert everything(shop) == before


def test_the_first_answer_is_given_even_when_the_order_has_moved_on(shop: Shop) -> None:
    order_id = shop.order(shop.product())
    submit = SubmitOrder(order_id=order_id)
    shop.ordering.run(submit_order, submit, keyed("k"))
    shop.ordering.run(cancel_order, CancelOrder(order_id=order_id, reason="no"), Metadata())
    assert shop.ordering.run(submit_order, submit, keyed("k")) == Accepted(order_id, 2, replayed=True)


def test_the_first_answer_counts_the_events_of_its_command_alone(shop: Shop) -> None:
    # 250 lines are the creation and two events after it; the answer is the version after the last of them
    products = [shop.product("0.01") for _ in range(250)]
    command = CreateOrder(
        order_id=uuid4(),
        customer_id=shop.customer(),
        items=[Item(product_id=product_id, quantity=1) for product_id in products],
        shipping_address=SHIPPING,
    )
    shop.ordering.run(create_order, command, keyed("k"))
    shop.ordering.run(submit_order, SubmitOrder(order_id=command.order_id), Metadata())
    assert shop.ordering.run(create_order, command, keyed("k")).version == 3


def test_a_command_that_may_be_repeated_by_nature_is_carried_out_once_for_its_key(shop: Shop) -> None:
    product_id = shop.product()
    order_id = shop.order(product_id)
    command = AddItem(order_id=order_id, product_id=product_id, quantity=1)
    for _ in range(3):
        assert shop.ordering.run(add_item, command, keyed("k")).version == 2
    [line] = rows(shop.ordering_engine, ORDER_LINES)
    assert line["quantity"] == 2


def test_a_retry_with_the_version_that_it_had_then_is_no_stale_one(shop: Shop) -> None:
    order_id = shop.order(shop.product())
    metadata = Metadata(command_id="k", expected_versions={1})
    for replayed in (False, True):
        accepted = shop.ordering.run(submit_order, SubmitOrder(order_id=order_id), metadata)
        assert accepted == Accepted(order_id, 2, replayed=replayed)


def test_a_retry_that_crosses_a_deployment_gets_the_answer_that_the_release_before_recorded(shop: Shop) -> None:
    product_id = shop.product()
    order_id = shop.order(product_id)
    command = AddItem(order_id=order_id, product_id=product_id, quantity=1)
    shop.ordering.run(add_item, command, keyed("k", b"as it was reckoned before"))

    retried = Metadata(
        command_id="k",
        fingerprint=b"as it is reckoned now".ljust(32),
        earlier_fingerprints=lambda: [b"as it was reckoned before".ljust(32)],
    )
    assert shop.ordering.run(add_item, command, retried) == Accepted(order_id, 2, replayed=True)
    other = replace(retried, earlier_fingerprints=lambda: [b"another".ljust(32)])
    with pytest.raises(KeyReused):
        shop.ordering.run(add_item, command, other)


def test_the_same_key_with_other_content_is_refused_and_changes_nothing(shop: Shop) -> None:
    product_id = shop.product()
    order_id = shop.order(product_id)
    shop.ordering.run(add_item, AddItem(order_id=order_id, product_id=product_id, quantity=1), keyed("k", b"one"))
    before = everything(shop)
    for content in (b"two", b"three"):
        with pytest.raises(KeyReused) as caught:
            shop.ordering.run(
                add_item, AddItem(order_id=order_id, product_id=product_id, quantity=2), keyed("k", content)
            )
        assert caught.value.code == "idempotency-key-reused"
    assert everything(shop) == before


def test_keys_are_told_apart_by_case(shop: Shop) -> None:
    product_id = shop.product()
    order_id = shop.order(product_id)
    command = AddItem(order_id=order_id, product_id=product_id, quantity=1)
    assert [shop.ordering.run(add_item, command, keyed(key)).version for key in ("key", "KEY")] == [2, 3]


def test_a_refused_command_leaves_its_key_free(shop: Shop) -> None:
    product_id = shop.product()
    order_id = shop.order()
    with pytest.raises(OrderIsEmpty):
        shop.ordering.run(submit_order, SubmitOrder(order_id=order_id), keyed("k"))
    shop.ordering.run(add_item, AddItem(order_id=order_id, product_id=product_id, quantity=1), Metadata())
    assert not shop.ordering.run(submit_order, SubmitOrder(order_id=order_id), keyed("k")).replayed


def at_once[Result](count: int, act: Callable[[int], Result]) -> list[Result]:
    """Do something in that many threads, which start together."""
    barrier = threading.Barrier(count)

    def start(number: int) -> Result:
        barrier.wait()
        return act(number)

    with ThreadPoolExecutor(count) as pool:
        return list(pool.map(start, range(count)))


def test_of_many_with_one_key_at_once_exactly_one_is_carried_out(shop: Shop) -> None:
    product_id = shop.product()
    order_id = shop.order(product_id)
    command = AddItem(order_id=order_id, product_id=product_id, quantity=1)
    answers = at_once(8, lambda _: shop.ordering.run(add_item, command, keyed("k")))
    assert {(answer.aggregate_id, answer.version) for answer in answers} == {(order_id, 2)}
    assert sorted(answer.replayed for answer in answers) == [False] + [True] * 7
    [line] = rows(shop.ordering_engine, ORDER_LINES)
    assert line["quantity"] == 2


def test_of_many_that_let_the_server_choose_the_id_with_one_key_exactly_one_makes_an_order(shop: Shop) -> None:
    template = create(shop)
    answers = at_once(
        8,
        lambda _: shop.ordering.run(create_order, template.model_copy(update={"order_id": uuid4()}), keyed("k")),
    )
    assert len({answer.aggregate_id for answer in answers}) == 1
    assert len(rows(shop.ordering_engine, ORDERS)) == 1


def test_a_lost_race_is_tried_again_on_fresh_state_until_all_have_got_in(shop: Shop) -> None:
    products = [shop.product("1.00") for _ in range(8)]
    order_id = shop.order()
    at_once(
        8,
        lambda number: shop.ordering.run(
            add_item, AddItem(order_id=order_id, product_id=products[number], quantity=1), Metadata()
        ),
    )
    [order] = rows(shop.ordering_engine, ORDERS)
    assert (order["version"], order["total"]) == (9, Decimal("8.00"))


def test_a_command_that_loses_its_race_decides_again(shop: Shop) -> None:
    order_id = shop.order(shop.product())
    tries: list[int] = []

    def overtaken_once(command: CancelOrder, orders: Orders) -> Accepted:
        order = orders.load(command.order_id)
        tries.append(order.version)
        if len(tries) == 1:
            raise LostRace
        order.cancel(command.reason)
        return orders.save(order)

    command = CancelOrder(order_id=order_id, reason="no")
    assert shop.ordering.run(overtaken_once, command, Metadata()).version == 2
    assert tries == [1, 1]


def test_a_lost_race_is_tried_again_soon_and_later_and_later(shop: Shop) -> None:
    order_id = shop.order(shop.product())
    waits: list[float] = []

    def overtaken(command: SubmitOrder, orders: Orders, fulfilments: Fulfilments) -> Accepted:
        if len(waits) < 4:
            raise LostRace
        return submit_order(command, orders, fulfilments)

    before = get_on_retry_hooks()
    set_on_retry_hooks([lambda details: waits.append(details.wait_for)])
    try:
        shop.ordering.run(overtaken, SubmitOrder(order_id=order_id), Metadata())
    finally:
        set_on_retry_hooks(before)
    assert waits[0] <= 0.03
    assert waits[3] >= 0.08
    assert waits[3] <= 0.10


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


def test_a_race_that_is_always_lost_ends(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(commands, "DEADLINE", CONNECTING + 0.2)
    tries = []

    def always_overtaken(_command: SubmitOrder, _orders: Orders) -> Accepted:
        tries.append(1)
        raise LostRace

    with pytest.raises(LostRace):
        shop.ordering.run(always_overtaken, SubmitOrder(order_id=uuid4()), Metadata())
    assert len(tries) > 3


def test_an_order_that_is_saved_from_an_older_version_loses_the_race(shop: Shop) -> None:
    order_id = shop.order(shop.product())
    stale = Orders(UnitOfWork(shop.ordering_engine), Metadata()).load(order_id)
    shop.ordering.run(submit_order, SubmitOrder(order_id=order_id), Metadata())
    before = everything(shop)

    stale.submit()
    work = UnitOfWork(shop.ordering_engine)
    Orders(work, Metadata()).save(stale)
    with pytest.raises(LostRace):
        work.commit()
    assert everything(shop) == before


def test_a_version_that_two_have_made_is_in_the_log_once(shop: Shop) -> None:
    order_id = shop.order(shop.product())
    with shop.ordering_engine.connect() as connection:
        [first] = LOG.history(connection, order_id)
    work = UnitOfWork(shop.ordering_engine)
    LOG.append(work, order_id, 0, [first.event], Metadata())
    with pytest.raises(LostRace):
        work.commit()


@pytest.mark.parametrize("expected", [{1}, {3}, {1, 3}, set()])
def test_a_command_on_another_version_than_the_present_one_is_stale(shop: Shop, expected: set[int]) -> None:
    product_id = shop.product()
    order_id = shop.order(product_id)
    shop.ordering.run(add_item, AddItem(order_id=order_id, product_id=product_id, quantity=1), Metadata())
    before = everything(shop)
    with pytest.raises(StaleVersion):
        shop.ordering.run(submit_order, SubmitOrder(order_id=order_id), Metadata(expected_versions=expected))
    assert everything(shop) == before


def test_a_command_may_act_on_one_of_several_versions(shop: Shop) -> None:
    order_id = shop.order(shop.product())
    metadata = Metadata(expected_versions={1, 7})
    assert shop.ordering.run(submit_order, SubmitOrder(order_id=order_id), metadata) == Accepted(order_id, 2)


def test_only_one_of_those_that_act_on_the_same_version_gets_in(shop: Shop) -> None:
    product_id = shop.product()
    order_id = shop.order(product_id)

    def add(_: int) -> bool:
        try:
            shop.ordering.run(
                add_item, AddItem(order_id=order_id, product_id=product_id, quantity=1), Metadata(expected_versions={1})
            )
        except StaleVersion:
            return False
        return True

    assert sorted(at_once(4, add)) == [False, False, False, True]


def test_something_new_has_no_version_that_one_could_act_on(shop: Shop) -> None:
    with pytest.raises(StaleVersion):
        shop.ordering.run(create_order, create(shop), Metadata(expected_versions={1}))
    assert rows(shop.ordering_engine, ORDERS) == []


def test_an_id_is_taken_once(shop: Shop) -> None:
    command = create(shop)
    shop.ordering.run(create_order, command, Metadata())
    before = everything(shop)
    with pytest.raises(OrderAlreadyExists):
        shop.ordering.run(create_order, command, Metadata())
    assert everything(shop) == before


def test_a_refusal_of_another_command_is_not_taken_for_a_replay(shop: Shop) -> None:
    order_id = shop.order(shop.product())
    submit = SubmitOrder(order_id=order_id)
    shop.ordering.run(submit_order, submit, keyed("k"))
    with pytest.raises(OrderNotInStatus):
        shop.ordering.run(submit_order, submit, keyed("another"))


@pytest.mark.parametrize("what", ["product's name", "product's price", "customer's name"])
def test_what_changes_between_load_and_commit_is_decided_on_anew(shop: Shop, what: str) -> None:
    product_id, customer_id = shop.product("1.00", name="Tea"), shop.customer("Ada")
    tries: list[int] = []

    def change() -> None:
        if what == "product's name":
            shop.catalog.run(rename_product, RenameProduct(product_id=product_id, name="Sencha"), Metadata())
        elif what == "product's price":
            shop.catalog.run(change_price, ChangePrice(product_id=product_id, unit_price=Decimal(2)), Metadata())
        else:
            shop.customers.run(rename_customer, RenameCustomer(customer_id=customer_id, name="Eve"), Metadata())
        shop.follow_product(product_id)
        shop.follow_customer(customer_id)

    def meanwhile(command: CreateOrder, orders: Orders) -> Accepted:
        accepted = create_order(command, orders)
        tries.append(1)
        if len(tries) == 1:
            change()
        return accepted

    items = [Item(product_id=product_id, quantity=1)]
    command = CreateOrder(order_id=uuid4(), customer_id=customer_id, items=items, shipping_address=SHIPPING)
    shop.ordering.run(meanwhile, command, Metadata())
    assert len(tries) == 2
    with shop.ordering_engine.connect() as connection:
        [recorded] = LOG.history(connection, command.order_id)
    assert isinstance(recorded.event, OrderCreatedV1)
    [line] = recorded.event.lines
    assert (line.product_name, line.unit_price, recorded.event.customer_name) == {
        "product's name": ("Sencha", Decimal("1.00"), "Ada"),
        "product's price": ("Tea", Decimal("2.00"), "Ada"),
        "customer's name": ("Tea", Decimal("1.00"), "Eve"),
    }[what]


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
