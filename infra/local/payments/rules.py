"""Payment intents and refunds: the requests that each state allows, and their effects.

They follow Stripe's documentation (https://docs.stripe.com/payments/paymentintents/lifecycle,
https://docs.stripe.com/api/payment_intents, https://docs.stripe.com/api/refunds). Tests cover the behaviour that
Tandem's adapter relies on (tests/conformance/payments), and can be run against Stripe itself.
"""

import secrets
import string
import time
from collections.abc import Iterable, Mapping
from typing import Any

from infra.local.payments.cards import AUTHENTICATE, DECLINED, GOOD, NOT_AUTHENTICATED, PENDING_REFUND, Refusal
from infra.local.payments.ledger import Json, Ledger

VERSION = "2026-10-28.endive"
"""The version of Stripe's API that this is, which is the one that Stripe's library asks for."""

CREATE = frozenset(
    {
        "allowed_payment_method_types",
        "amount",
        "capture_method",
        "confirm",
        "currency",
        "metadata",
        "payment_method",
    }
)
CONFIRM = frozenset({"payment_method"})
CAPTURE = frozenset({"amount_to_capture"})
CANCEL = frozenset({"cancellation_reason"})
REFUND = frozenset({"amount", "metadata", "payment_intent", "reason"})
REFUNDS = frozenset({"limit", "payment_intent"})
"""The parameters of each request that are known here: a part of Stripe's in that version, and no others."""

REMOVED = "payment_method_types"
"""Stripe takes it no longer, and has an error for it: https://docs.stripe.com/changelog/endive/2026-09-30/\
removes-the-payment-method-types-parameter-from-payment-intents-and-setup-intents"""

IN_THE_DASHBOARD = ("card", "link", "amazon_pay")
"""What an intent that allows no certain types can be paid with: some of these send the payer to another site."""

SMALLEST = 50
"""Minor units; Stripe takes no charge that is worth less than half a dollar or so."""
LARGEST = 99_999_999
"""Minor units: eight digits."""

MOST_DIGITS = 12
"""The pattern of a number in a form."""
LETTERS = 3
"""The pattern of a currency's code."""

DECLINE = 402
"""The status of an answer that says that the card was declined, which changes the intent all the same."""

CANCELLABLE = ("requires_payment_method", "requires_confirmation", "requires_action", "requires_capture", "processing")
CONFIRMABLE = ("requires_payment_method", "requires_confirmation", "requires_action")
"""While the holder of one card is waited for, another card may be confirmed in its place."""


class Refused(Exception):
    """The provider's error: its status, and its body."""

    def __init__(self, status: int, type_: str, message: str, code: str | None = None, **more: Any) -> None:
        super().__init__(message)
        self.status = status
        self.body: Json = {"error": {"type": type_, "message": message, **({"code": code} if code else {}), **more}}


