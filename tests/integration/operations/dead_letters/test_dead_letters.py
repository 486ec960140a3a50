"""Dead letters over HTTP: seen, replayed into the one subscription that gave them up, discarded; all on record."""

from datetime import UTC, datetime
from typing import Any
from uuid import uuid4

import pytest
from azure.servicebus import ServiceBusMessage

from infra.local.issuer import DEVELOPER
from tests.e2e.api import eventually
from tests.e2e.api import problem as assert_problem
from tests.integration.operations.dead_letters.conftest import FRAIL, SOUND, Bench

REASON = "MaxDeliveryCountExceeded"


def ageless(listing: dict[str, Any]) -> dict[str, Any]:
    """A listing that can be compared with a later one."""
    return listing | {"items": [item | {"age": 0} for item in listing["items"]]}


def test_an_event_that_failed_ten_times_is_listed_with_all_that_is_known_of_it(bench: Bench) -> None:
    [envelope] = bench.dead()
    [item] = bench.listed(envelope.aggregate_id)
    age, enqueued_at = item.pop("age"), datetime.fromisoformat(item.pop("enqueuedAt"))
    assert 0 <= (datetime.now(UTC) - enqueued_at).total_seconds() - age < 60
    assert item.pop("sequenceNumber") > 0
    assert item.pop("description")
    assert item == {
        "messageId": str(envelope.event_id),
        "reason": REASON,
        "deliveries": 10,
        "event": {
            "eventId": str(envelope.event_id),
            "type": "ProductRenamedV1",
            "aggregateId": str(envelope.aggregate_id),
            "version": 1,
            "occurredAt": envelope.occurred_at.isoformat().replace("+00:00", "Z"),
            "correlationId": "conversation",
            "actor": "somebody",
        },
        "text": None,
    }


def test_without_a_subscription_all_are_listed_and_a_trigger_s_name_is_one_of_its_subscription(bench: Bench) -> None:
    bench.dead()
    listed = bench.http.get("/ops/dead-letters").json()["subscriptions"]
    assert [(each["subscription"], each["consumer"], each["count"]) for each in listed] == [
        (FRAIL, "frail", 1),
        (SOUND, "sound", 0),
    ]
    assert ageless(bench.listing("frail")) == ageless(listed[0])


def test_looking_changes_nothing_and_goes_on_where_next_tells(bench: Bench) -> None:
    envelopes = bench.dead(3)
    first = bench.listing(take=2)
    assert (first["count"], first["reasons"]) == (3, [{"reason": REASON, "count": 3}])
    second = bench.listing(take=2, after=first["next"])
    assert second["next"] is None
    items = first["items"] + second["items"]
    assert [item["messageId"] for item in items] == [str(envelope.event_id) for envelope in envelopes]
    assert {item["deliveries"] for item in items} == {10}


def test_a_replay_acts_through_the_one_consumer_that_gave_up_and_through_no_other(bench: Bench) -> None:
    envelopes = bench.dead(2)
    eventually(lambda: bench.taken_in(envelopes, "sound") == [1, 2], "the other consumer has them")
    bench.breaks_on()
    outcome = bench.replay(reason=REASON)
    assert [item["result"] for item in outcome["items"]] == ["replayed", "replayed"]
    assert (outcome["remaining"], outcome["next"]) == (0, None)
    assert bench.taken_in(envelopes, "frail") == [1, 2]
    assert bench.listing()["count"] == bench.listing(SOUND)["count"] == 0
    after = bench.dead()  # whatever would have come to the other consumer has come before this
    eventually(lambda: bench.taken_in(after, "sound") == [1], "the other consumer goes on")
    assert bench.taken_in(envelopes, "sound") == [1, 2]


def test_a_dry_run_tells_what_would_be_replayed_and_changes_nothing(bench: Bench) -> None:
    envelopes = bench.dead(2)
    bench.breaks_on()
    audit, listing = bench.audit(), bench.listing()
    outcome = bench.replay(dryRun=True)
    assert [(item["messageId"], item["result"]) for item in outcome["items"]] == [
        (str(envelope.event_id), "chosen") for envelope in envelopes
    ]
    assert bench.taken_in(envelopes, "frail") == []
    assert bench.audit() == audit
    assert ageless(bench.listing()) == ageless(listing)


def test_what_still_fails_stays_and_the_answer_says_why(bench: Bench) -> None:
    [envelope] = bench.dead()
    [item] = bench.replay(messages=[str(envelope.event_id)])["items"]
    assert item["result"] == "failed"
    assert item["detail"] == f"LookupError: {envelope.aggregate_id} is broken"
    assert len(bench.listed(envelope.aggregate_id)) == 1


