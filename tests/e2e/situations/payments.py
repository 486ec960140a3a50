"""Payments that wait for a customer or for the provider."""

from typing import Any

from infra.local.payments.running import Control
from tests.e2e.api import Api, eventually
from tests.e2e.situations.on_call import Operator


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
