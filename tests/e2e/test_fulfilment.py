"""The fulfilment of an order over HTTP, through the host, the topics and the timer."""

from collections.abc import Sequence
from pathlib import Path
from uuid import uuid4

from infra.local.payments.running import Control
from tests.e2e.api import Api, eventually, problem, version_of
from tests.support.stack import running_stack

CARD = {"payment": {"token": "pm_card_visa"}}
DECLINED = {"payment": {"token": "pm_card_visa_chargeDeclined"}}
CATALOGUE_STOPPED = {"AzureWebJobs.follow_orders.Disabled": "true"}
SETTLES_WITHIN = 90.0


def test_a_paid_order_that_is_not_paid_in_time_is_cancelled_by_the_timer(api: Api) -> None:
    customer_id = api.customer()
    order_id = api.order(customer_id, api.product("24.90"))
    assert api.post(f"/orders/{order_id}/submit", DECLINED).status_code == 204
    shown = api.details(order_id, customer_id, 3)
    assert (shown["payment"]["amount"], shown["payment"]["refunded"]) == ("24.90", "0.00")
    assert shown["allowedActions"] == ["confirm", "cancel"]

    def waits() -> bool:
        found = {each["orderId"]: each for each in api.read("/ops/processes", take=100, state="submitted")["items"]}
        return bool(found.get(order_id, {}).get("waitsFor") == "the customer")

    eventually(waits, "the payment is declined")
    eventually(lambda: "pay" in api.details(order_id, customer_id)["allowedActions"], "another token may be given")
    path = f"/ops/processes/{order_id}/deadline"
    for at in ("tomorrow", "9999-12-31T23:59:59-01:00", "0001-01-01T00:00:00+01:00"):
        problem(api.post(path, {"at": at}), 422, "invalid", "/at")
    moved = api.post(path, {"at": "2020-01-01T00:00:00Z"})
    assert moved.status_code == 200, moved.text
    assert moved.json()["changed"] == order_id
    eventually(lambda: api.details(order_id, customer_id)["status"] == "Cancelled", "the timer has cancelled it")
    cancelled = api.details(order_id, customer_id)
    assert cancelled["cancelReason"] == "It was not paid in time."
    assert cancelled["allowedActions"] == []
    eventually(lambda: api.details(order_id, customer_id)["waitsFor"] == "nothing", "its payment is voided")
    problem(api.post(path, {"at": "2020-01-01T00:00:00Z"}), 409, "no-deadline")
    ended = api.read(f"/ops/processes/{order_id}")
    assert (ended["state"], ended["waitsFor"], ended["next"], ended["deadline"]) == ("cancelled", "nothing", [], None)
    assert ended["endedAt"] >= ended["steps"][-1]["at"]
    told = [step["what"] for step in ended["steps"]]
    assert told[told.index("the deadline has passed") + 1] == "cancelled"
    known = api.get(f"/ops/processes/{order_id}").headers["ETag"]
    assert api.get(f"/ops/processes/{order_id}", {"If-None-Match": known}).status_code == 304
    problem(api.get(f"/ops/processes/{uuid4()}"), 404, "process-not-found")
    problem(api.post(f"/ops/processes/{uuid4()}/deadline", {"at": "2020-01-01T00:00:00Z"}), 404, "process-not-found")


def test_a_paid_order_is_confirmed_by_itself_and_captured_when_it_is_fulfilled(api: Api) -> None:
    customer_id = api.customer()
    order_id = api.order(customer_id, api.product("24.90"))
    assert api.post(f"/orders/{order_id}/submit", CARD).status_code == 204
    eventually(lambda: api.details(order_id, customer_id)["status"] == "Confirmed", "it is confirmed")
    assert api.details(order_id, customer_id)["payment"]["status"] == "authorised"
    assert api.post(f"/orders/{order_id}/complete").status_code == 204
    eventually(lambda: api.details(order_id, customer_id)["waitsFor"] == "nothing", "it is paid")
    assert api.details(order_id, customer_id)["payment"]["status"] == "captured"
    assert api.details(order_id, customer_id)["allowedActions"] == ["refund"]


