"""Queries: their ETags, how they wait for what the caller wrote, and pages that add up."""

import re
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from uuid import UUID

import httpx
import pytest

from shared.frame.read_side.read_your_writes import WAITING_AT_ONCE
from tests.e2e.api import Api, eventually, order_body, problem, version_of
from tests.support.stack import Stack

NOBODY = UUID(int=7)
UNHEARD_OF = 999_999
"""A version so far ahead that nobody waits for it."""
IN_VAIN = 8
"""Seconds that a caller grants for what never comes."""
LATER = {429, 503}
SOON = 15.0
"""Seconds for an order and the look at it: five that a query gives its store, and the rest on a loaded machine."""
STATUSES = ("Created", "Submitted", "Confirmed", "Completed", "Cancelled")


@pytest.fixture(scope="module")
def order_id(api: Api, customer_id: str, product_id: str) -> str:
    return api.order(customer_id, product_id)


def test_a_query_is_304_until_its_answer_changes(api: Api) -> None:
    customer_id, product_id = api.customer(), api.product()
    order_id = api.order(customer_id, product_id)
    answers = {
        "order": (f"/orders/{order_id}?customerId={customer_id}", "&minVersion=2"),
        "list": (f"/customers/{customer_id}/orders", f"?after={order_id}:2"),
        "summary": (f"/customers/{customer_id}/summary", f"?after={order_id}:2"),
        "product": (f"/products/{product_id}", "?minVersion=2"),
    }
    etags = {}
    for name, (path, _) in answers.items():
        first = api.get(path)
        etags[name] = first.headers["ETag"]
        for match in (etags[name], f"W/{etags[name]}", f'"x", {etags[name]}', "*"):
            same = api.get(path, {"If-None-Match": match})
            assert (same.status_code, same.content, same.headers["ETag"]) == (304, b"", etags[name]), name
        assert api.get(path, {"If-None-Match": '"x"'}).content == first.content, name

    api.bring(order_id, "Submitted")
    api.post(f"/products/{product_id}/price", {"unitPrice": "1.00"})

    for name, (path, newer) in answers.items():
        changed = api.get(path + newer, {"If-None-Match": etags[name], "Prefer": "wait=30"})
        assert (changed.status_code, changed.headers["ETag"] != etags[name]) == (200, True), name


def test_an_answer_without_content_has_no_media_type(api: Api, customer_id: str, product_id: str) -> None:
    order_id = api.order(customer_id, product_id)
    path = f"/orders/{order_id}?customerId={customer_id}"
    done, same = api.post(f"/orders/{order_id}/submit"), api.get(path, {"If-None-Match": "*"})
    assert (done.status_code, same.status_code) == (204, 304)
    for answer in (done, same, api.get("/docs", {"If-None-Match": "*"})):
        assert "Content-Type" not in answer.headers
        assert answer.content == b""


def test_every_etag_of_the_api_is_taken_in_if_match(api: Api) -> None:
    customer_id, product_id = api.customer(), api.product()
    order_id = api.order(customer_id, product_id)
    path = f"/orders/{order_id}?customerId={customer_id}&minVersion=1"
    before = api.get(path).headers["ETag"]
    api.post(f"/products/{product_id}/rename", {"name": "Cup"})
    eventually(lambda: api.get(path).headers["ETag"] != before, "the new name shows")
    renamed = api.get(path).headers["ETag"]
    assert re.fullmatch(r'"1\.\d{1,18}"', renamed)

    def send(if_match: str) -> httpx.Response:
        return api.post(f"/orders/{order_id}/items", {"productId": product_id, "quantity": 1}, If_Match=if_match)

    summary = api.get(f"/customers/{customer_id}/summary").headers["ETag"]
    for stale in (f"W/{renamed}", summary, '"x"', '"2"', '"2", "3.1.1"', '"01"', '""'):
        problem(send(stale), 412, "stale-version")
    answers = [send(fitting) for fitting in (renamed, f'"x", {renamed.replace('"1', '"2', 1)}', "*", '"9", "4"')]
    assert [answer.headers.get("ETag") for answer in answers] == ['"2"', '"3"', '"4"', '"5"']


