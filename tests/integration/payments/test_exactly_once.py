"""Payments on the laptop's provider, through Stripe's own library: each movement of money is there once.

Whatever goes wrong, and wherever a process dies, the provider's books and ours agree in the end.
"""

import random
import sqlite3
import time
from collections.abc import Callable, Iterator
from contextlib import closing, nullcontext
from decimal import Decimal
from pathlib import Path
from typing import Any
from urllib.error import HTTPError
from uuid import UUID, uuid4

import pytest
import stripe
from stripe import RequestOptions

from infra.local.payments.running import Engine, running
from shared.kernel.money import Money
from shared.payments.domain.payment import Payment, PaymentStatus
from shared.payments.domain.provider import (
    Declined,
    NotFromProvider,
    ProviderUnavailable,
    RequestInvalid,
    StepRefused,
)
from shared.payments.events import DeclineReason, PaymentEvent
from shared.payments.performing import perform
from shared.payments.stripe_provider import StripeProvider
from shared.payments.stripe_refusals import about_the_amount, about_the_token, translated
from tests.support.hook import hook

AMOUNT = Money(Decimal("49.80"), "EUR")
TRIES = 60


class Died(BaseException):
    """The process ended here."""


class Books:
    """One payment's events, as a log keeps them; a process may die before or after each save."""

    def __init__(self) -> None:
        self.events: list[PaymentEvent] = []

    def load(self) -> Payment:
        """The payment as it is."""
        return Payment.fold(self.events)

    def save(self, payment: Payment) -> None:
        """Keep what has changed."""
        assert payment.loaded_version == len(self.events), "a lost race"
        self.events += payment.pending_events


@pytest.fixture(scope="module")
def engine(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Engine]:
    with running(tmp_path_factory.mktemp("payments")) as engine:
        yield engine


@pytest.fixture
def provider(engine: Engine) -> Iterator[StripeProvider]:
    yield StripeProvider(engine.key, engine.url)
    engine.heal()


def asked(card: str = "pm_card_visa") -> Books:
    books = Books()
    books.save(Payment.request(uuid4(), uuid4(), AMOUNT, card))
    return books


def ask(books: Books, verb: Callable[[Payment], None]) -> None:
    payment = books.load()
    verb(payment)
    books.save(payment)


def go_on(books: Books, provider: StripeProvider, at: Callable[[], None] = lambda: None) -> Payment:
    """Do what is due until nothing is, as deliveries do: each may end anywhere, and is then begun again."""
    for _ in range(TRIES):
        try:
            payment = books.load()
            step = payment.due
            if step is None:
                return payment
            at()
            perform(payment, step, provider)
            at()
            unchanged = not payment.pending_events
            books.save(payment)
            at()
            if unchanged:
                return payment  # it waits for its cardholder
        except (ProviderUnavailable, Died):
            continue
    raise AssertionError(f"it does not come to an end: {books.events}")


def moved(engine: Engine, payment: Payment) -> list[tuple[str, int]]:
    return [
        (each["kind"], each["amount"])
        for each in engine.movements()
        if each["metadata"].get("payment") == str(payment.order_id)
    ]


def whole_life(books: Books, provider: StripeProvider, at: Callable[[], None] = lambda: None) -> Payment:
    """Authorised, captured, given back in two parts."""
    refunds = [uuid4(), uuid4()]
    go_on(books, provider, at)
    ask(books, lambda payment: payment.request_capture())
    go_on(books, provider, at)
    ask(books, lambda payment: payment.request_refund(refunds[0], Decimal(10)))
    ask(books, lambda payment: payment.request_refund(refunds[1]))
    return go_on(books, provider, at)


LIFE = [("authorised", 4980), ("captured", 4980), ("refunded", 1000), ("refunded", 3980)]


def test_a_payment_is_authorised_captured_and_given_back_in_parts(engine: Engine, provider: StripeProvider) -> None:
    payment = whole_life(asked(), provider)
    assert (payment.status, str(payment.refunded)) == (PaymentStatus.CAPTURED, "49.80")
    assert moved(engine, payment) == LIFE


