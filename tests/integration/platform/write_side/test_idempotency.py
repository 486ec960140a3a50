"""A command is carried out once for its key, however often it is asked for."""

from dataclasses import replace
from uuid import uuid4

import pytest

from shared.frame.messaging.envelope import Accepted, Metadata
from shared.frame.write_side.commands import KeyReused
from shared.ordering.commands.add_item import AddItem, add_item
from shared.ordering.commands.cancel_order import CancelOrder, cancel_order
from shared.ordering.commands.create_order import CreateOrder, Item, create_order
from shared.ordering.commands.submit_order import SubmitOrder, submit_order
from shared.ordering.domain.errors import OrderIsEmpty, OrderNotInStatus
from shared.ordering.tables import ORDER_LINES, ORDERS
from tests.support.commands import at_once, create, everything, keyed
from tests.support.shop import SHIPPING, Shop, rows


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


def test_a_key_belongs_to_its_caller_also_on_one_order(shop: Shop) -> None:
    product_id = shop.product()
    order_id = shop.order(product_id)

    def add(actor: str, quantity: int) -> Accepted:
        command = AddItem(order_id=order_id, product_id=product_id, quantity=quantity)
        return shop.ordering.run(add_item, command, replace(keyed("k", actor.encode()), actor=actor))

    assert [add("customer", 1).version, add("warehouse", 2).version] == [2, 3]
    before = everything(shop)
    assert [add("customer", 1), add("warehouse", 2)] == [
        Accepted(order_id, version, replayed=True) for version in (2, 3)
    ]
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


def test_a_refusal_of_another_command_is_not_taken_for_a_replay(shop: Shop) -> None:
    order_id = shop.order(shop.product())
    submit = SubmitOrder(order_id=order_id)
    shop.ordering.run(submit_order, submit, keyed("k"))
    with pytest.raises(OrderNotInStatus):
        shop.ordering.run(submit_order, submit, keyed("another"))


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
