"""What the values of a command may be: ids, whole numbers, prices, names and e-mail addresses."""

import sys
from contextlib import suppress
from uuid import UUID

import jsonschema_rs
import pytest
from pydantic import TypeAdapter, ValidationError

from shared.catalog.commands.receive_stock import ReceiveStock
from shared.catalog.commands.recount_stock import RecountStock
from shared.catalog.commands.ship_items import ShipItems
from shared.catalog.domain.stock import MAX_ON_HAND
from shared.customers.commands.register_customer import RegisterCustomer
from shared.frame.http.requests import command_call
from shared.frame.platform.input import Text
from shared.ordering.commands.add_item import AddItem
from shared.ordering.commands.submit_order import SubmitOrder
from tests.support.command_requests import ITEM, ORDER, PRODUCT, add_item, context, request, wrong


@pytest.mark.parametrize(
    "text", [str(ORDER).replace("-", ""), f"{{{ORDER}}}", f"urn:uuid:{ORDER}", str(ORDER)[:-1], "", f"{ORDER} "]
)
def test_an_id_is_a_uuid_in_its_usual_form(text: str) -> None:
    assert wrong(SubmitOrder, b"", {"orderId": text}) == {("path", "/orderId")}


def test_an_id_may_be_in_capitals() -> None:
    assert add_item(path={"orderId": str(ORDER).upper()}).command.order_id == UUID(str(ORDER))


@pytest.mark.parametrize("quantity", ["2", 2.5, None, [2], 0, -1, 10_001, 10**30, True])
def test_a_quantity_is_a_whole_number_within_its_limits(quantity: object) -> None:
    assert wrong(AddItem, ITEM | {"quantity": quantity}, {"orderId": str(ORDER)}) == {("body", "/quantity")}


@pytest.mark.parametrize("pieces", [-1, MAX_ON_HAND + 1, 1.5, "1", True])
def test_pieces_that_come_go_or_are_counted_are_a_whole_number_within_its_limits(pieces: object) -> None:
    product, order = {"productId": str(PRODUCT)}, {"orderId": str(ORDER)}
    assert wrong(RecountStock, {"counted": pieces, "reason": "x"}, product) == {("body", "/counted")}
    for none_or_wrong in (0, pieces):
        assert wrong(ReceiveStock, {"quantity": none_or_wrong}, product) == {("body", "/quantity")}
        items = [product | {"quantity": none_or_wrong}]
        assert wrong(ShipItems, {"items": items}, order) == {("body", "/items/0/quantity")}


@pytest.mark.parametrize("price", [b"NaN", b"Infinity", b"1e400", b'"x"', b"-1", b'"0.00001"', b"true", b"[]"])
def test_a_price_is_a_decimal_that_is_not_negative(price: bytes) -> None:
    body = f'{{"productId": "{PRODUCT}", "quantity": 1, "expectedPrice": '.encode() + price + b"}"
    assert wrong(AddItem, body, {"orderId": str(ORDER)}) == {("body", "/expectedPrice")}


EXACT = {"2.0": 2, "1e3": 1000, "20e-1": 2, "2.000000000000000000000000000000000000": 2}


@pytest.mark.parametrize(("text", "quantity"), EXACT.items())
def test_a_whole_number_may_be_written_with_a_point(text: str, quantity: int) -> None:
    assert add_item(f'{{"productId": "{PRODUCT}", "quantity": {text}}}'.encode()).command.quantity == quantity


@pytest.mark.parametrize(
    "text", ["2.0000000000000000001", "1.99999999999999999999", "1e-400", "1e999999999", "1e99999999999999999999"]
)
def test_a_number_that_is_nearly_whole_is_not_whole(text: str) -> None:
    body = f'{{"productId": "{PRODUCT}", "quantity": {text}}}'.encode()
    assert wrong(AddItem, body, {"orderId": str(ORDER)}) == {("body", "/quantity")}


@pytest.mark.parametrize(
    "text",
    [
        *("1e-400", "-1e-400", "0.00001", "19.90000000000000000000000000001", "0.99999999999999999999999999999999"),
        *(
            "1e999999999",
            "1e99999999999999999999",
            "-1e-99999999999999999999",
            "1234567890123456.5",
            f"0.{'0' * 250_000}1",
        ),
    ],
)
def test_a_price_that_does_not_fit_exactly_is_refused_and_not_rounded(text: str) -> None:
    body = f'{{"productId": "{PRODUCT}", "quantity": 1, "expectedPrice": {text}}}'.encode()
    assert wrong(AddItem, body, {"orderId": str(ORDER)}) == {("body", "/expectedPrice")}


