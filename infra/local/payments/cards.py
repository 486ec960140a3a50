"""Stripe's test tokens, and the bank's answer to each.

https://docs.stripe.com/testing
"""

from typing import NamedTuple


class Refusal(NamedTuple):
    """Why a bank does not pay.

    Attributes:
        code: the error's code.
        decline_code: the bank's reason, if the code is card_declined.
        message: for the cardholder.
    """

    code: str
    decline_code: str | None
    message: str


PENDING_REFUND = "pm_card_pendingRefund"
"""The token of a card whose refunds are pending until the engine is told how they end."""
GOOD = frozenset({"pm_card_visa", "pm_card_mastercard", "pm_card_amex", PENDING_REFUND})
AUTHENTICATE = frozenset(
    {"pm_card_authenticationRequired", "pm_card_authenticationRequiredOnSetup", "pm_card_threeDSecure2Required"}
)
"""Tokens of cards whose holder has to authenticate."""

_DECLINED = "Your card was declined."
DECLINED = {
    "pm_card_visa_chargeDeclined": Refusal("card_declined", "generic_decline", _DECLINED),
    "pm_card_visa_chargeDeclinedInsufficientFunds": Refusal(
        "card_declined", "insufficient_funds", "Your card has insufficient funds."
    ),
    "pm_card_visa_chargeDeclinedLostCard": Refusal("card_declined", "lost_card", _DECLINED),
    "pm_card_visa_chargeDeclinedStolenCard": Refusal("card_declined", "stolen_card", _DECLINED),
    "pm_card_chargeDeclinedExpiredCard": Refusal("expired_card", None, "Your card has expired."),
    "pm_card_chargeDeclinedIncorrectCvc": Refusal("incorrect_cvc", None, "Your card's security code is incorrect."),
    "pm_card_chargeDeclinedProcessingError": Refusal(
        "processing_error", None, "An error occurred while processing your card. Try again in a little bit."
    ),
}
NOT_AUTHENTICATED = Refusal(
    "payment_intent_authentication_failure", None, "The cardholder did not show that it is them. Use another card."
)
