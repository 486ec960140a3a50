"""The docs page in a real browser: it reads the description, calls the API, and speaks with no other host."""

from collections.abc import Iterator

import pytest
from playwright.sync_api import ConsoleMessage, Page, Request

from tests.e2e.browser import CHROMIUM, TIMEOUT, chromium
from tests.support.stack import Stack

pytestmark = pytest.mark.skipif(
    CHROMIUM is None, reason="there is no Chromium here; Debian, Ubuntu: apt install chromium"
)


@pytest.fixture(scope="module")
def page() -> Iterator[Page]:
    with chromium() as browser:
        page = browser.new_page(viewport={"width": 1280, "height": 1600})
        page.set_default_timeout(TIMEOUT)
        yield page


def test_a_token_that_is_pasted_into_the_page_is_sent_along(page: Page, stack: Stack) -> None:
    page.goto(f"{stack.base_url}/api/docs")
    page.get_by_role("button", name="Authorize").first.click()
    page.locator(".auth-container input").fill(stack.token("Catalog.Read"))
    page.locator(".auth-btn-wrapper .authorize").click()
    page.locator(".auth-btn-wrapper .btn-done").click()
    operation = page.locator("#operations-catalog-getProduct")
    operation.locator(".opblock-summary-control").click()
    operation.get_by_role("button", name="Try it out").click()
    operation.get_by_role("button", name="Execute").click()
    answer = operation.locator(".live-responses-table .response")
    answer.wait_for()
    assert answer.locator(".response-col_status").inner_text().split()[0] == "404"


def test_the_page_shows_the_api_and_calls_it_without_a_word_to_others(page: Page, stack: Stack) -> None:
    complaints: list[str] = []
    urls: list[str] = []

    def listen(message: ConsoleMessage) -> None:
        if message.type in {"error", "warning"}:
            complaints.append(message.text)

    def note(request: Request) -> None:
        urls.append(request.url)

    page.on("console", listen)
    page.on("pageerror", lambda error: complaints.append(str(error)))
    page.on("request", note)
    page.goto(f"{stack.base_url}/api/docs")
    operation = page.locator("#operations-health-getHealthReady")
    operation.locator(".opblock-summary-control").click()
    operation.get_by_role("button", name="Try it out").click()
    operation.get_by_role("button", name="Execute").click()
    answer = operation.locator(".live-responses-table .response")
    answer.wait_for()
    assert answer.locator(".response-col_status").inner_text().split()[0] == "200"
    assert '"status": "ready"' in answer.locator("pre.microlight, pre code").first.inner_text()
    assert f"{stack.base_url}/api/health/ready" in urls
    assert complaints == []
    assert [url for url in urls if not url.startswith((stack.base_url, "data:"))] == []