def test_a_query_waits_for_the_version_that_it_names(api: Api, customer_id: str, product_id: str) -> None:
    order_id = api.order(customer_id, product_id)
    with ThreadPoolExecutor(1) as pool:
        waiting = pool.submit(api.details, order_id, customer_id, 2)
        assert not waiting.done()
        api.bring(order_id, "Submitted")
        assert waiting.result(timeout=30)["status"] == "Submitted"


@pytest.mark.parametrize(
    ("path", "parameters"),
    [
        ("/orders/{order}", {"customerId": "{customer}", "minVersion": "99"}),
        (f"/orders/{NOBODY}", {"customerId": "{customer}", "minVersion": "1"}),
        ("/products/{product}", {"minVersion": "99"}),
        ("/customers/{customer}/summary", {"minVersion": "99"}),
        ("/customers/{customer}/summary", {"after": "{order}:99"}),
        ("/customers/{customer}/orders", {"after": "{order}:99"}),
        ("/customers/{customer}/orders", {"after": f"{NOBODY}:1"}),
    ],
)
def test_a_read_model_that_stays_behind_is_503_as_soon_as_the_caller_wants(
    api: Api, customer_id: str, product_id: str, order_id: str, path: str, parameters: dict[str, str]
) -> None:
    names = {"order": order_id, "customer": customer_id, "product": product_id}
    path = path.format(**names)
    parameters = {name: value.format(**names) for name, value in parameters.items()}

    begin = time.monotonic()
    answer = api.get(path, {"Prefer": "wait=0"}, **parameters)
    assert time.monotonic() - begin < 5  # as long as a caller waits who says nothing

    problem(answer, 503, "read-model-behind")
    assert int(answer.headers["Retry-After"]) >= 1


def test_a_caller_who_grants_a_second_gets_it(api: Api, customer_id: str, order_id: str) -> None:
    begin = time.monotonic()
    answer = api.get(f"/orders/{order_id}", {"Prefer": "wait=1"}, customerId=customer_id, minVersion=99)

    problem(answer, 503, "read-model-behind")
    assert 1 <= time.monotonic() - begin < 5


@pytest.mark.parametrize(
    ("path", "parameters"),
    [
        ("/orders/{order}", {"customerId": "{customer}", "minVersion": "999999"}),
        ("/orders/{nobody}", {"customerId": "{customer}", "minVersion": "101"}),
        ("/products/{product}", {"minVersion": "999999"}),
        ("/customers/{customer}/summary", {"minVersion": "999999"}),
        ("/customers/{nobody}/summary", {"minVersion": "999999"}),
        ("/customers/{customer}/summary", {"after": "{order}:999999"}),
        ("/customers/{customer}/orders", {"after": "{nobody}:999999"}),
    ],
)
def test_a_version_that_no_command_has_answered_is_told_at_once(
    api: Api, customer_id: str, product_id: str, order_id: str, path: str, parameters: dict[str, str]
) -> None:
    names = {"customer": customer_id, "product": product_id, "order": order_id, "nobody": NOBODY}
    begin = time.monotonic()
    asked = {name: value.format(**names) for name, value in parameters.items()}
    answer = api.get(path.format(**names), {"Prefer": "wait=30"}, **asked)
    assert time.monotonic() - begin < 25
    assert "The log is at version" in problem(answer, 503, "read-model-behind")["detail"]


@pytest.mark.parametrize("version", [2, 60, UNHEARD_OF])
def test_a_caller_who_waits_for_what_never_comes_keeps_nobody_else_from_reading_their_writes(
    api: Api, stack: Stack, product_id: str, version: int
) -> None:
    greedy, honest = api.customer(), api.customer()
    stop = threading.Event()
    headers = {"Authorization": f"Bearer {stack.customer_token(greedy)}", "Prefer": f"wait={IN_VAIN}"}
    limits = httpx.Limits(max_connections=64)
    url = f"{stack.base_url}/api/products/{product_id}"

    def wait_in_vain(http: httpx.Client) -> list[tuple[httpx.Response, float]]:
        answers = []
        while not stop.is_set():
            begin = time.monotonic()
            answers.append((http.get(url, params={"minVersion": version}), time.monotonic() - begin))
            time.sleep(0.1)  # which is sooner than Retry-After says
        return answers

    with (
        httpx.Client(headers=headers, timeout=60, limits=limits) as http,
        ThreadPoolExecutor(64) as pool,
        Api(stack, stack.customer_token(honest)) as theirs,
    ):
        attack = pool.map(wait_in_vain, [http] * 64)
        try:
            time.sleep(1)
            for _ in range(5):
                begin = time.monotonic()
                theirs.order(honest, product_id)  # it is read at the version that was answered
                assert time.monotonic() - begin < SOON
        finally:
            stop.set()
        answers = [answer for of_one in attack for answer in of_one]
    assert {answer.status_code for answer, _ in answers} <= LATER
    waited = [answer for answer, seconds in answers if seconds > IN_VAIN - 0.1 and "read-model-behind" in answer.text]
    assert len(waited) >= WAITING_AT_ONCE // 4 or version == UNHEARD_OF, "places were taken"


