"""The payment provider with its moods: Stripe's own library speaks to the laptop's engine, with no socket between them.

Each request of the library is answered by the engine's own application, in memory and in one step; others have their
turns before it and after it. So money moves by the engine's rules, and the engine's ledger tells what has moved.
"""

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, override
from urllib.parse import urlsplit
from uuid import UUID

import stripe
from requests.structures import CaseInsensitiveDict

from infra.local.payments import KEY, SECRET
from infra.local.payments.app import REMEMBERED, Api
from infra.local.payments.cards import NOT_AUTHENTICATED
from infra.local.payments.ledger import Json, Ledger
from infra.local.payments.rules import Rules
from infra.local.payments.webhooks import signature
from tests.simulation.scheduler import Crash, Scheduler

URL = "http://provider"
SETTINGS = {"STRIPE_SECRET_KEY": KEY, "STRIPE_WEBHOOK_SECRET": SECRET, "STRIPE_API": URL}
"""How contexts find the provider."""

ENGINES = {"provider fails": "fail", "provider busy": "rate-limit", "provider down": "down"}
"""Faults that the engine knows itself."""

MOODY = 4
"""How many times as often as elsewhere something goes wrong here: there are few requests."""

CARDHOLDER = 0.1
"""How often a cardholder shows that it is them, or fails to, in a turn of the provider's."""

CARDS = ("pm_card_visa", "pm_card_authenticationRequired", "pm_card_visa_chargeDeclined")
"""Cards that a cardholder tries in the browser, with the same client secret, after failing to show that it is them."""

LAPSE = 0.005
"""How often a bank lets a held amount go in such a turn, long before the shop would expect it."""

BY_HAND = 0.02
"""How often somebody captures a held amount, or a part of it, in the provider's dashboard in such a turn."""

LATE = 0.1
"""How often a request is carried out in such a turn for which nobody waits any more."""

FORGETFUL = 0.5
"""In how many shops a day passes before all that is left is done: idempotency keys are not kept for longer."""


@dataclass(frozen=True, slots=True)
class Request:
    """A request of Stripe's library."""

    method: str
    path: str
    query: str = ""
    headers: Mapping[str, str] | None = None
    body: bytes = b""


