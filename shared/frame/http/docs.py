"""The API's description at /openapi.json with a page at /docs, and the events' at /asyncapi.json."""

import json
from collections.abc import Iterable
from functools import cache
from pathlib import Path
from typing import Any

import azure.functions as func

from shared.frame.context import Context
from shared.frame.http import asyncapi
from shared.frame.http.answers import JSON, finished
from shared.frame.http.api import Operation
from shared.frame.http.openapi import document
from shared.frame.http.openapi_parts import About
from shared.frame.http.static_files import EVERY_TIME, ONE_HOUR, PAGE_HEADERS, Resource, asset, file, resource, served

FILES = Path(__file__).parent / "assets"

ASSETS = {
    "docs.js": "text/javascript",
    "favicon-32x32.png": "image/png",
    "swagger-ui-bundle.js": "text/javascript",
    "swagger-ui.css": "text/css",
}
"""The only files that the page may load."""

PAGES = ("openapi.json", "docs", "docs/{asset}", "asyncapi.json")
"""The routes of this module, which the description leaves out."""


def docs(operations: Iterable[Operation], contexts: Iterable[Context[Any]], about: About) -> func.Blueprint:
    """Wire up the description of `operations` with its page, and that of the contexts' events."""
    blueprint = func.Blueprint()
    operations, contexts = list(operations), list(contexts)

    @cache
    def description() -> Resource:
        return resource(JSON, json.dumps(document(operations, about), ensure_ascii=False).encode())

    @cache
    def events() -> Resource:
        return resource(JSON, json.dumps(asyncapi.document(contexts), ensure_ascii=False).encode())

    @blueprint.route(PAGES[3], methods=["GET", "HEAD"])
    def get_asyncapi(req: func.HttpRequest, context: func.Context) -> func.HttpResponse:
        return finished(served(req, events(), EVERY_TIME), req, context)

    @blueprint.route(PAGES[0], methods=["GET", "HEAD"])
    def get_openapi(req: func.HttpRequest, context: func.Context) -> func.HttpResponse:
        return finished(served(req, description(), EVERY_TIME), req, context)

    @blueprint.route(PAGES[1], methods=["GET", "HEAD"])
    def get_docs(req: func.HttpRequest, context: func.Context) -> func.HttpResponse:
        page = file(FILES / "index.html", "text/html")
        return finished(served(req, page, EVERY_TIME | PAGE_HEADERS), req, context)

    @blueprint.route(PAGES[2], methods=["GET", "HEAD"])
    def get_docs_asset(req: func.HttpRequest, context: func.Context) -> func.HttpResponse:
        return asset(req, context, FILES, ASSETS, ONE_HOUR)

    return blueprint
