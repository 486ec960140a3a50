"""Payments over HTTP, with the laptop's provider: what the shop and the provider's ledger say is the same."""

from collections.abc import Iterator
from decimal import Decimal
from uuid import uuid4

import pytest

from infra.local.payments.running import Control
from shared.ordering.events import AuthorisationAskedV1, CaptureAskedV1, RefundAskedV1, VoidAskedV1
from tests.e2e.api import Api, eventually, order_body, problem
from tests.support.fulfilment import ask
from tests.support.stack import Stack, running_stack


def provider_of(stack: Stack) -> Control:
    return Control(stack.settings["STRIPE_API"])


def moved(stack: Stack, order_id: str) -> list[tuple[str, int]]:
    movements = provider_of(stack).movements()
    return [(each["kind"], each["amount"]) for each in movements if each["metadata"].get("payment") == order_id]


def authorisation(token: str = "pm_card_visa") -> AuthorisationAskedV1:  # noqa: S107  # a test token
    return AuthorisationAskedV1(uuid4(), uuid4(), "EUR", Decimal("49.80"), token, 1)


def status(api: Api, asked: AuthorisationAskedV1) -> str:
    answer = api.get(f"/orders/{asked.order_id}/payment", customerId=str(asked.customer_id))
    return str(answer.json()["status"]) if answer.status_code == 200 else "none"


def comes_to(api: Api, asked: AuthorisationAskedV1, wanted: str, seconds: float = 60) -> None:
    eventually(lambda: status(api, asked) == wanted, f"the payment is {wanted}", seconds)


def test_a_cardholder_who_shows_that_it_is_them_pays(api: Api, stack: Stack) -> None:
    customer_id = str(uuid4())
    order_id = api.payment("actionRequired", customer_id)
    path = f"/orders/{order_id}/payment"
    with Api(stack, stack.customer_token(customer_id)) as customer:
        known = api.get(path, customerId=customer_id)
        assert known.json()["clientSecret"] is None
        asked = customer.get(path, {"If-None-Match": known.headers["ETag"]}, customerId=customer_id)
        assert asked.status_code == 200, "who has what the staff saw has no secret yet"
        assert asked.headers["ETag"].partition(".")[0] == known.headers["ETag"].partition(".")[0] == '"3'
        assert (asked.headers["Cache-Control"], known.headers["Cache-Control"]) == ("no-store", "private, no-cache")
        secret = asked.json()["clientSecret"]
        provider_of(stack).authenticate(secret.partition("_secret_")[0])  # its webhook comes by itself
        eventually(lambda: customer.read(path, customerId=customer_id)["status"] == "authorised", "it is authorised")
    assert moved(stack, order_id) == [("authorised", 4980)]


def test_a_cardholder_who_leaves_their_banks_page_pays_with_another_card(api: Api, stack: Stack) -> None:
    customer_id = api.customer()
    order_id = api.order(customer_id, api.product())
    token = {"token": "pm_card_authenticationRequired"}
    assert api.post(f"/orders/{order_id}/submit", {"payment": token}).status_code == 204

    def shows(action: str, status: str) -> bool:
        order = api.details(order_id, customer_id)
        return action in order["allowedActions"] and bool(order["payment"]["status"] == status)

    eventually(lambda: shows("pay", "actionRequired"), "their bank asks for them", 60)
    assert api.post(f"/orders/{order_id}/payment", {"token": "pm_card_visa"}).status_code == 204
    eventually(lambda: shows("complete", "authorised"), "the order is confirmed", 60)
    problem(api.post(f"/orders/{order_id}/payment", {"token": "pm_card_visa"}), 409, "payment-status")
    assert api.read(f"/orders/{order_id}/payment", customerId=customer_id)["attempt"] == 2
    assert moved(stack, order_id) == [("authorised", 2490)]


