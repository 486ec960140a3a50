"""The laptop's payment provider: what it keeps when it is killed, what it lets go wrong, and whom it tells."""

import threading
import time
import urllib.request
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any
from urllib.error import HTTPError

import pytest
import stripe
from stripe import StripeClient
from stripe.params import (
    PaymentIntentCancelParams,
    PaymentIntentCaptureParams,
    PaymentIntentConfirmParams,
    PaymentIntentCreateParams,
    RefundCreateParams,
    RefundListParams,
)

from infra.local.payments.rules import CANCEL, CAPTURE, CONFIRM, CREATE, REFUND, REFUNDS, REMOVED, VERSION
from infra.local.payments.running import Engine, running
from tests.support.hook import hook

WITHIN = 30.0
"""Seconds that a loaded machine has."""

INTENT: PaymentIntentCreateParams = {
    "amount": 4980,
    "currency": "eur",
    "capture_method": "manual",
    "allowed_payment_method_types": ["card"],
}


TAKEN = [
    (CREATE, PaymentIntentCreateParams),
    (CONFIRM, PaymentIntentConfirmParams),
    (CAPTURE, PaymentIntentCaptureParams),
    (CANCEL, PaymentIntentCancelParams),
    (REFUND, RefundCreateParams),
    (REFUNDS, RefundListParams),
]


@pytest.fixture
def engine(tmp_path: Path) -> Iterator[Engine]:
    with running(tmp_path) as engine:
        yield engine


def client_of(engine: Engine) -> StripeClient:
    return StripeClient(engine.key, base_addresses={"api": engine.url}, max_network_retries=0)


def authorise(client: StripeClient, key: str = "k") -> str:
    intent = client.v1.payment_intents.create(INTENT, {"idempotency_key": f"{key}:create"})
    client.v1.payment_intents.confirm(
        intent.id, {"payment_method": "pm_card_visa"}, {"idempotency_key": f"{key}:confirm"}
    )
    return intent.id


def kinds(engine: Engine) -> list[tuple[str, int]]:
    return [(each["kind"], each["amount"]) for each in engine.movements()]


def eventually(is_so: Callable[[], bool]) -> None:
    deadline = time.monotonic() + WITHIN
    while not is_so():
        assert time.monotonic() < deadline
        time.sleep(0.02)


def test_it_speaks_the_version_of_stripes_library_and_takes_no_parameter_that_this_lacks() -> None:
    assert stripe.api_version == VERSION
    assert REMOVED not in PaymentIntentCreateParams.__annotations__
    for parameters, of_stripe in TAKEN:
        assert parameters <= of_stripe.__annotations__.keys(), of_stripe


def test_an_intent_that_allows_no_card_is_refused(engine: Engine) -> None:
    with pytest.raises(stripe.InvalidRequestError) as raised:
        client_of(engine).v1.payment_intents.create({**INTENT, "allowed_payment_method_types": ["sofort"]})
    assert raised.value.code == "payment_intent_invalid_parameter"


def test_what_it_answered_it_knows_after_it_was_killed(tmp_path: Path) -> None:
    with running(tmp_path) as engine:
        intent = authorise(client_of(engine))
        engine.kill()
    with running(tmp_path) as engine:
        assert authorise(client_of(engine)) == intent
        client_of(engine).v1.payment_intents.capture(intent)
        assert kinds(engine) == [("authorised", 4980), ("captured", 4980)]


def test_an_answer_that_is_lost_was_given_and_its_key_gives_it_again(engine: Engine) -> None:
    client = client_of(engine)
    engine.expect("lose-answer", "/confirm")
    with pytest.raises(stripe.APIConnectionError):
        authorise(client)
    assert kinds(engine) == [("authorised", 4980)]
    intent = authorise(client)
    assert client.v1.payment_intents.retrieve(intent).status == "requires_capture"
    assert kinds(engine) == [("authorised", 4980)]


def test_the_answer_of_a_known_key_is_lost_like_the_first_one(engine: Engine) -> None:
    client = client_of(engine)
    engine.expect("lose-answer", "/confirm", times=2)
    for _ in range(2):
        with pytest.raises(stripe.APIConnectionError):
            authorise(client)
    assert engine.faults() == 0
    authorise(client)
    assert kinds(engine) == [("authorised", 4980)]


