"""A command has one fingerprint, however it is written, and another command has another."""

import hashlib
import json
from uuid import UUID, uuid4

import pytest

from shared.customers.commands.register_customer import RegisterCustomer
from shared.frame.http.requests import command_call
from shared.frame.platform.input import Input
from shared.ordering.commands.cancel_order import CancelOrder
from shared.ordering.commands.confirm_order import ConfirmOrder
from shared.ordering.commands.submit_order import SubmitOrder
from tests.support.command_requests import ITEM, ORDER, PRODUCT, add_item, context, request


def test_the_fingerprint_is_of_the_content_and_not_of_how_it_is_written() -> None:
    same = json.dumps(dict(reversed(ITEM.items())), indent=3).encode()
    assert add_item(same).metadata.fingerprint == add_item().metadata.fingerprint
    assert add_item(ITEM | {"quantity": 3}).metadata.fingerprint != add_item().metadata.fingerprint


def test_the_fingerprint_is_of_the_target_and_the_kind_of_command_too() -> None:
    def fingerprint(order_id: UUID, model: type[Input]) -> bytes | None:
        return command_call(request(b"", path={"orderId": str(order_id)}), context(), model).metadata.fingerprint

    assert (
        len({fingerprint(ORDER, SubmitOrder), fingerprint(uuid4(), SubmitOrder), fingerprint(ORDER, ConfirmOrder)}) == 3
    )


def test_other_spellings_of_one_command_have_one_fingerprint() -> None:
    spelled = add_item({"productId": str(PRODUCT).upper(), "quantity": 2.0}, path={"orderId": str(ORDER).upper()})
    assert spelled.metadata.fingerprint == add_item().metadata.fingerprint


@pytest.mark.parametrize("price", [b"24.90", b"24.9", b"2.49e1", b"249E-1", b'"24.90"', b'"24.9"', b'"24.9000"'])
@pytest.mark.parametrize("quantity", [b"2", b"2.0", b"2e0", b"0.2e+1", b"20E-1"])
def test_one_amount_in_any_spelling_is_one_command(price: bytes, quantity: bytes) -> None:
    def spelled(price: bytes, quantity: bytes) -> bytes | None:
        body = b'{"productId": "%s", "quantity": %s, "expectedPrice": %s}' % (str(PRODUCT).encode(), quantity, price)
        return add_item(body).metadata.fingerprint

    assert spelled(price, quantity) == spelled(b"24.9", b"2")
    assert spelled(price, quantity) != spelled(b"24.91", b"2")


@pytest.mark.parametrize(("left", "right"), [("100", "100.0"), ("1e2", '"100"'), ("0", "-0.0"), ("0", '"0.00"')])
def test_whole_amounts_in_any_spelling_are_one_command(left: str, right: str) -> None:
    def spelled(price: str) -> bytes | None:
        body = f'{{"productId": "{PRODUCT}", "quantity": 1, "expectedPrice": {price}}}'
        return add_item(body.encode()).metadata.fingerprint

    assert spelled(left) == spelled(right)


def test_a_field_that_says_what_it_would_be_without_makes_no_other_command() -> None:
    assert add_item(ITEM | {"expectedPrice": None}).metadata.fingerprint == add_item().metadata.fingerprint
    assert add_item(ITEM | {"expectedPrice": "0"}).metadata.fingerprint != add_item().metadata.fingerprint


def test_escapes_in_json_make_no_other_command() -> None:
    plain, escaped = (
        command_call(request(body, path={"orderId": str(ORDER)}), context(), CancelOrder).metadata.fingerprint
        for body in ('{"reason": "größer"}'.encode(), b'{ "\\u0072eason":\t"gr\\u00f6\\u00dfer" }')
    )
    assert plain == escaped


RECORDED_BEFORE = [
    (b'{"productId": "3C1F7E52-8A94-4B6F-B0DE-91A2C4D6E8F7", "quantity": 2.0}', '"quantity":2'),
    (b'{"productId": "%s", "quantity": 2, "expectedPrice": 24.90}', '"quantity":2,"expected_price":"24.9"'),
    (b'{"productId": "%s", "quantity": 2, "expectedPrice": 2.49e1}', '"quantity":2,"expected_price":"24.9"'),
    (b'{"productId": "%s", "quantity": 2, "expectedPrice": "24.90"}', '"quantity":2,"expected_price":"24.90"'),
    (b'{"productId": "%s", "quantity": 2, "expectedPrice": 1e2}', '"quantity":2,"expected_price":"100.0"'),
    (b'{"productId": "%s", "quantity": 2, "expectedPrice": 100}', '"quantity":2,"expected_price":"100"'),
    (b'{"expectedPrice": null, "quantity": 2, "productId": "%s"}', '"quantity":2,"expected_price":null'),
]
"""Bodies, and what commit e94bf5c took the fingerprint of, behind the ids."""


@pytest.mark.parametrize(("body", "content"), RECORDED_BEFORE)
def test_a_retry_finds_what_the_release_before_recorded(body: bytes, content: str) -> None:
    call = add_item(body.replace(b"%s", str(PRODUCT).encode()))
    spelled = f'{{"order_id":"{ORDER}","product_id":"{PRODUCT}",{content}}}'
    recorded = hashlib.sha256(f"{call.metadata.actor} AddItem {spelled}".encode()).digest()
    assert recorded in call.metadata.earlier_fingerprints()


def test_an_id_that_the_server_makes_is_no_part_of_the_fingerprint() -> None:
    body = {"name": "Ada", "email": "ada@example.org"}
    first, second = (command_call(request(body, path={}), context(), RegisterCustomer) for _ in range(2))
    assert first.command.customer_id != second.command.customer_id
    assert first.metadata.fingerprint == second.metadata.fingerprint
