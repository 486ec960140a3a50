"""What fulfilment asks for is noted once, and done once by the provider."""

import asyncio
from collections import deque
from dataclasses import replace
from decimal import Decimal
from itertools import permutations
from uuid import UUID, uuid4

import pytest
from sqlalchemy.exc import OperationalError

from shared.frame.write_side.unit_of_work import LostRace, UnitOfWork
from shared.ordering.events import AuthorisationAskedV1, CaptureAskedV1, FulfilmentEvent, RefundAskedV1, VoidAskedV1
from shared.payments.domain.errors import PaymentStatusForbids
from shared.payments.domain.payment import PaymentStatus
from shared.payments.domain.provider import ProviderUnavailable
from shared.payments.event_handlers.follow_fulfilment import NotRequestedYet
from tests.support.commands import answers_lost
from tests.support.paying import AMOUNT, Paying, until_asked, without_provider


async def test_what_fulfilment_asks_for_is_done_and_recorded(pay: Paying) -> None:
    order_id = await pay.captured()
    await pay.ask(RefundAskedV1(order_id, uuid4(), Decimal("9.80"), "EUR"))
    await pay.ask(RefundAskedV1(order_id, uuid4(), None, None))
    payment = await pay.deliver(order_id)
    assert (payment.status, str(payment.refunded)) == (PaymentStatus.CAPTURED, "49.80")
    assert pay.moved(order_id) == [("authorised", 4980), ("captured", 4980), ("refunded", 980), ("refunded", 4000)]


async def test_what_follows_from_a_request_is_part_of_its_conversation(pay: Paying) -> None:
    history = pay.history(await pay.authorisation())
    assert {recorded.envelope.correlation_id for recorded in history} == {"conversation"}
    assert [recorded.envelope.causation_id for recorded in history[1:]] == [
        str(recorded.envelope.event_id) for recorded in history[:-1]
    ]


async def test_a_request_that_comes_twice_is_noted_once(pay: Paying) -> None:
    asked, event_id = AuthorisationAskedV1(uuid4(), uuid4(), "EUR", AMOUNT, "pm_card_visa", 1), uuid4()
    await asyncio.gather(*(pay.ask(asked, event_id) for _ in range(3)))
    await pay.ask(replace(asked, attempt=2))  # the process repeats what the payment knows: another token
    await pay.deliver(asked.order_id)
    assert pay.moved(asked.order_id) == [("authorised", 4980)]
    for _ in range(2):
        await pay.ask(VoidAskedV1(asked.order_id))
    await pay.deliver(asked.order_id)
    await pay.ask(VoidAskedV1(asked.order_id))
    assert pay.moved(asked.order_id) == [("authorised", 4980), ("voided", 4980)]


async def test_requests_that_come_before_the_first_one_come_again(pay: Paying) -> None:
    order_id = uuid4()
    for early in (VoidAskedV1(order_id), CaptureAskedV1(order_id), RefundAskedV1(order_id, uuid4(), None, None)):
        with pytest.raises(NotRequestedYet):
            await pay.ask(early)
    await pay.ask(AuthorisationAskedV1(order_id, uuid4(), "EUR", AMOUNT, "pm_card_visa", 1))
    await pay.ask(VoidAskedV1(order_id))
    payment = await pay.deliver(order_id)
    assert (payment.status, pay.moved(order_id)) == (PaymentStatus.VOIDED, [])


def _requests(order_id: UUID, *, stands: bool) -> list[FulfilmentEvent]:
    begun = AuthorisationAskedV1(order_id, uuid4(), "EUR", AMOUNT, "pm_card_visa", 1)
    if not stands:
        return [begun, VoidAskedV1(order_id)]
    return [begun, CaptureAskedV1(order_id), RefundAskedV1(order_id, uuid4(), Decimal("9.80"), "EUR")]


