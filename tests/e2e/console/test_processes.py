"""A process that is past its deadline: seen, and given more time."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import pytest
from playwright.sync_api import Browser, expect

from tests.e2e.api import Api, eventually
from tests.e2e.console.conftest import Console
from tests.support.stack import Stack, running_stack

NEVER = "0 0 0 1 1 *"


@pytest.fixture(scope="module")
def late() -> Iterator[Stack]:
    """A stack whose timer is late: nothing acts on deadlines."""
    with running_stack(settings={"RelaySchedule": NEVER}) as stack:
        yield stack


@pytest.fixture
def console(browser: Browser, late: Stack) -> Iterator[Console]:
    console = Console(browser, late)
    yield console
    console.context.close()
    assert console.complaints == []


def waiting(shop: Api) -> str:
    """An order that waits for stock."""
    cup = {"name": "Cup", "category": "kitchen", "unitPrice": "1.00", "currency": "EUR", "initialStock": 0}
    product_id = str(shop.post("/products", cup).json()["productId"])
    eventually(lambda: not shop.unknown_products([product_id]), "ordering knows the product")
    order_id = shop.order(shop.customer(), product_id)
    assert shop.post(f"/orders/{order_id}/submit").status_code == 204
    eventually(lambda: deadline(shop, order_id), "it waits, and not for ever")
    return order_id


def deadline(shop: Api, order_id: str) -> datetime | None:
    """Until when an order waits; None: there is no such process, or it has no deadline."""
    for each in shop.read("/ops/processes", take=100)["items"]:
        if each["orderId"] == order_id and each["deadline"]:
            return datetime.fromisoformat(each["deadline"]["at"])
    return None


def test_what_is_past_its_deadline_is_red_until_it_gets_more_time(console: Console, late: Stack) -> None:
    with Api(late) as shop:
        first, second = waiting(shop), waiting(shop)
        past = datetime.now(UTC) - timedelta(hours=3)
        assert shop.post(f"/ops/processes/{first}/deadline", {"at": past.isoformat()}).status_code == 200

        page = console.open()
        expect(page.get_by_text("1 process past its deadline.")).to_be_visible()
        page.get_by_role("link", name="Deadlines").click()
        rows = page.get_by_role("region", name="processes").locator("tbody tr")
        expect(rows).to_have_count(1)
        expect(rows).to_contain_text("overdue for 3 h")
        assert page.url.endswith("#/processes?overdue=yes")
        page.get_by_label("past their deadline").uncheck()
        expect(rows).to_have_count(2)
        console.picture("processes")

        page.locator("tbody tr", has=page.get_by_title(f"Why: {first}")).get_by_role("button", name="Move…").click()
        page.get_by_role("dialog").locator("[name=at]").fill("2099-12-24T12:00")
        console.picture("move-deadline")
        console.confirm("move")
        expect(page.get_by_text("overdue for")).to_have_count(0)
        assert deadline(shop, first) == datetime(2099, 12, 24, 12, tzinfo=UTC)  # Dublin, in winter
        assert (deadline(shop, second) or past) > datetime.now(UTC)
        page.get_by_label("past their deadline").check()
        expect(page.get_by_text("None is past its deadline.")).to_be_visible()


def test_why_tells_the_steps_of_a_process_and_moves_its_deadline_and_tells_them_also_after_its_end(
    console: Console, late: Stack
) -> None:
    with Api(late) as shop:
        order_id = waiting(shop)
        page = console.open(f"/why?of={order_id}")
        process = page.get_by_role("region", name="process", exact=True)
        expect(process).to_contain_text("stock, since")
        expect(process).to_contain_text("submitted, on account")
        expect(process).to_contain_text("in 14 days")
        process.get_by_role("button", name="Move…").click()
        page.get_by_role("dialog").locator("[name=at]").fill("2099-12-24T12:00")
        console.confirm("move")
        expect(process).to_contain_text("deadline moved to 2099-12-24T12:00:00")
        assert deadline(shop, order_id) == datetime(2099, 12, 24, 12, tzinfo=UTC)

        assert shop.post(f"/orders/{order_id}/cancel", {"reason": "Changed my mind"}).status_code == 204
        expect(process).to_contain_text("Ended")
        expect(process).to_contain_text("cancelled")
        expect(process.get_by_role("button")).to_have_count(0)
        console.picture("why-process")
