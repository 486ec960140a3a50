"""Thousands of dead letters: paged, filtered, chosen across pages and dealt with in as many calls as it takes."""

import json
import re
from collections.abc import Iterator
from dataclasses import replace
from itertools import batched
from uuid import uuid4

import pytest
from azure.servicebus import ServiceBusClient
from playwright.sync_api import Browser, expect

from shared.frame.messaging.envelope import Envelope
from shared.frame.messaging.topics import to_message
from tests.e2e.console.conftest import Console
from tests.support.envelopes import an_envelope
from tests.support.stack import Stack, running_stack

TOPIC, SUBSCRIPTION, TRIGGERS = "product-events", "ordering", ("follow_products", "project_product")
MANY, LATE = 2_500, 150
"""Dead letters, and those of them with a reason of their own: spread among the others."""


def added() -> Envelope:
    product_id = uuid4()
    said = {"name": "Cup", "description": "", "unitPrice": "1.00", "currency": "EUR", "category": "kitchen"}
    return replace(
        an_envelope("ProductAddedV1", product_id, payload=json.dumps({"productId": str(product_id), **said})),
        correlation_id=f"adding-{product_id}",
    )


@pytest.fixture(scope="module")
def many() -> Iterator[tuple[Stack, list[Envelope]]]:
    """A stack whose triggers are switched off, and what somebody else gave up in the place of one."""
    events = [added() for _ in range(MANY)]
    late = {str(event.event_id) for event in events[:: MANY // LATE][:LATE]}
    with running_stack(settings={f"AzureWebJobs.{name}.Disabled": "true" for name in TRIGGERS}) as stack:
        with ServiceBusClient.from_connection_string(stack.settings["ServiceBusConnection"]) as client:
            with client.get_topic_sender(TOPIC) as sender:
                for some in batched(events, 100, strict=False):
                    sender.send_messages([to_message(event, "catalog") for event in some])
            with client.get_subscription_receiver(TOPIC, SUBSCRIPTION) as receiver:
                left = MANY
                while left:
                    for message in receiver.receive_messages(min(left, 500), max_wait_time=20):
                        reason = "late" if message.message_id in late else "broken"
                        receiver.dead_letter_message(message, reason=reason)
                        left -= 1
        yield stack, events


@pytest.fixture
def console(browser: Browser, many: tuple[Stack, list[Envelope]]) -> Iterator[Console]:
    console = Console(browser, many[0])
    yield console
    console.context.close()
    assert console.complaints == []


def test_thousands_are_paged_and_one_deep_among_them_is_found_by_its_id(
    console: Console, many: tuple[Stack, list[Envelope]]
) -> None:
    page = console.open(f"/dead-letters?subscription={TOPIC}/{SUBSCRIPTION}")
    rows = page.get_by_role("region", name="dead letters").locator("tbody tr")
    expect(rows).to_have_count(100)
    expect(page.get_by_text("1,000 or more from here on")).to_be_visible()
    page.get_by_role("button", name="Count up to 10,000").click()
    expect(page.get_by_text("2,500 from here on")).to_be_visible()
    page.get_by_role("button", name="Newer →").click()
    expect(page.get_by_text("2,400 from here on")).to_be_visible()
    place = page.url
    page.goto("about:blank")
    page.goto(place)  # as a colleague who was sent it
    expect(page.get_by_text("2,400 from here on")).to_be_visible()
    wanted = many[1][2_345]
    console.go(f"/dead-letters?subscription={TOPIC}/{SUBSCRIPTION}")
    page.get_by_label("Find").fill(str(wanted.aggregate_id))
    page.get_by_label("Find").press("Enter")
    expect(page.get_by_text("1 of 2,500 from here on")).to_be_visible()
    expect(rows).to_have_count(1)
    rows.get_by_role("checkbox").check()
    page.get_by_role("button", name="Dry run of selected").click()
    expect(page.get_by_text("1 chosen")).to_be_visible()
    assert page.evaluate("document.querySelectorAll('main *').length") < 10_000


def test_those_with_one_reason_are_replayed_call_by_call_and_others_discarded_across_pages(console: Console) -> None:
    page = console.open(f"/dead-letters?subscription={TOPIC}/{SUBSCRIPTION}")
    rows = page.get_by_role("region", name="dead letters").locator("tbody tr")
    page.get_by_label("Reason").select_option("late")
    expect(page.get_by_text(f"{LATE} of 2,500 from here on")).to_be_visible()
    page.get_by_role("button", name="Replay all with this reason…").click()
    console.confirm("replay")
    expect(page.get_by_text(f"{LATE} replayed")).to_be_visible()
    expect(page.get_by_text("None of these fits the filter.")).to_be_visible()
    console.picture("many-dead-letters")

    page.get_by_label("Reason").select_option("")
    expect(rows).to_have_count(100)
    page.get_by_label("select all on this page").check()
    page.get_by_role("button", name="Newer →").click()
    expect(page).to_have_url(re.compile("after="))
    expect(page.get_by_label("select all on this page")).not_to_be_checked()
    rows.first.get_by_role("checkbox").check()
    expect(page.get_by_text("101 selected")).to_be_visible()
    page.get_by_role("button", name="Discard selected…").click()
    console.confirm("discard", why="sent by a test")
    expect(page.get_by_text("101 discarded")).to_be_visible()
