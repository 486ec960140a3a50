"""The fulfilment of an order over HTTP, through the host, the topics and the timer."""

from uuid import uuid4

from tests.e2e.api import Api, eventually, problem

CARD = {"payment": {"token": "pm_card_visa"}}
DECLINED = {"payment": {"token": "pm_card_visa_chargeDeclined"}}


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
    problem(api.post(path, {"at": "tomorrow"}), 422, "invalid", "/at")
    moved = api.post(path, {"at": "2020-01-01T00:00:00Z"})
    assert moved.status_code == 200, moved.text
    assert moved.json()["changed"] == order_id
    eventually(lambda: api.details(order_id, customer_id)["status"] == "Cancelled", "the timer has cancelled it")
    cancelled = api.details(order_id, customer_id)
    assert cancelled["cancelReason"] == "It was not paid in time."
    assert cancelled["allowedActions"] == []
    eventually(lambda: api.details(order_id, customer_id)["waitsFor"] == "nothing", "its payment is voided")
    problem(api.post(path, {"at": "2020-01-01T00:00:00Z"}), 409, "no-deadline")
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
