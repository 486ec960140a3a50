"""What Tandem relies on of Stripe, through Stripe's own client."""

from collections.abc import Callable
from typing import Any
from uuid import uuid4

import pytest
import stripe
from stripe import PaymentIntent, StripeClient

DECLINES = {
    "pm_card_visa_chargeDeclined": ("card_declined", "generic_decline"),
    "pm_card_visa_chargeDeclinedInsufficientFunds": ("card_declined", "insufficient_funds"),
    "pm_card_chargeDeclinedExpiredCard": ("expired_card", None),
}


def create(client: StripeClient, amount: int = 4980, key: str | None = None, **more: Any) -> PaymentIntent:
    """An intent as the adapter makes it: not confirmed, for a card only, to be captured later."""
    params: Any = {
        "amount": amount,
        "currency": "eur",
        "capture_method": "manual",
        "allowed_payment_method_types": ["card"],
        "metadata": {"payment": "7"},
        **more,
    }
    return client.v1.payment_intents.create(params, {"idempotency_key": key or str(uuid4())})


def confirm(client: StripeClient, intent: PaymentIntent, card: str = "pm_card_visa", key: str = "") -> PaymentIntent:
    return client.v1.payment_intents.confirm(
        intent.id, {"payment_method": card}, {"idempotency_key": key or str(uuid4())}
    )


def captured(client: StripeClient, amount: int = 4980) -> PaymentIntent:
    intent = confirm(client, create(client, amount))
    return client.v1.payment_intents.capture(intent.id, {}, {"idempotency_key": str(uuid4())})


def requests(client: StripeClient, intent: str) -> list[Callable[[Any], object]]:
    """Every request that the adapter makes, each to be given parameters."""
    intents, refunds = client.v1.payment_intents, client.v1.refunds
    return [
        lambda params: create(client, **params),
        lambda params: intents.retrieve(intent, params),
        lambda params: intents.confirm(intent, params),
        lambda params: intents.capture(intent, params),
        lambda params: intents.cancel(intent, params),
        lambda params: refunds.create(params | {"payment_intent": intent}),
        lambda params: refunds.list(params | {"payment_intent": intent}),
    ]


def error_of(raised: pytest.ExceptionInfo[Any]) -> Any:
    return raised.value.error


def test_an_intent_holds_nothing_before_it_is_confirmed(client: StripeClient) -> None:
    intent = create(client)
    assert (intent.status, intent.amount, intent.amount_capturable) == ("requires_payment_method", 4980, 0)
    assert (intent.currency, intent.metadata["payment"]) == ("eur", "7")
    assert intent.client_secret
    assert intent.client_secret.startswith(f"{intent.id}_secret_")


def test_an_intent_takes_the_allowed_types_alone_and_a_card_is_confirmed_without_a_return_url(
    client: StripeClient,
) -> None:
    intent = create(client)
    assert intent.payment_method_types == ["card"]
    assert confirm(client, intent).status == "requires_capture"


def test_an_intent_that_takes_what_the_dashboard_allows_is_not_confirmed_without_a_return_url(
    client: StripeClient,
) -> None:
    intent = client.v1.payment_intents.create({"amount": 4980, "currency": "eur", "capture_method": "manual"})
    with pytest.raises(stripe.InvalidRequestError, match="return_url") as raised:
        confirm(client, intent)
    assert (raised.value.http_status, raised.value.code, raised.value.param) == (400, None, None)


def test_the_types_of_payment_methods_are_no_parameter_any_more(client: StripeClient) -> None:
    params: Any = {"amount": 4980, "currency": "eur", "payment_method_types": ["card"]}
    with pytest.raises(stripe.InvalidRequestError) as raised:
        client.v1.payment_intents.create(params)
    assert (raised.value.http_status, raised.value.code) == (400, "payment_method_types_no_longer_supported")


def test_what_is_no_parameter_is_refused_by_name(client: StripeClient) -> None:
    intent, unknown = create(client), {"colour": "blue"}
    for ask in requests(client, intent.id):
        with pytest.raises(stripe.InvalidRequestError) as raised:
            ask(unknown)
        assert (raised.value.http_status, raised.value.code) == (400, "parameter_unknown")
        assert raised.value.param == "colour"


