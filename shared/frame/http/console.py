"""The operators' console at /ops/console: a page of the package, which calls the API with its reader's own rights.

The page's files hold no secret, so they are open to everybody. The API checks the reader's rights at each call.
"""

from functools import cache
from pathlib import Path

import azure.functions as func

from shared.frame.http.answers import finished
from shared.frame.http.static_files import EVERY_TIME, PAGE_HEADERS, Resource, asset, resource, served
from shared.frame.platform.settings import platform_signs_in

FILES = Path(__file__).parent / "console"

ASSETS = {
    "api.js": "text/javascript",
    "audit.js": "text/javascript",
    "charts.js": "text/javascript",
    "console.css": "text/css",
    "console.js": "text/javascript",
    "dead-letters.js": "text/javascript",
    "icon.svg": "image/svg+xml",
    "overview.js": "text/javascript",
    "parts.js": "text/javascript",
    "preact-htm.js": "text/javascript",
    "processes.js": "text/javascript",
    "read-models.js": "text/javascript",
    "uplot.css": "text/css",
    "uplot.js": "text/javascript",
    "why.js": "text/javascript",
}
"""The only files that the page may load."""

PAGES = ("ops/console", "ops/console/{asset}")
"""The routes of this module, which the description leaves out."""

HEADERS = EVERY_TIME | PAGE_HEADERS | {"Cross-Origin-Opener-Policy": "same-origin"}
"""The files of a release belong together, so the browser asks for each file every time, and gets a 304 if it has it."""


@cache
def page(*, signed_in_by: str) -> Resource:
    """Read the page, and write into it who signs browsers in: `platform`, or `token` where only a token does."""
    told = f'name="sign-in" content="{signed_in_by}"'
    html = (FILES / "index.html").read_text(encoding="utf-8").replace('name="sign-in" content=""', told)
    return resource("text/html", html.encode())


def console() -> func.Blueprint:
    """Wire up the page and its files."""
    blueprint = func.Blueprint()

    @blueprint.route(PAGES[0], methods=["GET", "HEAD"])
    def get_console(req: func.HttpRequest, context: func.Context) -> func.HttpResponse:
        html = page(signed_in_by="platform" if platform_signs_in() else "token")
        return finished(served(req, html, HEADERS), req, context)

    @blueprint.route(PAGES[1], methods=["GET", "HEAD"])
    def get_console_asset(req: func.HttpRequest, context: func.Context) -> func.HttpResponse:
        return asset(req, context, FILES, ASSETS, EVERY_TIME)

    return blueprint
