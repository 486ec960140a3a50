"""Files of the package that are served as they are, each compressed once, with an entity tag for each encoding."""

import gzip
import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from http import HTTPStatus
from pathlib import Path

import azure.functions as func

from shared.frame.http import etags
from shared.frame.http.answers import Bodyless, failed, finished
from shared.frame.http.problems import Problem

PAGE_HEADERS = {
    "Content-Security-Policy": "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; "
    "connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
    "Referrer-Policy": "no-referrer",
}
"""Headers of our pages: they run no inline code, load nothing from another host, and stand in no frame."""

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
    etag: str
    compressed_etag: str


@cache
def file(path: Path, media_type: str) -> Resource:
    """Read a file of the package."""
    return resource(media_type, path.read_bytes())


def resource(media_type: str, body: bytes) -> Resource:
    """Compress a body, and give each encoding its etag."""
    compressed = gzip.compress(body, mtime=0)
    return Resource(media_type, body, compressed, etags.of_content(body), etags.of_content(compressed))


def served(req: func.HttpRequest, resource: Resource, headers: Mapping[str, str]) -> func.HttpResponse:
    """Answer with what the caller can read, or 304 if the caller has it."""
    compress = _GZIP.search(req.headers.get("Accept-Encoding", "")) is not None
    etag = resource.compressed_etag if compress else resource.etag
    known = {"ETag": etag, "Vary": "Accept-Encoding", **headers}
    if etags.is_known(req.headers.get("If-None-Match"), etag):
        return Bodyless(HTTPStatus.NOT_MODIFIED, known)
    if compress:
        known["Content-Encoding"] = "gzip"
    return func.HttpResponse(
        resource.compressed if compress else resource.body, mimetype=resource.media_type, charset="utf-8", headers=known
    )


def asset(
    req: func.HttpRequest, context: func.Context, folder: Path, types: Mapping[str, str], headers: Mapping[str, str]
) -> func.HttpResponse:
    """Answer with the file that the route names, if it is one of those with a type; with a problem (404) otherwise."""
    name = req.route_params["asset"]
    if name not in types:
        return failed(Problem(HTTPStatus.NOT_FOUND, "no-such-path", "The page has no such file."), req, context)
    return finished(served(req, file(folder / name, types[name]), headers), req, context)