def test_a_payment_that_is_called_off_is_let_go(engine: Engine, provider: StripeProvider) -> None:
    books = asked()
    go_on(books, provider)
    ask(books, lambda payment: payment.request_void())
    payment = go_on(books, provider)
    assert payment.status is PaymentStatus.VOIDED
    assert moved(engine, payment) == [("authorised", 4980), ("voided", 4980)]


def test_whoever_dies_at_any_moment_of_a_payments_life_leaves_each_movement_once(
    engine: Engine, provider: StripeProvider
) -> None:
    moments = 0

    def count() -> None:
        nonlocal moments
        moments += 1

    whole_life(asked(), provider, count)
    assert moments == 15
    for fatal in range(1, moments + 1):
        passed = 0

        def die(fatal: int = fatal) -> None:
            nonlocal passed
            passed += 1
            if passed == fatal:
                raise Died

        assert moved(engine, whole_life(asked(), provider, die)) == LIFE, f"died at {fatal}"


@pytest.mark.parametrize("path", ["/payment_intents", "/confirm", "/capture", "/refunds"])
@pytest.mark.parametrize("kind", ["lose-answer", "fail", "reject", "rate-limit", "down"])
def test_whatever_the_provider_does_wrong_in_a_step_each_movement_is_there_once(
    engine: Engine, provider: StripeProvider, kind: str, path: str
) -> None:
    engine.expect(kind, path, times=3)
    payment = whole_life(asked(), provider)
    assert engine.faults() < 3, "the step has met it"
    engine.heal()
    assert moved(engine, payment) == LIFE


def test_a_500_that_came_when_the_step_was_done_is_looked_behind_before_another_key_is_used(
    engine: Engine, provider: StripeProvider, monkeypatch: pytest.MonkeyPatch
) -> None:
    once, keys = StripeProvider._once, dict[str, list[str]]()

    def failing_late(self: StripeProvider, step: str, ask: Callable[[Any], Any], *more: Any) -> Any:
        def ask_and_fail(options: Any) -> Any:
            answer = ask(options)
            used = keys.setdefault(step, [])
            used.append(options["idempotency_key"])
            if used[-1] == f"{step}:1":
                replayed = {"Idempotent-Replayed": "true"} if len(used) > 1 else {}
                raise stripe.APIError("it fails behind its work", http_status=500, headers=replayed)
            return answer

        return once(self, step, ask_and_fail, *more)

    monkeypatch.setattr(StripeProvider, "_once", failing_late)
    payment = whole_life(asked(), provider)
    assert moved(engine, payment) == LIFE
    opening = f"{payment.order_id}:open"
    assert keys.pop(opening) == [f"{opening}:1", f"{opening}:1", f"{opening}:2"], "which moves no money"
    assert keys == {step: [f"{step}:1"] for step in keys}
    assert len(keys) == 4


@pytest.mark.parametrize("path", ["/payment_intents", "/confirm", "/capture", "/refunds"])
def test_a_step_that_met_many_500s_is_done_once_when_the_provider_has_recovered(
    engine: Engine, provider: StripeProvider, path: str
) -> None:
    engine.expect("fail", path, times=50)
    books, deliveries = asked(), 0

    def recovered() -> None:
        nonlocal deliveries
        deliveries += 1
        if deliveries == 30:
            assert engine.faults() > 0, "a delivery uses up one key"
            engine.heal()

    payment = whole_life(books, provider, recovered)
    assert moved(engine, payment) == LIFE


@pytest.mark.parametrize("kind", ["lose-answer", "fail", "reject"])
def test_a_void_whose_answer_is_lost_or_fails_is_made_once(engine: Engine, provider: StripeProvider, kind: str) -> None:
    books = asked()
    go_on(books, provider)
    engine.expect(kind, "/cancel", times=2)
    ask(books, lambda payment: payment.request_void())
    payment = go_on(books, provider)
    assert payment.status is PaymentStatus.VOIDED
    assert moved(engine, payment) == [("authorised", 4980), ("voided", 4980)]


