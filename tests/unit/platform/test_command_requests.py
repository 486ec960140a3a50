"""Requests into commands: what is taken, what is refused, and that everything wrong is named at once."""

import hashlib
import json
import re
import sys
from collections.abc import Collection
from contextlib import suppress
from types import SimpleNamespace
from typing import Any, cast
from uuid import UUID, uuid4

import azure.functions as func
import jsonschema_rs
import pytest
from pydantic import TypeAdapter, ValidationError

from shared.catalog.commands.receive_stock import ReceiveStock
from shared.catalog.commands.recount_stock import RecountStock
from shared.catalog.commands.ship_items import ShipItems
from shared.catalog.domain.stock import MAX_ON_HAND
from shared.customers.commands.change_preferences import ChangePreferences
from shared.customers.commands.register_customer import RegisterCustomer
from shared.frame.http.etags import EVERY_VERSION
from shared.frame.http.json_text import MAX_NAMES
from shared.frame.http.problems import Problem
from shared.frame.http.requests import MAX_BODY, MAX_ERRORS, CommandCall, command_call, query_call
from shared.frame.platform.input import Input, Text
from shared.kernel.refusals import Invalid
from shared.ordering.commands.add_item import AddItem
from shared.ordering.commands.cancel_order import CancelOrder
from shared.ordering.commands.confirm_order import ConfirmOrder
from shared.ordering.commands.create_order import CreateOrder
from shared.ordering.commands.submit_order import SubmitOrder
from shared.ordering.views.order_details import ReadOrder
from tests.support.principals import shop

ORDER, PRODUCT = UUID("0b9a4c1e-6f0d-4c52-9d3b-2f8c7a1e5d60"), UUID("3c1f7e52-8a94-4b6f-b0de-91a2c4d6e8f7")
TRACE = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
ITEM = {"productId": str(PRODUCT), "quantity": 2}


def context(trace: str | None = None) -> func.Context:
    """What the worker passes, as far as requests are read with it."""
    return cast("func.Context", SimpleNamespace(invocation_id="i-1", trace_context=SimpleNamespace(trace_parent=trace)))


def request(body: Any, *, path: dict[str, str] | None = None, method: str = "POST", **headers: str) -> func.HttpRequest:
    names = {name.replace("_", "-"): value for name, value in headers.items()}
    return func.HttpRequest(
        method=method,
        url=f"http://host/api/orders/{ORDER}/items",
        headers={"Content-Type": "application/json"} | shop() | names,
        route_params=path if path is not None else {"orderId": str(ORDER)},
        body=body if isinstance(body, bytes) else json.dumps(body).encode(),
    )


def add_item(body: Any = None, *, path: dict[str, str] | None = None, **headers: str) -> CommandCall[AddItem]:
    return command_call(request(ITEM if body is None else body, path=path, **headers), context(), AddItem)


def wrong[Command: Input](
    model: type[Command], body: Any, path: dict[str, str], **headers: str
) -> set[tuple[str, str]]:
    """Where a request is wrong: locations and pointers."""
    with pytest.raises(Invalid) as refused:
        command_call(request(body, path=path, **headers), context(), model)
    assert all(error.detail for error in refused.value.errors)
    places = [(error.location, error.pointer) for error in refused.value.errors]
    assert len(places) == len(set(places))
    return set(places)


def test_a_command_is_read_from_the_path_and_the_body() -> None:
    assert add_item().command == AddItem(order_id=ORDER, product_id=PRODUCT, quantity=2)


def test_a_command_without_content_needs_no_body() -> None:
    call = command_call(request(b""), context(), SubmitOrder)
    assert call.command == SubmitOrder(order_id=ORDER)


def test_what_replaces_all_that_is_there_says_by_what() -> None:
    path = {"customerId": str(uuid4())}
    with pytest.raises(Invalid) as refused:
        command_call(request(b"", path=path, method="PUT"), context(), ChangePreferences)
    assert [(error.location, error.pointer) for error in refused.value.errors] == [("body", "")]
    given = command_call(request(b"{}", path=path, method="PUT"), context(), ChangePreferences)
    assert given.command.newsletter is False