def test_lists_and_summaries_include_what_after_names(api: Api, product_id: str) -> None:
    customer_id = api.customer()
    for count in range(1, 6):
        created = api.post("/orders", order_body(customer_id, product_id))
        order_id = created.json()["orderId"]
        listed = api.read(f"/customers/{customer_id}/orders", after=f"{order_id}:{version_of(created)}")
        assert (listed["totalCount"], listed["items"][0]["orderId"]) == (count, order_id)
        submitted = api.post(f"/orders/{order_id}/submit")
        summary = api.read(f"/customers/{customer_id}/summary", after=f"{order_id}:{version_of(submitted)}")
        assert (summary["totalOrders"], summary["recentOrders"][0]["orderId"]) == (count, order_id)


def test_pages_are_newest_first_and_add_up_to_the_total(api: Api, product_id: str) -> None:
    customer_id = api.customer()
    orders = [api.order(customer_id, product_id) for _ in range(13)]
    ends = dict(zip(orders, (STATUSES * 3)[:13], strict=True))
    for order_id, status in ends.items():
        api.bring(order_id, status)
    for order_id, status in ends.items():
        version = {"Created": 1, "Submitted": 2, "Confirmed": 3, "Completed": 4, "Cancelled": 3}[status]
        api.details(order_id, customer_id, version)

    every_and_each: tuple[str | None, ...] = (None, *STATUSES)
    for wanted in every_and_each:
        expected = [id_ for id_ in reversed(orders) if wanted in {None, ends[id_]}]
        for take in (1, 5, 100):
            seen: list[str] = []
            for skip in range(0, len(expected) + take, take):
                only: dict[str, str] = {"status": wanted} if wanted else {}
                page = api.read(f"/customers/{customer_id}/orders", skip=skip, take=take, **only)
                assert page["totalCount"] == len(expected)
                seen += [row["orderId"] for row in page["items"]]
                assert all(row["status"] == ends[row["orderId"]] for row in page["items"])
            assert seen == expected


def test_the_summary_has_the_ten_orders_that_were_submitted_last(api: Api, product_id: str) -> None:
    customer_id = api.customer()
    orders = [api.order(customer_id, product_id) for _ in range(12)]
    for order_id in reversed(orders):
        api.bring(order_id, "Submitted")
    for order_id in orders:
        api.details(order_id, customer_id, 2)

    summary = api.read(f"/customers/{customer_id}/summary")

    assert [recent["orderId"] for recent in summary["recentOrders"]] == orders[:10]
    assert summary["lastOrderDate"] == summary["recentOrders"][0]["submittedAt"]
    assert (summary["totalOrders"], summary["totalSpent"]) == (12, [{"currency": "EUR", "amount": "298.80"}])


def test_what_is_not_there_is_404_or_an_empty_list(api: Api, order_id: str, customer_id: str) -> None:
    problem(api.get(f"/orders/{NOBODY}", customerId=customer_id), 404, "order-not-found")
    problem(api.get(f"/orders/{order_id}", customerId=str(NOBODY)), 404, "order-not-found")
    problem(api.get(f"/customers/{NOBODY}/summary"), 404, "customer-not-found")
    problem(api.get(f"/products/{NOBODY}"), 404, "product-not-found")
    assert api.read(f"/customers/{NOBODY}/orders") == {"items": [], "totalCount": 0}