@pytest.mark.parametrize("seed", range(12))
def test_under_all_faults_at_once_the_books_agree(engine: Engine, provider: StripeProvider, seed: int) -> None:
    chance = random.Random(seed)
    for _ in range(8):
        kind = chance.choice(("lose-answer", "fail", "reject", "rate-limit", "down"))
        engine.expect(kind, chance.choice(("/payment_intents", "/confirm", "/capture", "/refunds")))

    def die() -> None:
        if chance.random() < 0.1:
            raise Died

    payment = whole_life(asked(), provider, die)
    engine.heal()
    assert moved(engine, payment) == LIFE, f"seed {seed}"


def test_a_provider_that_is_killed_between_two_steps_goes_on_where_it_was(tmp_path: Path) -> None:
    books = asked()
    with running(tmp_path) as engine:
        provider = StripeProvider(engine.key, engine.url)
        engine.expect("lose-answer", "/confirm")
        payment = books.load()
        perform(payment, payment.due or pytest.fail("opening is due"), provider)
        books.save(payment)
        payment = books.load()
        with pytest.raises(ProviderUnavailable):
            perform(payment, payment.due or pytest.fail("authorising is due"), provider)
        engine.kill()
        with pytest.raises(ProviderUnavailable):
            perform(payment, payment.due or pytest.fail("authorising is due"), provider)
    with running(tmp_path) as engine:
        payment = whole_life(books, StripeProvider(engine.key, engine.url))
        assert moved(engine, payment) == LIFE


@pytest.mark.parametrize("ending", ["void", "refund"])
def test_what_was_done_before_the_provider_forgot_its_keys_is_not_done_again(tmp_path: Path, ending: str) -> None:
    """It keeps them for a day, and an outage of ours may last longer."""
    with running(tmp_path) as engine:
        provider, books = StripeProvider(engine.key, engine.url), asked()
        died: set[int] = set()
        moment = 0

        def dies_once_behind_each_step_for_a_day() -> None:
            nonlocal moment
            moment = (moment + 1) % 3  # before a step, behind it, and when it is recorded
            if moment == 2 and len(books.events) not in died:
                moment = 0
                died.add(len(books.events))
                [ledger] = tmp_path.glob("*.db")
                with closing(sqlite3.connect(ledger, autocommit=True)) as connection:
                    connection.execute("DELETE FROM answer")
                raise Died

        if ending == "refund":
            payment = whole_life(books, provider, dies_once_behind_each_step_for_a_day)
            assert moved(engine, payment) == LIFE
        else:
            go_on(books, provider, dies_once_behind_each_step_for_a_day)
            ask(books, lambda payment: payment.request_void())
            payment = go_on(books, provider, dies_once_behind_each_step_for_a_day)
            assert moved(engine, payment) == [("authorised", 4980), ("voided", 4980)]
        assert len(died) == {"void": 3, "refund": 5}[ending]


@pytest.mark.parametrize(
    ("token", "reason"),
    [
        ("pm_card_visa_chargeDeclined", DeclineReason.DECLINED),
        ("pm_card_visa_chargeDeclinedInsufficientFunds", DeclineReason.INSUFFICIENT_FUNDS),
        ("pm_card_chargeDeclinedExpiredCard", DeclineReason.EXPIRED_CARD),
        ("pm_none", DeclineReason.NOT_ACCEPTED),
    ],
)
@pytest.mark.parametrize("lost", [False, True])
def test_a_declined_token_says_why_and_another_one_pays(
    engine: Engine,
    provider: StripeProvider,
    token: str,
    reason: DeclineReason,
    lost: bool,  # noqa: FBT001  # a parameter of the test
) -> None:
    if lost:
        engine.expect("lose-answer", "/confirm")
    books = asked(token)
    payment = go_on(books, provider)
    engine.heal()
    assert (payment.status, payment.decline_reason, payment.due) == (PaymentStatus.DECLINED, reason, None)
    ask(books, lambda payment: payment.try_another("pm_card_visa"))
    payment = go_on(books, provider)
    assert payment.status is PaymentStatus.AUTHORISED
    assert moved(engine, payment) == [("authorised", 4980)]


