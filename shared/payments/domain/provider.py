"""The payment provider, as payments need it. Every call is safe to repeat, and gives the final state."""

from dataclasses import dataclass
from typing import ClassVar, Protocol
from uuid import UUID

from shared.kernel.money import Money
from shared.kernel.refusals import NotSigned, Unavailable
from shared.payments.events import DeclineReason


class ProviderUnavailable(Unavailable):
    """The step was not done, or its outcome is unknown; the same call later does it, or tells that it was done."""

    def __init__(self, detail: str) -> None:
        super().__init__("payment-provider-unavailable", detail)


class Pending(ProviderUnavailable):
    """The provider has begun the step, and tells by a webhook when it is done, which may take days."""


class StepRefused(ProviderUnavailable):
    """The provider refuses the step as things are, and may refuse it for good."""


class RequestInvalid(ProviderUnavailable):
    """The provider does not take what we send, whatever the payment: a release or the account's settings are wrong.

    No customer can do anything about it. The same call does the step once that is mended.
    """


class NotFromProvider(NotSigned):
    """A webhook is not from the payment provider."""


@dataclass(frozen=True, slots=True)
class Held:
    """The bank holds the amount."""


@dataclass(frozen=True, slots=True)
class Taken:
    """An amount is captured: the payment's, or less, for the shop may take less in the provider's dashboard."""

    amount: Money


@dataclass(frozen=True, slots=True)
class Declined:
    """The amount is not held; another token may be tried."""

    reason: DeclineReason


@dataclass(frozen=True, slots=True)
class ActionRequired:
    """The cardholder has to do something first."""


@dataclass(frozen=True, slots=True)
class Gone:
    """Nothing is held, and nothing can be held any more."""


type Outcome = Held | Taken | Declined | ActionRequired | Gone


class PaymentProvider(Protocol):
    """The provider. Every method that calls it raises ProviderUnavailable.

    Attributes:
        signature_header: the header in which it signs its webhooks.
    """

    signature_header: ClassVar[str]

    def open(self, payment: UUID, attempt: int, amount: Money) -> str | Declined:
        """Open a payment, which holds no money yet; give its reference, or Declined if no card can pay it.

        The reference serves later attempts too, until what was held by it has lapsed.
        """

    def authorise(self, reference: str, payment: UUID, attempt: int, token: str) -> Outcome:
        """Authorise the amount with this token, unless it is held already. No earlier card is waited for any more."""

    def look(self, reference: str) -> Outcome | None:
        """Give the state; None if nothing was tried yet."""

    def capture(self, reference: str, payment: UUID) -> Outcome:
        """Capture the authorised amount: Taken, or Gone if it is no longer held."""

    def void(self, reference: str, payment: UUID) -> Outcome:
        """Void the payment for good: Gone, or Taken if it was captured before."""

    def takes(self, amount: Money) -> bool:
        """Whether it can move exactly this amount; nobody is asked."""

    def refund(self, reference: str, payment: UUID, refund: UUID, amount: Money) -> None:
        """Refund a part of the captured amount, or all of it; unavailable while the refund is pending."""

    def client_secret(self, reference: str) -> str:
        """Give the secret with which the cardholder's browser confirms the payment; only the cardholder may get it."""

    def payment_of_webhook(self, body: bytes, signature: str | None) -> UUID | None:
        """Give the payment that a webhook is about; None if it is no payment of this system.

        A webhook is a reason to look at the payment, and no more: it may be late, or come twice.

        Raises:
            NotFromProvider: the signature is not the provider's, or is older than five minutes.
        """
