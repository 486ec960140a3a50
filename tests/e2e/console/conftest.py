"""The console in a real browser, on a stack of its own; whatever the browser complains of fails the test."""

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, ConsoleMessage, Page, Request, expect

from infra.local.console import ROLES, address
from shared.frame.messaging.envelope import Envelope
from tests.e2e.api import Api, eventually
from tests.e2e.browser import TIMEOUT, chromium
from tests.e2e.console.faults import COPY, VIEW, poison
from tests.support.clients import node_modules
from tests.support.stack import ROOT, Stack, running_stack

expect.set_options(timeout=TIMEOUT)

PICTURES = ROOT / ".local" / "console"
"""Where the tests leave pictures of what they saw, for people to look at."""


class Console:
    """A browser's tab with the console in it."""

    def __init__(self, browser: Browser, stack: Stack, *, width: int = 1280, zone: str = "Europe/Dublin") -> None:
        self.stack = stack
        self.context = browser.new_context(
            viewport={"width": width, "height": 900}, timezone_id=zone, locale="en-IE", color_scheme="light"
        )
        self.context.grant_permissions(["clipboard-read", "clipboard-write"])
        self.page: Page = self.context.new_page()
        self.page.set_default_timeout(TIMEOUT)
        self.complaints: list[str] = []
        self.requests: list[Request] = []
        self.page.on("console", self._heard)
        self.page.on("pageerror", lambda error: self.complaints.append(str(error)))
        self.page.on("request", self._sent)

    def _heard(self, message: ConsoleMessage) -> None:
        # the browser's own line about an answer that is an error; what the page makes of it is looked at
        if message.type in {"error", "warning"} and "Failed to load resource" not in message.text:
            self.complaints.append(message.text)

    def _sent(self, request: Request) -> None:
        self.requests.append(request)

    def open(self, view: str = "/overview", token: str | None = None) -> Page:
        """Sign in, as dev.py console does, and come to a view."""
        self.page.goto(address(self.stack.base_url, token or self.stack.token(*ROLES), view))
        return self.page

    def go(self, view: str) -> Page:
        """Come to a view as somebody who was sent its address."""
        self.page.evaluate("view => { location.hash = view }", view)
        return self.page

    def picture(self, name: str) -> None:
        """Leave pictures of the page in both themes, and see that it is fit for everybody in each of them."""
        PICTURES.mkdir(parents=True, exist_ok=True)
        self.page.evaluate("scrollTo(0, 0)")
        for theme in ("dark", "light"):
            self.page.emulate_media(color_scheme=theme)
            self.page.screenshot(path=PICTURES / f"{name}-{theme}.png", full_page=True)
            assert self.barriers() == [], f"{name}, {theme}"

    def barriers(self) -> list[str]:
        """What axe finds that keeps somebody out."""
        axe = node_modules(Path(__file__).parent / "axe") / "axe-core" / "axe.min.js"
        self.page.evaluate(axe.read_text(encoding="utf-8"))
        found: dict[str, Any] = self.page.evaluate("() => axe.run({ resultTypes: ['violations'] })")
        return [
            f"{rule['id']}: {node['html']} {json.dumps(node['any'][:1])}"
            for rule in found["violations"]
            if rule["impact"] in {"serious", "critical"}
            for node in rule["nodes"]
        ]

    def confirm(self, phrase: str, **fields: str) -> None:
        """Type what the dialog wants typed, and do it."""
        dialog = self.page.get_by_role("dialog")
        for name, value in fields.items():
            dialog.locator(f"[name={name}]").fill(value)
        dialog.locator("[name=phrase]").fill(phrase)
        dialog.locator("[type=submit]").click()
        dialog.wait_for(state="detached")

    def text(self) -> str:
        """What the page says now, with single blanks."""
        return re.sub(r"\s+", " ", self.page.locator("main").inner_text())


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with chromium() as browser:
        yield browser


@pytest.fixture(scope="package")
def own() -> Iterator[Stack]:
    """A stack that may be hurt."""
    with running_stack(settings={"WatchSchedule": "*/2 * * * * *"}) as stack:
        yield stack


@pytest.fixture(scope="package")
def shop(own: Stack) -> Iterator[Api]:
    with Api(own) as api:
        yield api


@pytest.fixture
def console(browser: Browser, own: Stack) -> Iterator[Console]:
    console = Console(browser, own)
    yield console
    console.context.close()
    assert console.complaints == []
    elsewhere = [each.url for each in console.requests if not each.url.startswith((own.base_url, "data:"))]
    assert elsewhere == []


@pytest.fixture(scope="package")
def poisoned(own: Stack, shop: Api) -> list[Envelope]:
    """Dead letters, in both subscriptions."""
    events = poison(own, 3)

    def given_up() -> bool:
        return all(each["count"] == len(events) for each in shop.dead_letters() if each["subscription"] in {COPY, VIEW})

    eventually(given_up, "both subscriptions give up")
    return events
