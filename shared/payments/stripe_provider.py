"""Stripe, through its own library, as payments need it.

https://docs.stripe.com/api/payment_intents

A payment is a PaymentIntent with manual capture. The intent is created first, which holds no money, and confirmed after
its id was recorded: so the intent always tells the payment's state. Idempotency keys are made of the payment and the
step. Stripe keeps a key with its answer, even if that is a 500: once it repeats that 500, the next key is used.

A 400 is a decline only where it is about the customer's token or amount. Any other one says that we are wrong.
"""

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Self, override
from uuid import UUID

from shared.kernel.money import Money
from shared.payments.domain.provider import (
    ActionRequired,
    Declined,
    Gone,
    Held,
    NotFromProvider,
    Outcome,
    PaymentProvider,
    Pending,
    ProviderUnavailable,
    RequestInvalid,
    StepRefused,
    Taken,
)
from shared.payments.events import DeclineReason
from shared.payments.stripe_amounts import NotPayable, money, units

if TYPE_CHECKING:
    import stripe
    from stripe import InvalidRequestError, PaymentIntent, Refund, RequestOptions, StripeObject
    from stripe.params import PaymentIntentCreateParams, RefundCreateParams

API = "https://api.stripe.com"
TIMEOUT = 8.0
"""Seconds that Stripe has to answer; a delivery of Service Bus is locked for sixty."""
KEYS = 200
"""Keys of one step, in their order. Each new 500 uses up one, and the step is then tried again after a pause: some 120
times a day (perform_due.py). After a day Stripe forgets the first key, and so the keys never run out for good."""
WALK = 20.0
"""Seconds after which one call tries no further key."""
SERVER_ERROR = 500
BAD_REQUEST = 400
REPLAYED = "Idempotent-Replayed"
"""The header of an answer that Stripe has kept: https://docs.stripe.com/api/idempotent_requests"""

UNDONE = ("failed", "canceled")
"""The statuses of refunds that gave nothing back: https://docs.stripe.com/api/refunds/object"""

NO_AMOUNT = frozenset({"amount_too_large", "amount_too_small", "invalid_charge_amount"})
NO_TOKEN = frozenset(
    {
        "expired_payment_method",
        "invalid_card_type",
        "payment_intent_incompatible_payment_method",
        "payment_intent_payment_attempt_failed",
        "payment_method_currency_mismatch",
        "payment_method_not_available",
        "payment_method_provider_decline",
        "payment_method_restricted",
        "payment_method_unexpected_state",
        "payment_method_unsupported_type",
        "token_already_used",
        "token_in_use",
    }
)
"""Codes of 400s about what the customer chose: https://docs.stripe.com/error-codes"""
OF_THE_FORM = "parameter"
"""How the codes of 400s begin that are about the form of a request: parameter_unknown, parameters_exclusive."""
OF_A_TOKEN = "PaymentMethod"  # noqa: S105  # a word
"""What Stripe calls a token in its texts."""

REASONS = {
    "insufficient_funds": DeclineReason.INSUFFICIENT_FUNDS,
    "expired_card": DeclineReason.EXPIRED_CARD,
    "payment_intent_authentication_failure": DeclineReason.NOT_AUTHENTICATED,
    "authentication_required": DeclineReason.NOT_AUTHENTICATED,
}


def _about_the_amount(error: "InvalidRequestError") -> bool:
    """Whether Stripe does not take an amount, or its currency, whatever the card."""
    return error.code in NO_AMOUNT or (error.param == "currency" and _about_the_payment(error))


def _about_the_token(error: "InvalidRequestError") -> bool:
    """Whether Stripe does not take a token: it is unknown, no card's, or was used before.

    The last of these has neither a code nor a parameter, like some errors of our own: its text tells it from them.
    """
    if error.code is None and error.param is None:
        return OF_A_TOKEN in (error.user_message or "")
    return error.code in NO_TOKEN or (error.param == "payment_method" and _about_the_payment(error))


def _about_the_payment(error: "InvalidRequestError") -> bool:
    """Whether Stripe understands a request, and does not do it for this payment."""
    return not (error.code or "").startswith(OF_THE_FORM)


