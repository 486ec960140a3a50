"""The last hour as several processes wrote it, put together; on a real container, whose documents expire."""

import time
from uuid import uuid4

import pytest

from shared.frame.operations.history import LIVES, PARTITION, ReadMinutes, find_deliveries, read_history, writing
from shared.frame.platform.activity import ActivityLog
from shared.frame.read_side.view_state import CONTROL
from tests.integration.operations.conftest import LiveShop
from tests.unit.messaging.test_wire import ENVELOPE


def process(live: LiveShop, minutes_ago: int = 0) -> ActivityLog:
    """What another process counts."""
    counting = ActivityLog(lambda: time.time() - 60 * minutes_ago)
    counting.write_with(writing(live.read_models))
    return counting


async def test_what_processes_did_in_a_minute_is_put_together_and_written_again_counts_once(live: LiveShop) -> None:
    one, other, before = process(live, 1), process(live, 1), process(live, 3)
    for counting in (one, one, other):
        counting.count("accepted")
    other.count("overloaded")
    one.count("tooSoon")
    before.count("errors")
    with one.delivery("topic/one", ENVELOPE.event_id, ENVELOPE.occurred_at, 1):
        pass
    with pytest.raises(LookupError), other.delivery("topic/one", ENVELOPE.event_id, ENVELOPE.occurred_at, 1):
        raise LookupError
    for counting in (one, other, before, one):
        await counting.write()
    one.count("accepted")
    await one.write()

    first, second = (await read_history(live.read_models, ReadMinutes())).items
    assert (first.errors, first.processes, first.subscriptions) == (1, 1, [])
    assert (second.accepted, second.overloaded, second.too_soon, second.errors) == (4, 1, 1, 0)
    assert second.processes == 2
    [subscription] = second.subscriptions
    assert (subscription.subscription, subscription.taken, subscription.failed) == ("topic/one", 1, 1)
    assert subscription.p50 == subscription.p99 is not None

    last = await read_history(live.read_models, ReadMinutes(minutes=2))
    assert [each.at for each in last.items] == [second.at]


async def test_deliveries_of_an_event_are_found_in_the_order_of_time(live: LiveShop) -> None:
    one, other = process(live, 1), process(live)
    with pytest.raises(LookupError), one.delivery("topic/one", ENVELOPE.event_id, ENVELOPE.occurred_at, 1):
        raise LookupError
    with other.delivery("topic/one", ENVELOPE.event_id, ENVELOPE.occurred_at, 2):
        pass
    for counting in (other, one):
        await counting.write()
    found = await find_deliveries(live.read_models, ENVELOPE.event_id)
    assert [(each.attempt, each.error) for each in found.items] == [(1, "LookupError"), (2, None)]
    assert (await find_deliveries(live.read_models, uuid4())).items == []


async def test_what_another_release_wrote_is_passed_over_and_all_of_it_expires(live: LiveShop) -> None:
    counting = process(live)
    counting.count("accepted")
    await counting.write()
    container = live.read_models.container(CONTROL)
    minute = int(time.time() // 60)
    await container.upsert_item({"id": f"{minute}-newer", "view": PARTITION, "shape": 99, "counts": 7})
    [item] = (await read_history(live.read_models, ReadMinutes())).items
    assert item.accepted == 1
    [stored] = [
        row async for row in container.query_items("SELECT * FROM c WHERE c.shape = 1", partition_key=PARTITION)
    ]
    assert stored["ttl"] == LIVES > 60 * 60, "an hour can be asked for"
    assert (await container.read())["defaultTtl"] == -1