def test_a_token_that_paid_before_is_declined_and_another_one_pays(engine: Engine, provider: StripeProvider) -> None:
    paid = go_on(asked(), provider)
    client = stripe.StripeClient(engine.key, base_addresses={"api": engine.url})
    books = asked(str(client.v1.payment_intents.retrieve(paid.reference or "").payment_method))
    payment = go_on(books, provider)
    assert (payment.status, payment.decline_reason) == (PaymentStatus.DECLINED, DeclineReason.NOT_ACCEPTED)
    ask(books, lambda payment: payment.try_another("pm_card_visa"))
    assert go_on(books, provider).status is PaymentStatus.AUTHORISED


def test_an_intent_that_the_provider_does_not_know_is_no_decline(provider: StripeProvider) -> None:
    with pytest.raises(ProviderUnavailable):
        provider.authorise("pi_none", uuid4(), 1, "pm_card_visa")


def test_a_request_that_stripe_does_not_take_is_no_decline_whatever_it_says_of_it(
    engine: Engine, provider: StripeProvider
) -> None:
    """As where a return_url is missing: it has neither a code nor a parameter, like the error of a used token."""
    client = stripe.StripeClient(engine.key, base_addresses={"api": engine.url})
    intent = client.v1.payment_intents.create({"amount": 4980, "currency": "eur", "capture_method": "manual"})
    with pytest.raises(RequestInvalid, match=r"does not take what we send: no code \(req_"):
        provider.authorise(intent.id, uuid4(), 1, "pm_card_visa")


@pytest.mark.parametrize(
    ("text", "param", "code", "is_about"),
    [
        ("No such PaymentMethod: 'pm_1'", "payment_method", "resource_missing", [about_the_token]),
        ("The provided PaymentMethod was previously used.", None, None, [about_the_token]),
        ("Other properties.", None, "payment_intent_incompatible_payment_method", [about_the_token]),
        ("Amount must be at least 0.50 eur.", "amount", "amount_too_small", [about_the_amount]),
        ("Invalid currency: xyz.", "currency", None, [about_the_amount]),
        ("You must provide a `return_url`.", None, None, []),
        ("Received unknown parameter: payment_method", "payment_method", "parameter_unknown", []),
        ("Missing required param: currency.", "currency", "parameter_missing", []),
        ("Invalid integer: 1.5", "amount", "parameter_invalid_integer", []),
        ("No longer.", "payment_method_types", "payment_method_types_no_longer_supported", []),
        ("Activate cards.", None, "payment_method_unactivated", []),
    ],
)
def test_a_400_is_told_as_a_decline_only_where_it_is_about_what_the_customer_chose(
    text: str, param: str | None, code: str | None, is_about: list[Callable[[stripe.InvalidRequestError], bool]]
) -> None:
    refusal: Any = stripe.InvalidRequestError
    for about in (about_the_token, about_the_amount):
        expected = StepRefused if about in is_about else RequestInvalid
        with pytest.raises(expected), translated(about):
            raise refusal(text, param, code, http_status=400)


@pytest.mark.parametrize("step", ["open", "1:confirm"])
def test_a_key_that_an_earlier_release_used_for_another_form_of_the_request_is_passed_over(
    engine: Engine, provider: StripeProvider, step: str
) -> None:
    books = asked()
    client = stripe.StripeClient(engine.key, base_addresses={"api": engine.url})
    key: RequestOptions = {"idempotency_key": f"{books.load().order_id}:{step}:1"}
    client.v1.payment_intents.create({"amount": 1000, "currency": "eur"}, key)
    payment = go_on(books, provider)
    assert (payment.status, moved(engine, payment)) == (PaymentStatus.AUTHORISED, [("authorised", 4980)])