class Rules:
    """The operations on intents and refunds. Each method is called within a transaction of the ledger."""

    def __init__(self, ledger: Ledger) -> None:
        self._ledger = ledger

    def create(self, form: Mapping[str, Any]) -> Json:
        """Make an intent, and confirm it if that is asked for."""
        known(form, CREATE)
        amount = _amount(form.get("amount"), "amount")
        if not SMALLEST <= amount <= LARGEST:
            wrong = "amount_too_small" if amount < SMALLEST else "amount_too_large"
            raise invalid(f"Amount must be between {SMALLEST} and {LARGEST}", wrong, param="amount")
        currency = form.get("currency")
        if not isinstance(currency, str) or len(currency) != LETTERS:
            raise invalid("Missing required param: currency.", "parameter_missing", param="currency")
        allowed = form.get("allowed_payment_method_types", IN_THE_DASHBOARD)
        types = [type_ for type_ in IN_THE_DASHBOARD if type_ in allowed]
        if not types:
            raise invalid("No valid payment method types for this Payment Intent.", "payment_intent_invalid_parameter")
        id_ = _new("pi")
        intent: Json = {
            "id": id_,
            "object": "payment_intent",
            "amount": amount,
            "amount_capturable": 0,
            "amount_received": 0,
            "canceled_at": None,
            "cancellation_reason": None,
            "capture_method": form.get("capture_method", "automatic_async"),
            "client_secret": f"{id_}_secret_{_random(25)}",
            "confirmation_method": "automatic",
            "created": int(time.time()),
            "currency": currency.lower(),
            "last_payment_error": None,
            "latest_charge": None,
            "livemode": False,
            "metadata": dict(form.get("metadata", {})),
            "next_action": None,
            "payment_method": form.get("payment_method"),
            "payment_method_types": types,
            "status": "requires_confirmation" if form.get("payment_method") else "requires_payment_method",
        }
        self._keep(intent, "payment_intent.created")
        return self._confirm(intent) if form.get("confirm") == "true" else intent

    def confirm(self, id_: str, form: Mapping[str, Any]) -> Json:
        """Ask the bank."""
        known(form, CONFIRM)
        intent = self.intent(id_)
        if intent["status"] not in CONFIRMABLE:
            raise _wrong_state(intent, "confirm")
        intent["payment_method"] = form.get("payment_method", intent["payment_method"])
        if intent["payment_method"] is None:
            raise invalid("You cannot confirm this PaymentIntent because it's missing a payment method.", None)
        return self._confirm(intent)

    def authenticate(self, id_: str, *, successful: bool) -> Json:
        """Act as the cardholder in their bank's app; this is no part of Stripe's API."""
        intent = self.intent(id_)
        if intent["status"] != "requires_action":
            raise _wrong_state(intent, "authenticate")
        intent["next_action"] = None
        if successful:
            return self._authorise(intent)
        self._fail(intent, NOT_AUTHENTICATED)
        return intent

    def confirm_in_browser(self, id_: str, secret: str, card: str) -> Json:
        """Act as Stripe.js in the cardholder's browser, which confirms with the client secret."""
        if self.intent(id_)["client_secret"] != secret:
            raise invalid("The client_secret provided does not match the PaymentIntent.", None, param="client_secret")
        try:
            return self.confirm(id_, {"payment_method": card})
        except Refused as refused:
            if refused.status != DECLINE:
                raise
            return self.intent(id_)

    def capture(self, id_: str, form: Mapping[str, Any]) -> Json:
        """Capture the authorised amount, or a part of it, which releases the rest."""
        known(form, CAPTURE)
        intent = self.intent(id_)
        if intent["status"] != "requires_capture":
            raise _wrong_state(intent, "capture")
        amount = _amount(form.get("amount_to_capture", intent["amount_capturable"]), "amount_to_capture")
        if amount > intent["amount_capturable"]:
            raise invalid("You cannot capture more than the capturable amount.", "amount_too_large")
        intent |= {"status": "succeeded", "amount_received": amount, "amount_capturable": 0}
        self._ledger.move(intent, "captured", amount)
        if amount < intent["amount"]:
            self._ledger.move(intent, "released", intent["amount"] - amount)
        self._keep(intent, "payment_intent.succeeded")
        return intent

    def cancel(self, id_: str, form: Mapping[str, Any]) -> Json:
        """Release the authorised amount, and allow no capture any more."""
        known(form, CANCEL)
        intent = self.intent(id_)
        if intent["status"] not in CANCELLABLE:
            raise _wrong_state(intent, "cancel")
        if intent["status"] == "requires_capture":
            self._ledger.move(intent, "voided", intent["amount_capturable"])
        return self._cancel(intent, form.get("cancellation_reason"))

    def lapse(self, id_: str) -> Json:
        """Act as the bank that holds an amount no longer, after some seven days; this is no part of Stripe's API.

        Source: https://docs.stripe.com/payments/place-a-hold-on-a-payment-method
        """
        intent = self.intent(id_)
        if intent["status"] != "requires_capture":
            raise _wrong_state(intent, "lapse")
        self._ledger.move(intent, "lapsed", intent["amount_capturable"])
        return self._cancel(intent, "expired")

    def intent(self, id_: str) -> Json:
        """Give an intent as it is."""
        intent = self._ledger.get(id_, "payment_intent")
        if intent is None:
            raise Refused(
                404, "invalid_request_error", f"No such payment_intent: '{id_}'", "resource_missing", param="intent"
            )
        return intent

    def refund(self, form: Mapping[str, Any]) -> Json:
        """Refund the captured amount, or a part of it."""
        known(form, REFUND)
        intent = self.intent(str(form.get("payment_intent")))
        if intent["status"] != "succeeded":
            raise invalid(f"This PaymentIntent ({intent['id']}) does not have a successful charge to refund.", None)
        stand = [refund for refund in self.refunds(intent["id"]) if refund["status"] != "failed"]
        left = intent["amount_received"] - sum(refund["amount"] for refund in stand)
        if not left:
            raise invalid("Charge has already been refunded.", "charge_already_refunded")
        amount = _amount(form.get("amount", left), "amount")
        if amount > left:
            raise invalid(
                f"Refund amount ({amount}) is greater than unrefunded amount on charge ({left})", None, param="amount"
            )
        refund: Json = {
            "id": _new("re"),
            "object": "refund",
            "amount": amount,
            "charge": intent["latest_charge"],
            "created": int(time.time()),
            "currency": intent["currency"],
            "metadata": dict(form.get("metadata", {})),
            "payment_intent": intent["id"],
            "reason": form.get("reason"),
            "status": "pending",
        }
        method = self._ledger.get(intent["payment_method"], "payment_method")
        if method is None or method["token"] != PENDING_REFUND:
            refund["status"] = "succeeded"
            self._ledger.move(intent, "refunded", amount)
        self._ledger.put(refund, intent["id"])
        self._tell("refund.created", refund)
        return refund

    def end_refund(self, id_: str, *, successful: bool) -> Json:
        """Act as the bank that carries out a pending refund, or refuses it; this is no part of Stripe's API."""
        refund = self._ledger.get(id_, "refund")
        if refund is None or refund["status"] != "pending":
            raise invalid(f"No pending refund: '{id_}'", None, param="id")
        refund["status"] = "succeeded" if successful else "failed"
        if successful:
            self._ledger.move(self.intent(refund["payment_intent"]), "refunded", refund["amount"])
        self._ledger.put(refund)
        self._tell("refund.updated" if successful else "refund.failed", refund)
        return refund

    def refunds(self, intent: str) -> list[Json]:
        """Give the refunds of an intent, the youngest first."""
        return self._ledger.of(intent, "refund")

    def _confirm(self, intent: Json) -> Json:
        if intent["payment_method_types"] != ["card"]:
            raise invalid(
                "This PaymentIntent is configured to accept payment methods enabled in your Dashboard. Because some of "
                "these payment methods might redirect your customer off of your page, you must provide a `return_url`.",
                None,
                payment_intent=intent,
            )
        card = intent["payment_method"]
        intent["last_payment_error"] = intent["next_action"] = None
        if card in AUTHENTICATE:
            intent["status"] = "requires_action"
            intent["next_action"] = {"type": "use_stripe_sdk", "use_stripe_sdk": {"type": "three_d_secure_redirect"}}
            self._keep(intent, "payment_intent.requires_action")
            return intent
        if card in DECLINED:
            self._fail(intent, DECLINED[card])
            raise declined(intent)
        if self._ledger.get(card, "payment_method"):
            raise invalid(f"The provided PaymentMethod {card} was used before. It may not be used again.", None)
        if card not in GOOD:
            raise invalid(f"No such PaymentMethod: '{card}'", "resource_missing", param="payment_method")
        return self._authorise(intent)

    def _authorise(self, intent: Json) -> Json:
        method: Json = {"id": _new("pm"), "object": "payment_method", "token": intent["payment_method"]}
        self._ledger.put(method)
        intent["payment_method"] = method["id"]
        manual = intent["capture_method"] == "manual"
        intent["latest_charge"] = _new("ch")
        self._ledger.move(intent, "authorised", intent["amount"])
        if manual:
            intent |= {"status": "requires_capture", "amount_capturable": intent["amount"]}
            self._keep(intent, "payment_intent.amount_capturable_updated")
        else:
            intent |= {"status": "succeeded", "amount_received": intent["amount"]}
            self._ledger.move(intent, "captured", intent["amount"])
            self._keep(intent, "payment_intent.succeeded")
        return intent

    def _cancel(self, intent: Json, reason: str | None) -> Json:
        intent |= {
            "status": "canceled",
            "amount_capturable": 0,
            "canceled_at": int(time.time()),
            "cancellation_reason": reason,
            "next_action": None,
        }
        self._keep(intent, "payment_intent.canceled")
        return intent

    def _fail(self, intent: Json, why: Refusal) -> None:
        error: Json = {"type": "card_error", "code": why.code, "message": why.message}
        if why.decline_code:
            error["decline_code"] = why.decline_code
        intent |= {"status": "requires_payment_method", "last_payment_error": error, "payment_method": None}
        self._keep(intent, "payment_intent.payment_failed")

    def _keep(self, intent: Json, event: str) -> None:
        self._ledger.put(intent)
        self._tell(event, intent)

    def _tell(self, type_: str, body: Json) -> None:
        now = time.time()
        event: Json = {
            "id": _new("evt"),
            "object": "event",
            "api_version": VERSION,
            "created": int(now),
            "data": {"object": body},
            "livemode": False,
            "pending_webhooks": 1,
            "request": {"id": None, "idempotency_key": None},
            "type": type_,
        }
        self._ledger.tell(event, now + (self._ledger.fault("webhook-late", type_) or 0))
        if self._ledger.fault("webhook-twice", type_) is not None:
            self._ledger.tell(event, now)


