"""The event log: what is appended is read again, and each command can be found."""

from datetime import UTC, datetime, timedelta
from uuid import UUID, uuid4

import pytest

from shared.customers.events import CustomerRegisteredV1, CustomerRenamedV1
from shared.customers.tables import LOG
from shared.frame.messaging.envelope import Accepted, Metadata
from shared.frame.write_side.claims import PER_AGGREGATE, Settled
from shared.frame.write_side.event_log import FirstAnswer
from shared.frame.write_side.unit_of_work import LostRace, UnitOfWork
from tests.support.database import needs_sqlite
from tests.support.shop import Shop

AT = datetime(2026, 11, 22, 5, 20, 27, 12345, tzinfo=UTC)


def append(shop: Shop, customer_id: UUID, after: int, count: int, metadata: Metadata | None = None) -> None:
    events = [CustomerRenamedV1(customer_id, f"Ada {after + place + 1}") for place in range(count)]
    with UnitOfWork(shop.customers_engine) as work:
        LOG.append(work, customer_id, after, events, metadata or Metadata())
        work.commit()


def test_an_event_is_read_with_everything_that_travels_with_it(shop: Shop) -> None:
    customer_id = uuid4()
    event = CustomerRegisteredV1(customer_id, "Søren 🦉", "soren@example.org")
    metadata = Metadata(
        command_id="key", correlation_id="c-1", causation_id="e-0", traceparent="00-1-2-01", actor="somebody", at=AT
    )
    with UnitOfWork(shop.customers_engine) as work:
        LOG.append(work, customer_id, 0, [event], metadata)
        work.commit()
    with shop.customers_engine.connect() as connection:
        [recorded] = LOG.history(connection, customer_id)

    assert recorded.event == event
    envelope = recorded.envelope
    assert (envelope.aggregate_id, envelope.version, envelope.type) == (customer_id, 1, "CustomerRegisteredV1")
    assert (envelope.occurred_at, envelope.command_id, envelope.actor) == (AT, "key", "somebody")
    assert (envelope.correlation_id, envelope.causation_id, envelope.traceparent) == ("c-1", "e-0", "00-1-2-01")


def test_an_event_of_a_callers_request_is_caused_by_its_command(shop: Shop) -> None:
    customer_id = uuid4()
    append(shop, customer_id, 0, 1, Metadata(command_id="key"))
    with shop.customers_engine.connect() as connection:
        [recorded] = LOG.history(connection, customer_id)
    assert recorded.envelope.causation_id == "key"


@pytest.mark.parametrize(
    ("after", "until", "versions"), [(0, 5, [1, 2, 3, 4, 5]), (2, 4, [3, 4]), (5, 9, []), (3, 3, [])]
)
def test_history_is_read_in_order_between_two_versions(shop: Shop, after: int, until: int, versions: list[int]) -> None:
    customer_id = uuid4()
    append(shop, customer_id, 0, 5)
    append(shop, uuid4(), 0, 5)
    with shop.customers_engine.connect() as connection:
        history = LOG.history(connection, customer_id, after, until)
    assert [recorded.envelope.version for recorded in history] == versions


def test_the_version_of_an_aggregate_is_that_of_its_last_event(shop: Shop) -> None:
    customer_id = uuid4()
    append(shop, customer_id, 0, 5)
    append(shop, uuid4(), 0, 7)
    with shop.customers_engine.connect() as connection:
        assert (LOG.version(connection, customer_id), LOG.version(connection, uuid4())) == (5, 0)


def test_the_first_answer_of_a_key_is_the_version_after_its_last_event(shop: Shop) -> None:
    customer_id = uuid4()
    append(shop, customer_id, 0, 2, Metadata(command_id="first", fingerprint=b"1" * 32))
    append(shop, customer_id, 2, 1, Metadata(command_id="second", fingerprint=b"2" * 32))
    work = UnitOfWork(shop.customers_engine)

    def first_answer(key: str) -> FirstAnswer | None:
        return LOG.first_answer(work.read(*LOG.first_of(key, "anonymous")))

    assert first_answer("first") == FirstAnswer(b"1" * 32, Accepted(customer_id, 2, replayed=True))
    assert first_answer("second") == FirstAnswer(b"2" * 32, Accepted(customer_id, 3, replayed=True))
    assert first_answer("third") is None


def test_a_key_is_anothers_too_and_each_has_their_own_answer(shop: Shop) -> None:
    customer_id = uuid4()
    append(shop, customer_id, 0, 1, Metadata(command_id="key", fingerprint=b"1" * 32, actor="one"))
    append(shop, customer_id, 1, 2, Metadata(command_id="key", fingerprint=b"2" * 32, actor="two"))
    work = UnitOfWork(shop.customers_engine)
    answers = [LOG.first_answer(work.read(*LOG.first_of("key", actor))) for actor in ("one", "two", "three")]
    assert answers == [
        FirstAnswer(b"1" * 32, Accepted(customer_id, 1, replayed=True)),
        FirstAnswer(b"2" * 32, Accepted(customer_id, 3, replayed=True)),
        None,
    ]
    rows = work.read(LOG.search.of_command, {"command": "key", "most": 9})
    assert [(row.actor, row.aggregate_version) for row in rows] == [("one", 1), ("two", 2), ("two", 3)]


