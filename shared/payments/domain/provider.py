"""Who moves the money, as payments need them. Every call is safe to repeat: it says what is so in the end."""

from dataclasses import dataclass
from typing import ClassVar, Protocol
from uuid import UUID

from shared.kernel.money import Money
from shared.kernel.refusals import NotSigned, Unavailable
from shared.payments.events import DeclineReason


class ProviderUnavailable(Unavailable):
    """It is not known whether it was done, or it was not done; the same call later tells, and does it."""

    def __init__(self, detail: str) -> None:
        super().__init__("payment-provider-unavailable", detail)


class NotFromProvider(NotSigned):
    """Somebody else sent a webhook."""


@dataclass(frozen=True, slots=True)
class Held:
    """The amount is held."""


@dataclass(frozen=True, slots=True)
class Taken:
    """The amount is taken."""


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

    def open(self, payment: UUID, amount: Money) -> str | Declined:
        """Make a payment known, which holds nothing: its reference there, or Declined where no card can pay it."""

    def authorise(self, reference: str, payment: UUID, attempt: int, token: str) -> Outcome:
        """Have the amount held."""

    def look(self, reference: str) -> Outcome | None:
        """Tell how it is; None where nothing was tried yet."""

    def capture(self, reference: str, payment: UUID) -> Outcome:
        """Take what is held: Taken, or Gone where it is held no longer."""

    def void(self, reference: str, payment: UUID) -> Outcome:
        """Let go what is held, and hold nothing any more: Gone, or Taken where it is too late."""

    def refund(self, reference: str, refund: UUID, amount: Money) -> None:
        """Give back a part of what was taken, or all of it."""

    def client_secret(self, reference: str) -> str:
        """Give what the cardholder's browser needs to show that it is them; for them alone."""

    def told(self, body: bytes, signature: str | None) -> UUID | None:
        """Give the payment that a webhook is about; None: it is about none of ours.

        A webhook is a reason to look at the payment, and no more: it may be late, or come twice.

        Raises:
            NotFromProvider: the signature is not the provider's, or is older than five minutes.
        """