class FaultyProvider(stripe.HTTPClient):
    """The provider of one shop, in the place of the library's own client of HTTP."""

    name = "simulation"

    def __init__(self, scheduler: Scheduler) -> None:
        super().__init__()
        self._scheduler = scheduler
        self._ledger = Ledger(":memory:")
        self._rules = Rules(self._ledger)
        self._app = Api(self._ledger, KEY, wake=lambda: None).app()
        self._late: list[Request] = []
        self._asked: list[str] = []
        self._failed: dict[str, str] = {}
        self._held: dict[str, None] = {}
        self._by_hand: dict[str, None] = {}
        self._pending: dict[str, None] = {}

    @override
    def request(
        self, method: str, url: str, headers: Mapping[str, str] | None, post_data: Any = None, **_: Any
    ) -> tuple[str, int, Mapping[str, str]]:
        """Answer a request, as well as may be.

        Raises:
            stripe.APIConnectionError: nobody knows whether it was carried out, or will be.
            Crash: the process that has asked dies.
        """
        scheduler, parts = self._scheduler, urlsplit(url)
        request = Request(method.upper(), parts.path, parts.query, headers, (post_data or "").encode())
        kinds = ["crash before provider", "provider unreachable", "provider busy", "provider down"]
        kinds += ["provider fails", "provider too late"] if request.method == "POST" else []
        scheduler.pause()
        match scheduler.fault(*kinds, as_often=MOODY):
            case None:
                pass
            case "crash before provider":
                raise Crash
            case "provider unreachable":
                raise _lost("there is no connection")
            case "provider too late":
                self._late.append(request)
                raise _lost("there was no answer in time")
            case str(kind):
                self._ledger.expect(ENGINES[kind], "", times=1, seconds=0)
        status, answered, body = self._carry_out(request)
        self._ledger.heal()
        scheduler.pause()
        match scheduler.fault("crash after provider", "provider's answer lost", as_often=MOODY):
            case None:
                return body, status, answered
            case "crash after provider":
                raise Crash
            case _:
                raise _lost("the connection was lost")

    @override
    def close(self) -> None:
        """Forget everything."""
        self._ledger.close()

    def go_on(self) -> None:
        """Let others than the shop act: cardholders, their banks, and whoever uses the dashboard."""
        chance = self._scheduler.random
        if self._late and chance.random() < LATE:
            self._carry_out(self._late.pop(chance.randrange(len(self._late))))
        if self._asked and chance.random() < CARDHOLDER:
            intent = self._asked.pop(chance.randrange(len(self._asked)))
            successful = chance.choice(("true", "false"))
            self._carry_out(Request("POST", f"/engine/authenticate/{intent}", f"successful={successful}"))
        if self._failed and chance.random() < CARDHOLDER:
            intent, secret = self._failed.popitem()
            self._scheduler.note("another card")
            query = f"client_secret={secret}&payment_method={chance.choice(CARDS)}"
            self._carry_out(Request("POST", f"/engine/confirm/{intent}", query))
        if self._pending and chance.random() < CARDHOLDER:
            self._end_refund(self._pending.popitem()[0], chance.choice(("true", "false")))
        if self._held and chance.random() < LAPSE:
            self._scheduler.note("hold lapsed")
            self._carry_out(Request("POST", f"/engine/lapse/{chance.choice(list(self._held))}"))
        if self._held and chance.random() < BY_HAND:
            self._scheduler.note("taken by hand")
            intent = chance.choice(list(self._held))
            self._by_hand[intent] = None
            whole = self._rules.intent(intent)["amount_capturable"]
            form = f"amount_to_capture={chance.choice((whole, max(1, whole // 2)))}"
            headers = {"Authorization": f"Bearer {KEY}"}
            self._carry_out(Request("POST", f"/v1/payment_intents/{intent}/capture", "", headers, form.encode()))

    def tell(self, hear: Callable[[bytes, str | None], None]) -> bool:
        """Tell a webhook of any event that it was not told; False if there is none.

        Raises:
            Exception: what the webhook raises; it will be told again.
        """
        events = self._ledger.deliveries(float("inf"))
        if not events:
            return False
        number, event, _ = self._scheduler.random.choice(events)
        body = json.dumps(event).encode()
        hear(body, signature(body, SECRET, event["created"]))
        if not self._scheduler.fault("webhook twice"):
            self._ledger.delivered(number)
        return True

    def outlast(self) -> None:
        """Carry out what is late; then let a day pass, or none."""
        while self._late:
            self._carry_out(self._late.pop())
        self.end_refunds()
        if self._scheduler.random.random() < FORGETFUL:
            self._scheduler.note("keys forgotten")
            self._scheduler.now += timedelta(seconds=REMEMBERED + 1)

    def end_refunds(self) -> bool:
        """Carry out the refunds that are pending; False if there are none."""
        pending, self._pending = self._pending, {}
        for refund in pending:
            self._end_refund(refund, "true")
        return bool(pending)

    def moved(self) -> list[Json]:
        """Give each movement of money, in order, with its intent's metadata."""
        return self._ledger.movements()

    def is_by_hand(self, intent: str) -> bool:
        """Whether an intent was captured in the dashboard."""
        return intent in self._by_hand

    def refunds(self, intent: str) -> list[tuple[UUID, int]]:
        """Give the refunds that an intent has got, as the shop called them, and their amounts."""
        made = [each for each in self._rules.refunds(intent) if each["status"] == "succeeded"]
        return [(UUID(each["metadata"]["refund"]), each["amount"]) for each in made]

    def _end_refund(self, refund: str, successful: str) -> None:
        self._scheduler.note("refund pending")
        self._carry_out(Request("POST", f"/engine/refund/{refund}", f"successful={successful}"))

    def _carry_out(self, request: Request) -> tuple[int, Mapping[str, str], str]:
        """Let the engine answer: no part of it waits for anything."""
        said: list[Any] = []

        async def receive() -> dict[str, Any]:
            return {"type": "http.request", "body": request.body, "more_body": False}

        async def send(message: Any) -> None:
            said.append(message)

        headers = [(name.lower().encode(), value.encode()) for name, value in (request.headers or {}).items()]
        scope = {
            "type": "http",
            "http_version": "1.1",
            "method": request.method,
            "path": request.path,
            "query_string": request.query.encode(),
            "headers": headers,
        }
        try:
            self._app(scope, receive, send).__await__().send(None)
        except StopIteration:
            start, content = said
        body = content["body"].decode()
        match json.loads(body):
            case {"object": "payment_intent", "status": "requires_action", "id": intent}:
                self._asked.append(intent)
            case {
                "object": "payment_intent",
                "last_payment_error": {"code": NOT_AUTHENTICATED.code},
                "id": intent,
                "client_secret": str(secret),
            }:
                self._failed[intent] = secret
            case {"object": "payment_intent", "status": "requires_capture", "id": intent}:
                self._held[intent] = None
            case {"object": "payment_intent", "id": intent}:
                self._held.pop(intent, None)
            case {"object": "refund", "status": "pending", "id": refund}:
                self._pending[refund] = None
            case {"object": "refund", "id": refund}:
                self._pending.pop(refund, None)
            case _:
                pass
        answered = CaseInsensitiveDict({name.decode(): value.decode() for name, value in start["headers"]})
        return start["status"], answered, body


def _lost(why: str) -> Exception:
    return stripe.APIConnectionError(why)  # type: ignore[no-untyped-call]  # Stripe's own
