"""Every command of docs/operations.md, in the situation that it is for, made for real in a stack of its own."""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any
from uuid import UUID, uuid4, uuid5

import pytest
from azure.servicebus import ServiceBusClient, ServiceBusMessage

from infra.local.payments.running import Control
from tests.e2e.api import Api, eventually
from tests.e2e.test_poison import DEAD_WITHIN, documents_in, orders_container
from tests.support.pages import Section, sections
from tests.support.stack import ROOT, Stack, running_stack

PAGE = {section.heading: section for section in sections((ROOT / "docs" / "operations.md").read_text(encoding="utf-8"))}
REBUILT_WITHIN = 150.0
"""Seconds for a rebuild, which takes 45 on an idle machine."""
REFUSED = 22
"""What curl's --fail-with-body ends with."""


@dataclass
class Operator:
    """Somebody who goes through a section, block by block."""

    stack: Stack
    api: Api
    section: Section
    done: int = 0

    def next(self, code: int = 0, /, **names: str) -> list[Any]:
        """Run the next block, with these names replaced, to this exit code; what each of its requests answered."""
        _, functions, *_ = PAGE["How to call"].blocks("sh")
        login = f"api={self.stack.base_url}/api token={self.stack.token('Ops', 'Orders.Read')}\n"
        login += f"keeper={self.stack.token('Catalog.Read', 'Inventory.Write')}\n"
        script = "set -euo pipefail\n" + login + functions + self.section.blocks("sh")[self.done]
        self.done += 1
        script = script.replace("http://127.0.0.1:7071", self.stack.base_url)
        script = script.replace(
            "python3 dev.py token", f"{sys.executable} -m infra.local.tokens --data {self.stack.data}"
        )
        for name, value in names.items():
            script = script.replace(name, value)
        ran = subprocess.run(["bash", "-c", script], cwd=ROOT, capture_output=True, text=True, check=False, timeout=120)
        assert ran.returncode == code, script + ran.stdout + ran.stderr
        return values(ran.stdout)

    def until(self, is_so: Callable[[list[Any]], object], **names: str) -> None:
        """Run the next block again and again, as an operator does who waits for something."""
        here = self.done

        def look() -> object:
            self.done = here
            return is_so(self.next(**names))

        eventually(look, f"what block {here + 1} of {self.section.heading} is to show", 90.0)


def values(text: str) -> list[Any]:
    """The JSON values that stand one after the other in a text."""
    found, decoder = [], json.JSONDecoder()
    while text := text.lstrip():
        value, end = decoder.raw_decode(text)
        found.append(value)
        text = text[end:]
    return found


@contextmanager
def stopped(stack: Stack, name: str) -> Iterator[None]:
    """Stop a process for a while: it neither answers nor hangs up."""
    pid = stack.pids[name]
    os.kill(pid, signal.SIGSTOP)
    try:
        yield
    finally:
        os.kill(pid, signal.SIGCONT)


def damage(stack: Stack, order_id: str, customer_id: str, **properties: object) -> None:
    """Change an order's document, as nobody should."""
    with orders_container(stack) as documents:
        documents.replace_item(order_id, documents.read_item(order_id, customer_id) | properties)


def differing(status: dict[str, Any]) -> dict[str, str]:
    """What the last check found, by document."""
    return {found["documentId"]: found["what"] for found in status["drift"]["differences"]}


def rebuilt(api: Api) -> dict[str, Any]:
    """Wait until the rebuild of the orders is over; the status then."""

    def is_over() -> bool:
        status = api.read("/ops/projections/orders")
        return status["rebuild"]["step"] == "done" and status["switchAt"] is None

    eventually(is_over, "the orders are rebuilt", REBUILT_WITHIN)
    status: dict[str, Any] = api.read("/ops/projections/orders")
    return status


def calling(operator: Operator) -> None:
    signed_in, defined = operator.next(), operator.next()
    assert signed_in == defined == []
    ready, views, letters, _ = operator.next()
    assert ready == {"status": "ready", "wrong": []}
    assert [view["view"] for view in views["items"]] == ["orders", "products", "related"]
    assert len(letters["subscriptions"]) == 9


JUNK_IS_FOR = ("fulfil_orders", "follow_orders", "follow_fulfilment")
"""Who gets what no rule knows, beside the read model."""


