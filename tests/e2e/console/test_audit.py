"""What was done, page by page."""

from playwright.sync_api import expect

from tests.e2e.api import Api
from tests.e2e.console.conftest import Console


def test_what_was_done_before_the_newest_is_found_on_later_pages(console: Console, shop: Api) -> None:
    assert shop.post("/ops/projections/orders/heal").status_code == 200
    for _ in range(50):
        assert shop.post("/ops/projections/products/heal").status_code == 200
    page = console.open("/audit")
    rows = page.get_by_role("region", name="what was done").locator("tbody tr")
    expect(rows).to_have_count(50)
    of_orders = page.get_by_role("cell", name="orders", exact=True)
    expect(of_orders).to_have_count(0)
    page.get_by_role("link", name="Older ones").click()
    expect(of_orders.first).to_be_visible()
    console.picture("audit-older")
    page.get_by_role("link", name="To the newest").click()
    expect(rows).to_have_count(50)
    assert page.url.endswith("#/audit")
