"""Orders that are paid by card: they go on by themselves as the provider answers, and money comes back when it must.

The provider is the laptop's engine, which takes Stripe's test tokens (docs/payment-provider.md).
"""

import asyncio
import time
from collections.abc import Callable, Mapping
from uuid import uuid4

from infra.local.demo.goods import Goods
from infra.local.demo.shop import HEARD_WITHIN, PAUSE, Shop, Surprise

CARD, DECLINED = "pm_card_visa", "pm_card_visa_chargeDeclined"
PRICE, BACK, LEFT = "12.50", "2.50", "10.00"
STEPS = 3
"""Pieces of work that the progress counts."""


class Paying:
    """One customer who pays.

    Attributes:
        compared: the number of comparisons with the expected state.
    """

    def __init__(self, shop: Shop, seed: int, advance: Callable[[], None]) -> None:
        self._shop = shop
        self._goods = Goods(f"{seed}/paying")
        self._advance = advance
        self._customer_id, self._product_id = str(uuid4()), str(uuid4())
        self.compared = 0

    async def run(self) -> list[str]:
        """Pay, and give the differences from the expected state."""
        try:
            for step in (self._open, self._pay_and_get_back, self._pay_with_another_card):
                await step()
                self._advance()
        except Surprise as surprise:
            return [f"paying: {surprise}"]
        return []

    async def _open(self) -> None:
        name, category = self._goods.product_name()
        product = {"productId": self._product_id, "name": name, "category": category}
        await self._shop.accepted("/products", product | {"currency": "EUR", "unitPrice": PRICE}, version=1)
        customer = {"customerId": self._customer_id, "name": self._goods.customer_name()}
        await self._shop.accepted("/customers", customer | {"email": f"{self._customer_id}@example.com"}, version=1)

    async def _pay_and_get_back(self) -> None:
        """Pay an order that is completed, and get a part back, and then the rest."""
        order_id = await self._order(CARD)
        await self._becomes(order_id, status="Confirmed", payment=_payment("authorised"))
        await self._shop.taken(f"/orders/{order_id}/complete")
        await self._becomes(order_id, status="Completed", payment=_payment("captured"))
        await self._shop.taken(f"/orders/{order_id}/refund", {"amount": BACK, "reason": "scratched"})
        await self._becomes(order_id, payment=_payment("captured", BACK))
        too_much = {"amount": PRICE, "reason": "all of it"}
        await self._shop.refused("refund-too-large", f"/orders/{order_id}/refund", too_much)
        await self._shop.taken(f"/orders/{order_id}/refund", {"amount": LEFT, "reason": "broken after all"})
        await self._becomes(order_id, payment=_payment("refunded", PRICE))

    async def _pay_with_another_card(self) -> None:
        """Pay with another card after a decline, and cancel the order, whose money is let go."""
        order_id = await self._order(DECLINED)
        await self._becomes(order_id, status="Submitted", payment=_payment("declined"), waitsFor="the customer")
        await self._shop.taken(f"/orders/{order_id}/payment", {"token": CARD})
        await self._becomes(order_id, status="Confirmed", payment=_payment("authorised"))
        await self._shop.taken(f"/orders/{order_id}/cancel", {"reason": "changed my mind"})
        await self._becomes(order_id, status="Cancelled", payment=_payment("voided"), waitsFor="nothing")

    async def _order(self, token: str) -> str:
        order_id = str(uuid4())
        body = {
            "orderId": order_id,
            "customerId": self._customer_id,
            "items": [{"productId": self._product_id, "quantity": 1}],
            "shippingAddress": self._goods.address(),
        }
        await self._shop.taken("/orders", body, {"invalid"})  # until ordering has heard of the customer and the product
        await self._shop.taken(f"/orders/{order_id}/submit", {"payment": {"token": token}})
        return order_id

    async def _becomes(self, order_id: str, **expected: object) -> None:
        """Look at the order until the expected state is there, as long as events may take."""
        deadline = time.monotonic() + HEARD_WITHIN
        while (shown := await self._seen(order_id, expected)) != expected:
            if time.monotonic() > deadline:
                raise Surprise(f"order {order_id} should show {expected}, and shows {shown}")
            await asyncio.sleep(PAUSE)
        self.compared += len(expected)

    async def _seen(self, order_id: str, names: Mapping[str, object]) -> dict[str, object]:
        shown = await self._shop.query(f"/orders/{order_id}", customerId=self._customer_id, minVersion=2)
        return {name: shown.get(name) for name in names}


def _payment(status: str, refunded: str = "0.00") -> dict[str, str]:
    return {"status": status, "amount": PRICE, "refunded": refunded}