def test_a_payment_is_answered_without_its_body_to_whoever_has_it(api: Api) -> None:
    customer_id = str(uuid4())
    path = f"/orders/{api.payment('captured', customer_id)}/payment?customerId={customer_id}"
    first = api.get(path)
    same = api.get(path, {"If-None-Match": first.headers["ETag"]})
    assert (same.status_code, same.content, same.headers["ETag"]) == (304, b"", first.headers["ETag"])


def test_whoever_gives_back_names_what_is_wrong_and_gives_back_once_for_a_key(api: Api, stack: Stack) -> None:
    order_id, key = api.payment("captured"), str(uuid4())
    path = f"/orders/{order_id}/refund"
    problem(api.post(path, {"amount": "49.81", "reason": "Too much"}), 409, "refund-too-large", "/amount")
    problem(api.post(path, {"amount": "0"}), 422, "invalid", "/reason")
    problem(api.post(path, {"amount": "0", "reason": "Nothing"}), 422, "invalid", "/amount")
    first = api.post(path, {"amount": "9.80", "reason": "One cup was broken"}, Idempotency_Key=key)
    eventually(lambda: len(moved(stack, order_id)) == 3, "it is given back")
    again = api.post(path, {"amount": "9.80", "reason": "One cup was broken"}, Idempotency_Key=key)
    assert (first.status_code, again.status_code) == (204, 204)
    assert (again.headers["ETag"], again.headers["Idempotent-Replayed"]) == (first.headers["ETag"], "true")
    problem(api.post(path, {"amount": "1", "reason": "Another"}, Idempotency_Key=key), 422, "idempotency-key-reused")
    assert moved(stack, order_id) == [("authorised", 4980), ("captured", 4980), ("refunded", 980)]


def test_an_order_that_is_paid_goes_by_itself_to_confirmed_and_is_taken_when_it_is_shipped(
    api: Api, stack: Stack
) -> None:
    customer_id = api.customer()
    order_id = api.order(customer_id, api.product())
    assert api.post(f"/orders/{order_id}/submit", {"payment": {"token": "pm_card_visa"}}).status_code == 204

    def shows(status: str, payment: str) -> bool:
        order = api.read(f"/orders/{order_id}", customerId=customer_id)
        return (order["status"], (order["payment"] or {}).get("status")) == (status, payment)

    eventually(lambda: shows("Confirmed", "authorised"), "the order is confirmed", 60)
    assert moved(stack, order_id) == [("authorised", 2490)]
    assert api.post(f"/orders/{order_id}/complete").status_code == 204
    eventually(lambda: shows("Completed", "captured"), "the payment is taken", 60)
    assert moved(stack, order_id) == [("authorised", 2490), ("captured", 2490)]


def test_a_paid_order_that_is_cancelled_is_not_paid_for(api: Api, stack: Stack) -> None:
    customer_id = api.customer()
    order_id = api.order(customer_id, api.product())
    assert api.post(f"/orders/{order_id}/submit", {"payment": {"token": "pm_card_visa"}}).status_code == 204

    def payment_is(status: str) -> bool:
        payment = api.read(f"/orders/{order_id}", customerId=customer_id)["payment"]
        return bool(payment and payment["status"] == status)

    eventually(lambda: payment_is("authorised"), "the payment is authorised", 60)
    assert api.post(f"/orders/{order_id}/cancel", {"reason": "changed my mind"}).status_code == 204
    eventually(lambda: payment_is("voided"), "the payment is voided", 60)
    assert moved(stack, order_id) == [("authorised", 2490), ("voided", 2490)]


@pytest.mark.parametrize("token", ["4242424242424242", "4242 4242 4242 4242", "", "pm_" + "x" * 300, 7])
def test_a_cards_number_is_no_token(api: Api, token: object) -> None:
    problem(api.post(f"/orders/{uuid4()}/payment", {"token": token}), 422, "invalid", "/token")