def dead_letters(operator: Operator) -> None:
    api, stack = operator.api, operator.stack
    customer_id, product_id = api.customer(), api.product()
    order_id = api.order(customer_id, product_id)
    damage(stack, order_id, customer_id, items="damaged")
    assert api.post(f"/orders/{order_id}/items", {"productId": product_id, "quantity": 2}).status_code == 204
    with (
        ServiceBusClient.from_connection_string(stack.settings["ServiceBusConnection"]) as client,
        client.get_topic_sender("order-events") as sender,
    ):
        sender.send_messages(ServiceBusMessage("junk", session_id=str(uuid4())))
    eventually(lambda: given_up(api, "project_order") == 2, "both are given up", DEAD_WITHIN)
    for follower in JUNK_IS_FOR:
        eventually(lambda name=follower: given_up(api, name) == 1, f"{follower} gives the junk up too", DEAD_WITHIN)

    everything, one, _ = operator.next()
    [views] = one["subscriptions"]
    assert [(each["consumer"], each["count"]) for each in everything["subscriptions"] if each["count"]] == [
        ("project_order", 2),
        *((follower, 1) for follower in JUNK_IS_FOR),
    ]
    assert views["reasons"] == [{"reason": "MaxDeliveryCountExceeded", "count": 2}]
    event = next(item["event"] for item in views["items"] if item["event"])
    junk = next(item["sequenceNumber"] for item in views["items"] if not item["event"])
    assert event["aggregateId"] == order_id

    history, checked, healed = operator.next(ORDER_ID=order_id, CUSTOMER_ID=customer_id)
    assert history["customerId"] == customer_id
    assert differing(checked)[order_id] == "items"
    assert differing(healed) == {}
    dry, wet = operator.next()
    assert {item["result"] for item in dry["items"]} == {"chosen"}
    assert sorted(item["result"] for item in wet["items"]) == ["replayed", "unreadable"]
    [discarded] = operator.next(SEQUENCE_NUMBER=str(junk))
    assert [item["result"] for item in discarded["items"]] == ["discarded"]
    for follower in JUNK_IS_FOR:
        there = {"subscription": follower, "messages": sequence_numbers(api, follower), "why": "junk"}
        assert api.post("/ops/dead-letters/discard", there).status_code == 200
    [left] = operator.next()
    assert {each["count"] for each in left["subscriptions"]} == {0}
    assert api.details(order_id, customer_id, 2)["items"][0]["quantity"] == 3


def given_up(api: Api, consumer: str) -> int:
    [subscription] = api.read("/ops/dead-letters", subscription=consumer)["subscriptions"]
    count: int = subscription["count"]
    return count


def sequence_numbers(api: Api, consumer: str) -> list[int]:
    [subscription] = api.read("/ops/dead-letters", subscription=consumer)["subscriptions"]
    return [item["sequenceNumber"] for item in subscription["items"]]


def projected_order(api: Api) -> str:
    """An order that is shown, so that it is behind by what comes after it alone."""
    customer_id = api.customer()
    order_id = api.order(customer_id, api.product())
    assert api.details(order_id, customer_id, 1)["version"] == 1
    return order_id


def projection_lag(operator: Operator) -> None:
    api = operator.api
    order_id = projected_order(api)
    with stopped(operator.stack, "servicebus"):
        assert api.post(f"/orders/{order_id}/submit").status_code == 204
        [views] = operator.next()
        orders, products, _ = (view["lag"] for view in views["items"])
        assert (orders["unapplied"], products["unapplied"]) == (1, 0)
        assert orders["oldestAge"] > 0
        # what the stopped engine took is sent again, if need be
        api.http.post("../admin/functions/relay_events", json={})
    operator.until(lambda answers: [view["lag"]["unapplied"] for view in answers[0]["items"]] == [0, 0, 0])


def throttled(operator: Operator) -> None:
    api = operator.api
    if api.read("/ops/projections/orders")["standby"] is None:  # unless another section has just rebuilt them
        assert api.post("/ops/projections/orders/rebuild").status_code == 200
        rebuilt(api)
    [views] = operator.next()
    assert views["items"][0]["standby"] is not None
    [retired] = operator.next()
    assert retired["standby"] is None
    assert api.post("/ops/projections/orders/rebuild").json()["rebuild"]["step"] == "retiring"
    [cancelled] = operator.next()
    assert cancelled["rebuild"]["step"] == "cancelled"
    [views] = operator.next()
    assert views["items"][0]["serving"] == retired["serving"]