@pytest.mark.parametrize(
    ("order", "moved"),
    [
        *((order, [("authorised", 4980), ("captured", 4980), ("refunded", 980)]) for order in permutations(range(3))),
        ((0, 1), [("authorised", 4980), ("voided", 4980)]),
        ((1, 0), [("authorised", 4980), ("voided", 4980)]),
    ],
)
async def test_requests_end_the_same_in_whatever_order_they_come(
    pay: Paying, order: tuple[int, ...], moved: list[tuple[str, int]]
) -> None:
    order_id = uuid4()
    requests = _requests(order_id, stands=len(order) > 2)
    coming = deque(requests[number] for number in order)
    for _ in range(len(coming) ** 2):
        request = coming.popleft()
        try:
            await pay.ask(request)
        except (NotRequestedYet, PaymentStatusForbids):
            coming.append(request)  # Service Bus delivers it again
        else:
            await pay.deliver(order_id)
        if not coming:
            break
    await pay.ask(requests[0])  # asked for again, when it is over
    payment = await pay.deliver(order_id)
    assert (pay.moved(order_id), payment.due) == (moved, None)


async def test_deliveries_at_the_same_time_move_money_once(pay: Paying) -> None:
    asked = AuthorisationAskedV1(uuid4(), uuid4(), "EUR", AMOUNT, "pm_card_visa", 1)
    await pay.ask(asked)
    for _ in range(4):
        [*_, newest] = pay.history(asked.order_id)
        consume = pay.consumers["perform_due_payment"]
        outcomes = await asyncio.gather(*(consume(newest.envelope) for _ in range(3)), return_exceptions=True)
        assert all(outcome is None or isinstance(outcome, ProviderUnavailable) for outcome in outcomes)
    assert pay.payment(asked.order_id).status is PaymentStatus.AUTHORISED
    assert pay.moved(asked.order_id) == [("authorised", 4980)]


async def test_only_the_newest_events_delivery_calls_the_provider(pay: Paying) -> None:
    order_id = await pay.authorisation()
    for recorded in pay.history(order_id)[:-1]:
        await without_provider(pay).consumers["perform_due_payment"](recorded.envelope)


async def test_a_process_that_dies_between_charge_and_record_leaves_one_charge(
    pay: Paying, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = AuthorisationAskedV1(uuid4(), uuid4(), "EUR", AMOUNT, "pm_card_visa", 1)
    await pay.ask(asked)

    class Died(BaseException):
        pass

    def die(_: UnitOfWork) -> None:
        raise Died

    for _ in range(2):
        [*_, newest] = pay.history(asked.order_id)
        with monkeypatch.context() as patch:
            patch.setattr(UnitOfWork, "commit", die)
            with pytest.raises(Died):
                pay.performing.perform(asked.order_id, newest.envelope.version)
        pay.performing.perform(asked.order_id, newest.envelope.version)
    assert pay.payment(asked.order_id).status is PaymentStatus.AUTHORISED
    assert pay.moved(asked.order_id) == [("authorised", 4980)]


async def test_the_publisher_is_woken_where_the_answer_to_a_commit_was_lost(pay: Paying) -> None:
    """The authorisation would be told by the timer, in dev once a day; its order would be cancelled after a day."""
    asked = AuthorisationAskedV1(uuid4(), uuid4(), "EUR", AMOUNT, "pm_card_visa", 1)
    await pay.ask(asked)
    woken: list[bool] = []
    performing = replace(pay.performing, committed=lambda: woken.append(True))
    with answers_lost(), pytest.raises(OperationalError):
        performing.perform(asked.order_id)
    assert len(pay.history(asked.order_id)) == 2
    assert woken


async def test_a_void_that_races_the_authorisation_wins(pay: Paying) -> None:
    asked = AuthorisationAskedV1(uuid4(), uuid4(), "EUR", AMOUNT, "pm_card_visa", 1)
    await pay.ask(asked)
    pay.performing.perform(asked.order_id)
    pay.engine.expect("hang", "/confirm")
    authorising = asyncio.create_task(asyncio.to_thread(pay.performing.perform, asked.order_id))
    await until_asked(pay.engine)
    await pay.ask(VoidAskedV1(asked.order_id))
    pay.engine.heal()
    with pytest.raises(LostRace):  # the delivery of the void's own event asks what became of it
        await authorising
    payment = await pay.deliver(asked.order_id)
    assert payment.status is PaymentStatus.VOIDED
    assert pay.moved(asked.order_id) == [("authorised", 4980), ("voided", 4980)]