def declined(intent: Json) -> Refused:
    """The answer to a request whose card was declined; the change of the intent stays."""
    error = intent["last_payment_error"]
    more = {key: value for key, value in error.items() if key == "decline_code"}
    return Refused(DECLINE, "card_error", error["message"], error["code"], payment_intent=intent, **more)


def invalid(message: str, code: str | None, **more: Any) -> Refused:
    """The answer to an invalid request."""
    return Refused(400, "invalid_request_error", message, code, **more)


def known(given: Iterable[str], takes: frozenset[str]) -> None:
    """Refuse what is no parameter of a request, as Stripe does."""
    unknown = [name for name in given if name not in takes]
    if REMOVED in unknown:
        raise invalid(f"`{REMOVED}` is no longer supported.", f"{REMOVED}_no_longer_supported", param=REMOVED)
    if unknown:
        text = f"Received unknown parameter{'s' * (len(unknown) > 1)}: {', '.join(unknown)}"
        raise invalid(text, "parameter_unknown", param=unknown[0])


def _wrong_state(intent: Json, verb: str) -> Refused:
    message = f"This PaymentIntent's status is {intent['status']}: it is not possible to {verb} it."
    return invalid(message, "payment_intent_unexpected_state", payment_intent=intent)


def _amount(value: Any, param: str) -> int:
    text = str(value)
    if not (text.isascii() and text.isdecimal()) or len(text) > MOST_DIGITS or int(text) == 0:
        raise invalid(f"Invalid positive integer: {value}", "parameter_invalid_integer", param=param)
    return int(text)


def _new(prefix: str) -> str:
    return f"{prefix}_{_random(24)}"


def _random(length: int) -> str:
    return "".join(secrets.choice(string.ascii_letters + string.digits) for _ in range(length))