def busy_database(operator: Operator) -> None:
    """A database at its limit cannot be made here; its section looks only, and mends with what needs Azure."""
    [views] = operator.next()
    assert {"rebuild", "lag"} <= views["items"][0].keys()
    assert operator.next() == [{"status": "ready", "wrong": []}]


def unpublished_events(operator: Operator) -> None:
    api = operator.api
    order_id = projected_order(api)
    with stopped(operator.stack, "servicebus"):
        assert api.post(f"/orders/{order_id}/submit").status_code == 204
        orders, history = operator.next(ORDER_ID=order_id)
        assert orders["lag"]["unapplied"] == 1
        assert history["events"][-1]["publishedAt"] is None
    assert operator.next() == []
    operator.until(
        lambda answers: answers[0]["events"][-1]["publishedAt"] and not answers[1]["lag"]["unapplied"],
        ORDER_ID=order_id,
    )


def silent_timers(operator: Operator) -> None:
    api, stack = operator.api, operator.stack
    customer_id = api.customer()
    order_id = api.order(customer_id, api.product())
    with stopped(stack, "servicebus"):
        assert api.post(f"/orders/{order_id}/submit").status_code == 204
        stack.kill("host")  # it dies before it has published the event, and in this stack no relay runs by itself
    stack.wait_ready()
    history = api.read(f"/orders/{order_id}/history")
    assert history["events"][-1]["publishedAt"] is None
    ready, views = operator.next()
    assert ready == {"status": "ready", "wrong": []}
    before = checked_at(views)
    assert operator.next() == operator.next() == []

    def is_over(answers: list[Any]) -> bool:
        [found] = answers
        assert len(found["items"]) == len(before)
        looked_at = all(map(str.__gt__, checked_at(found), before))
        return looked_at and not any(view["lag"]["unapplied"] for view in found["items"])

    operator.until(is_over)
    assert api.details(order_id, customer_id, 2)["status"] == "Submitted"


def checked_at(views: dict[str, Any]) -> list[str]:
    """When each view was last compared with the log; empty: not yet."""
    return [(view["drift"] or {"checkedAt": ""})["checkedAt"] for view in views["items"]]


def read_model_wrong(operator: Operator) -> None:
    api = operator.api
    customer_id = api.customer()
    order_id = api.order(customer_id, api.product())
    damage(operator.stack, order_id, customer_id, status="Lost")
    checked = api.post("/ops/projections/orders/check", {"ids": [customer_id], "sample": 0}).json()
    assert checked["drift"]["found"] == 1
    ready, views = operator.next()
    assert ready == {"status": "ready", "wrong": []}
    assert differing(views["items"][0])[order_id] == "status"
    [healed] = operator.next()
    assert differing(healed) == {}
    [view] = operator.next()
    assert (view["wrong"], view["drift"]["found"]) == ([], 0)
    assert api.details(order_id, customer_id)["status"] == "Created"


def waiting_list(operator: Operator) -> None:
    api = operator.api
    product_id = api.product()
    order_id = api.order(api.customer(), product_id, quantity=3)
    assert api.post(f"/products/{product_id}/receipts", {"quantity": 1}).status_code == 204
    api.bring(order_id, "Submitted")
    eventually(lambda: api.read(f"/products/{product_id}/inventory")["waiting"] == 2, "two pieces are waited for")
    [listed] = operator.next()
    assert {item["productId"]: item["waiting"] for item in listed["items"]}[product_id] == 2
    assert operator.next(PRODUCT_ID=product_id) == []
    operator.until(lambda answers: (answers[0]["reserved"], answers[0]["waiting"]) == (3, 0), PRODUCT_ID=product_id)


def pays(api: Api, token: str) -> tuple[str, str]:
    """An order that is submitted with this token, and its customer, when its payment has been asked for."""
    customer_id = api.customer()
    order_id = api.order(customer_id, api.product())
    answer = api.post(f"/orders/{order_id}/submit", {"payment": {"token": token}})
    assert answer.status_code == 204, answer.text
    path = f"/orders/{order_id}/payment"
    eventually(lambda: api.get(path, customerId=customer_id).status_code == 200, "its payment is asked for")
    return order_id, customer_id