def test_everything_that_is_wrong_is_named_at_once_with_its_place() -> None:
    body = {
        "customerId": 7,
        "items": [
            {"productId": str(PRODUCT), "quantity": 0},
            {"quantity": 1.5, "expectedPrice": "NaN", "color": "red"},
        ],
        "shippingAddress": {"street": " ", "city": "a\nb", "postalCode": "", "country": "de", "a/b~c": 1},
        "note": "no such field",
    }
    assert wrong(CreateOrder, body, {}, If_Match="3", Idempotency_Key="a b") == {
        ("body", "/customerId"),
        ("body", "/items/0/quantity"),
        ("body", "/items/1/productId"),
        ("body", "/items/1/quantity"),
        ("body", "/items/1/expectedPrice"),
        ("body", "/items/1/color"),
        ("body", "/shippingAddress/street"),
        ("body", "/shippingAddress/city"),
        ("body", "/shippingAddress/postalCode"),
        ("body", "/shippingAddress/country"),
        ("body", "/shippingAddress/a~1b~0c"),
        ("body", "/note"),
        ("header", "/If-Match"),
        ("header", "/Idempotency-Key"),
    }


def test_what_is_wrong_in_the_path_is_told_beside_what_is_wrong_in_the_body() -> None:
    assert wrong(AddItem, {"quantity": True}, {"orderId": "none"}) == {
        ("path", "/orderId"),
        ("body", "/productId"),
        ("body", "/quantity"),
    }


def test_what_the_path_says_is_not_taken_from_the_body() -> None:
    assert wrong(AddItem, ITEM | {"orderId": str(uuid4())}, {"orderId": str(ORDER)}) == {("body", "/orderId")}


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


def refusal(req: func.HttpRequest) -> tuple[int, str]:
    with pytest.raises(Problem) as refused:
        command_call(req, context(), AddItem)
    return refused.value.status, refused.value.code


@pytest.mark.parametrize(
    "body", [b"{", b"nonsense", b'{"a": 1,}', b"\xff", b"[" * 10_000, b'{"a":' * 10_000, b'"\\ud800"']
)
def test_what_is_no_json_is_malformed(body: bytes) -> None:
    assert refusal(request(body)) == (400, "malformed-json")


@pytest.mark.parametrize("body", [[], "text", 7, None])
def test_a_body_that_is_no_object_is_invalid(body: object) -> None:
    assert wrong(AddItem, json.dumps(body).encode(), {"orderId": str(ORDER)}) == {("body", "")}


@pytest.mark.parametrize(
    "kind",
    [
        *("", "text/plain", "application/jsonx", "application/problem+json", ";application/json"),
        *("application/json; charset=latin-1", 'application/json; v=1; charset="utf-16"', "application/json;charset="),
        *("application/json,application/json", "application/json charset=utf-8"),
    ],
)
def test_another_media_type_is_not_taken(kind: str) -> None:
    assert refusal(request(ITEM, Content_Type=kind)) == (415, "media-type")


@pytest.mark.parametrize(
    "kind",
    [
        *("application/json", "Application/JSON; charset=UTF-8", 'application/json;charset="utf-8"'),
        *("application/json;", "application/json ;; charset=utf-8;", "application/json; profile=x; v=1"),
        'application/json; profile="; charset=latin-1"',
    ],
)
def test_json_is_taken_however_its_type_is_written(kind: str) -> None:
    assert add_item(Content_Type=kind).command.quantity == 2


def test_a_compressed_body_is_not_taken() -> None:
    assert refusal(request(ITEM, Content_Encoding="gzip")) == (415, "media-type")


def test_a_body_in_chunks_which_the_host_leaves_out_is_refused_and_not_taken_for_none() -> None:
    assert refusal(request(b"", Transfer_Encoding="chunked")) == (411, "length-required")


