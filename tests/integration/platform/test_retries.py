"""Triggers wait for stores that are away, and for nothing else."""

import asyncio
import json
import sqlite3

import pytest
import sqlalchemy as sa
import stamina
from azure.core.exceptions import ClientAuthenticationError, ServiceRequestError
from azure.cosmos.exceptions import CosmosBatchOperationError, CosmosHttpResponseError

from shared.frame.messaging.retries import FULL, is_away, pause_after, pause_for_release, with_retries
from shared.frame.read_side.projection import GapInLog
from shared.frame.sql.errors import OutOfTime
from shared.ordering.reference_data import NotCopiedYet
from tests.support.servicebus import CONFIG, REPOSITORY


def cosmos(status: int, sub_status: int | None = None) -> CosmosHttpResponseError:
    return CosmosHttpResponseError(status_code=status, message="no", sub_status=sub_status)  # type: ignore[no-untyped-call]  # not annotated


def of_a_batch(status: int) -> CosmosBatchOperationError:
    """What the SDK makes of a batch of which one operation failed: it leaves out the operation's sub-status."""
    answers = [{"statusCode": 424}, {"statusCode": status, "subStatusCode": FULL}]
    return CosmosBatchOperationError(  # type: ignore[no-untyped-call]  # not annotated
        error_index=1, headers={}, status_code=status, message="no", operation_responses=answers
    )


def database(text: str) -> sa.exc.OperationalError:
    return sa.exc.OperationalError("", {}, Exception(text))


AWAY = [
    *(cosmos(status) for status in (408, 410, 429, 449, 500, 502, 503, 504)),
    *(of_a_batch(status) for status in (429, 503)),
    cosmos(401),  # another key, a token that is no longer good
    cosmos(403),  # the firewall
    cosmos(403, 3),  # a region that takes no writes any more
    cosmos(403, 5300),  # a role that is not assigned
    ServiceRequestError("refused"),
    ClientAuthenticationError("no token"),
    ConnectionRefusedError(),
    sa.exc.TimeoutError("the pool is empty"),
    OutOfTime(),
    database("[HY000] failover (40613) (SQLExecute)"),
    sa.exc.OperationalError("", {}, Exception("HYT00", "[HYT00] Login timeout expired (0) (SQLDriverConnect)")),
    sa.exc.OperationalError("", {}, sqlite3.OperationalError("database is locked")),
    database("[28000] Login failed for user '<token-identified principal>'. (18456) (SQLDriverConnect)"),
    database(
        "[HY000] Client with IP address '1.2.3.4' is not allowed to access the server. (40615) (SQLDriverConnect)"
    ),
    database("[42000] The INSERT permission was denied on the object 'inbox'. (229) (SQLExecDirectW)"),
    database("[42000] Could not allocate space for object 'event_log' (1105) (SQLExecDirectW)"),
]
FOR_GOOD = [
    cosmos(400),
    cosmos(403, FULL),
    of_a_batch(403),
    cosmos(413),
    GapInLog(),
    NotCopiedYet(),
    KeyError("x"),
    database("no such table"),
]


@pytest.mark.parametrize("error", AWAY, ids=repr)
async def test_work_is_done_once_the_store_is_back(error: Exception) -> None:
    calls = 0

    async def work() -> None:
        nonlocal calls
        calls += 1
        if calls < 4:
            raise error

    with stamina.set_testing(testing=True, attempts=10, cap=False):  # does not wait
        await with_retries(work)
    assert calls == 4


async def test_the_first_repetition_waits_as_the_others_do(monkeypatch: pytest.MonkeyPatch) -> None:
    happened: list[str] = []

    async def work() -> None:
        happened.append("tried")
        if len(happened) < 5:
            raise cosmos(503)

    async def sleep(_seconds: float) -> None:
        happened.append("waited")

    monkeypatch.setattr("asyncio.sleep", sleep)
    await with_retries(work)
    assert happened == ["tried", "waited", "tried", "waited", "tried"]


async def test_what_the_first_attempt_took_is_part_of_the_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("shared.frame.messaging.retries.TIMEOUT", 0.01)
    calls = 0

    async def work() -> None:
        nonlocal calls
        calls += 1
        await asyncio.sleep(0.02)
        raise cosmos(503)

    with pytest.raises(CosmosHttpResponseError):
        await with_retries(work)
    assert calls == 1


@pytest.mark.parametrize("error", FOR_GOOD, ids=repr)
async def test_what_cannot_be_done_is_not_tried_again(error: Exception) -> None:
    calls = 0

    async def work() -> None:
        nonlocal calls
        calls += 1
        raise error

    assert not is_away(error)
    with pytest.raises(type(error)):
        await with_retries(work)
    assert calls == 1


def test_a_message_that_fails_again_and_again_is_held_for_longer_each_time_up_to_a_bound() -> None:
    pauses = [pause_after(delivery, KeyError("x")) for delivery in range(1, 11)]
    assert pauses == [0.1, 0.2, 0.4, 0.8, 1.6, 3.2, 5, 5, 5, 5]


def subscribed() -> tuple[str, int]:
    """The duration of a lock and the most deliveries, which all subscriptions have alike."""
    topics = json.loads(CONFIG.read_text())["UserConfig"]["Namespaces"][0]["Topics"]
    [alike] = {
        (own["Properties"]["LockDuration"], own["Properties"]["MaxDeliveryCount"])
        for topic in topics
        for own in topic["Subscriptions"]
    }
    return alike


def test_an_earlier_event_is_waited_for_until_the_lock_of_an_instance_that_was_lost_has_run_out() -> None:
    """A tenth delivery that fails before that would be a dead letter, and its earlier event would come afterwards."""
    locked, deliveries = subscribed()
    assert locked == "PT1M"
    waited = sum(pause_after(delivery, NotCopiedYet()) for delivery in range(1, deliveries))
    assert 60 + 15 < waited < 120
    assert pause_after(deliveries, NotCopiedYet()) == 30


def test_a_release_that_knows_a_type_is_waited_for_for_ten_minutes_and_asked_every_two() -> None:
    _, deliveries = subscribed()
    pauses = [pause_for_release(delivery) for delivery in range(1, deliveries)]
    assert pauses == [5, 10, 20, 40, 80, 120, 120, 120, 120]
    assert 600 < sum(pauses) < 660
    host = json.loads((REPOSITORY / "host.json").read_text())
    limits = (host["functionTimeout"], host["extensions"]["serviceBus"]["maxAutoLockRenewalDuration"])
    assert limits == ("00:10:00", "00:10:00"), "a pause ends while its message is locked"