def waited_for(answer: Any, order_id: str) -> str | None:
    """What the fulfilment of an order waits for, in a list of them; None: it is not in it."""
    return {each["orderId"]: str(each["waitsFor"]) for each in answer["items"]}.get(order_id)


def overdue_deadlines(operator: Operator) -> None:
    api, now = operator.api, "2026-01-01T00:00:00Z"
    order_id, customer_id = pays(api, "pm_card_visa_chargeDeclined")
    eventually(lambda: waited_for(api.read("/ops/processes", take=100), order_id) == "the customer", "it is declined")
    answer = api.post(f"/ops/processes/{order_id}/deadline", {"at": "2020-01-01T00:00:00Z"})
    assert answer.status_code == 200, answer.text
    [listed] = operator.next(TIME=now)  # in this stack no relay runs by itself
    assert waited_for(listed, order_id) == "the customer"
    assert operator.next() == []
    operator.until(lambda answers: waited_for(answers[0], order_id) is None, TIME=now)
    eventually(lambda: api.details(order_id, customer_id)["status"] == "Cancelled", "it is cancelled")


def provider_away(operator: Operator) -> None:
    provider = Control(operator.stack.settings["STRIPE_API"])
    provider.expect("down", times=1_000)
    try:
        order_id, customer_id = pays(operator.api, "pm_card_visa")
        operator.until(lambda answers: waited_for(answers[0], order_id) == "the authorisation")
    finally:
        provider.heal()
    names = {"ORDER_ID": order_id, "CUSTOMER_ID": customer_id}
    operator.until(lambda answers: answers[0]["status"] == "authorised", **names)


def waiting_payments(operator: Operator) -> None:
    provider = Control(operator.stack.settings["STRIPE_API"])
    provider.expect("down", times=1_000)
    try:
        order_id, customer_id = pays(operator.api, "pm_card_visa")
        names = {"ORDER_ID": order_id, "CUSTOMER_ID": customer_id}
        [payment] = operator.next(**names)
        assert waited_for(operator.api.read("/ops/processes", take=100), order_id) == "the authorisation"
        assert payment["status"] == "requested"
    finally:
        provider.heal()
    assert operator.next() == []
    operator.until(lambda answers: answers[0]["status"] == "authorised", **names)


def stock_adds_up(operator: Operator) -> None:
    api = operator.api
    product_id = api.product()
    assert api.post(f"/products/{product_id}/receipts", {"quantity": 40}).status_code == 204
    api.read(f"/products/{product_id}/inventory", minVersion=1)
    stock_id = str(uuid5(UUID(product_id), "stock"))
    with documents_in(operator.stack, "catalog") as documents:
        view = f"product:{product_id}"
        documents.replace_item(stock_id, documents.read_item(stock_id, view) | {"onHand": 39})
    level, checked, found = operator.next(PRODUCT_ID=product_id)
    assert level["currentStock"] == 39
    assert differing(checked)[stock_id] == "onHand"
    assert [event["type"] for event in found["events"]] == ["StockReceivedV1"]
    healed, _ = operator.next(PRODUCT_ID=product_id)
    assert differing(healed) == {}
    level = api.read(f"/products/{product_id}/inventory", minVersion=2)
    assert (level["currentStock"], level["available"]) == (38, 38)


def server_errors(operator: Operator) -> None:
    with stopped(operator.stack, "cosmos"):
        [problem] = operator.next(REFUSED)
        assert (problem["status"], problem["type"]) == (503, "urn:tandem:problem:not-ready")
    operator.stack.wait_ready()
    assert operator.next() == [{"status": "ready", "wrong": []}]


def wrong_read_model(operator: Operator) -> None:
    api = operator.api
    customer_id, product_id = api.customer(), api.product()
    lost, wrong = (api.order(customer_id, product_id) for _ in range(2))
    damage(operator.stack, wrong, customer_id, status="Lost")
    with orders_container(operator.stack) as documents:
        documents.delete_item(lost, customer_id)

    [checked] = operator.next()
    assert {lost: "missing", wrong: "status"}.items() <= differing(checked).items()
    [healed] = operator.next()
    assert differing(healed) == {}
    before, _ = operator.next()
    after = rebuilt(api)
    assert (after["serving"], after["standby"]) == (before["rebuild"]["generation"], before["serving"])
    [rolling] = operator.next()
    assert rolling["switchAt"]
    eventually(lambda: api.read("/ops/projections/orders")["serving"] == before["serving"], "it is rolled back")
    [checked] = operator.next()
    assert differing(checked) == {}
    assert checked["drift"]["partitions"] > 0
    assert api.details(lost, customer_id)["status"] == api.details(wrong, customer_id)["status"] == "Created"