def test_a_body_of_the_largest_size_is_read_and_one_byte_more_is_not() -> None:
    body = json.dumps(ITEM).encode()
    largest = body + b" " * (MAX_BODY - len(body))
    assert add_item(largest).command.quantity == 2
    assert refusal(request(largest + b" ")) == (413, "body-too-large")


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        (None, None),
        ("*", EVERY_VERSION),
        ('"3"', {3}),
        (' "12" ', {12}),
        ('"3.1.2"', {3}),  # renamed, in the second generation
        ('"3.1"', {3}),
        ('"3", "4.0.2"', {3, 4}),
        (',"3" ,, "4",', {3, 4}),
        ('"3","a,b"', {3}),
        ('W/"3"', set()),
        ('W/"3", "4"', {4}),
        ('"x"', set()),
        ('""', set()),
        ('"03"', set()),
        ('"0"', set()),
        ('"3.1.2.4"', set()),
        ('"00000000-0000-0000-5c8c-8d8e1d6e01dc"', set()),
        (f'"{"9" * 40}"', set()),
    ],
)
def test_the_versions_that_the_caller_acts_on_are_read_as_rfc_9110_says(
    given: str | None, expected: Collection[int] | None
) -> None:
    headers: dict[str, Any] = {} if given is None else {"If_Match": given}
    assert add_item(**headers).metadata.expected_versions == expected


@pytest.mark.parametrize("given", ["3", '"3', '3"', '"3" "4"', 'w/"3"', '*, "3"', "", ",", "W/", '"\x7f"'])
def test_what_is_no_list_of_etags_is_refused(given: str) -> None:
    assert wrong(AddItem, ITEM, {"orderId": str(ORDER)}, If_Match=given) == {("header", "/If-Match")}


@pytest.mark.parametrize("key", ["", "a b", "ä", "x" * 256, "one,two", "one, two", "one,one"])
def test_an_idempotency_key_is_one_and_visible_ascii(key: str) -> None:
    assert wrong(AddItem, ITEM, {"orderId": str(ORDER)}, Idempotency_Key=key) == {("header", "/Idempotency-Key")}


def test_the_idempotency_key_names_the_command_and_without_one_each_has_a_name_of_its_own() -> None:
    assert add_item(Idempotency_Key="k" * 255).metadata.command_id == "k" * 255
    assert add_item().metadata.command_id != add_item().metadata.command_id


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


def test_names_are_those_of_the_api_and_not_those_of_the_code() -> None:
    spelled = {"product_id": str(PRODUCT), "quantity": 2}
    assert wrong(AddItem, spelled, {"orderId": str(ORDER)}) == {("body", "/productId"), ("body", "/product_id")}


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
    ("body", "name"),
    [
        ('{"quantity": 1, "quantity": 2}', '"quantity"'),
        ('{"quantity": 1, "quantity": 1}', '"quantity"'),
        ('{"quantity": 1, "\\u0071uantity": 2}', '"quantity"'),
        ('{"a": [{"b": {"größe": 1, "größe": 1}}]}', '"größe"'),
        ('{"": 1, "": 2}', '""'),
        ('{"' + "x" * 5_000 + '": 1, "' + "x" * 5_000 + '": 2}', "xxx…"),
    ],
)
def test_a_name_that_stands_twice_is_told(body: str, name: str) -> None:
    with pytest.raises(Problem) as refused:
        add_item(body.encode())
    assert (refused.value.status, refused.value.code) == (400, "malformed-json")
    assert name in refused.value.detail
    assert len(refused.value.detail) < 300