def test_a_failure_before_anything_is_done_is_kept_by_its_key_as_stripe_keeps_it(engine: Engine) -> None:
    client = client_of(engine)
    engine.expect("fail", "/confirm")
    for _ in range(2):
        with pytest.raises(stripe.APIError):
            authorise(client)
    assert kinds(engine) == []
    intent = client.v1.payment_intents.create(INTENT, {"idempotency_key": "k:create"})
    assert intent.status == "requires_payment_method", "so another key may be used"
    client.v1.payment_intents.confirm(intent.id, {"payment_method": "pm_card_visa"}, {"idempotency_key": "k:2"})
    assert kinds(engine) == [("authorised", 4980)]


def test_over_its_limit_it_says_429_and_keeps_nothing_of_it(engine: Engine) -> None:
    engine.expect("rate-limit", times=2)
    for _ in range(2):
        with pytest.raises(stripe.RateLimitError):
            authorise(client_of(engine))
    authorise(client_of(engine))
    assert kinds(engine) == [("authorised", 4980)]


def test_while_it_is_down_it_says_503_until_it_is_healed(engine: Engine) -> None:
    engine.expect("down", times=1_000_000)
    for _ in range(3):
        with pytest.raises(stripe.APIError):
            authorise(client_of(engine))
    engine.heal()
    authorise(client_of(engine))


def test_the_same_key_at_the_same_time_is_refused_while_the_first_is_under_way(engine: Engine) -> None:
    client = client_of(engine)
    intent = client.v1.payment_intents.create(INTENT)
    barrier = threading.Barrier(8)

    def confirm(_: int) -> str:
        barrier.wait()
        try:
            options: Any = {"idempotency_key": "same"}
            return client.v1.payment_intents.confirm(intent.id, {"payment_method": "pm_card_visa"}, options).status
        except stripe.APIError as error:  # the library has no class of its own for a 409, and leaves out its code
            body: Any = error.json_body
            return str(body["error"]["code"])

    with ThreadPoolExecutor(8) as pool:
        outcomes = set(pool.map(confirm, range(8)))
    assert "requires_capture" in outcomes
    assert outcomes <= {"requires_capture", "idempotency_key_in_use"}
    assert kinds(engine) == [("authorised", 4980)]


def test_another_key_of_the_api_is_refused(engine: Engine) -> None:
    with pytest.raises(stripe.AuthenticationError):
        authorise(StripeClient("sk_test_other", base_addresses={"api": engine.url}, max_network_retries=0))


@pytest.mark.parametrize("successful", [True, False])
def test_the_cardholder_settles_what_asks_for_them(engine: Engine, successful: bool) -> None:  # noqa: FBT001
    client = client_of(engine)
    intent = client.v1.payment_intents.create(INTENT)
    client.v1.payment_intents.confirm(intent.id, {"payment_method": "pm_card_authenticationRequired"})
    assert kinds(engine) == []
    engine.authenticate(intent.id, successful=successful)
    status = client.v1.payment_intents.retrieve(intent.id).status
    assert status == ("requires_capture" if successful else "requires_payment_method")
    assert kinds(engine) == ([("authorised", 4980)] if successful else [])


def test_a_bank_lets_a_held_amount_go_once_and_nothing_can_be_captured_then(engine: Engine) -> None:
    client = client_of(engine)
    intent = authorise(client)
    engine.lapse(intent)
    lapsed = client.v1.payment_intents.retrieve(intent)
    assert (lapsed.status, lapsed.cancellation_reason, lapsed.amount_capturable) == ("canceled", "expired", 0)
    with pytest.raises(stripe.InvalidRequestError, match="status is canceled"):
        client.v1.payment_intents.capture(intent)
    with pytest.raises(HTTPError, match="400"):
        engine.lapse(intent)
    assert kinds(engine) == [("authorised", 4980), ("lapsed", 4980)]


def test_a_webhook_is_told_in_order_and_with_a_signature_that_stripes_library_verifies(tmp_path: Path) -> None:
    with hook() as hooked, running(tmp_path, hooked.url) as engine:
        intent = authorise(client_of(engine))
        client_of(engine).v1.payment_intents.capture(intent)
        eventually(lambda: engine.undelivered() == 0)
        assert [event.type for event in hooked.events(engine.secret)] == [
            "payment_intent.created",
            "payment_intent.amount_capturable_updated",
            "payment_intent.succeeded",
        ]
        assert {event.data.object.id for event in hooked.events(engine.secret)} == {intent}
        with pytest.raises(stripe.SignatureVerificationError):
            hooked.events("whsec_other")


