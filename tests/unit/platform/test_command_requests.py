"""Requests into commands: what is taken, what is refused, and that everything wrong is named at once."""

import json
import re
from collections.abc import Collection
from typing import Any
from uuid import uuid4

import azure.functions as func
import pytest

from shared.customers.commands.change_preferences import ChangePreferences
from shared.frame.http.etags import EVERY_VERSION
from shared.frame.http.json_text import MAX_NAMES
from shared.frame.http.problems import Problem
from shared.frame.http.requests import MAX_BODY, MAX_ERRORS, command_call, query_call
from shared.kernel.refusals import Invalid
from shared.ordering.commands.add_item import AddItem
from shared.ordering.commands.create_order import CreateOrder
from shared.ordering.commands.submit_order import SubmitOrder
from shared.ordering.views.order_details import ReadOrder
from tests.support.command_requests import ITEM, ORDER, PRODUCT, add_item, context, request, wrong
from tests.support.principals import shop

TRACE = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"


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


def test_names_are_those_of_the_api_and_not_those_of_the_code() -> None:
    spelled = {"product_id": str(PRODUCT), "quantity": 2}
    assert wrong(AddItem, spelled, {"orderId": str(ORDER)}) == {("body", "/productId"), ("body", "/product_id")}


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


def test_what_is_wrong_is_not_repeated_at_length() -> None:
    long = "y" * 40_000
    with pytest.raises(Invalid) as refused:
        add_item({long: 1, "~/" * 40_000: 1, "productId": long, "quantity": long, "expectedPrice": long})
    assert {len(error.pointer) < 300 and len(error.detail) < 300 for error in refused.value.errors} == {True}
    assert all(re.fullmatch("(/([^~]|~0|~1)*)+", error.pointer) for error in refused.value.errors)


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