@pytest.mark.parametrize("size", [1, 2, 50])
def test_a_body_has_a_bound_of_names_wherever_they_stand(monkeypatch: pytest.MonkeyPatch, size: int) -> None:
    def holding(names: int) -> bytes:
        objects = [{f"n{number}": 0 for number in range(size)} for _ in range((names - 1) // size)]
        rest = {f"n{number}": 0 for number in range((names - 1) % size)}
        return json.dumps({"list": [*objects, rest]}).encode()

    assert ("body", "/list") in wrong(AddItem, holding(MAX_NAMES), {"orderId": str(ORDER)})
    monkeypatch.setattr(AddItem, "model_validate", None)  # nothing is validated that is not taken
    with pytest.raises(Problem, match="more than 5,000 names") as refused:
        add_item(holding(MAX_NAMES + 1))
    assert (refused.value.status, refused.value.code) == (400, "malformed-json")


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


def test_what_is_wrong_is_not_repeated_at_length() -> None:
    long = "y" * 40_000
    with pytest.raises(Invalid) as refused:
        add_item({long: 1, "~/" * 40_000: 1, "productId": long, "quantity": long, "expectedPrice": long})
    assert {len(error.pointer) < 300 and len(error.detail) < 300 for error in refused.value.errors} == {True}
    assert all(re.fullmatch("(/([^~]|~0|~1)*)+", error.pointer) for error in refused.value.errors)


def test_a_name_may_have_joined_characters() -> None:
    body = {"name": "👩\u200d👩\u200d👧 \u0645\u06cc\u200c\u062e", "email": "ada@example.org"}
    assert command_call(request(body, path={}), context(), RegisterCustomer).command.name == body["name"]


def test_an_answer_names_at_most_a_thousand_errors() -> None:
    with pytest.raises(Invalid) as refused:
        add_item(ITEM | {f"x{number}": 1 for number in range(4_000)})
    assert len(refused.value.errors) == MAX_ERRORS


@pytest.mark.parametrize(
    ("given", "trace", "expected"),
    [
        ("order-7.a:b_c", TRACE, "order-7.a:b_c"),
        (None, TRACE, "0af7651916cd43dd8448eb211c80319c"),
        (None, None, "i-1"),
        ("no spaces", None, "i-1"),
        ("x" * 129, None, "i-1"),
        (None, "garbage", "i-1"),
        (None, f"00-{'a' * 200}-b7ad6b7169203331-01", "i-1"),  # has no room in the event log
    ],
)
def test_a_conversation_is_named_by_the_caller_or_the_trace_or_the_invocation(
    given: str | None, trace: str | None, expected: str
) -> None:
    headers: dict[str, Any] = {} if given is None else {"X_Correlation_Id": given}
    call = command_call(request(ITEM, **headers), context(trace), AddItem)
    assert (call.metadata.correlation_id, call.metadata.traceparent) == (expected, trace)


@pytest.mark.parametrize(
    ("prefer", "seconds"),
    [
        *((None, 5), ("wait=0", 0), ("Wait=7", 7), ("respond-async, wait=30", 30), ("wait=99", 30), ("nonsense", 5)),
        *(("wait = 1", 1), ('wait="1"', 1), ("wait\t=\t2", 2), ('wait = "\\1"', 1), (",,wait=2,", 2)),
        *(("nowait=3", 5), ("x-wait=3", 5), ("wait.=3", 5), ("handling=lenient; wait=3", 5), ('x="a, wait=3"', 5)),
        *(('x="a, wait=3", wait=4', 4), ('x="\\", wait=3"', 5), ("wait=5; x=y", 5), ("wait=1, wait=9", 1)),
        *(("wait", 5), ("wait=", 5), ('wait=""', 5), ("wait=-1", 5), ("wait=1.5", 5), ("wait=1 2", 5), ("wait=abc", 5)),
        *((f"wait={'9' * 18}", 30), (f"wait={'9' * 5_000}", 5), ('x="' + '\\"' * 10_000, 5), ("wait=\u0661", 5)),
    ],
)
def test_a_query_waits_as_long_as_the_caller_prefers_within_limits(prefer: str | None, seconds: int) -> None:
    req = func.HttpRequest(
        method="GET",
        url="http://host/api/orders",
        headers=shop() if prefer is None else shop() | {"Prefer": prefer},
        params={"customerId": str(uuid4())},
        route_params={"orderId": str(ORDER)},
        body=b"",
    )
    wait = query_call(req, ReadOrder).wait
    assert wait.is_none == (seconds == 0)
    assert wait.is_none or seconds - 1 < wait.left <= seconds
    assert wait.caller.id is not None