@pytest.mark.parametrize("successful", [True, False])
def test_a_cardholder_is_waited_for(engine: Engine, provider: StripeProvider, successful: bool) -> None:  # noqa: FBT001
    books = asked("pm_card_authenticationRequired")
    payment = go_on(books, provider)
    assert payment.status is PaymentStatus.ACTION_REQUIRED
    assert payment.reference
    assert provider.client_secret(payment.reference).startswith(f"{payment.reference}_secret_")
    engine.authenticate(payment.reference, successful=successful)
    payment = go_on(books, provider)
    if successful:
        assert payment.status is PaymentStatus.AUTHORISED
    else:
        assert (payment.status, payment.decline_reason) == (PaymentStatus.DECLINED, DeclineReason.NOT_AUTHENTICATED)


WAITING = "pm_card_authenticationRequired"
"""A card whose holder has to authenticate."""
ITS_HOLDER_TOO = "pm_card_threeDSecure2Required"
"""Another one."""


def waiting(provider: StripeProvider, other: str = "pm_card_visa") -> Books:
    """A payment that waits for its cardholder, who then gives another card."""
    books = asked(WAITING)
    assert go_on(books, provider).status is PaymentStatus.ACTION_REQUIRED
    ask(books, lambda payment: payment.try_another(other))
    return books


@pytest.mark.parametrize("fault", [None, "lose-answer", "fail", "reject", "rate-limit", "down"])
def test_another_card_pays_while_the_holder_of_the_first_one_is_waited_for(
    engine: Engine, provider: StripeProvider, fault: str | None
) -> None:
    books = waiting(provider)
    if fault:
        engine.expect(fault, "/confirm", times=2)
    payment = go_on(books, provider)
    assert (payment.status, payment.attempt) == (PaymentStatus.AUTHORISED, 2)
    with pytest.raises(HTTPError):
        engine.authenticate(str(payment.reference))  # the bank's page of the first card comes too late
    assert moved(engine, payment) == [("authorised", 4980)]


def test_another_card_that_is_declined_or_asks_for_its_holder_too_ends_the_wait_for_the_first_one(
    engine: Engine, provider: StripeProvider
) -> None:
    books = waiting(provider, "pm_card_visa_chargeDeclinedInsufficientFunds")
    payment = go_on(books, provider)
    assert (payment.status, payment.decline_reason) == (PaymentStatus.DECLINED, DeclineReason.INSUFFICIENT_FUNDS)
    for attempt, card in [(3, WAITING), (4, ITS_HOLDER_TOO)]:
        ask(books, lambda payment, card=card: payment.try_another(card))  # type: ignore[misc]
        payment = go_on(books, provider)
        assert (payment.status, payment.attempt) == (PaymentStatus.ACTION_REQUIRED, attempt)
        assert provider._retrieve(str(payment.reference)).payment_method == card
    engine.authenticate(str(payment.reference))
    payment = go_on(books, provider)
    assert (payment.status, moved(engine, payment)) == (PaymentStatus.AUTHORISED, [("authorised", 4980)])


@pytest.mark.parametrize("other", ["pm_card_visa", "pm_card_visa_chargeDeclined", ITS_HOLDER_TOO])
@pytest.mark.parametrize("at", [1, 2, None], ids=["before the look", "before the confirmation", "after it"])
def test_a_holder_who_authenticates_while_another_card_is_confirmed_pays_once(
    engine: Engine, provider: StripeProvider, monkeypatch: pytest.MonkeyPatch, at: int | None, other: str
) -> None:
    """Whichever comes first at the provider, the bank's word or the other card, the amount is held once, if at all."""
    books = waiting(provider, other)
    reference, requests = str(books.load().reference), 0
    send = stripe.RequestsClient.request

    def answered(*asked: Any, **more: Any) -> Any:
        nonlocal requests
        requests += 1
        if requests == at:
            engine.authenticate(reference)
        return send(*asked, **more)

    monkeypatch.setattr(stripe.RequestsClient, "request", answered)
    go_on(books, provider)
    with pytest.raises(HTTPError) if at or other != ITS_HOLDER_TOO else nullcontext():
        engine.authenticate(reference)  # the bank has had its say, or the other card was first
    payment = go_on(books, provider)
    is_held = payment.status is PaymentStatus.AUTHORISED
    assert is_held or (at is None and payment.status is PaymentStatus.DECLINED)
    assert moved(engine, payment) == ([("authorised", 4980)] if is_held else [])


