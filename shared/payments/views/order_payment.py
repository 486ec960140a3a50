"""The payment of an order, read from the tables, so that the payer sees each change at once."""

from typing import Annotated, override

import sqlalchemy as sa
from pydantic import Field

from shared.frame.platform.callers import Requester
from shared.frame.platform.examples import example
from shared.frame.platform.input import Id, OwnerId, QueryInput
from shared.frame.platform.output import Amount, Answer
from shared.frame.read_side.read_your_writes import Wait
from shared.frame.write_side.concurrency_limit import FairConcurrencyLimit
from shared.kernel.money import Money
from shared.payments.domain.errors import PaymentNotFound
from shared.payments.domain.payment import Payment, PaymentStatus
from shared.payments.domain.provider import PaymentProvider
from shared.payments.events import DeclineReason
from shared.payments.repository import payment_as_stored
from shared.story import CUSTOMER_ID, ORDER_ID

CONCURRENCY, MAX_WAITING = 4, 64
"""Payments that one process reads at once, and the most requests for them that may run or wait.

As many may ask the provider at once, apart from the reads: it may take seconds, and the tables do not.
"""


class OrderPayment(Answer):
    """The payment of an order."""

    status: PaymentStatus
    currency: str
    amount: Amount
    refunded: Amount
    attempt: Annotated[int, Field(description="which token of this payment it is, from 1")]
    decline_reason: DeclineReason | None
    client_secret: Annotated[
        str | None,
        Field(
            description="While `status` is `actionRequired`, and for the customer alone: with it the payment "
            "provider's script lets them show that the card is theirs."
        ),
    ]
    version: int

    @property
    @override
    def holds_secret(self) -> bool:
        return self.client_secret is not None


class ReadPayment(QueryInput, json_schema_extra=example(orderId=ORDER_ID, customerId=CUSTOMER_ID)):
    """The payment of an order; 404 if the order is on account, or its payment was not requested yet."""

    order_id: Id
    customer_id: OwnerId


class OrderPayments:
    """Reads payments, within concurrency limits that are fair to callers."""

    def __init__(self, reader: sa.Engine, provider: PaymentProvider) -> None:
        self._reader = reader
        self._provider = provider
        self._limit = FairConcurrencyLimit(CONCURRENCY, MAX_WAITING, kind="reads of payments")
        self._asking = FairConcurrencyLimit(CONCURRENCY, MAX_WAITING, kind="questions to the payment provider")

    async def read_payment(self, query: ReadPayment, wait: Wait) -> tuple[OrderPayment, int]:
        """Read a payment and its version.

        Raises:
            PaymentNotFound: there is none, or it is not this customer's.
            ProviderUnavailable: the provider cannot be asked for the client secret now.
            Unavailable: the request did not have its turn in time.
        """
        payment = await self._limit.take_for(wait.caller, lambda: payment_as_stored(self._reader, query.order_id))
        if payment is None or payment.customer_id != query.customer_id:
            raise PaymentNotFound(f"There is no payment {query.order_id}.")
        shown = OrderPayment(
            status=payment.status,
            currency=payment.amount.currency,
            amount=str(Money(payment.amount.amount, payment.amount.currency)),
            refunded=str(payment.refunded),
            attempt=payment.attempt,
            decline_reason=payment.decline_reason,
            client_secret=await self._secret(payment) if wait.caller.id == payment.customer_id else None,
            version=payment.version,
        )
        return shown, payment.version

    async def _secret(self, payment: Payment) -> str | None:
        reference = payment.reference
        if payment.status is not PaymentStatus.ACTION_REQUIRED or reference is None:
            return None
        return await self._asking.take_for(
            Requester(payment.customer_id, is_owner=True), lambda: self._provider.client_secret(reference)
        )