def test_what_is_not_chosen_stays_and_can_be_chosen_at_once(bench: Bench) -> None:
    first, second, third = bench.dead(3)
    bench.breaks_on()
    [number] = [item["sequenceNumber"] for item in bench.listed(third.aggregate_id) if item["event"]["version"] == 3]
    outcome = bench.replay(messages=[number, str(second.event_id)])
    assert {(item["messageId"], item["result"]) for item in outcome["items"]} == {
        (str(second.event_id), "replayed"),
        (str(third.event_id), "replayed"),
    }
    [left] = bench.listed(first.aggregate_id)
    assert left["messageId"] == str(first.event_id)
    assert bench.replay(reason="another")["items"] == []
    assert [item["result"] for item in bench.replay()["items"]] == ["replayed"]
    assert bench.taken_in([first, second, third], "frail") == [2, 3, 1]


def test_a_replay_may_be_sent_twice(bench: Bench) -> None:
    [envelope] = bench.dead()
    bench.breaks_on()
    twice = [bench.replay(messages=[str(envelope.event_id)])["items"][0] for _ in range(2)]
    assert [item["result"] for item in twice] == ["replayed", "absent"]
    assert bench.taken_in([envelope], "frail") == [1]


def test_it_is_recorded_who_replayed_what_and_what_came_of_it(bench: Bench) -> None:
    [envelope] = bench.dead()
    bench.breaks_on()
    headers = {"X-Correlation-Id": str(uuid4())}
    bench.http.post("/ops/dead-letters/replay", json={"subscription": "frail", "reason": REASON}, headers=headers)
    [entry] = bench.audit(take=1)
    assert (entry["action"], entry["subject"]) == ("replay-dead-letters", FRAIL)
    assert entry["correlationId"] == headers["X-Correlation-Id"]
    assert entry["actor"] == str(DEVELOPER)
    assert entry["details"]["reason"] == REASON
    assert [chosen["messageId"] for chosen in entry["details"]["chosen"]] == [str(envelope.event_id)]
    assert [item["result"] for item in entry["outcome"]["details"]["items"]] == ["replayed"]
    assert entry["at"] <= entry["outcome"]["at"]
    bench.replay()
    assert [each["actionId"] for each in bench.audit(take=2)][1] == entry["actionId"]


def test_what_is_no_event_is_shown_kept_by_replays_and_goes_only_when_it_is_discarded(bench: Bench) -> None:
    bench.send(ServiceBusMessage("no event", session_id=str(uuid4()), message_id=f"stray-{uuid4()}"))
    eventually(lambda: bench.listing()["count"] == bench.listing(SOUND)["count"] == 1, "both give it up")
    [stray] = bench.listing()["items"]
    assert (stray["event"], stray["text"]) == (None, "no event")
    assert bench.replay()["items"][0]["result"] == "unreadable"
    number = stray["sequenceNumber"]
    assert bench.discard(messages=[number], why="a stray", dryRun=True)["items"][0]["result"] == "chosen"
    assert bench.listing()["count"] == 1
    assert bench.discard(messages=[number], why="a stray")["items"][0]["result"] == "discarded"
    assert (bench.listing()["count"], bench.listing(SOUND)["count"]) == (0, 1)
    entry = bench.audit(take=1)[0]
    assert (entry["action"], entry["details"]["why"]) == ("discard-dead-letters", "a stray")
    assert "no event" not in str(entry), "what a message says may be somebody's own, and this is kept for good"
    assert entry["details"]["chosen"][0]["sequenceNumber"] == number


@pytest.mark.parametrize(
    ("what", "body", "pointers"),
    [
        (
            "replay",
            {"subscription": "nobody's", "messages": [], "reason": "", "after": -1, "dryRun": "yes", "all": True},
            ["/subscription", "/messages", "/reason", "/after", "/dryRun", "/all"],
        ),
        ("discard", {"subscription": FRAIL}, ["/messages", "/why"]),
        ("replay", {}, ["/subscription"]),
        ("discard", {"subscription": FRAIL, "messages": list(range(1, 102)), "why": " "}, ["/messages", "/why"]),
    ],
)
def test_everything_that_is_wrong_is_named_at_once(
    bench: Bench, what: str, body: dict[str, object], pointers: list[str]
) -> None:
    assert_problem(bench.http.post(f"/ops/dead-letters/{what}", json=body), 422, "invalid", *pointers)


def test_an_unknown_subscription_is_refused_with_the_names_of_those_that_there_are(bench: Bench) -> None:
    answer = bench.http.get("/ops/dead-letters", params={"subscription": "nobody's", "take": 0})
    body = assert_problem(answer, 422, "invalid", "/subscription", "/take")
    assert f"should be one of {FRAIL}, frail, {SOUND}, sound" in [error["detail"] for error in body["errors"]]
