"""How everything is, now and in the last hour."""

from playwright.sync_api import Locator, expect

from tests.e2e.api import Api, eventually
from tests.e2e.console.conftest import Console
from tests.support.stack import Stack

TOLD_WITHIN = 120_000
"""Milliseconds: a process tells of a minute within thirty seconds, and the page asks every thirty."""


def test_a_store_that_hangs_is_told_and_seen_to_come_back(own: Stack, console: Console) -> None:
    page = console.open()
    expect(page.get_by_role("status").first).to_be_visible()
    with own.stopped("cosmos"):
        failure = page.get_by_role("alert").filter(has_text="The read models do not answer")
        expect(failure.first).to_be_visible()
        expect(failure.first).to_contain_text("docs/operations.md")
        expect(failure.first).to_contain_text("Correlation id")
        console.picture("cosmos-stopped")
    expect(page.get_by_role("alert")).to_have_count(0)
    expect(page.get_by_role("heading", name="Read models")).to_be_visible()
    load = page.locator("section.card", has=page.get_by_role("heading", name="Load and deadlines"))
    expect(load).to_contain_text("of 500 and more in the last five minutes", timeout=TOLD_WITHIN)


def test_the_last_hour_is_told_by_the_system_itself(console: Console, shop: Api) -> None:
    shop.order(shop.customer(), shop.product())
    page = console.open()
    hour = page.get_by_role("region", name="the last hour")
    expect(hour.get_by_role("img", name="Lag of order-events/order-views")).to_be_visible(timeout=TOLD_WITHIN)
    expect(hour.get_by_role("img", name="Commands, last: accepted")).to_be_visible()
    for chart in ("Commands", "Lag of order-events/order-views"):
        eventually(
            lambda chart=chart: is_drawn(hour.get_by_role("img", name=chart), "--behind"),
            f"{chart} is drawn",
            TOLD_WITHIN / 1000,
        )
    page.reload()  # what is shown is not this tab's
    expect(hour.get_by_role("img", name="Lag of product-events/product-views")).to_be_visible()
    console.picture("overview")


def test_one_caller_who_asks_too_soon_makes_nothing_red(console: Console, shop: Api) -> None:
    customer = shop.customer()
    order = shop.order(customer, shop.product())
    for _ in range(12):
        answer = shop.get(f"/orders/{order}", {"Prefer": "wait=0"}, customerId=customer, minVersion=99)
        assert answer.status_code == 503, answer.text
    load = console.open().locator("section.card", has=console.page.get_by_role("heading", name="Load and deadlines"))
    row = load.get_by_role("listitem").filter(has_text="Asked too soon")
    expect(row).to_contain_text("12 requests in the last five minutes", timeout=TOLD_WITHIN)
    expect(row.locator(".state")).to_have_count(0)
    expect(load).to_contain_text("Nobody was turned away in the last five minutes.")


def is_drawn(chart: Locator, colour: str) -> bool:
    """Whether a chart has something in a colour above its bottom line, where zeros are."""
    drawn: bool = chart.evaluate(
        """(place, colour) => {
          const canvas = place.querySelector("canvas");
          const height = Math.floor(canvas.height * 0.6);
          const { data } = canvas.getContext("2d").getImageData(0, 0, canvas.width, height);
          const wanted = getComputedStyle(document.documentElement).getPropertyValue(colour).trim();
          const parts = [1, 3, 5].map((at) => parseInt(wanted.slice(at, at + 2), 16));
          for (let at = 0; at < data.length; at += 4) {
            if (parts.every((part, index) => Math.abs(data[at + index] - part) < 8)) return true;
          }
          return false;
        }""",
        colour,
    )
    return drawn