def wrong_order(operator: Operator) -> None:
    api = operator.api
    customer_id = api.customer()
    order_id = api.order(customer_id, api.product())
    api.bring(order_id, "Submitted")
    api.details(order_id, customer_id, 2)
    begun = api.read(f"/orders/{order_id}/history")["events"][0]["occurredAt"]
    damage(operator.stack, order_id, customer_id, status="Completed")

    history, shown, first, then = operator.next(ORDER_ID=order_id, CUSTOMER_ID=customer_id, TIME=begun)
    assert [event["type"] for event in history["events"]] == ["OrderCreatedV1", "OrderSubmittedV2"]
    assert (shown["status"], first["status"], then["status"]) == ("Completed", "Created", "Created")
    checked, healed = operator.next(CUSTOMER_ID=customer_id)
    assert differing(checked)[order_id] == "status"
    assert differing(healed) == {}
    assert api.details(order_id, customer_id)["status"] == "Submitted"


def waiting_order(operator: Operator) -> None:
    api = operator.api
    customer_id = api.customer()
    order_id = api.order(customer_id, api.product())
    answer = api.post(f"/orders/{order_id}/submit", {"payment": {"token": "pm_card_visa_chargeDeclined"}})
    assert answer.status_code == 204, answer.text

    def is_shown(found: list[Any]) -> bool:
        waits = [{each["orderId"]: each["waitsFor"] for each in page["items"]}.get(order_id) for page in found]
        return waits == ["the customer"] * 2

    operator.until(is_shown, TIME="2999-01-01T00:00:00Z")
    process, found = operator.next(ORDER_ID=order_id)
    assert (process["waitsFor"], process["steps"][0]["what"]) == ("the customer", "submitted, to be paid")
    assert [each["type"] for each in found["events"]][:2] == ["OrderCreatedV1", "OrderSubmittedV2"]
    [moved] = operator.next(ORDER_ID=order_id, TIME="2999-01-01T00:00:00Z")
    assert moved["changed"] == order_id
    newest = api.read("/ops/audit")["items"][0]
    assert (newest["action"], newest["subject"]) == ("post_process_deadline", order_id)


def who_did_it(operator: Operator) -> None:
    assert operator.api.post("/ops/projections/products/heal").status_code == 200
    [trail] = operator.next()
    newest = trail["items"][0]
    assert (newest["action"], newest["subject"]) == ("heal", "products")
    assert newest["outcome"]["details"]["view"] == "products"


SITUATIONS: dict[str, Callable[[Operator], None]] = {
    "How to call": calling,
    "dead-letters": dead_letters,
    "projection-lag": projection_lag,
    "sql-cpu": busy_database,
    "unpublished-events": unpublished_events,
    "silent-timer": silent_timers,
    "read-model-wrong": read_model_wrong,
    "waiting-list": waiting_list,
    "overdue-deadlines": overdue_deadlines,
    "payment-provider": provider_away,
    "waiting-payments": waiting_payments,
    "server-errors": server_errors,
    "A read model is wrong or lost": wrong_read_model,
    "cosmos-throttled": throttled,  # behind what leaves it a generation to retire: to make one takes a minute
    "Stock does not add up": stock_adds_up,
    'A customer says "my order is wrong"': wrong_order,
    "An order waits": waiting_order,
    "Who did what": who_did_it,
}


@pytest.fixture(scope="module")
def hurt() -> Iterator[Stack]:
    """A stack to be hurt, in which no relay runs unless somebody runs it."""
    with running_stack(settings={"RelaySchedule": "0 0 0 1 1 *"}) as stack:
        yield stack


@pytest.mark.parametrize("heading", SITUATIONS)
def test_the_commands_of_a_section_do_what_it_says(hurt: Stack, heading: str) -> None:
    with Api(hurt) as api:
        operator = Operator(hurt, api, PAGE[heading])
        SITUATIONS[heading](operator)
    assert operator.done == len(operator.section.blocks("sh")), "every command of the section"


def test_every_section_with_commands_has_a_situation() -> None:
    assert {heading for heading, section in PAGE.items() if section.blocks("sh")} == set(SITUATIONS)
