"""How everything is, now and in the last hour."""

from playwright.sync_api import expect

from tests.e2e.api import Api
from tests.e2e.console.conftest import Console
from tests.e2e.console.faults import stopped
from tests.support.stack import Stack

TOLD_WITHIN = 120_000
"""Milliseconds: a process tells of a minute within thirty seconds, and the page asks every thirty."""


def test_a_store_that_hangs_is_told_and_seen_to_come_back(own: Stack, console: Console) -> None:
    page = console.open()
    expect(page.get_by_role("status").first).to_be_visible()
    with stopped(own, "cosmos"):
        failure = page.get_by_role("alert").filter(has_text="The read models do not answer")
        expect(failure.first).to_be_visible()
        expect(failure.first).to_contain_text("docs/operations.md")
        expect(failure.first).to_contain_text("Correlation id")
        console.picture("cosmos-stopped")
    expect(page.get_by_role("alert")).to_have_count(0)
    expect(page.get_by_role("heading", name="Read models")).to_be_visible()
    load = page.locator("section.card", has=page.get_by_role("heading", name="Load"))
    expect(load).to_contain_text("of 500 and more in the last five minutes", timeout=TOLD_WITHIN)


def test_the_last_hour_is_told_by_the_system_itself(console: Console, shop: Api) -> None:
    shop.order(shop.customer(), shop.product())
    page = console.open()
    hour = page.get_by_role("region", name="the last hour")
    expect(hour.get_by_role("img", name="Lag of order-events/order-views")).to_be_visible(timeout=TOLD_WITHIN)
    expect(hour.get_by_role("img", name="Commands, last: accepted")).to_be_visible()
    page.reload()  # what is shown is not this tab's
    expect(hour.get_by_role("img", name="Lag of product-events/product-views")).to_be_visible()
    console.picture("overview")