class StripeProvider(PaymentProvider):
    """One account of Stripe. The first call imports the library, so that a cold start need not wait for it."""

    signature_header = "Stripe-Signature"

    def __init__(self, key: str, api: str = API, webhook_secret: str = "") -> None:
        """Prepare; nothing connects yet.

        Args:
            key: the account's secret key.
            api: where Stripe answers.
            webhook_secret: what Stripe signs its webhooks with.
        """
        self._key = key
        self._api = api
        self._webhook_secret = webhook_secret
        self._made: stripe.StripeClient | None = None

    @classmethod
    def from_environment(cls, environment: Mapping[str, str]) -> Self:
        """Make a provider from the settings. Without a key every call raises ProviderUnavailable, and payments wait."""
        return cls(
            environment.get("STRIPE_SECRET_KEY", ""),
            environment.get("STRIPE_API") or API,
            environment.get("STRIPE_WEBHOOK_SECRET", ""),
        )

    @override
    def open(self, payment: UUID, amount: Money) -> str | Declined:
        if not self.takes(amount):
            return Declined(DeclineReason.NOT_ACCEPTED)
        params: PaymentIntentCreateParams = {
            "amount": units(amount),
            "currency": amount.currency.lower(),
            "capture_method": "manual",
            "allowed_payment_method_types": ["card"],  # which sends nobody to another site, so no return_url is due
            "metadata": {"payment": str(payment)},
        }
        try:
            opened = self._once(
                f"{payment}:open",
                lambda options: self._intents.create(params, options),
                lambda: None,
                _about_the_amount,
            )
        except _Refused as refused:
            return refused.declined
        return opened.id

    @override
    def authorise(self, reference: str, payment: UUID, attempt: int, token: str) -> Outcome:
        def confirm(options: "RequestOptions") -> "PaymentIntent":
            return self._intents.confirm(reference, {"payment_method": token}, options)

        tried = (Held, Taken, Gone, ActionRequired)
        found = self.look(reference)
        if isinstance(found, tried):
            return found
        try:
            confirmed = self._once(
                f"{payment}:{attempt}:confirm", confirm, lambda: self._if_it_is(reference, *tried), _about_the_token
            )
        except _Refused as refused:
            return refused.declined
        return _outcome(confirmed)

    @override
    def look(self, reference: str) -> Outcome | None:
        return _found(self._retrieve(reference))

    @override
    def capture(self, reference: str, payment: UUID) -> Outcome:
        found = self.look(reference)
        if isinstance(found, (Taken, Gone)):
            return found
        captured = self._once(
            f"{payment}:capture",
            lambda options: self._intents.capture(reference, {}, options),
            lambda: self._if_it_is(reference, Taken, Gone),
        )
        return _outcome(captured)

    @override
    def void(self, reference: str, payment: UUID) -> Outcome:
        found = self.look(reference)
        if isinstance(found, (Taken, Gone)):
            return found
        voided = self._once(
            f"{payment}:void",
            lambda options: self._intents.cancel(reference, {}, options),
            lambda: self._if_it_is(reference, Taken, Gone),
        )
        return _outcome(voided)

    @override
    def takes(self, amount: Money) -> bool:
        try:
            units(amount)
        except NotPayable:
            return False
        return True

    @override
    def refund(self, reference: str, payment: UUID, refund: UUID, amount: Money) -> None:
        params: RefundCreateParams = {
            "payment_intent": reference,
            "amount": units(amount),
            "metadata": {"payment": str(payment), "refund": str(refund)},
        }

        def asked() -> "Sequence[Refund]":
            with _unavailable():
                found = self._client.v1.refunds.list({"payment_intent": reference, "limit": 100}).data
            return [each for each in found if each.metadata and _get(each.metadata, "refund") == str(refund)]

        def standing(refunds: "Sequence[Refund]") -> "Refund | None":
            return next((each for each in refunds if each.status not in UNDONE), None)

        known = asked()
        found = standing(known)
        if found is None:
            found = self._once(
                f"{refund}:{len(known)}:refund",  # a refund that has failed used up its key
                lambda options: self._client.v1.refunds.create(params, options),
                lambda: standing(asked()),
            )
        if found.status != "succeeded":
            raise Pending(f"the refund is {found.status} there")

    @override
    def client_secret(self, reference: str) -> str:
        return str(self._retrieve(reference).client_secret)

    @override
    def payment_of_webhook(self, body: bytes, signature: str | None) -> UUID | None:
        import stripe  # noqa: PLC0415  # as above

        if not (signature or "").isascii():
            signature = None  # the library fails on it when it compares
        try:
            event = stripe.Webhook.construct_event(body, signature, self._webhook_secret)
        except (stripe.SignatureVerificationError, ValueError):
            raise NotFromProvider("The webhook is not signed by the payment provider.") from None
        about = event.data.object
        metadata = getattr(about, "metadata", None)
        named = _get(metadata, "payment") if metadata else None
        try:
            return UUID(named) if named else None
        except ValueError:
            return None  # another system uses the same account

    def _retrieve(self, reference: str) -> "PaymentIntent":
        with _unavailable():
            return self._intents.retrieve(reference)

    def _if_it_is(self, reference: str, *kinds: type[Outcome]) -> "PaymentIntent | None":
        """Give the intent if its outcome is one of these; None if it is not, and the step may be repeated."""
        intent = self._retrieve(reference)
        return intent if isinstance(_found(intent), kinds) else None

    def _once[T](
        self,
        step: str,
        ask: "Callable[[RequestOptions], T]",
        done: Callable[[], T | None],
        refuses: "Callable[[InvalidRequestError], bool]" = _about_the_payment,
    ) -> T:
        """Send a request with the step's first key that is not used up, unless the step was done meanwhile.

        A new 500 ends the call, so that the pause before the next one gives the provider time to recover.
        """
        until = time.monotonic() + WALK
        for number in range(1, KEYS + 1):
            try:
                with _unavailable(refuses):
                    return ask({"idempotency_key": f"{step}:{number}"})
            except _UsedUp:
                found = done()
                if found is not None:
                    return found
            except _WrongState:
                found = done()
                if found is None:
                    raise
                return found
            if time.monotonic() > until:
                break
        raise ProviderUnavailable(f"the provider has failed {number} times")

    @property
    def _intents(self) -> "stripe.PaymentIntentService":
        return self._client.v1.payment_intents

    @property
    def _client(self) -> "stripe.StripeClient":
        if not self._key:
            raise ProviderUnavailable("no account at the payment provider is set up: STRIPE_SECRET_KEY")
        if self._made is None:
            import stripe  # noqa: PLC0415  # its 200 modules are loaded when somebody pays

            # its retries are ours: Service Bus delivers again
            self._made = stripe.StripeClient(
                self._key,
                base_addresses={"api": self._api},
                max_network_retries=0,
                http_client=stripe.RequestsClient(timeout=TIMEOUT),
            )
        return self._made


