"""The answers that triggers give: statuses, headers and bodies that all routes write alike."""

import logging
import re
from collections.abc import Mapping
from http import HTTPStatus
from typing import override
from urllib.parse import quote, urlsplit

import azure.functions as func
from werkzeug.datastructures import Headers

from shared.frame.http import etags
from shared.frame.http.problems import problem_of, render
from shared.frame.http.requests import QueryCall, correlation_id
from shared.frame.messaging.envelope import Accepted
from shared.frame.platform import telemetry
from shared.frame.platform.input import QueryInput
from shared.frame.platform.output import Answer
from shared.frame.read_side.past import StillFolding
from shared.kernel.refusals import TooSoon

logger = logging.getLogger(__name__)

JSON = "application/json"

_LONE_PERCENT = re.compile("%(?![0-9A-Fa-f]{2})")


class Bodyless(func.HttpResponse):
    """An answer without content (204, 304), and so without a media type: azure.functions would write text/plain."""

    def __init__(self, status: HTTPStatus, headers: Mapping[str, str]) -> None:
        super().__init__(status_code=status)
        self._headers = _Untyped(headers)

    @property
    @override
    def headers(self) -> Headers:
        return self._headers


class _Untyped(Headers):
    """Headers that get no Content-Type; azure.functions adds one where it finds none."""

    @override
    def __contains__(self, key: str) -> bool:
        return key.lower() == "content-type" or super().__contains__(key)


def created(accepted: Accepted, answer: Answer, location: str) -> func.HttpResponse:
    """Answer that something new is at `location`."""
    return func.HttpResponse(
        answer.model_dump_json(by_alias=True),
        status_code=HTTPStatus.CREATED,
        mimetype=JSON,
        headers={"Location": location, **_version(accepted)},
    )


def no_content(accepted: Accepted) -> func.HttpResponse:
    """Answer that a command was carried out."""
    return Bodyless(HTTPStatus.NO_CONTENT, _version(accepted))


def not_cached(answer: Answer) -> func.HttpResponse:
    """Answer the result of an action, or a momentary state; no cache may keep it."""
    return func.HttpResponse(
        answer.model_dump_json(by_alias=True), mimetype=JSON, headers={"Cache-Control": "no-store"}
    )


def ok_or_not_modified(call: QueryCall[QueryInput], answer: Answer, version: int | None = None) -> func.HttpResponse:
    """Answer a query, or 304 if the caller has this answer already.

    Args:
        call: the query.
        answer: what was found.
        version: of the document that it shows, for If-Match of commands; None if it shows none.
    """
    body = answer.model_dump_json(by_alias=True).encode()
    tag = etags.of_content(body) if version is None else etags.of_document(version, body)
    headers = {"ETag": tag, "Cache-Control": "no-store" if answer.holds_secret else "private, no-cache"}
    if etags.is_known(call.if_none_match, tag):
        return Bodyless(HTTPStatus.NOT_MODIFIED, headers)
    return func.HttpResponse(body, mimetype=JSON, headers=headers)


def _version(accepted: Accepted) -> dict[str, str]:
    headers = {"ETag": etags.of_version(accepted.version), "Cache-Control": "no-store"}
    if accepted.replayed:
        headers["Idempotent-Replayed"] = "true"
    return headers


def finished(response: func.HttpResponse, req: func.HttpRequest, context: func.Context) -> func.HttpResponse:
    """Add the headers that every answer has: the correlation id, and that browsers must not guess the media type."""
    response.headers["X-Correlation-Id"] = correlation_id(req, context)
    response.headers["X-Content-Type-Options"] = "nosniff"
    return response


def failed(error: Exception, req: func.HttpRequest, context: func.Context) -> func.HttpResponse:
    """Answer an error as problem details."""
    problem = problem_of(error)
    if isinstance(error, TooSoon | StillFolding):
        logger.info("asked too soon: %s", problem.code)  # the alarm on 5xx leaves out the requests that say so
        telemetry.asked_too_soon()
    else:
        telemetry.problem(problem.status, problem.code)
    return finished(render(problem, _instance(req), correlation_id(req, context)), req, context)


def _instance(req: func.HttpRequest) -> str:
    """Give the requested path as a URI reference, however the host writes it; %2F stays %2F, for it is no slash."""
    return quote(_LONE_PERCENT.sub("%25", urlsplit(req.url).path), safe="/%:@!$&'()*+,;=~")