def test_a_good_card_is_authorised_and_captured_later(client: StripeClient) -> None:
    intent = confirm(client, create(client))
    assert (intent.status, intent.amount_capturable, intent.amount_received) == ("requires_capture", 4980, 0)
    intent = client.v1.payment_intents.capture(intent.id)
    assert (intent.status, intent.amount_capturable, intent.amount_received) == ("succeeded", 0, 4980)
    assert client.v1.payment_intents.retrieve(intent.id).status == "succeeded"


@pytest.mark.parametrize("token", DECLINES)
def test_a_declined_card_is_an_error_that_says_why_and_another_card_may_be_tried(
    client: StripeClient, token: str
) -> None:
    intent = create(client)
    with pytest.raises(stripe.CardError) as raised:
        confirm(client, intent, token)
    error = error_of(raised)
    assert (raised.value.http_status, error.code, error.decline_code) == (402, *DECLINES[token])
    intent = client.v1.payment_intents.retrieve(intent.id)
    assert intent.status == "requires_payment_method"
    assert intent.last_payment_error
    assert intent.last_payment_error.code == DECLINES[token][0]
    assert confirm(client, intent).status == "requires_capture"


def test_a_card_may_ask_for_its_holder_and_the_intent_can_be_called_off_meanwhile(client: StripeClient) -> None:
    intent = confirm(client, create(client), "pm_card_authenticationRequired")
    assert intent.status == "requires_action"
    assert intent.next_action is not None
    assert client.v1.payment_intents.cancel(intent.id).status == "canceled"


def test_an_intent_that_waits_for_its_cardholder_is_confirmed_with_another_card_and_holds_once(
    client: StripeClient,
) -> None:
    intent = confirm(client, create(client), "pm_card_authenticationRequired")
    secret = intent.client_secret
    intent = confirm(client, intent)
    assert (intent.status, intent.amount_capturable) == ("requires_capture", 4980)
    assert (intent.next_action, intent.client_secret) == (None, secret)
    with pytest.raises(stripe.InvalidRequestError) as raised:
        confirm(client, intent, "pm_card_mastercard")
    assert raised.value.code == "payment_intent_unexpected_state"


def test_another_card_may_be_declined_or_ask_for_its_holder_while_the_first_one_is_waited_for(
    client: StripeClient,
) -> None:
    intent = confirm(client, create(client), "pm_card_authenticationRequired")
    with pytest.raises(stripe.CardError):
        confirm(client, intent, "pm_card_visa_chargeDeclined")
    intent = client.v1.payment_intents.retrieve(intent.id)
    assert (intent.status, intent.next_action) == ("requires_payment_method", None)
    for _ in range(2):
        intent = confirm(client, intent, "pm_card_authenticationRequired")
        assert intent.status == "requires_action"
    with pytest.raises(stripe.InvalidRequestError):
        confirm(client, intent, "pm_none")
    assert client.v1.payment_intents.retrieve(intent.id).status == "requires_action"


def test_an_authorisation_that_is_called_off_is_never_captured(client: StripeClient) -> None:
    intent = confirm(client, create(client))
    intent = client.v1.payment_intents.cancel(intent.id, {"cancellation_reason": "requested_by_customer"})
    assert (intent.status, intent.amount_capturable) == ("canceled", 0)
    for act in (client.v1.payment_intents.capture, client.v1.payment_intents.cancel):
        with pytest.raises(stripe.InvalidRequestError) as raised:
            act(intent.id)
        assert (raised.value.http_status, raised.value.code) == (400, "payment_intent_unexpected_state")


def test_what_is_authorised_is_not_authorised_again_whatever_the_key(client: StripeClient) -> None:
    intent = confirm(client, create(client))
    with pytest.raises(stripe.InvalidRequestError) as raised:
        confirm(client, intent)
    assert raised.value.code == "payment_intent_unexpected_state"


