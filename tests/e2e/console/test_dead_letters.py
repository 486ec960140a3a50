"""Dead letters as an operator deals with them, and the record of it."""

import re
from typing import Any
from uuid import UUID

from playwright.sync_api import Locator, Route, expect

from shared.frame.messaging.envelope import Envelope
from tests.e2e.api import Api, eventually
from tests.e2e.console.conftest import Console
from tests.e2e.console.faults import COPY, VIEW


def test_dead_letters_are_read_replayed_and_discarded_with_the_audit_beside_them(
    console: Console, shop: Api, poisoned: list[Envelope]
) -> None:
    first, second, third = poisoned
    page = console.open()
    expect(page.get_by_role("status").first).to_contain_text("Something needs a person.")
    page.get_by_role("link", name=COPY).click()
    rows = page.get_by_role("region", name="dead letters").locator("tbody tr")
    expect(rows).to_have_count(3)
    row_of(console, first).locator("summary").click()
    expect(row_of(console, first).locator("details")).to_contain_text(str(first.event_id))
    console.picture("dead-letters")

    page.get_by_role("button", name="Dry run of all").click()
    expect(page.get_by_role("heading", name="Dry run: nothing was done")).to_be_visible()
    expect(page.get_by_text("3 chosen")).to_be_visible()
    page.get_by_role("button", name="Close").click()

    tick(console, first)
    page.get_by_role("button", name="Replay selected…").click()
    submit = page.get_by_role("dialog").locator("[type=submit]")
    expect(submit).to_be_disabled()
    page.get_by_role("dialog").locator("[name=phrase]").fill("repla")
    expect(submit).to_be_disabled()
    console.picture("confirm")
    console.confirm("replay")
    expect(page.get_by_text("1 failed")).to_be_visible()  # its cause is still there, and the page says which
    expect(page.get_by_role("region", name="what was not done")).to_contain_text("NotCopiedYet")
    page.get_by_role("button", name="Close").click()

    add_product(shop, first.aggregate_id)
    tick(console, first)
    page.get_by_role("button", name="Replay selected…").click()
    console.confirm("replay")
    expect(page.get_by_text("1 replayed")).to_be_visible()
    expect(rows).to_have_count(2)

    tick(console, second)
    page.get_by_role("button", name="Discard selected…").click()
    console.confirm("discard", why="sent by a test")
    expect(page.get_by_text("1 discarded")).to_be_visible()
    expect(rows).to_have_count(1)
    expect(rows.first).to_contain_text(str(third.aggregate_id)[:8])
    done = page.get_by_role("region", name="what was done").locator("tbody tr")
    expect(done.first).to_contain_text("discard-dead-letters")
    done.first.locator("summary").click()
    expect(done.first).to_contain_text("sent by a test")

    console.go("/audit?text=sent+by+a+test")
    expect(page.get_by_text(re.compile(r"^1 of \d+ on this page"))).to_be_visible()
    assert [entry["details"]["why"] for entry in audit(shop) if "why" in entry["details"]] == ["sent by a test"]
    console.go("/audit")
    expect(page.get_by_role("region", name="what was done").locator("tbody tr").nth(2)).to_be_visible()
    console.picture("audit")


def test_a_subscription_without_an_answer_is_not_taken_for_one_without_dead_letters(console: Console) -> None:
    def unanswered(route: Route) -> None:
        answer = route.fetch()
        body = answer.json()
        for each in body["subscriptions"]:
            each["unanswered"] = each["subscription"] == VIEW
            each.update({"count": 0, "items": []})
        route.fulfill(response=answer, json=body)

    page = console.page
    page.route("**/api/ops/dead-letters?take=1", unanswered)
    console.open()
    expect(page.get_by_role("status").first).to_contain_text("Something needs a person.")
    row = page.locator("li", has=page.get_by_role("link", name=VIEW))
    expect(row).to_contain_text("Service Bus does not answer for it")
    console.go("/dead-letters")
    chips = page.get_by_role("navigation", name="subscriptions")
    expect(chips.get_by_role("link", name=VIEW)).to_contain_text("no answer")
    expect(chips.get_by_role("link", name=COPY)).to_contain_text("0")


def add_product(api: Api, product_id: UUID) -> None:
    body = {"name": "Teapot", "unitPrice": "1.00", "currency": "EUR", "category": "kitchen"}
    assert api.post("/products", body | {"productId": str(product_id)}).status_code == 201
    eventually(lambda: not api.unknown_products([str(product_id)]), "ordering knows the product")


def row_of(console: Console, event: Envelope) -> Locator:
    return console.page.locator("tbody tr", has=console.page.get_by_title(f"Why: {event.aggregate_id}"))


def tick(console: Console, event: Envelope) -> None:
    row_of(console, event).get_by_role("checkbox").check()


def audit(api: Api) -> list[dict[str, Any]]:
    items: list[dict[str, Any]] = api.read("/ops/audit")["items"]
    return items