def test_what_is_not_signed_by_the_provider_is_refused(api: Api) -> None:
    forged, no_ascii = {"Stripe-Signature": "t=1,v1=00"}, {b"Stripe-Signature": "t=1,v1=é".encode()}
    for headers in ({}, forged, {"Authorization": "", **forged}, no_ascii):
        problem(api.http.post("/payments/webhook", content=b"{}", headers=headers), 403, "not-signed")
    large = api.http.post("/payments/webhook", content=b" " * (1024 * 1024 + 1), headers=forged)
    problem(large, 413, "body-too-large")


@pytest.fixture
def own() -> Iterator[Stack]:
    """A stack that is hurt here: one for each test, for a host that dies five times within seconds is given up."""
    with running_stack() as stack:
        yield stack


@pytest.mark.parametrize("step", ["/payment_intents", "/confirm", "/capture", "/cancel", "/refunds"])
def test_a_host_that_is_killed_between_a_step_and_its_record_leaves_the_step_done_once(own: Stack, step: str) -> None:
    asked, provider = authorisation(), provider_of(own)
    order_id = str(asked.order_id)
    with Api(own) as api:
        expected = [("authorised", 4980)]
        if step in {"/capture", "/cancel", "/refunds"}:
            ask(own, asked)
            comes_to(api, asked, "authorised")
        if step == "/refunds":
            ask(own, CaptureAskedV1(asked.order_id))
            comes_to(api, asked, "captured")
        provider.expect("lose-answer", step)
        if step == "/capture":
            ask(own, CaptureAskedV1(asked.order_id))
            expected += [("captured", 4980)]
        elif step == "/cancel":
            ask(own, VoidAskedV1(asked.order_id))
            expected += [("voided", 4980)]
        elif step == "/refunds":
            ask(own, RefundAskedV1(asked.order_id, uuid4(), Decimal("9.80"), "EUR"))
            expected += [("captured", 4980), ("refunded", 980)]
        else:
            ask(own, asked)
        eventually(lambda: provider.faults() == 0, "the step is done, and its answer lost")
        own.kill("host")
        own.wait_ready()
        eventually(lambda: moved(own, order_id) == expected, f"the ledger has {expected}", 60)
        wanted = {"/capture": "captured", "/refunds": "captured", "/cancel": "voided"}.get(step, "authorised")
        comes_to(api, asked, wanted)
        assert moved(own, order_id) == expected


def test_a_host_that_is_killed_between_a_record_and_its_publication_leaves_nothing_undone(own: Stack) -> None:
    asked = authorisation("pm_card_visa_chargeDeclined")
    with Api(own) as api:
        ask(own, asked)
        comes_to(api, asked, "declined")
        with own.stopped("servicebus"):
            answer = api.post(f"/orders/{asked.order_id}/payment", {"token": "pm_card_visa"})
            assert answer.status_code == 204
            own.kill("host")
        own.wait_ready()
        comes_to(api, asked, "authorised")
        assert moved(own, str(asked.order_id)) == [("authorised", 4980)]


def test_while_the_provider_is_away_orders_go_on_and_then_payments_settle_by_themselves(own: Stack) -> None:
    waiting = [authorisation() for _ in range(20)]
    with Api(own) as api, own.stopped("payments"):
        ask(own, *waiting)
        eventually(lambda: all(status(api, asked) == "requested" for asked in waiting), "they are noted")
        customer_id, product_id = api.customer(), api.product()
        order_id = api.order(customer_id, product_id)
        api.bring(order_id, "Cancelled")
        assert api.details(order_id, customer_id, 3)["status"] == "Cancelled"
        assert api.post("/orders", order_body(customer_id, product_id)).status_code == 201
        called_off = waiting[0]
        ask(own, VoidAskedV1(called_off.order_id))
    with Api(own) as api:
        for asked in waiting[1:]:
            comes_to(api, asked, "authorised", 120)
            assert moved(own, str(asked.order_id)) == [("authorised", 4980)]
        comes_to(api, called_off, "voided", 120)
        [dead] = api.read("/ops/dead-letters", subscription="payment-events/payments-provider")["subscriptions"]
        assert dead["items"] == []