def test_a_refund_is_in_parts_and_never_of_more_than_was_taken(client: StripeClient) -> None:
    intent = captured(client)
    part = client.v1.refunds.create({"payment_intent": intent.id, "amount": 1000, "metadata": {"refund": "r1"}})
    assert (part.status, part.amount) == ("succeeded", 1000)
    with pytest.raises(stripe.InvalidRequestError) as raised:
        client.v1.refunds.create({"payment_intent": intent.id, "amount": 3981})
    assert raised.value.http_status == 400
    assert client.v1.refunds.create({"payment_intent": intent.id}).amount == 3980
    with pytest.raises(stripe.InvalidRequestError) as raised:
        client.v1.refunds.create({"payment_intent": intent.id, "amount": 1})
    assert raised.value.code == "charge_already_refunded"
    found = client.v1.refunds.list({"payment_intent": intent.id}).data
    assert [refund.amount for refund in found] == [3980, 1000]
    assert found[1].metadata
    assert found[1].metadata["refund"] == "r1"


def test_a_refund_may_be_pending_and_counts_as_given_meanwhile(client: StripeClient) -> None:
    intent = confirm(client, create(client), "pm_card_pendingRefund")
    client.v1.payment_intents.capture(intent.id)
    refund = client.v1.refunds.create({"payment_intent": intent.id, "amount": 4000})
    assert refund.status == "pending"
    assert [each.id for each in client.v1.refunds.list({"payment_intent": intent.id}).data] == [refund.id]
    with pytest.raises(stripe.InvalidRequestError) as raised:
        client.v1.refunds.create({"payment_intent": intent.id, "amount": 981})
    assert raised.value.http_status == 400


def test_a_key_gives_the_first_answer_again(client: StripeClient) -> None:
    key = str(uuid4())
    first, again = create(client, key=key), create(client, key=key)
    assert again.id == first.id
    assert again.last_response
    assert again.last_response.headers["Idempotent-Replayed"] == "true"


def test_a_key_gives_a_decline_again_and_the_card_is_not_asked_twice(client: StripeClient) -> None:
    intent, key = create(client), str(uuid4())
    for _ in range(2):
        with pytest.raises(stripe.CardError):
            confirm(client, intent, "pm_card_visa_chargeDeclined", key)


def test_a_key_is_refused_with_other_parameters(client: StripeClient) -> None:
    key = str(uuid4())
    create(client, key=key)
    with pytest.raises(stripe.IdempotencyError):
        create(client, 4981, key=key)


def test_a_refund_with_the_same_key_is_one_refund(client: StripeClient) -> None:
    intent, key = captured(client), str(uuid4())
    ids = {
        client.v1.refunds.create({"payment_intent": intent.id, "amount": 1000}, {"idempotency_key": key}).id
        for _ in range(2)
    }
    assert len(ids) == 1
    assert len(client.v1.refunds.list({"payment_intent": intent.id}).data) == 1


@pytest.mark.parametrize(
    ("params", "param"),
    [({"amount": 0}, "amount"), ({"amount": -5}, "amount"), ({"currency": ""}, "currency")],
)
def test_what_is_no_amount_of_money_is_refused_by_name(client: StripeClient, params: Any, param: str) -> None:
    with pytest.raises(stripe.InvalidRequestError) as raised:
        create(client, **params)
    assert raised.value.param == param


def test_a_card_that_there_is_not_is_refused(client: StripeClient) -> None:
    with pytest.raises(stripe.InvalidRequestError) as raised:
        confirm(client, create(client), "pm_none")
    assert raised.value.code == "resource_missing"


def test_a_payment_method_that_paid_once_is_refused_without_a_code_and_another_one_pays(client: StripeClient) -> None:
    used = confirm(client, create(client)).payment_method
    assert isinstance(used, str)
    intent = create(client)
    with pytest.raises(stripe.InvalidRequestError) as raised:
        confirm(client, intent, used)
    assert (raised.value.http_status, raised.value.code) == (400, None)
    assert client.v1.payment_intents.retrieve(intent.id).status == "requires_payment_method"
    assert confirm(client, intent).status == "requires_capture"


def test_an_intent_that_there_is_not_is_refused(client: StripeClient) -> None:
    with pytest.raises(stripe.InvalidRequestError) as raised:
        client.v1.payment_intents.retrieve("pi_none")
    assert (raised.value.http_status, raised.value.code) == (404, "resource_missing")


def test_a_refund_of_what_was_not_taken_is_refused(client: StripeClient) -> None:
    intent = confirm(client, create(client))
    with pytest.raises(stripe.InvalidRequestError):
        client.v1.refunds.create({"payment_intent": intent.id})
