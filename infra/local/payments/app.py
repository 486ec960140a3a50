"""Stripe's REST protocol around the rules: authentication, forms, idempotency keys; and faults for tests."""

import asyncio
import hmac
import json
import secrets
import threading
import time
from collections.abc import Callable, Mapping
from typing import Any
from urllib.parse import parse_qsl

from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from infra.local.payments.ledger import Json, Ledger
from infra.local.payments.rules import DECLINE, REFUNDS, Refused, Rules, invalid, known

REMEMBERED = 24 * 3600.0
"""Seconds that Stripe keeps an idempotency key at least: https://docs.stripe.com/api/idempotent_requests"""
LONGEST_KEY = 255
LARGEST_BODY = 64 * 1024
FAULTS = ("slow", "hang", "fail", "reject", "lose-answer", "rate-limit", "webhook-late", "webhook-twice", "down")
"""slow: it answers late. hang: it answers when all faults are cancelled.
fail: 500, before anything is done. reject: 400, as if a parameter were unknown; nothing
is done, and the key keeps it. lose-answer: it is done, and the connection ends.
rate-limit: 429. webhook-late, webhook-twice: by the event's type. down: 503, and nothing
is kept of the request."""

type Endpoint = Callable[[Request], Any]


class Lost(Exception):
    """The request was carried out, and its answer is to be lost."""