class _UsedUp(ProviderUnavailable):
    """The key does nothing any more: its stored answer is a 500, or one of an earlier release's request."""


class _WrongState(StepRefused):
    """The intent is not in the state that the request needs."""


class _Refused(StepRefused):
    """The card, the token, the amount or this payment is refused: a retry cannot change it, and another token may."""

    def __init__(self, declined: Declined, refusal: str) -> None:
        super().__init__(refusal)
        self.declined = declined


@contextmanager
def _unavailable(refuses: "Callable[[InvalidRequestError], bool]" = _about_the_payment) -> Iterator[None]:
    """Translate Stripe's errors. Their texts are not repeated, because they may name a person's card.

    Args:
        refuses: whether a 400 is about the payment; else it says that we are wrong.
    """
    import stripe  # noqa: PLC0415  # as above

    try:
        yield
    except stripe.CardError as error:
        reason = _reason(error.code, getattr(error.error, "decline_code", None))
        raise _Refused(Declined(reason), _refusal(error)) from None
    except stripe.InvalidRequestError as error:
        raise _not_taken(error, refuses) from None
    except stripe.IdempotencyError:
        raise _UsedUp("the key was used for a request of another form") from None
    except stripe.APIError as error:
        if error.http_status == SERVER_ERROR and _replayed(error):
            raise _UsedUp("the provider failed") from None
        raise ProviderUnavailable(f"the provider answered {error.http_status}") from None
    except stripe.StripeError as error:
        raise ProviderUnavailable(f"the provider did not answer: {type(error).__name__}") from None


def _not_taken(error: "InvalidRequestError", refuses: "Callable[[InvalidRequestError], bool]") -> ProviderUnavailable:
    """Tell what a request met: another state than it needs, a refusal, or that we are wrong."""
    if error.code == "payment_intent_unexpected_state":
        return _WrongState(_refusal(error))
    if error.http_status != BAD_REQUEST:
        return StepRefused(_refusal(error))
    if refuses(error):
        return _Refused(Declined(DeclineReason.NOT_ACCEPTED), _refusal(error))
    return _UsedUp(_invalid(error)) if _replayed(error) else RequestInvalid(_invalid(error))


def _replayed(error: "stripe.StripeError") -> bool:
    return (error.headers or {}).get(REPLAYED) == "true"


def _refusal(error: "stripe.StripeError") -> str:
    """Name the code, and the request, under which the dashboard has the rest."""
    return f"the provider refused the request: {error.code or 'no code'} ({error.request_id})"


def _invalid(error: "InvalidRequestError") -> str:
    """Name the parameter too, which is one of ours."""
    of = f" of {error.param}" if error.param else ""
    return f"the provider does not take what we send: {error.code or 'no code'}{of} ({error.request_id})"


def _found(intent: "PaymentIntent") -> Outcome | None:
    """Give the outcome of an intent; it is a decline only if no other attempt has begun since."""
    match intent.status:
        case "requires_capture":
            return Held()
        case "succeeded":
            return Taken(money(intent.amount_received, intent.currency.upper()))
        case "canceled":
            return Gone()
        case "requires_action":
            return ActionRequired()
        case "requires_payment_method" if intent.last_payment_error:
            error = intent.last_payment_error
            return Declined(_reason(getattr(error, "code", None), getattr(error, "decline_code", None)))
        case _:
            return None


def _outcome(intent: "PaymentIntent") -> Outcome:
    found = _found(intent)
    if found is None:
        raise ProviderUnavailable(f"the provider is not done: {intent.status}")
    return found


def _reason(code: str | None, decline_code: str | None) -> DeclineReason:
    return REASONS.get(decline_code or "") or REASONS.get(code or "") or DeclineReason.DECLINED


def _get(of: "StripeObject", name: str) -> str | None:
    return of[name] if name in of else None  # noqa: SIM401  # an object of Stripe's has no get
