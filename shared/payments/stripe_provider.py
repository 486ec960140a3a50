"""Stripe, through its own library, as payments need it.

https://docs.stripe.com/api/payment_intents

A payment is a PaymentIntent with manual capture. The intent is created first, which holds no money, and confirmed after
its id was recorded: so the intent always tells the payment's state. Idempotency keys are made of the payment and the
step. Stripe keeps a key with its answer, even if that is a 500: once it repeats that 500, the next key is used.
"""

import time
from collections.abc import Callable, Mapping, Sequence
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
    Taken,
)
from shared.payments.events import DeclineReason
from shared.payments.stripe_amounts import NotPayable, money, units
from shared.payments.stripe_refusals import (
    Refused,
    UsedUp,
    WrongState,
    about_the_amount,
    about_the_payment,
    about_the_token,
    reason_of,
    translated,
)

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
UNDONE = ("failed", "canceled")
"""The statuses of refunds that gave nothing back: https://docs.stripe.com/api/refunds/object"""


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
    def open(self, payment: UUID, attempt: int, amount: Money) -> str | Declined:
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
                f"{payment}:open" if attempt == 1 else f"{payment}:{attempt}:open",
                lambda options: self._intents.create(params, options),
                lambda: None,
                about_the_amount,
            )
        except Refused as refused:
            return refused.declined
        return opened.id

    @override
    def authorise(self, reference: str, payment: UUID, attempt: int, token: str) -> Outcome:
        def confirm(options: "RequestOptions") -> "PaymentIntent":
            return self._intents.confirm(reference, {"payment_method": token}, options)

        def tried() -> "PaymentIntent | None":
            intent = self._retrieve(reference)
            found = _found(intent)
            # one that waits for the holder of an earlier card is confirmed with this one
            waits = isinstance(found, ActionRequired) and intent.payment_method == token
            return intent if waits or isinstance(found, (Held, Taken, Gone)) else None

        try:
            intent = tried() or self._once(f"{payment}:{attempt}:confirm", confirm, tried, about_the_token)
        except Refused as refused:
            return refused.declined
        return _outcome(intent)

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
            with translated():
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
        with translated():
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
        refuses: "Callable[[InvalidRequestError], bool]" = about_the_payment,
    ) -> T:
        """Send a request with the step's first key that is not used up, unless the step was done meanwhile.

        A new 500 ends the call, so that the pause before the next one gives the provider time to recover.
        """
        until = time.monotonic() + WALK
        for number in range(1, KEYS + 1):
            try:
                with translated(refuses):
                    return ask({"idempotency_key": f"{step}:{number}"})
            except UsedUp:
                found = done()
                if found is not None:
                    return found
            except WrongState:
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
            return Declined(reason_of(getattr(error, "code", None), getattr(error, "decline_code", None)))
        case _:
            return None


def _outcome(intent: "PaymentIntent") -> Outcome:
    found = _found(intent)
    if found is None:
        raise ProviderUnavailable(f"the provider is not done: {intent.status}")
    return found


def _get(of: "StripeObject", name: str) -> str | None:
    return of[name] if name in of else None  # noqa: SIM401  # an object of Stripe's has no get
