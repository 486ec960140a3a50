"""Addresses, keyboard, copying, times and narrow screens: in every view."""

from playwright.sync_api import Browser, expect

from shared.frame.messaging.envelope import Envelope
from tests.e2e.console.conftest import Console
from tests.e2e.console.faults import VIEW
from tests.support.stack import Stack


def test_every_view_has_an_address_of_its_own_and_is_reached_by_the_keyboard(own: Stack, console: Console) -> None:
    page = console.open()
    expect(page.get_by_role("heading", name="Overview")).to_be_visible()
    page.keyboard.press("Tab")
    expect(page.get_by_role("link", name="Skip to the content")).to_be_focused()
    for name in ("Overview", "Why", "Read models"):
        page.keyboard.press("Tab")
        expect(page.get_by_role("navigation", name="views").get_by_role("link", name=name)).to_be_focused()
    page.keyboard.press("Enter")
    expect(page.get_by_role("heading", name="Read models", level=1)).to_be_visible()
    assert page.url == f"{own.base_url}/api/ops/console#/read-models"
    page.go_back()
    expect(page.get_by_role("heading", name="Overview")).to_be_visible()
    console.go("/audit?action=heal&take=100")
    expect(page.get_by_label("On a page")).to_have_value("100")


def test_an_id_is_copied_and_a_time_is_the_readers_with_the_exact_one_beside_it(
    console: Console, poisoned: list[Envelope]
) -> None:
    page = console.open(f"/dead-letters?subscription={VIEW}")
    about = str(poisoned[0].aggregate_id)
    page.get_by_role("button", name=f"copy id {about}").first.click()
    assert page.evaluate("navigator.clipboard.readText()") == about
    time = page.locator("h1 + p time")
    moment = time.get_attribute("datetime") or ""
    assert time.get_attribute("title") == f"{moment} (UTC)"
    assert moment.endswith("Z")


def test_it_is_read_on_a_telephone(browser: Browser, own: Stack, poisoned: list[Envelope]) -> None:
    assert poisoned
    console = Console(browser, own, width=390)
    page = console.open()
    for view, heading in (
        (f"why?of={poisoned[0].correlation_id}", "Why"),
        ("overview", "Overview"),
        ("read-models", "Read models"),
        ("dead-letters", "Dead letters"),
        ("processes", "Processes"),
        ("audit", "Audit"),
    ):
        console.go(f"/{view}")
        expect(page.get_by_role("heading", name=heading, level=1)).to_be_visible()
        expect(page.get_by_text("looking…")).to_have_count(0)
        width = page.evaluate("document.documentElement.scrollWidth")
        assert width <= 390, f"{view} is {width} wide"
    console.picture("telephone")
    console.context.close()
    assert console.complaints == []
