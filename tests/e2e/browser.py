"""The real browser that pages are looked at in."""

from collections.abc import Iterator
from contextlib import contextmanager

from playwright.sync_api import Browser, sync_playwright

from tests.support.tools import found

CHROMIUM = found("chromium")
ARGUMENTS = [
    *("--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run"),
    *("--disable-background-networking", "--disable-component-update", "--disable-sync"),
]
TIMEOUT = 60_000
"""Milliseconds that the browser may take for anything."""


@contextmanager
def chromium() -> Iterator[Browser]:
    """The browser, until the block ends.

    Until then Playwright keeps an event loop running, which no other test file is to find.
    """
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=ARGUMENTS)
        yield browser
        browser.close()
