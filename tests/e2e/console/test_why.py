"""Why something is as it is, what is missing, and what mends it."""

from uuid import uuid4

from playwright.sync_api import expect

from shared.frame.messaging.envelope import Envelope
from tests.e2e.api import Api
from tests.e2e.console.conftest import Console
from tests.e2e.documents import damage
from tests.support.stack import Stack

NOTED_WITHIN = 120_000
"""Milliseconds: a process writes down within thirty seconds what it did, and the page asks every twenty."""


def test_why_tells_what_became_of_an_order_from_its_command_to_its_document(console: Console, shop: Api) -> None:
    customer_id, product_id = shop.customer(), shop.product()
    order_id = shop.order(customer_id, product_id)
    key = f"key-{uuid4()}"
    assert shop.post(f"/orders/{order_id}/submit", None, Idempotency_Key=key).status_code == 204
    shop.details(order_id, customer_id, 2)
    page = console.open("/why")
    page.get_by_label("An id").fill(order_id)
    page.get_by_role("button", name="Look", exact=True).click()
    expect(page.get_by_text("Every event here is published, and shown.")).to_be_visible()
    events = page.get_by_role("region", name="timeline").locator("li.event")
    expect(events).to_have_count(2)
    events.last.locator("summary").click()
    expect(events.last).to_contain_text(key)
    expect(events.last).to_contain_text("shown by orders")
    expect(events.last).to_contain_text('"orderId"')
    deliveries = events.last.get_by_role("region", name="deliveries")
    expect(deliveries.locator("tr", has_text="order-events/order-views")).to_contain_text(
        "taken in as version 2", timeout=NOTED_WITHIN
    )
    document = page.get_by_role("region", name="document of orders")
    expect(document.get_by_text("no difference", exact=False)).to_be_visible()
    document.get_by_role("spinbutton").fill("1")
    document.get_by_role("spinbutton").blur()
    expect(document.locator("tr.differs", has_text="status")).to_contain_text('"Created"')
    assert page.url.endswith(f"#/why?of={order_id}&version=1")
    console.picture("why")
    console.go(f"/why?of={key}")
    expect(page.get_by_text("1 event of one command.")).to_be_visible()


def test_why_tells_what_is_missing_and_mends_it(own: Stack, console: Console, shop: Api) -> None:
    customer_id, product_id = shop.customer(), shop.product()
    order_id = shop.order(customer_id, product_id)
    page = console.open(f"/why?of={order_id}")
    expect(page.get_by_text("Every event here is published, and shown.")).to_be_visible()
    with own.stopped("servicebus"):
        assert shop.post(f"/orders/{order_id}/submit").status_code == 204
        missing = page.get_by_role("region", name="what is missing", exact=True)
        expect(missing).to_contain_text("OrderSubmittedV2 (version 2) waits in the outbox of ordering")
        expect(missing).to_contain_text("unpublished-events")
    expect(page.get_by_text("Every event here is published, and shown.")).to_be_visible()
    damage(own, order_id, customer_id, currency="USD")
    page.reload()
    document = page.get_by_role("region", name="document of orders")
    expect(document.locator("tr.differs", has_text="currency")).to_contain_text('"USD"')
    document.get_by_role("button", name="Check and heal").click()
    expect(document.get_by_text("Healed: it is as the log makes it.")).to_be_visible()
    expect(document.locator("tr.differs")).to_have_count(0)


def test_why_says_what_no_log_has_and_how_far_it_has_looked(console: Console, poisoned: list[Envelope]) -> None:
    # these events were published by the test itself, so no log has them, and the page says so
    page = console.open(f"/why?of={poisoned[-1].event_id}")
    expect(page.get_by_text("Nothing is called")).to_be_visible()
    page.get_by_role("button", name="Look through the newest").click()
    expect(page.get_by_text("among the newest 100,000 events")).to_be_visible()
