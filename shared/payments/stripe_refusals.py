"""What Stripe's errors mean: a decline, another state than a step needs, an outage, or that we are wrong.

A 400 is a decline only where it is about the customer's token or amount. Any other one says that we are wrong.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from shared.payments.domain.provider import Declined, ProviderUnavailable, RequestInvalid, StepRefused
from shared.payments.events import DeclineReason

if TYPE_CHECKING:
    import stripe
    from stripe import InvalidRequestError

SERVER_ERROR = 500
BAD_REQUEST = 400
REPLAYED = "Idempotent-Replayed"
"""The header of an answer that Stripe has kept: https://docs.stripe.com/api/idempotent_requests"""

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


class UsedUp(ProviderUnavailable):
    """The key does nothing any more: its stored answer is a 500, or one of an earlier release's request."""


class WrongState(StepRefused):
    """The intent is not in the state that the request needs."""


class Refused(StepRefused):
    """The card, the token, the amount or this payment is refused: a retry cannot change it, and another token may."""

    def __init__(self, declined: Declined, refusal: str) -> None:
        super().__init__(refusal)
        self.declined = declined


def about_the_amount(error: "InvalidRequestError") -> bool:
    """Whether Stripe does not take an amount, or its currency, whatever the card."""
    return error.code in NO_AMOUNT or (error.param == "currency" and about_the_payment(error))


def about_the_token(error: "InvalidRequestError") -> bool:
    """Whether Stripe does not take a token: it is unknown, no card's, or was used before.

    The last of these has neither a code nor a parameter, like some errors of our own: its text tells it from them.
    """
    if error.code is None and error.param is None:
        return OF_A_TOKEN in (error.user_message or "")
    return error.code in NO_TOKEN or (error.param == "payment_method" and about_the_payment(error))


def about_the_payment(error: "InvalidRequestError") -> bool:
    """Whether Stripe understands a request, and does not do it for this payment."""
    return not (error.code or "").startswith(OF_THE_FORM)


@contextmanager
def translated(refuses: "Callable[[InvalidRequestError], bool]" = about_the_payment) -> Iterator[None]:
    """Translate Stripe's errors. Their texts are not repeated, because they may name a person's card.

    Args:
        refuses: whether a 400 is about the payment; else it says that we are wrong.
    """
    import stripe  # noqa: PLC0415  # its 200 modules are loaded when somebody pays

    try:
        yield
    except stripe.CardError as error:
        reason = reason_of(error.code, getattr(error.error, "decline_code", None))
        raise Refused(Declined(reason), _refusal(error)) from None
    except stripe.InvalidRequestError as error:
        raise _not_taken(error, refuses) from None
    except stripe.IdempotencyError:
        raise UsedUp("the key was used for a request of another form") from None
    except stripe.APIError as error:
        if error.http_status == SERVER_ERROR and _replayed(error):
            raise UsedUp("the provider failed") from None
        raise ProviderUnavailable(f"the provider answered {error.http_status}") from None
    except stripe.StripeError as error:
        raise ProviderUnavailable(f"the provider did not answer: {type(error).__name__}") from None


def _not_taken(error: "InvalidRequestError", refuses: "Callable[[InvalidRequestError], bool]") -> ProviderUnavailable:
    """Tell what a request met: another state than it needs, a refusal, or that we are wrong."""
    if error.code == "payment_intent_unexpected_state":
        return WrongState(_refusal(error))
    if error.http_status != BAD_REQUEST:
        return StepRefused(_refusal(error))
    if refuses(error):
        return Refused(Declined(DeclineReason.NOT_ACCEPTED), _refusal(error))
    return UsedUp(_invalid(error)) if _replayed(error) else RequestInvalid(_invalid(error))


def _replayed(error: "stripe.StripeError") -> bool:
    return (error.headers or {}).get(REPLAYED) == "true"


def _refusal(error: "stripe.StripeError") -> str:
    """Name the code, and the request, under which the dashboard has the rest."""
    return f"the provider refused the request: {error.code or 'no code'} ({error.request_id})"


def _invalid(error: "InvalidRequestError") -> str:
    """Name the parameter too, which is one of ours."""
    of = f" of {error.param}" if error.param else ""
    return f"the provider does not take what we send: {error.code or 'no code'}{of} ({error.request_id})"


def reason_of(code: str | None, decline_code: str | None) -> DeclineReason:
    """Give the reason that customers are told: `decline_code` is the bank's, and says more than Stripe's `code`."""
    return REASONS.get(decline_code or "") or REASONS.get(code or "") or DeclineReason.DECLINED