@needs_sqlite("reads the plan that SQLite makes")
def test_commands_are_found_by_their_key_and_not_by_a_look_through_the_log(shop: Shop) -> None:
    with shop.customers_engine.connect() as connection:
        text = str(LOG.search.of_command.compile(connection))
        plan = connection.exec_driver_sql(f"EXPLAIN QUERY PLAN {text}", (0,) * text.count("?")).all()
    assert [step.detail.replace("customers.", "") for step in plan] == [
        "SEARCH first USING INDEX uq_event_log_command_actor (command_id=?)",
        "SEARCH event_log USING INTEGER PRIMARY KEY (rowid>? AND rowid<?)",
        "USE TEMP B-TREE FOR ORDER BY",
    ]


def test_a_version_is_appended_once(shop: Shop) -> None:
    customer_id = uuid4()
    append(shop, customer_id, 0, 2)
    with pytest.raises(LostRace):
        append(shop, customer_id, 1, 1)


def test_a_command_is_appended_once(shop: Shop) -> None:
    append(shop, uuid4(), 0, 1, Metadata(command_id="key"))
    with pytest.raises(LostRace):
        append(shop, uuid4(), 0, 1, Metadata(command_id="key"))


def claim(shop: Shop, now: datetime, most: int = 10) -> list[tuple[UUID, int]]:
    with shop.customers_engine.begin() as connection:
        claimed = LOG.claims.claim(connection, now, now + timedelta(seconds=60), most)
        return [(envelope.aggregate_id, envelope.version) for _, envelope in claimed]


def test_a_claim_takes_all_of_the_oldest_aggregates_and_holds_for_its_time(shop: Shop) -> None:
    ada, bob = uuid4(), uuid4()
    append(shop, ada, 0, 2)
    append(shop, bob, 0, 1)
    append(shop, ada, 2, 1)
    assert claim(shop, AT, most=1) == [(ada, 1), (ada, 2), (ada, 3)]
    assert claim(shop, AT) == [(bob, 1)]
    assert claim(shop, AT + timedelta(seconds=60)) == []
    assert claim(shop, AT + timedelta(seconds=61)) == [(ada, 1), (ada, 2), (bob, 1), (ada, 3)]


def test_a_claim_takes_no_more_of_a_long_history_than_its_share(shop: Shop) -> None:
    ada, bob = uuid4(), uuid4()
    append(shop, ada, 0, PER_AGGREGATE + 1)
    append(shop, bob, 0, 1)
    with shop.customers_engine.begin() as connection:
        claimed = list(LOG.claims.claim(connection, AT, AT, 10))
    assert [envelope.version for _, envelope in claimed] == [*range(1, PER_AGGREGATE + 1), 1]
    mark(shop, [sequence for sequence, _ in claimed])
    assert claim(shop, AT) == [(ada, PER_AGGREGATE + 1)]


def mark(shop: Shop, sequences: list[int]) -> None:
    with shop.customers_engine.begin() as connection:
        LOG.claims.settle(connection, Settled(sequences, AT))


@pytest.mark.parametrize("ahead", [timedelta(seconds=121), timedelta(minutes=5), timedelta(days=4_000)])
def test_a_claim_that_a_wrong_clock_made_holds_nobody_up(shop: Shop, ahead: timedelta) -> None:
    ada = uuid4()
    append(shop, ada, 0, 2)
    assert claim(shop, AT + ahead) == [(ada, 1), (ada, 2)]
    assert claim(shop, AT) == [(ada, 1), (ada, 2)]
    assert claim(shop, AT) == [], "this claim is a right one"


def test_clocks_may_differ_by_as_much_as_a_claim_lasts(shop: Shop) -> None:
    ada = uuid4()
    append(shop, ada, 0, 1)
    assert claim(shop, AT + timedelta(seconds=60)) == [(ada, 1)]
    assert claim(shop, AT) == []


def test_what_is_marked_is_not_claimed_again(shop: Shop) -> None:
    ada = uuid4()
    append(shop, ada, 0, 3)
    with shop.customers_engine.begin() as connection:
        claimed = list(LOG.claims.claim(connection, AT, AT, 1))
    mark(shop, [sequence for sequence, _ in claimed[:2]])
    assert claim(shop, AT + timedelta(seconds=1)) == [(ada, 3)]


def test_more_events_are_marked_than_a_statement_takes_parameters(shop: Shop) -> None:
    for _ in range(13):
        append(shop, uuid4(), 0, PER_AGGREGATE)
    with shop.customers_engine.begin() as connection:
        claimed = list(LOG.claims.claim(connection, AT, AT, 13))
    mark(shop, [sequence for sequence, _ in claimed])
    assert len(claimed) == 13 * PER_AGGREGATE > 2_100
    assert claim(shop, AT + timedelta(seconds=1)) == []


def test_what_is_released_can_be_claimed_after_the_time_that_was_given(shop: Shop) -> None:
    ada = uuid4()
    append(shop, ada, 0, 1)
    with shop.customers_engine.begin() as connection:
        [(sequence, _)] = LOG.claims.claim(connection, AT, AT + timedelta(seconds=60), 10)
    with shop.customers_engine.begin() as connection:
        LOG.claims.settle(connection, Settled(released=[(sequence, AT + timedelta(seconds=5))]))
    assert claim(shop, AT + timedelta(seconds=5)) == []
    assert claim(shop, AT + timedelta(seconds=6)) == [(ada, 1)]
