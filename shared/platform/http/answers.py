"""The answers that triggers give: statuses, headers and bodies that all routes write alike."""

import hashlib
from http import HTTPStatus
from urllib.parse import quote, unquote, urlsplit

import azure.functions as func

from shared.messaging.envelope import Accepted
from shared.platform.http.problems import problem_of, render
from shared.platform.http.requests import QueryCall, correlation_id
from shared.platform.input import QueryInput
from shared.platform.output import Answer

JSON = "application/json"


def created(accepted: Accepted, answer: Answer, location: str) -> func.HttpResponse:
    """Answer that something new is at `location`."""
    return func.HttpResponse(
        answer.model_dump_json(by_alias=True),
        status_code=HTTPStatus.CREATED,
        mimetype=JSON,
        headers={"Location": location, **_version(accepted)},
    )


def done(accepted: Accepted) -> func.HttpResponse:
    """Answer that a command was carried out."""
    return func.HttpResponse(status_code=HTTPStatus.NO_CONTENT, headers=_version(accepted))


def told(answer: Answer) -> func.HttpResponse:
    """Answer what came of an action, or how things are at this moment: nothing to keep."""
    return func.HttpResponse(
        answer.model_dump_json(by_alias=True), mimetype=JSON, headers={"Cache-Control": "no-store"}
    )


def found(call: QueryCall[QueryInput], answer: Answer, etag: str | None = None) -> func.HttpResponse:
    """Answer a query, or 304 if the caller has this very answer; without an etag of its own, its content makes one."""
    body = answer.model_dump_json(by_alias=True).encode()
    tag = etag or f'"{hashlib.sha256(body).hexdigest()[:32]}"'
    headers = {"ETag": tag, "Cache-Control": "private, no-cache"}
    if call.if_none_match is not None and matches(call.if_none_match, tag):
        return func.HttpResponse(status_code=HTTPStatus.NOT_MODIFIED, headers=headers)
    return func.HttpResponse(body, mimetype=JSON, headers=headers)


def matches(if_none_match: str, etag: str) -> bool:
    """Tell whether a caller has this version: compare weakly, as RFC 9110 says for If-None-Match."""
    return if_none_match.strip() == "*" or etag in {
        candidate.strip().removeprefix("W/") for candidate in if_none_match.split(",")
    }


def _version(accepted: Accepted) -> dict[str, str]:
    headers = {"ETag": f'"{accepted.version}"', "Cache-Control": "no-store"}
    if accepted.replayed:
        headers["Idempotent-Replayed"] = "true"
    return headers


def finished(response: func.HttpResponse, req: func.HttpRequest, context: func.Context) -> func.HttpResponse:
    """Add what every answer has: the name of the conversation, and that its media type is no guess."""
    response.headers["X-Correlation-Id"] = correlation_id(req, context)
    response.headers["X-Content-Type-Options"] = "nosniff"
    return response


def failed(error: Exception, req: func.HttpRequest, context: func.Context) -> func.HttpResponse:
    """Answer an error as problem details."""
    instance = quote(unquote(urlsplit(req.url).path))  # a URI reference, however the host writes the path
    return finished(render(problem_of(error), instance, correlation_id(req, context)), req, context)