class Api:
    """The provider's API."""

    def __init__(self, ledger: Ledger, key: str, wake: Callable[[], None]) -> None:
        self._ledger = ledger
        self._rules = Rules(ledger)
        self._key = key
        self._wake = wake
        self._busy: set[str] = set()
        self._looking = threading.Lock()
        self._healed = asyncio.Event()

    def app(self) -> Starlette:
        """Give the application."""
        rules = self._rules
        posts: dict[str, Callable[[dict[str, str], Json], Json]] = {
            "/v1/payment_intents": lambda _, form: rules.create(form),
            "/v1/payment_intents/{id}/confirm": lambda path, form: rules.confirm(path["id"], form),
            "/v1/payment_intents/{id}/capture": lambda path, form: rules.capture(path["id"], form),
            "/v1/payment_intents/{id}/cancel": lambda path, form: rules.cancel(path["id"], form),
            "/v1/refunds": lambda _, form: rules.refund(form),
        }
        gets: dict[str, Callable[[Request], Json]] = {
            "/v1/payment_intents/{id}": self._read_intent,
            "/v1/refunds": self._list_refunds,
        }
        return Starlette(
            routes=[
                *(Route(path, self._posted(act), methods=["POST"]) for path, act in posts.items()),
                *(Route(path, self._got(act), methods=["GET"]) for path, act in gets.items()),
                Route("/engine/ledger", self._read_ledger, methods=["GET"]),
                Route("/engine/faults", self._set_fault, methods=["POST", "DELETE"]),
                Route("/engine/authenticate/{id}", self._acted(_authenticate), methods=["POST"]),
                Route("/engine/confirm/{id}", self._acted(_confirm_in_browser), methods=["POST"]),
                Route("/engine/refund/{id}", self._acted(_end_refund), methods=["POST"]),
                Route("/engine/lapse/{id}", self._acted(lambda rules, id_, _: rules.lapse(id_)), methods=["POST"]),
            ]
        )

    def _posted(self, act: Callable[[dict[str, str], Json], Json]) -> Endpoint:
        async def endpoint(request: Request) -> Response:
            body = await request.body()

            def carry_out() -> tuple[int, Json, dict[str, str]]:
                try:
                    form = _nested(body)
                    return self._once(request, body, lambda: act(request.path_params, form))
                except Refused as refused:
                    return refused.status, refused.body, {}

            return await self._answer(request, carry_out)

        return endpoint

    def _got(self, act: Callable[[Request], Json]) -> Endpoint:
        async def endpoint(request: Request) -> Response:
            def read() -> tuple[int, Json, dict[str, str]]:
                try:
                    return 200, act(request), {}
                except Refused as refused:
                    return refused.status, refused.body, {}

            return await self._answer(request, read)

        return endpoint

    async def _answer(self, request: Request, act: Callable[[], tuple[int, Json, dict[str, str]]]) -> Response:
        given = request.headers.get("Authorization", "").removeprefix("Bearer ")
        if not hmac.compare_digest(given.encode(), self._key.encode()):
            error = {"type": "invalid_request_error", "message": "Invalid API Key provided."}
            return JSONResponse({"error": error}, 401)
        path, fault = request.url.path, self._ledger.fault
        if fault("down", path) is not None:
            return JSONResponse({"error": {"type": "api_error", "message": "The provider is down."}}, 503)
        if fault("rate-limit", path) is not None:
            error = {"type": "invalid_request_error", "code": "rate_limit", "message": "Request rate limit exceeded."}
            return JSONResponse({"error": error}, 429)
        healed = self._healed
        if fault("hang", path) is not None:
            await healed.wait()
        slow = fault("slow", path)
        if slow is not None:
            await run_in_threadpool(time.sleep, slow)
        try:
            status, body, headers = await run_in_threadpool(act)
        except Lost:
            self._wake()
            # an answer that ends before its promised length is a lost connection to the client
            return Response(b"", headers={"Content-Length": "1"})
        self._wake()
        return JSONResponse(body, status, {"Request-Id": f"req_{secrets.token_hex(7)}", **headers})

    def _once(self, request: Request, body: bytes, act: Callable[[], Json]) -> tuple[int, Json, dict[str, str]]:
        """Carry a request out, or give its key's first answer again, even a decline or a 500.

        The changes and the stored answer are one transaction.
        """
        key, path = request.headers.get("Idempotency-Key"), request.url.path
        if key is None:
            return self._carried_out(path, act, None)
        if len(key) > LONGEST_KEY:
            raise invalid(f"An idempotency key has at most {LONGEST_KEY} characters.", None)
        with self._looking:
            if key in self._busy:
                message = "There is currently another in-progress request using this Idempotency-Key."
                raise Refused(409, "idempotency_error", message, "idempotency_key_in_use")
            self._busy.add(key)
        try:
            asked = f"{request.method} {path} {body.decode(errors='replace')}"
            known = self._ledger.answered(key, time.time() - REMEMBERED)
            if known is None:
                return self._carried_out(path, act, (key, asked))
            if known[0] != asked:
                message = (
                    "Keys for idempotent requests can only be used with the same parameters they were first used with. "
                    "Try using a key other than the one given if you meant to execute a different request."
                )
                raise Refused(400, "idempotency_error", message)
            if self._ledger.fault("lose-answer", path) is not None:
                raise Lost
            return known[1], known[2], {"Idempotent-Replayed": "true"}
        finally:
            self._busy.discard(key)

    def _carried_out(
        self, path: str, act: Callable[[], Json], keep: tuple[str, str] | None
    ) -> tuple[int, Json, dict[str, str]]:
        with self._ledger.transaction():
            if self._ledger.fault("fail", path) is not None:
                status, body = 500, {"error": {"type": "api_error", "message": "An unknown error occurred."}}
            elif self._ledger.fault("reject", path) is not None:
                rejected = invalid("Received unknown parameter: colour", "parameter_unknown", param="colour")
                status, body = rejected.status, rejected.body
            else:
                try:
                    status, body = 200, act()
                except Refused as refused:
                    if refused.status != DECLINE:
                        raise
                    status, body = refused.status, refused.body
            if keep is not None:
                self._ledger.answer(*keep, status, body, time.time())
            lost = self._ledger.fault("lose-answer", path) is not None
        if lost:
            raise Lost
        return status, body, {}

    def _read_intent(self, request: Request) -> Json:
        known(request.query_params, frozenset())
        return self._rules.intent(request.path_params["id"])

    def _list_refunds(self, request: Request) -> Json:
        known(request.query_params, REFUNDS)
        intent = self._rules.intent(request.query_params.get("payment_intent", ""))
        data = self._rules.refunds(intent["id"])
        return {"object": "list", "url": "/v1/refunds", "has_more": False, "data": data}

    async def _read_ledger(self, _: Request) -> Response:
        return JSONResponse(
            {
                "movements": self._ledger.movements(),
                "undelivered": self._ledger.undelivered(),
                "faults": self._ledger.expected(),
            }
        )

    async def _set_fault(self, request: Request) -> Response:
        if request.method == "DELETE":
            self._ledger.heal()
            self._healed.set()
            self._healed = asyncio.Event()
            return Response(status_code=204)
        asked = json.loads(await request.body())
        if asked.get("kind") not in FAULTS:
            return JSONResponse({"error": f"kind is one of {', '.join(FAULTS)}"}, 400)
        self._ledger.expect(
            asked["kind"], asked.get("path", ""), int(asked.get("times", 1)), float(asked.get("seconds", 0))
        )
        return Response(status_code=204)

    def _acted(self, act: Callable[[Rules, str, Mapping[str, str]], Json]) -> Endpoint:
        """What others than the shop do: the cardholder, or the bank."""

        async def endpoint(request: Request) -> Response:
            def carry_out() -> Json:
                with self._ledger.transaction():
                    return act(self._rules, request.path_params["id"], request.query_params)

            try:
                intent = await run_in_threadpool(carry_out)
            except Refused as refused:
                return JSONResponse(refused.body, refused.status)
            self._wake()
            return JSONResponse(intent)

        return endpoint


def _authenticate(rules: Rules, id_: str, query: Mapping[str, str]) -> Json:
    return rules.authenticate(id_, successful=query.get("successful", "true") == "true")


def _end_refund(rules: Rules, id_: str, query: Mapping[str, str]) -> Json:
    return rules.end_refund(id_, successful=query.get("successful", "true") == "true")


def _confirm_in_browser(rules: Rules, id_: str, query: Mapping[str, str]) -> Json:
    return rules.confirm_in_browser(id_, query.get("client_secret", ""), query.get("payment_method", ""))


def _nested(body: bytes) -> Json:
    """Read a form as Stripe's clients write it: metadata[order]=7, allowed_payment_method_types[0]=card."""
    if len(body) > LARGEST_BODY:
        raise invalid("The request is too large.", None)
    form: Json = {}
    for name, value in parse_qsl(body.decode(errors="replace"), keep_blank_values=True):
        outer, bracket, inner = name.partition("[")
        inner = inner.removesuffix("]")
        if not bracket:
            form[outer] = value
        elif inner.isdecimal() or not inner:
            form.setdefault(outer, []).append(value)
        else:
            form.setdefault(outer, {})[inner] = value
    return form
