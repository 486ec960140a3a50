"""The operators' console against a running system with real faults, as an operator sees it."""

import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from uuid import UUID, uuid4

import pytest
from azure.servicebus import ServiceBusClient
from playwright.sync_api import Browser, ConsoleMessage, Locator, expect

from shared.frame.messaging.envelope import Envelope
from shared.frame.messaging.topics import to_message
from tests.e2e.api import Api, eventually
from tests.e2e.console.conftest import TIMEOUT, Console
from tests.e2e.test_poison import orders_container
from tests.support.stack import ROOT, Stack

expect.set_options(timeout=TIMEOUT)

COPY, VIEW = "product-events/ordering", "product-events/product-views"
DEAD_WITHIN = 150_000
"""Milliseconds for ten deliveries, of which the pauses between them are half a minute."""


@contextmanager
def stopped(stack: Stack, name: str) -> Iterator[None]:
    pid = stack.pids[name]
    os.kill(pid, signal.SIGSTOP)
    try:
        yield
    finally:
        os.kill(pid, signal.SIGCONT)


def poison(stack: Stack, count: int = 1) -> list[Envelope]:
    """Publish second events of products that there are not: their consumers fail on them until they give up."""
    events = [
        Envelope(
            event_id=uuid4(),
            aggregate_id=(product_id := uuid4()),
            version=2,
            type="ProductRenamedV1",
            payload=f'{{"productId": "{product_id}", "name": "Samovar"}}',
            occurred_at=datetime.now(UTC),
            command_id="c",
            correlation_id=f"renaming-{product_id}",
            causation_id="c",
            traceparent=None,
            actor="test",
        )
        for _ in range(count)
    ]
    with (
        ServiceBusClient.from_connection_string(stack.settings["ServiceBusConnection"]) as client,
        client.get_topic_sender("product-events") as sender,
    ):
        sender.send_messages([to_message(event, "catalog") for event in events])
    return events


def add_product(api: Api, product_id: UUID) -> None:
    body = {"name": "Teapot", "unitPrice": "1.00", "currency": "EUR", "category": "kitchen"}
    assert api.post("/products", body | {"productId": str(product_id)}).status_code == 201
    eventually(lambda: not api.unknown_products([str(product_id)]), "ordering knows the product")


@contextmanager
def foreign_page() -> Iterator[str]:
    """Somebody else's page: of another origin, and yet of the same site, which cookies do not tell apart."""

    class Page(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.send_header("Content-Type", "text/html")
            self.end_headers()
            self.wfile.write(b"<!doctype html><title>Elsewhere</title>")

        def log_message(self, *_: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Page) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_address[1]}/"
        server.shutdown()


@pytest.fixture(scope="module")
def poisoned(own: Stack, shop: Api) -> list[Envelope]:
    """Dead letters, in both subscriptions."""
    events = poison(own, 3)

    def given_up() -> bool:
        listed = shop.read("/ops/dead-letters")["subscriptions"]
        return all(each["count"] == len(events) for each in listed if each["subscription"] in {COPY, VIEW})

    eventually(given_up, "both subscriptions give up", DEAD_WITHIN / 1000)
    return events


def test_dev_py_prints_an_address_whose_token_goes_to_no_server_and_stays_nowhere(own: Stack, console: Console) -> None:
    command = [sys.executable, "-m", "infra.local.console", "--print", "--data", str(own.data)]
    printed = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True, timeout=60).stdout.strip()
    token = printed.partition("#token=")[2].partition("&")[0]
    assert token.count(".") == 2
    page = console.page
    page.goto(printed)
    expect(page.get_by_role("status").first).to_have_text("● Everything is fine.health: ready")
    assert page.url == f"{own.base_url}/api/ops/console#/overview"
    assert not [each.url for each in console.requests if token in each.url]
    assert token not in own.printed()
    page.reload()
    expect(page.get_by_role("heading", name="Read models")).to_be_visible()
    console.picture("overview")
    page.get_by_role("button", name="Sign out").click()
    expect(page.get_by_role("heading", name="Sign in")).to_be_visible()
    page.reload()
    expect(page.get_by_role("heading", name="Sign in")).to_be_visible()
    console.picture("sign-in")


