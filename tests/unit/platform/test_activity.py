"""What a process counts minute by minute: what is kept of it, what is written, and what becomes of what cannot be."""

import asyncio
from collections import Counter
from collections.abc import Callable
from typing import Any

import azure.functions as func
import pytest
from azure.core.exceptions import ServiceRequestError

from shared.frame.platform import activity
from shared.frame.platform.activity import ACTIVITY, KEPT, ORDINARY, UNUSUAL, ActivityLog, bucket, percentile, spend
from tests.support.app import app_globals
from tests.support.triggers import context
from tests.unit.messaging.test_wire import ENVELOPE

NOON = 1_800_000_000.0 - 1_800_000_000.0 % 60


class Store:
    """Where minutes are written, by their number; away when it is told to be."""

    def __init__(self) -> None:
        self.written: dict[int, dict[str, Any]] = {}
        self.writes = 0
        self.away = False

    async def write(self, id_: str, content: dict[str, Any]) -> None:
        """Take a minute, or fail as Cosmos DB's client does."""
        if self.away:
            raise ServiceRequestError("away")
        self.writes += 1
        self.written[int(id_.partition("-")[0])] = content


class Clock:
    """Shows what it is told to."""

    now = NOON

    def __call__(self) -> float:
        """Tell the time."""
        return self.now


@pytest.fixture
def store() -> Store:
    return Store()


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def counting(store: Store, clock: Clock) -> ActivityLog:
    counting = ActivityLog(clock)
    counting.write_with(store.write)
    return counting


async def test_what_is_counted_is_written_with_its_minute_and_again_as_it_grows(
    counting: ActivityLog, store: Store, clock: Clock
) -> None:
    counting.count("accepted")
    await counting.write()
    counting.count("accepted")
    clock.now += 60
    counting.count("refused")
    await counting.write()
    minute = int(NOON // 60)
    assert {at: content["counts"] for at, content in store.written.items()} == {
        minute: {"accepted": 2},
        minute + 1: {"refused": 1},
    }
    await counting.write()
    assert store.writes == 3


async def test_what_cannot_be_written_is_kept_for_an_hour_and_written_later(
    counting: ActivityLog, store: Store, clock: Clock
) -> None:
    store.away = True
    for _ in range(KEPT + 5):
        counting.count("errors")
        await counting.write()
        clock.now += 60
    store.away = False
    await counting.write()
    assert len(store.written) == KEPT
    assert min(store.written) == int(NOON // 60) + 5


async def test_a_minute_that_becomes_too_old_while_it_is_written_holds_up_no_other(
    counting: ActivityLog, store: Store, clock: Clock
) -> None:
    async def slowly(_id: str, _content: dict[str, Any]) -> None:
        clock.now += 60
        counting.count("errors")
        raise ServiceRequestError("away")

    counting.write_with(slowly)
    counting.count("errors")
    for _ in range(KEPT + 5):
        await counting.write()
    counting.write_with(store.write)
    await counting.write()
    assert len(store.written) == KEPT


async def test_a_delivery_is_noted_with_its_attempt_its_cost_and_its_end(counting: ActivityLog, store: Store) -> None:
    with pytest.raises(LookupError), counting.delivery("topic/one", ENVELOPE.event_id, ENVELOPE.occurred_at, 2):
        raise LookupError("a name that nobody is to read")
    with counting.delivery("topic/one", ENVELOPE.event_id, ENVELOPE.occurred_at, 3):
        spend(10.29)
        await asyncio.gather(*(costing(1.0) for _ in range(2)))
    await counting.write()
    [content] = store.written.values()
    failed, done = content["deliveries"]
    assert (failed["attempt"], failed["error"], failed["units"]) == (2, "LookupError", 0)
    assert (done["attempt"], done["error"], done["units"]) == (3, None, 12.29)
    assert {done["event"], failed["event"]} == {str(ENVELOPE.event_id)}
    assert "nobody is to read" not in str(content)
    taken = content["subscriptions"]["topic/one"]
    assert (taken["taken"], taken["failed"], sum(taken["lags"].values())) == (1, 1, 1)


async def test_a_delivery_that_is_torn_off_is_none_that_was_taken_in(counting: ActivityLog, store: Store) -> None:
    with (
        pytest.raises(asyncio.CancelledError),
        counting.delivery("topic/one", ENVELOPE.event_id, ENVELOPE.occurred_at, 1),
    ):
        raise asyncio.CancelledError
    await counting.write()
    [content] = store.written.values()
    assert [each["error"] for each in content["deliveries"]] == ["CancelledError"]
    assert content["subscriptions"] == {"topic/one": {"taken": 0, "failed": 1, "lags": {}}}


async def costing(units: float) -> None:
    spend(units)


async def test_of_many_deliveries_all_are_counted_and_few_are_noted_those_that_failed_among_them(
    counting: ActivityLog, store: Store
) -> None:
    for _ in range(UNUSUAL + 50):
        with counting.delivery("topic/one", ENVELOPE.event_id, ENVELOPE.occurred_at, 1):
            pass
        with pytest.raises(LookupError), counting.delivery("topic/one", ENVELOPE.event_id, ENVELOPE.occurred_at, 1):
            raise LookupError
    await counting.write()
    [content] = store.written.values()
    errors = Counter(each["error"] for each in content["deliveries"])
    assert errors == {None: ORDINARY, "LookupError": UNUSUAL}
    assert content["subscriptions"]["topic/one"]["taken"] == UNUSUAL + 50


async def test_it_is_written_by_itself_soon_after_and_again_when_the_store_is_back(
    counting: ActivityLog, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(activity, "WRITTEN_AFTER", 0.01)
    store.away = True
    counting.count("accepted")
    for _ in range(10):
        counting.flush_soon()
    await until(lambda: counting._writing is not None)
    store.away = False
    await until(lambda: store.writes == 1)


async def until(is_so: Callable[[], bool]) -> None:
    async with asyncio.timeout(10):
        while not is_so():  # noqa: ASYNC110  # what it waits for is nobody's event
            await asyncio.sleep(0.01)


@pytest.mark.parametrize(("name", "status"), [("get_health_live", 200), ("get_order", 401)])
async def test_each_request_has_what_was_counted_written_soon(
    name: str, status: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = list[bool]()
    monkeypatch.setattr(ACTIVITY, "flush_soon", lambda: asked.append(True))
    [function] = [each for each in app_globals()["app"].get_functions() if each.get_function_name() == name]
    request = func.HttpRequest(method="GET", url="http://host/api/x", body=b"")
    answer: Any = await function.get_user_function()(request, context())
    assert (answer.status_code, asked) == (status, [True])


def test_percentiles_are_right_to_within_a_tenth() -> None:
    lags = Counter(bucket(n / 1000) for n in range(1, 1001))
    assert percentile(lags, 0.5) == pytest.approx(0.5, rel=0.1)
    assert percentile(lags, 0.99) == pytest.approx(0.99, rel=0.1)
    assert percentile(Counter(), 0.5) is None
    assert percentile(Counter([bucket(-3)]), 0.99) == 0.001
