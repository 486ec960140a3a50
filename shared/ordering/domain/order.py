"""The order: the commands that it allows in each state, and their effects."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from decimal import Decimal
from itertools import batched
from typing import Self, assert_never, override
from uuid import UUID

from shared.kernel.aggregate import Aggregate
from shared.kernel.money import MAX_MINOR_UNITS, Money
from shared.kernel.personal import ERASED
from shared.kernel.refusals import InputError, Invalid
from shared.ordering.domain.actions import STATUSES, Action, Standing, is_allowed
from shared.ordering.domain.errors import (
    CurrencyMix,
    ItemNotInOrder,
    OrderIsEmpty,
    OrderNotInStatus,
    OrderNotShipped,
    OrderTooLarge,
    PriceChanged,
)
from shared.ordering.domain.offer import Customer, Product, RequestedItem
from shared.ordering.events import (
    MAX_LINES,
    Address,
    OrderCancelledV1,
    OrderCompletedV1,
    OrderConfirmedV1,
    OrderCreatedV1,
    OrderErasedV1,
    OrderEvent,
    OrderItemRemovedV1,
    OrderItemsAddedV1,
    OrderLine,
    OrderPaymentChangedV1,
    OrderPaymentStatus,
    OrderShippingAddressChangedV1,
    OrderStatus,
    OrderStockChangedV2,
    OrderSubmittedV2,
    SubmittedLine,
)

MAX_QUANTITY = 10_000
LINES_PER_EVENT = 100
"""A Service Bus message holds 256 KB (Standard tier); a hundred lines with names of 200 four-byte characters are
110 KB. Larger orders leave several events."""


NOWHERE = Address(ERASED, ERASED, ERASED)
"""Replaces the shipping address of an order whose customer was erased."""


@dataclass(frozen=True, slots=True)
class LineStock:
    """The stock for a line, in pieces, at a version of the product's stock."""

    version: int
    reserved: int
    waiting: int
    shipped: int


@dataclass(frozen=True, slots=True)
class OrderPayment:
    """The state of an order's payment, at a version of the payment.

    Attributes:
        attempt: how many tokens the customer has given.
        refunded: the refunded amount, and what was not captured of the payment, in major units.
    """

    version: int
    status: OrderPaymentStatus
    attempt: int
    refunded: Decimal