def test_a_webhook_that_fails_is_told_again_also_by_an_engine_that_was_killed(tmp_path: Path) -> None:
    with hook() as hooked:
        hooked.failures[0] = 1_000_000
        with running(tmp_path, hooked.url) as engine:
            authorise(client_of(engine))
            engine.kill()
        hooked.failures[0] = 0
        with running(tmp_path, hooked.url) as engine:
            eventually(lambda: engine.undelivered() == 0)
            # one that was on its way when the engine was killed may have arrived, and comes again
            assert len({event.id for event in hooked.events(engine.secret)}) == 2


def test_a_webhook_may_come_twice_late_and_out_of_order(tmp_path: Path) -> None:
    with hook() as hooked, running(tmp_path, hooked.url) as engine:
        engine.expect("webhook-late", "payment_intent.amount_capturable_updated", seconds=1.0)
        engine.expect("webhook-twice", "payment_intent.succeeded")
        intent = authorise(client_of(engine))
        client_of(engine).v1.payment_intents.capture(intent)
        eventually(lambda: len(hooked.got) == 4)
        assert [event.type for event in hooked.events(engine.secret)] == [
            "payment_intent.created",
            "payment_intent.succeeded",
            "payment_intent.succeeded",
            "payment_intent.amount_capturable_updated",
        ]
        assert len({event.id for event in hooked.events(engine.secret)}) == 3


@pytest.mark.parametrize("secret", ["wrong", "", "%C3%A9", "%00"])
def test_a_browser_that_does_not_know_the_client_secret_confirms_nothing(engine: Engine, secret: str) -> None:
    intent = client_of(engine).v1.payment_intents.create(INTENT)
    with pytest.raises(HTTPError, match="400"):
        engine.confirm(intent.id, secret)
    assert client_of(engine).v1.payment_intents.retrieve(intent.id).status == "requires_payment_method"


def test_a_form_or_a_key_that_is_no_text_is_refused(engine: Engine) -> None:
    for key, form, status in ((engine.key, b"amount=\xff", 400), ("sk_\xe9", b"amount=1", 401)):
        asked = urllib.request.Request(  # noqa: S310 -- our own process
            f"{engine.url}/v1/payment_intents", form, {"Authorization": f"Bearer {key}"}
        )
        with pytest.raises(HTTPError, match=str(status)):
            urllib.request.build_opener(urllib.request.ProxyHandler({})).open(asked, timeout=WITHIN)


def answered(engine: Engine, method: str, path: str, **headers: str) -> int:
    """The status of an answer to a request with such headers, as a web page could have it sent."""
    body = b'{"kind": "down", "times": 1}' if method == "POST" else None
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    asked = urllib.request.Request(engine.url + path, body, named, method=method)  # noqa: S310 -- our own process
    try:
        with urllib.request.build_opener(urllib.request.ProxyHandler({})).open(asked, timeout=WITHIN) as answer:
            return int(answer.status)
    except HTTPError as refused:
        return refused.code


@pytest.mark.parametrize(
    "page", [{"Origin": "http://evil.example"}, {"Origin": "null"}, {"Sec_Fetch_Site": "cross-site"}]
)
def test_a_web_page_changes_nothing(engine: Engine, page: dict[str, str]) -> None:
    intent = authorise(client_of(engine))
    assert answered(engine, "POST", "/engine/faults", **page) == 403
    assert answered(engine, "POST", f"/engine/lapse/{intent}", **page) == 403
    assert (engine.faults(), kinds(engine)) == (0, [("authorised", 4980)])
    assert answered(engine, "POST", "/engine/faults") == 204
    assert answered(engine, "DELETE", "/engine/faults", **page) == 403
    assert engine.faults() == 1


@pytest.mark.parametrize("path", ["/engine/ledger", "/v1/refunds"])
def test_a_name_that_leads_here_by_a_pages_dns_is_refused(engine: Engine, path: str) -> None:
    assert answered(engine, "GET", path, Host=f"evil.example:{engine.port}") == 400
    assert answered(engine, "GET", "/engine/ledger", Host=f"localhost:{engine.port}") == 200