def test_an_order_on_account_waits_for_the_shop_and_says_what_may_be_done(api: Api) -> None:
    customer_id = api.customer()
    order_id = api.order(customer_id, api.product())
    steps = {
        "submit": ["addItem", "removeItem", "changeShippingAddress", "submit", "cancel"],
        "confirm": ["confirm", "cancel"],
        "complete": ["complete", "cancel"],
    }
    for version, (verb, actions) in enumerate(steps.items(), 1):
        shown = api.details(order_id, customer_id, version)
        assert (shown["payment"], shown["allowedActions"]) == (None, actions)
        assert api.post(f"/orders/{order_id}/{verb}").status_code == 204
    done = api.details(order_id, customer_id, 4)
    assert (done["waitsFor"], done["allowedActions"]) == ("nothing", [])


def test_a_token_is_no_text_that_could_be_a_card(api: Api) -> None:
    order_id = api.order(api.customer(), api.product())
    for token in ("", "4242 4242 4242 4242", "x" * 256):
        body = {"payment": {"token": token}}
        problem(api.post(f"/orders/{order_id}/submit", body), 422, "invalid", "/payment/token")


def stocked(api: Api, pieces: int) -> str:
    body = {"name": "Teapot", "category": "kitchen", "unitPrice": "24.90", "currency": "EUR", "initialStock": pieces}
    answer = api.post("/products", body)
    assert answer.status_code == 201, answer.text
    product_id = str(answer.json()["productId"])
    eventually(lambda: api.unknown_products([product_id]) == [], "ordering knows the product")
    return product_id


def submitted(api: Api, customer_id: str, product_id: str, count: int) -> Sequence[str]:
    """Orders of one piece each, paid by card, that are shown as submitted."""
    orders = [api.order(customer_id, product_id) for _ in range(count)]
    for order_id in orders:
        assert api.post(f"/orders/{order_id}/submit", CARD).status_code == 204
        assert api.details(order_id, customer_id, 2)["status"] == "Submitted"
    return orders


def test_while_the_catalogue_hears_nothing_orders_go_on_and_then_settle_by_themselves(tmp_path: Path) -> None:
    with running_stack(tmp_path, CATALOGUE_STOPPED) as stack, Api(stack) as api:
        customer_id, scarce = api.customer(), stocked(api, 3)
        [unkept] = api.products(1)
        first, called_off, *others = submitted(api, customer_id, scarce, 4)
        [free] = submitted(api, customer_id, unkept, 1)
        cancelled = api.post(f"/orders/{called_off}/cancel", {"reason": "Took too long"})
        assert api.details(called_off, customer_id, version_of(cancelled))["status"] == "Cancelled"
        eventually(lambda: api.details(first, customer_id)["waitsFor"] == "stock", "it waits for the catalogue")
        assert Control(stack.settings["STRIPE_API"]).movements() == []

    with running_stack(tmp_path) as stack, Api(stack) as api:
        for order_id in (first, *others, free):
            eventually(
                lambda order_id=order_id: api.details(order_id, customer_id)["status"] == "Confirmed",
                "it is confirmed by itself",
                SETTLES_WITHIN,
            )
        eventually(lambda: api.details(called_off, customer_id)["waitsFor"] == "nothing", "nothing is left of it")
        movements = Control(stack.settings["STRIPE_API"]).movements()
        paid = {each["metadata"]["payment"] for each in movements}
        assert ({each["kind"] for each in movements}, len(movements)) == ({"authorised"}, 4)
        assert paid == {first, *others, free}
        reserved = {"currentStock": 3, "reserved": 3}.items()
        eventually(lambda: reserved <= api.read(f"/products/{scarce}/inventory").items(), "each has its piece")
        for dead in api.dead_letters():
            assert dead["items"] == [], dead