@pytest.mark.parametrize(
    ("text", "price"),
    [
        *(("19.90", "19.90"), ("19.900000000", "19.9"), ("1.99e1", "19.9"), ("2e2", "200"), ("0e400", "0")),
        *(("999999999999999.9999", "999999999999999.9999"), ("0.1", "0.1"), ("0.0001", "0.0001")),
    ],
)
def test_a_price_that_is_a_number_keeps_the_digits_that_are_written(text: str, price: str) -> None:
    body = f'{{"productId": "{PRODUCT}", "quantity": 1, "expectedPrice": {text}}}'.encode()
    assert str(add_item(body).command.expected_price) == price


@pytest.mark.parametrize(
    "price",
    ["1_000", " 12 ", "+5", "-0", "١٢", "９", "1e2", "12.", ".5", "19.90000", "0e9", "1" * 16, "", "NaN"],  # noqa: RUF001  # on purpose
)
def test_a_price_is_written_in_plain_digits(price: str) -> None:
    item = ITEM | {"expectedPrice": price}
    assert wrong(AddItem, item, {"orderId": str(ORDER)}) == {("body", "/expectedPrice")}


@pytest.mark.parametrize(
    ("price", "expected"), [("12.50", "12.50"), (12.5, "12.5"), (-0.0, "0.0"), (7, "7"), ("0", "0")]
)
def test_a_price_is_exact_and_never_negative(price: object, expected: str) -> None:
    assert str(add_item(ITEM | {"expectedPrice": price}).command.expected_price) == expected


@pytest.mark.parametrize("name", ["\u200b", "a\u202eb", "\u2066a", " \ufeff ", "a\x7f"])
def test_a_name_can_be_seen_and_turns_nothing_around(name: str) -> None:
    body = {"name": name, "email": "ada@example.org"}
    assert wrong(RegisterCustomer, body, {}) == {("body", "/name")}


@pytest.mark.parametrize(
    "name",
    [
        *("\u3164", "\u2800", "\u115f", "\u1160", "\uffa0", "\u180e", "\u17b4", "\ufe0f", "\U000e0020", "\U0001d159"),
        *("\u3164\u2800 \u200d", "\u034f", "\u0301", "\ue000", "\U000e0fff", "\xad\u2062"),
    ],
)
def test_a_name_that_shows_nothing_is_blank(name: str) -> None:
    assert wrong(RegisterCustomer, {"name": name, "email": "ada@example.org"}, {}) == {("body", "/name")}


def test_whatever_unicode_says_to_ignore_or_to_leave_white_makes_no_name() -> None:
    # the properties as another implementation has them: Rust's, in the library that validates JSON Schemas
    nothing = jsonschema_rs.Draft202012Validator(
        {"pattern": r"^[\p{Default_Ignorable_Code_Point}\p{White_Space}\p{Cc}\p{Cf}\p{Zl}\p{Zp}]$"}
    )
    letters: TypeAdapter[str] = TypeAdapter(Text)
    taken = []
    for character in map(chr, range(sys.maxunicode + 1)):
        if not 0xD800 <= ord(character) < 0xE000 and nothing.is_valid(character):
            with suppress(ValidationError):
                taken.append(letters.validate_python(character))
    assert taken == []


@pytest.mark.parametrize("name", ["A", "7", "?", "☃", "字", "ㄱ", "e\u0301", "\u3164ㄱ", "⠁", "👩", "𐎀"])
def test_a_name_of_one_character_that_shows_is_a_name(name: str) -> None:
    body = {"name": name, "email": "ada@example.org"}
    assert command_call(request(body, path={}), context(), RegisterCustomer).command.name == name


def test_a_name_of_the_longest_has_room_where_it_is_kept_and_none_is_longer() -> None:
    longest = {"name": "👩" * 200, "email": "ada@example.org"}  # a column counts UTF-16 units, of which each takes two
    assert command_call(request(longest, path={}), context(), RegisterCustomer).command.name == longest["name"]
    assert wrong(RegisterCustomer, longest | {"name": f"x{longest['name']}"}, {}) == {("body", "/name")}


@pytest.mark.parametrize(
    "email",
    [
        *("Ada <a@example.com>", "<a@example.com>", '"Ada" <a@example.com>', " a@example.com", "a@example.com\n"),
        *("a@example.com, b@example.com", "a@example.com (Ada)", "mailto:a@example.com", "a@b@example.com"),
    ],
)
def test_an_email_address_has_nothing_beside_it(email: str) -> None:
    assert wrong(RegisterCustomer, {"name": "Ada", "email": email}, {}) == {("body", "/email")}


def test_a_name_may_have_joined_characters() -> None:
    body = {"name": "👩\u200d👩\u200d👧 \u0645\u06cc\u200c\u062e", "email": "ada@example.org"}
    assert command_call(request(body, path={}), context(), RegisterCustomer).command.name == body["name"]
