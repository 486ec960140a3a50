"""What a page of another origin gets to see and to do: nothing."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
from playwright.sync_api import Browser, ConsoleMessage

from tests.e2e.api import Api, eventually
from tests.support.stack import Stack

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


def step_of(api: Api) -> str | None:
    rebuild: dict[str, str] | None = api.read("/ops/projections/orders")["rebuild"]
    return rebuild["step"] if rebuild else None
