"""The API's description at /openapi.json, and a page at /docs to read it and try it out; nothing from other hosts."""

import gzip
import hashlib
import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cache
from http import HTTPStatus
from pathlib import Path

import azure.functions as func

from shared.platform.http.answers import JSON, failed, finished, matches
from shared.platform.http.api import Operation
from shared.platform.http.openapi import document
from shared.platform.http.problems import Problem

FILES = Path(__file__).parent / "assets"

ASSETS = {
    "docs.js": "text/javascript",
    "favicon-32x32.png": "image/png",
    "swagger-ui-bundle.js": "text/javascript",
    "swagger-ui.css": "text/css",
}
"""What the page may load, and no other file."""

PAGES = ("openapi.json", "docs", "docs/{asset}")
"""The routes of this module, which the description leaves out."""

PAGE_HEADERS = {
    "Content-Security-Policy": "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; "
    "connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
    "Referrer-Policy": "no-referrer",
}
ONE_HOUR = {"Cache-Control": "public, max-age=3600"}
EVERY_TIME = {"Cache-Control": "no-cache"}

_GZIP = re.compile(r"\bgzip\b(?!\s*;\s*q=0(\.0*)?\s*(,|$))", re.IGNORECASE)
"""Finds gzip in Accept-Encoding, unless its weight is 0."""


@dataclass(frozen=True, slots=True)
class Resource:
    """Bytes that do not change while the process lives, also compressed."""

    media_type: str
    body: bytes
    compressed: bytes
    digest: str


def docs(operations: Iterable[Operation]) -> func.Blueprint:
    """Wire up the description of `operations` and its page."""
    blueprint = func.Blueprint()
    operations = list(operations)

    @cache
    def description() -> Resource:
        return _resource(JSON, json.dumps(document(operations), ensure_ascii=False).encode())

    @blueprint.route(PAGES[0], methods=["GET", "HEAD"])
    def get_openapi(req: func.HttpRequest, context: func.Context) -> func.HttpResponse:
        return finished(_served(req, description(), EVERY_TIME), req, context)

    @blueprint.route(PAGES[1], methods=["GET", "HEAD"])
    def get_docs(req: func.HttpRequest, context: func.Context) -> func.HttpResponse:
        return finished(_served(req, _file("index.html", "text/html"), EVERY_TIME | PAGE_HEADERS), req, context)

    @blueprint.route(PAGES[2], methods=["GET", "HEAD"])
    def get_docs_asset(req: func.HttpRequest, context: func.Context) -> func.HttpResponse:
        name = req.route_params["asset"]
        if name not in ASSETS:
            unknown = Problem(HTTPStatus.NOT_FOUND, "no-such-path", "The docs page has no such file.")
            return failed(unknown, req, context)
        return finished(_served(req, _file(name, ASSETS[name]), ONE_HOUR), req, context)

    return blueprint


@cache
def _file(name: str, media_type: str) -> Resource:
    return _resource(media_type, (FILES / name).read_bytes())


def _resource(media_type: str, body: bytes) -> Resource:
    digest = hashlib.sha256(body).hexdigest()[:32]
    return Resource(media_type, body, gzip.compress(body, mtime=0), digest)


def _served(req: func.HttpRequest, resource: Resource, headers: Mapping[str, str]) -> func.HttpResponse:
    compress = _GZIP.search(req.headers.get("Accept-Encoding", "")) is not None
    etag = f'"{resource.digest}-gzip"' if compress else f'"{resource.digest}"'
    known = {"ETag": etag, "Vary": "Accept-Encoding", **headers}
    if matches(req.headers.get("If-None-Match", ""), etag):
        return func.HttpResponse(status_code=HTTPStatus.NOT_MODIFIED, headers=known)
    if compress:
        known["Content-Encoding"] = "gzip"
    return func.HttpResponse(
        resource.compressed if compress else resource.body, mimetype=resource.media_type, charset="utf-8", headers=known
    )