def test_a_payment_that_waits_for_its_cardholder_can_be_called_off(engine: Engine, provider: StripeProvider) -> None:
    books = asked("pm_card_authenticationRequired")
    go_on(books, provider)
    ask(books, lambda payment: payment.request_void())
    payment = go_on(books, provider)
    assert (payment.status, moved(engine, payment)) == (PaymentStatus.VOIDED, [])


@pytest.mark.parametrize(
    ("amount", "currency"), [("0.01", "EUR"), ("1000000.00", "EUR"), ("0.00", "EUR"), ("1.001", "KWD")]
)
def test_an_amount_that_the_provider_does_not_take_is_a_decline(
    engine: Engine, provider: StripeProvider, amount: str, currency: str
) -> None:
    books = Books()
    books.save(Payment.request(uuid4(), uuid4(), Money(Decimal(amount), currency), "pm_card_visa"))
    payment = go_on(books, provider)
    assert (payment.status, payment.decline_reason) == (PaymentStatus.DECLINED, DeclineReason.NOT_ACCEPTED)
    ask(books, lambda payment: payment.request_void())
    payment = go_on(books, provider)
    assert (payment.status, moved(engine, payment)) == (PaymentStatus.VOIDED, [])


def test_a_decline_that_stripe_gives_no_code_is_a_decline(monkeypatch: pytest.MonkeyPatch) -> None:
    failed = {"status": "requires_payment_method", "last_payment_error": {"type": "api_error"}}
    monkeypatch.setattr(StripeProvider, "_retrieve", lambda *_: stripe.PaymentIntent.construct_from(failed, "key"))
    assert StripeProvider("key").look("pi_1") == Declined(DeclineReason.DECLINED)


def test_a_webhook_names_the_payment_that_it_is_about_and_is_believed_only_when_stripe_signed_it(
    tmp_path: Path,
) -> None:
    with hook() as hooked, running(tmp_path, hooked.url) as engine:
        provider = StripeProvider(engine.key, engine.url, engine.secret)
        books = asked()
        payment = go_on(books, provider)
        while engine.undelivered():
            time.sleep(0.02)
        assert {provider.payment_of_webhook(*got) for got in hooked.got} == {payment.order_id}
        body, signature = hooked.got[0]
        of_another_system = body.replace(str(payment.order_id).encode(), b"an invoice")
        signed = stripe.WebhookSignature.generate_signature_header(of_another_system.decode(), engine.secret)
        assert provider.payment_of_webhook(of_another_system, signed) is None
        old = stripe.WebhookSignature.generate_signature_header(body.decode(), engine.secret, int(time.time()) - 600)
        for forged in (None, "", "t=1,v1=00", "t=1,v1=é", "t=é,v1=00", "é", old):
            with pytest.raises(NotFromProvider):
                provider.payment_of_webhook(body, forged)
        for changed in (body + b" ", body + "é".encode(), body + b"\xff", b""):
            with pytest.raises(NotFromProvider):
                provider.payment_of_webhook(changed, signature)
        for unconfigured in (StripeProvider(engine.key), StripeProvider(engine.key, engine.url, "whsec_other")):
            with pytest.raises(NotFromProvider):
                unconfigured.payment_of_webhook(body, signature)


def test_an_error_of_the_provider_names_no_card_and_no_key(provider: StripeProvider) -> None:
    for broken in (provider, StripeProvider("sk_test_wrong", provider._api), StripeProvider("k", "http://127.0.0.1:1")):
        with pytest.raises(ProviderUnavailable) as raised:
            broken.capture("pi_none", UUID(int=1))
        assert "sk_test" not in str(raised.value)
        assert "pi_none" not in str(raised.value)
