"""Read models made anew, checked, and changed back."""

from typing import Any

from playwright.sync_api import expect

from tests.e2e.api import Api
from tests.e2e.console.conftest import Console

REBUILT_WITHIN = 180_000
"""Milliseconds: three quarters of a minute on a computer that has nothing else to do."""


def test_a_rebuild_is_started_by_typing_its_name_and_its_progress_survives_a_reload(
    console: Console, shop: Api
) -> None:
    page = console.open("/read-models")
    products = page.get_by_role("region", name="products")
    products.get_by_role("button", name="Rebuild…", exact=True).click()
    console.confirm("products")
    expect(products.get_by_role("heading", name="Rebuild under way")).to_be_visible()
    page.reload()
    expect(products.get_by_role("progressbar")).to_be_visible()
    expect(products.get_by_role("button", name="Rebuild…", exact=True)).to_have_count(0)
    console.picture("rebuild")
    products.get_by_role("button", name="Cancel the rebuild…").click()
    console.confirm("products")
    expect(products.get_by_role("heading", name="Latest rebuild: cancelled")).to_be_visible()
    assert [entry["action"] for entry in audit(shop)][:2] == ["cancel-rebuild", "rebuild"]


def test_what_the_rules_forbid_is_shown_as_the_api_says_it(console: Console, shop: Api) -> None:
    page = console.open("/read-models")
    orders = page.get_by_role("region", name="orders")
    orders.get_by_role("button", name="Rebuild…", exact=True).click()
    assert shop.post("/ops/projections/orders/rebuild").status_code == 200  # a colleague is faster
    dialog = page.get_by_role("dialog")
    dialog.locator("[name=phrase]").fill("orders")
    dialog.locator("[type=submit]").click()
    expect(dialog.get_by_role("alert")).to_contain_text("409 Conflict rebuild-under-way: orders is being rebuilt")
    dialog.get_by_role("button", name="Back").click()
    assert shop.post("/ops/projections/orders/cancel").status_code == 200


def test_generations_change_places_by_appointment_and_back_and_the_other_is_given_up(
    console: Console, shop: Api
) -> None:
    shop.product()
    page = console.open("/read-models")
    products = page.get_by_role("region", name="products")
    served = shop.read("/ops/projections/products")["serving"]
    products.get_by_role("button", name="Rebuild…", exact=True).click()
    console.confirm("products")
    expect(products.get_by_text("The generations change places in")).to_be_visible(timeout=REBUILT_WITHIN)
    expect(products.get_by_role("heading", name="Latest rebuild: done")).to_be_visible(timeout=REBUILT_WITHIN)
    expect(products.get_by_text(f"generation {served}, kept up to date for a roll-back")).to_be_visible()

    products.get_by_role("button", name="Roll back…").click()
    page.get_by_role("dialog").get_by_role("checkbox").check()  # it may not have been looked through yet
    console.picture("roll-back")
    with page.expect_request("**/products/roll-back") as asked:
        console.confirm("products")
    assert asked.value.post_data_json == {"evenIfIncomplete": True}
    expect(products.get_by_role("timer")).to_contain_text("change places in")
    expect(products.get_by_role("button", name="Roll back…")).to_be_disabled()
    console.picture("countdown")
    expect(products.get_by_role("timer")).to_have_count(0, timeout=REBUILT_WITHIN)
    assert shop.read("/ops/projections/products")["serving"] == served

    products.get_by_role("button", name="Retire…").click()
    console.confirm("products")
    expect(products.locator("dd", has_text="none").first).to_be_visible()
    expect(products.get_by_role("button", name="Retire…")).to_be_disabled()
    assert [entry["action"] for entry in audit(shop)][:3] == ["retire-generation", "roll-back", "rebuild"]


def audit(api: Api) -> list[dict[str, Any]]:
    items: list[dict[str, Any]] = api.read("/ops/audit")["items"]
    return items