class Order(Aggregate[OrderEvent]):
    """One customer's order. Its methods check all rules before they change anything; a refused order is unchanged."""

    order_id: UUID
    customer_id: UUID
    shipping_address: Address
    status: OrderStatus

    def __init__(self) -> None:
        super().__init__()
        self.lines: dict[UUID, OrderLine] = {}
        self.lines_ever = 0
        self.currency: str | None = None
        self.total = Decimal(0)
        self.cancel_reason: str | None = None
        self.stock: dict[UUID, LineStock] = {}
        self.payment: OrderPayment | None = None
        self.erased = False

    @classmethod
    def create(
        cls, order_id: UUID, customer: Customer, items: Sequence[RequestedItem], shipping_address: Address
    ) -> Self:
        """Open an order for a customer; it may be empty until it is submitted."""
        order = cls()
        currency, lines = order._additions(items)
        order._record(
            OrderCreatedV1(
                order_id=order_id,
                customer_id=customer.customer_id,
                customer_name=customer.name,
                customer_version=customer.version,
                shipping_address=shipping_address,
                currency=currency,
                lines=tuple(lines[:LINES_PER_EVENT]),
                total=_sum(lines[:LINES_PER_EVENT]),
            )
        )
        order._record_lines(currency, lines[LINES_PER_EVENT:])
        return order

    def add(self, items: Sequence[RequestedItem]) -> None:
        """Add pieces of products; a product that the order has already stays one line, at today's price."""
        self._require_status("changed", Action.ADD_ITEM)
        self._record_lines(*self._additions(items))

    def remove(self, product_id: UUID) -> None:
        """Take a product out."""
        self._require_status("changed", Action.REMOVE_ITEM)
        if product_id not in self.lines or self.currency is None:
            raise ItemNotInOrder(f"Order {self.order_id} has no item with product {product_id}.")
        self._record(
            OrderItemRemovedV1(
                order_id=self.order_id,
                customer_id=self.customer_id,
                currency=self.currency,
                product_id=product_id,
                total=_sum(line for line in self.lines.values() if line.product_id != product_id),
            )
        )

    def change_shipping_address(self, shipping_address: Address) -> None:
        """Change the shipping address."""
        self._require_status("sent elsewhere", Action.CHANGE_SHIPPING_ADDRESS)
        self._record(OrderShippingAddressChangedV1(self.order_id, self.customer_id, shipping_address))

    def submit(self, *, paid: bool = False) -> None:
        """Place the order, on account or, if it costs anything, to be paid with a token."""
        self._require_status("submitted", Action.SUBMIT)
        if not is_allowed(Action.SUBMIT, self.standing):
            raise OrderIsEmpty(f"Order {self.order_id} has no items.")
        if paid and not self.total:
            nothing = "is for an order that costs something: there is nothing to pay, leave it out"
            raise Invalid(
                f"Order {self.order_id} costs nothing, and is submitted on account.", [InputError("/payment", nothing)]
            )
        lines = sorted(self.lines.values(), key=lambda line: line.number)
        self._record_past_limit(
            OrderSubmittedV2(
                self.order_id,
                self.customer_id,
                self._fixed_currency(),
                self.total,
                tuple(SubmittedLine(line.product_id, line.quantity) for line in lines),
            )
        )
        if paid:
            self._record_payment(OrderPayment(0, OrderPaymentStatus.PENDING, 1, Decimal(0)))

    def confirm(self) -> None:
        """Accept a submitted order."""
        self._require_status("confirmed", Action.CONFIRM)
        self._record_past_limit(OrderConfirmedV1(self.order_id, self.customer_id, self._fixed_currency(), self.total))

    def complete(self) -> None:
        """Close a confirmed order as fulfilled: all is shipped, or a part, and the order waits for the rest in vain."""
        self._require_status("completed", Action.COMPLETE)
        if not is_allowed(Action.COMPLETE, self.standing):
            left = [product_id for product_id, stock in self.stock.items() if stock.reserved or stock.waiting]
            raise OrderNotShipped(
                f"Order {self.order_id} has {len(left)} items whose stock is kept and that are not shipped, such as "
                f"product {left[0]}."
            )
        self._complete()

    @property
    def standing(self) -> Standing:
        """The part of the state that decides which actions the order allows."""
        payment, attempt = (None, 0) if self.payment is None else (self.payment.status, self.payment.attempt)
        return Standing(
            self.status,
            self.loaded_version,
            bool(self.lines),
            any(stock.reserved for stock in self.stock.values()),
            any(stock.waiting for stock in self.stock.values()),
            any(stock.shipped for stock in self.stock.values()),
            payment,
            attempt,
        )

    def is_reserved(self, unkept: int) -> bool:
        """Whether all pieces are reserved or shipped; `unkept` is the number of lines whose stock is not kept."""
        known = [self.stock[id_] for id_ in self.lines if id_ in self.stock]
        return len(known) + unkept >= len(self.lines) and not any(stock.waiting for stock in known)

    def take_payment(self, payment: OrderPayment) -> None:
        """Record the state of the payment. An order on account has none; late news tells of an attempt at most.

        What ended a payment does not say at which attempt, so a later attempt is known by late news, too.
        """
        if self.payment is None:
            return
        if self.payment.version < payment.version:
            self._record_payment(payment)
        elif self.payment.attempt < payment.attempt:
            self._record_payment(replace(self.payment, attempt=payment.attempt))

    def _record_payment(self, payment: OrderPayment) -> None:
        self._record_past_limit(
            OrderPaymentChangedV1(
                order_id=self.order_id,
                customer_id=self.customer_id,
                payment_version=payment.version,
                status=payment.status,
                attempt=payment.attempt,
                currency=self._fixed_currency(),
                amount=self.total,
                refunded=payment.refunded,
            )
        )

    def take_stock(self, product_id: UUID, stock: LineStock, alternatives: Sequence[UUID] | None = None) -> None:
        """Record the stock for a line; a confirmed order whose items are all shipped is completed.

        Args:
            product_id: the line's product.
            stock: the stock for the line; an older version than the recorded one changes nothing.
            alternatives: available products in place of one for which the line waits; None if there was no search for
                them. Of a line that is served in part they come one version before the pieces, and may come late.
        """
        known = self.stock.get(product_id)
        if product_id not in self.lines:
            return
        if known is not None and known.version >= stock.version:
            if not (alternatives and known.waiting and known.version == stock.version + 1):
                return
            stock = known
        self._record_past_limit(
            OrderStockChangedV2(
                self.order_id,
                self.customer_id,
                product_id,
                stock.version,
                stock.reserved,
                stock.waiting,
                stock.shipped,
                None if alternatives is None else tuple(alternatives),
            )
        )
        if self.status is OrderStatus.CONFIRMED and all(map(self._is_shipped, self.lines.values())):
            self._complete()

    def _is_shipped(self, line: OrderLine) -> bool:
        stock = self.stock.get(line.product_id)
        return stock is not None and stock.shipped == line.quantity

    def _complete(self) -> None:
        self._record_past_limit(OrderCompletedV1(self.order_id, self.customer_id, self._fixed_currency(), self.total))

    def cancel(self, reason: str) -> None:
        """Cancel the order, unless pieces of it are shipped: they are paid."""
        self._require_status("cancelled", Action.CANCEL)
        if not is_allowed(Action.CANCEL, self.standing):
            shipped = next(product_id for product_id, stock in self.stock.items() if stock.shipped)
            raise OrderNotInStatus(
                f"Order {self.order_id} cannot be cancelled: pieces of product {shipped} are shipped. Ship the rest, "
                "and refund afterwards."
            )
        self._record_past_limit(
            OrderCancelledV1(self.order_id, self.customer_id, self.currency, self.total, was=self.status, reason=reason)
        )

    def erase(self) -> None:
        """Erase all the customer's data but the id, from a closed order or from a draft, which is cancelled."""
        if self.status is OrderStatus.CREATED:
            self.cancel(ERASED)
        if self.status not in {OrderStatus.COMPLETED, OrderStatus.CANCELLED}:
            raise OrderNotInStatus(f"Order {self.order_id} is {self.status}: it has to be carried out yet.")
        if not self.erased:
            self._record_past_limit(OrderErasedV1(self.order_id, self.customer_id, self.status))

    def _additions(self, items: Sequence[RequestedItem]) -> tuple[str | None, list[OrderLine]]:
        """Give the currency, and the lines as the items would make them, unless a rule forbids it."""
        self._agree_on_prices(items)
        currency = self._agree_on_currency(items)
        lines = self._merged(items)
        if currency is not None:
            self._keep_limits(lines, currency)
        return currency, lines

    def _record_lines(self, currency: str | None, lines: Sequence[OrderLine]) -> None:
        if currency is None:
            return
        for chunk in batched(lines, LINES_PER_EVENT, strict=False):
            merged = self.lines | {line.product_id: line for line in chunk}
            self._record(
                OrderItemsAddedV1(
                    order_id=self.order_id,
                    customer_id=self.customer_id,
                    currency=currency,
                    lines=chunk,
                    total=_sum(merged.values()),
                )
            )

    def _require_status(self, done: str, action: Action) -> None:
        allowed = STATUSES[action]
        if self.status not in allowed:
            raise OrderNotInStatus(
                f"Order {self.order_id} is {self.status}; only an order that is {' or '.join(allowed)} can be {done}."
            )

    def _fixed_currency(self) -> str:
        if self.currency is None:
            raise AssertionError("a submitted order has items, and so a currency")
        return self.currency

    @staticmethod
    def _agree_on_prices(items: Sequence[RequestedItem]) -> None:
        changed = [
            InputError(
                f"{item.pointer}/expectedPrice",
                f"product {item.product.product_id} costs {item.product.price} {item.product.price.currency}",
            )
            for item in items
            if item.expected_price is not None and item.expected_price != item.product.price.amount
        ]
        if changed:
            raise PriceChanged("A price is not what the caller expected.", changed)

    def _agree_on_currency(self, items: Sequence[RequestedItem]) -> str | None:
        if items and not self.lines:  # an order without lines may take any currency, as a new one may
            currency: str | None = items[0].product.price.currency
        else:
            currency = self.currency
        mixed = [
            InputError(f"{item.pointer}/productId", f"product {item.product.product_id} is priced in {other}")
            for item in items
            if (other := item.product.price.currency) != currency
        ]
        if mixed:
            raise CurrencyMix(f"The order's currency is {currency}; it takes no other.", mixed)
        return currency

    def _merged(self, items: Sequence[RequestedItem]) -> list[OrderLine]:
        """Give the lines that the items add or change, as they will stand."""
        lines: dict[UUID, OrderLine] = {}
        number = self.lines_ever
        for item in items:
            product = item.product
            line = lines.get(product.product_id) or self.lines.get(product.product_id)
            if line is None:
                number += 1
                line = _line(number, product, item.quantity)
            else:
                line = _line(line.number, product, item.quantity + line.quantity)
            lines[product.product_id] = line
        return list(lines.values())

    def _keep_limits(self, lines: Sequence[OrderLine], currency: str) -> None:
        merged = self.lines | {line.product_id: line for line in lines}
        if len(merged) > MAX_LINES:
            raise OrderTooLarge(f"An order has at most {MAX_LINES} lines; this one would have {len(merged)}.")
        for line in lines:
            if line.quantity > MAX_QUANTITY:
                raise OrderTooLarge(
                    f"A line has at most {MAX_QUANTITY} pieces; product {line.product_id} would have {line.quantity}."
                )
        total = Money(_sum(merged.values()), currency)
        if total.minor > MAX_MINOR_UNITS:
            limit = Money.from_minor(MAX_MINOR_UNITS, currency)
            raise OrderTooLarge(f"An order's total is at most {limit} {currency}; this one would be {total}.")

    @override
    def _apply(self, event: OrderEvent) -> None:  # noqa: C901  # one case for each event
        match event:
            case OrderCreatedV1():
                self.order_id, self.customer_id = event.order_id, event.customer_id
                self.shipping_address = event.shipping_address
                self.status = OrderStatus.CREATED
                self._take(event)
            case OrderItemsAddedV1():
                self._take(event)
            case OrderItemRemovedV1():
                self.total = event.total
                self.lines = {pid: line for pid, line in self.lines.items() if pid != event.product_id}
            case OrderShippingAddressChangedV1():
                self.shipping_address = event.shipping_address
            case OrderSubmittedV2():
                self.status = OrderStatus.SUBMITTED
            case OrderStockChangedV2():
                stock = LineStock(event.stock_version, event.reserved, event.waiting, event.shipped)
                self.stock = self.stock | {event.product_id: stock}
            case OrderPaymentChangedV1():
                self.payment = OrderPayment(event.payment_version, event.status, event.attempt, event.refunded)
            case OrderConfirmedV1():
                self.status = OrderStatus.CONFIRMED
            case OrderCompletedV1():
                self.status = OrderStatus.COMPLETED
            case OrderCancelledV1():
                self.status, self.cancel_reason = OrderStatus.CANCELLED, event.reason
            case OrderErasedV1():
                self.shipping_address, self.erased = NOWHERE, True
                self.cancel_reason = self.cancel_reason and ERASED
            case _:
                assert_never(event)

    def _take(self, event: OrderCreatedV1 | OrderItemsAddedV1) -> None:
        self.currency, self.total = event.currency, event.total
        self.lines = self.lines | {line.product_id: line for line in event.lines}
        self.lines_ever = max((self.lines_ever, *(line.number for line in event.lines)))


def _line(number: int, product: Product, quantity: int) -> OrderLine:
    return OrderLine(
        number=number,
        product_id=product.product_id,
        product_name=product.name,
        product_version=product.version,
        quantity=quantity,
        unit_price=product.price.amount,
    )


def _sum(lines: Iterable[OrderLine]) -> Decimal:
    return sum((line.quantity * line.unit_price for line in lines), Decimal(0))