def test_nobody_sees_anything_without_the_role_and_is_told_which_one(own: Stack, console: Console) -> None:
    page = console.open(token=own.token("Orders.Read"))
    expect(page.get_by_role("heading", name="You are known, and may not operate the system")).to_be_visible()
    assert "403 Forbidden forbidden: This needs the role Ops." in console.text()
    page.get_by_role("button", name="Sign out").click()
    page.get_by_label("Token").fill(own.token("Ops"))
    page.get_by_role("button", name="Sign in").click()
    expect(page.get_by_role("heading", name="Overview")).to_be_visible()


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
    expect(page.get_by_label("Newest")).to_have_value("100")


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
    expect(page.get_by_text("1 of the newest")).to_be_visible()
    assert [entry["details"]["why"] for entry in audit(shop) if "why" in entry["details"]] == ["sent by a test"]
    console.go("/audit")
    expect(page.get_by_role("region", name="what was done").locator("tbody tr").nth(2)).to_be_visible()
    console.picture("audit")


def row_of(console: Console, event: Envelope) -> Locator:
    return console.page.locator("tbody tr", has=console.page.get_by_title(f"Why: {event.aggregate_id}"))


def tick(console: Console, event: Envelope) -> None:
    row_of(console, event).get_by_role("checkbox").check()


def audit(api: Api) -> list[dict[str, Any]]:
    items: list[dict[str, Any]] = api.read("/ops/audit")["items"]
    return items


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
    with stopped(own, "servicebus"):
        assert shop.post(f"/orders/{order_id}/submit").status_code == 204
        missing = page.get_by_role("region", name="what is missing", exact=True)
        expect(missing).to_contain_text("OrderSubmittedV2 (version 2) waits in the outbox of ordering")
        expect(missing).to_contain_text("unpublished-events")
    expect(page.get_by_text("Every event here is published, and shown.")).to_be_visible()
    with orders_container(own) as documents:
        documents.replace_item(order_id, documents.read_item(order_id, customer_id) | {"currency": "USD"})
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


FORGED = """async ([url, headers]) => {
  try {
    const answer = await fetch(url, { method: "POST", headers, body: "{}", credentials: "include" });
    return `answered ${answer.status}`;
  } catch (error) {
    return "refused by the browser";
  }
}"""


@pytest.mark.parametrize(
    "headers",
    [
        {"X-Requested-With": "tandem-console", "Content-Type": "application/json"},
        {"Content-Type": "application/json"},
        {"Authorization": "Bearer stolen"},
        {},
    ],
    ids=["as the console", "JSON", "with a token", "as a form"],
)
def test_a_page_of_another_origin_changes_nothing_and_reads_nothing(
    browser: Browser, own: Stack, shop: Api, headers: dict[str, str]
) -> None:
    before = shop.read("/ops/audit")["items"]
    with foreign_page() as elsewhere:
        page = browser.new_page()
        page.goto(elsewhere)
        # the session that a browser has in Azure; it goes with what any page of the site sends
        page.context.add_cookies([{"name": "AppServiceAuthSession", "value": "x", "url": own.base_url}])
        url = f"{own.base_url}/api/ops/projections/orders/rebuild"
        assert page.evaluate(FORGED, [url, headers]) == "refused by the browser"
        page.close()
    assert shop.read("/ops/audit")["items"] == before
    assert step_of(shop) in {None, "cancelled"}


def test_nobody_puts_the_console_into_a_frame(browser: Browser, own: Stack) -> None:
    with foreign_page() as elsewhere:
        page = browser.new_page()
        told: list[str] = []

        def hear(message: ConsoleMessage) -> None:
            told.append(message.text)

        page.on("console", hear)
        page.goto(elsewhere)
        page.evaluate(
            "url => { const frame = document.createElement('iframe'); frame.src = url; document.body.append(frame) }",
            f"{own.base_url}/api/ops/console",
        )
        eventually(
            lambda: page.evaluate("1") and any("frame-ancestors" in each for each in told), "the browser says so"
        )
        page.close()


def step_of(api: Api) -> str | None:
    rebuild: dict[str, str] | None = api.read("/ops/projections/orders")["rebuild"]
    return rebuild["step"] if rebuild else None
